"""A clock that is not believed cuts and never raises; dates wait until it is trusted again."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.errors import ClockSuspected
from headway.ledger.moves import Move
from tests.engine.test_trouble import Disk
from tests.engine.world import DAY, HOUR, MINUTE, SECOND, START_MS, World

DATED = """
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
ramp:
  - {stage: now, limit: 100}
  - {stage: later, limit: 200, when: {not_before: 2025-12-02T00:00Z}}
exceptions:
  - {during: 2025-12-01T12:00/13:00 UTC, limit: 40, reason: disks are moved}
"""


@pytest.fixture
def api(tmp_path: Path) -> World:
    return World(tmp_path, DATED)


def test_a_date_that_a_jump_brought_does_not_raise(api: World):
    """The wall jumps two days ahead, past the date: nothing rises for five minutes; then the clock has proved itself."""
    api.clock.jump(2 * DAY)
    api.run(4 * MINUTE)
    assert "now" == api.stage("api")
    assert api.engine.clock_status().suspect
    assert "jumped ahead by 172800.0 s" in api.engine.clock_status().reason

    api.run(2 * MINUTE)
    assert "later" == api.stage("api")
    assert ["clock_suspected", "clock_trusted"] == api.kinds("")


def test_a_jump_that_is_taken_back_never_raised(tmp_path: Path):
    """From nine in the evening to eleven and back: UTC stands still meanwhile, and the date comes when it really comes."""
    api = World(tmp_path, DATED, at_ms=START_MS + 21 * HOUR)
    api.clock.jump(2 * HOUR)
    api.run(30 * SECOND)
    api.clock.jump(-2 * HOUR)
    api.run(HOUR)

    assert "now" == api.stage("api")
    assert api.engine.clock_status().suspect, "the wall is still behind what the ledger has seen"

    api.run(3 * HOUR)
    assert "later" == api.stage("api")
    assert not api.engine.clock_status().suspect


def test_a_cut_proceeds_on_a_clock_that_is_not_believed(api: World):
    """The jump leads into the exception's hour: its fall is made at once. Contraction needs only suspicion."""
    api.clock.jump(12 * HOUR + MINUTE)
    api.run(SECOND)

    assert api.engine.clock_status().suspect
    assert 40 == api.limit("api")


def test_a_fall_that_is_decided_does_not_come_late_on_a_clock_that_jumped(api: World):
    """An override to 150 until eleven past; at nine past the wall jumps beyond its end: the meters, which counted on from
    their own time, are told at the look that saw the jump, before anything is evaluated.
    """
    api.engine.submit("api", api.override(150, api.clock.utc_ms() + 11 * MINUTE, second="user:bo"))
    api.run(9 * MINUTE)
    assert 150 == api.limit("api")

    api.clock.jump(3 * MINUTE)
    api.engine._mover.look()
    assert 100 == api.limit("api")


@pytest.mark.parametrize("more_ms", [3 * MINUTE, 6 * MINUTE])
def test_a_fall_that_is_decided_does_not_come_late_on_a_clock_that_jumps_again(api: World, more_ms: int):
    """The clock is suspect already, by a jump that leads nowhere near the override's end; the next one, as long as the first
    or longer, leads beyond it: the fall is made at that look, nothing rises, and the ledger keeps one entry about it.
    """
    api.engine.submit("api", api.override(150, api.clock.utc_ms() + 11 * MINUTE, second="user:bo"))
    api.run(3 * MINUTE)
    api.clock.jump(3 * MINUTE)
    api.run(2 * MINUTE + 30 * SECOND)
    assert api.engine.clock_status().suspect
    assert 150 == api.limit("api")

    api.clock.jump(more_ms)
    api.engine._mover.look()
    assert 100 == api.limit("api")

    api.run(MINUTE)
    assert (100, "now") == (api.limit("api"), api.stage("api"))
    assert ["clock_suspected"] == api.kinds("")


def test_a_climb_goes_no_faster_on_a_clock_that_jumps_again(climbing: World):
    """At 110, half an hour of jump, and half an hour more two minutes later: it goes on at its own pace."""
    for _ in range(2):
        climbing.clock.jump(30 * MINUTE)
        climbing.run(2 * MINUTE)

    assert climbing.engine.clock_status().suspect
    assert 116.6 <= climbing.limit("api") <= 116.7


def told(world: World) -> set[int]:
    """The limit as every surface tells it, in micro-units: explain, the contract's page, what a verb finds."""
    found = world.engine.preview("api", world.verb("hold")).before_micro[""]
    return {
        found,
        world.engine.explain("api")["limit"][""]["limit_micro"],
        world.engine.contract("api").in_force_micro[""],
    }


@pytest.mark.parametrize("jump_ms", [30 * MINUTE, 2 * HOUR, -HOUR])
def test_the_limit_that_is_told_is_the_one_that_is_enforced_whatever_the_clock_says(climbing: World, jump_ms: int):
    """At 110; the wall jumps: explain, the page and a preview say 110, as the meters do, and not what the wall would say;
    three minutes later they all say 115.
    """
    climbing.clock.jump(jump_ms)
    climbing.run(0)
    assert climbing.engine.clock_status().suspect
    assert {110_000_000} == {climbing.reading_now("api").limit_micro} == told(climbing)
    assert "api is limited to 110 requests a second" in climbing.engine.explain("api")["why"]

    climbing.run(3 * MINUTE)
    assert {115_000_000} == {climbing.reading_now("api").limit_micro} == told(climbing)


def test_a_climb_goes_no_faster_on_a_clock_that_jumped(tmp_path: Path):
    """From 100 to 200 in an hour; the wall jumps half an hour ahead after six minutes: 110 goes on at its pace, and follows
    the clock once that is trusted.
    """
    api = World(
        tmp_path,
        DATED.replace("limit: 200, when: {not_before: 2025-12-02T00:00Z}", "limit: 200, climb: 1h, when: {event: go}"),
    )
    api.engine.receive(api.event("go"))
    api.run(6 * MINUTE)
    api.clock.jump(30 * MINUTE)
    api.run(MINUTE)
    assert 111 <= api.limit("api") <= 112

    api.run(5 * MINUTE)
    assert not api.engine.clock_status().suspect
    assert 169 <= api.limit("api") <= 170.5


CLIMBING = (
    DATED.split("exceptions:")[0].replace(
        "limit: 200, when: {not_before: 2025-12-02T00:00Z}", "limit: 200, climb: 1h, when: {event: go}"
    )
    + "---\n"
    + DATED.split("ramp:")[0].replace("contract: api", "contract: day").replace("rate", "quota").replace("1s", "day")
    + "ramp: [{stage: now, limit: 20}]\n"
)
"""A climb from 100 to 200 in an hour, and a quota of 20 a day."""


@pytest.fixture
def climbing(tmp_path: Path) -> World:
    """Six minutes into the climb, at 110."""
    world = World(tmp_path, CLIMBING)
    world.engine.receive(world.event("go"))
    world.run(6 * MINUTE)
    return world


@pytest.mark.parametrize("ends", ["crash", "restart"])
def test_a_start_on_a_clock_that_jumped_raises_nothing(climbing: World, ends: str):
    """The wall is half an hour ahead when the process comes back: the climb goes on from 110, as the last believed
    instant and the boot clock say; when the clock has proved itself the climb follows it.
    """
    climbing.clock.jump(30 * MINUTE)
    getattr(climbing, ends)()
    assert climbing.engine.clock_status().suspect
    assert 110 == climbing.limit("api")

    climbing.run(3 * MINUTE)
    assert 114.9 <= climbing.limit("api") <= 115

    climbing.run(3 * MINUTE)
    assert not climbing.engine.clock_status().suspect
    assert 169.9 <= climbing.limit("api") <= 170.1


@pytest.mark.parametrize("ends", ["crash", "restart"])
def test_a_restart_does_not_make_a_suspect_clock_believed(climbing: World, ends: str):
    """It was caught jumping a minute ago; whoever starts anew, in whatever way, suspects it again."""
    climbing.clock.jump(30 * MINUTE)
    climbing.run(MINUTE)
    for _ in range(3):
        getattr(climbing, ends)()
        climbing.run(MINUTE)

        assert climbing.engine.clock_status().suspect
    assert 116.6 <= climbing.limit("api") <= 116.7


@pytest.mark.parametrize("ends", ["none", "crash", "restart"])
def test_a_clock_that_jumped_into_tomorrow_opens_no_window_and_gives_no_burst_again(climbing: World, ends: str):
    """The rate's burst is used: a day's jump, with or without a restart, brings neither it nor the quota's next day."""
    while climbing.engine.limiter("api").try_acquire():
        pass
    climbing.clock.jump(DAY)
    climbing.run(0)
    if ends != "none":
        getattr(climbing, ends)()
    climbing.run(SECOND // 100)

    assert climbing.engine.clock_status().suspect
    assert {"": (START_MS,)} == climbing.engine._mover.board.places["day"].windows
    assert 2 >= sum(bool(climbing.engine.limiter("api").try_acquire()) for _ in range(100))


def test_a_hold_on_a_clock_that_jumped_stops_a_climb_where_it_is(climbing: World):
    """At 110, with 54 minutes left, half an hour of jump: a hold keeps 110 and not the 160 that the wall would say."""
    climbing.clock.jump(30 * MINUTE)
    climbing.run(0)
    climbing.engine.submit("api", climbing.verb("hold"))

    assert 110 == climbing.limit("api")
    course = climbing.engine.contract("api").state.course
    assert 54 * MINUTE == course.remaining_ms


def test_an_override_between_what_is_in_force_and_what_the_wall_says_is_a_raise(climbing: World):
    """In force is 110, the wall says 160: 150 would raise, and waits."""
    climbing.clock.jump(30 * MINUTE)
    climbing.run(0)

    with pytest.raises(ClockSuspected):
        climbing.engine.submit("api", climbing.override(150, climbing.clock.utc_ms() + HOUR, second="user:bo"))


def test_no_climb_arrives_by_a_jump(climbing: World):
    """Two hours ahead, past its end: it has not arrived, and goes on at its pace until the clock is trusted."""
    climbing.clock.jump(2 * HOUR)
    climbing.run(4 * MINUTE)
    assert "arrived" not in climbing.kinds("api")
    assert 116 <= climbing.limit("api") <= 117

    climbing.run(2 * MINUTE)
    assert "arrived" in climbing.kinds("api")
    assert 200 == climbing.limit("api")


def test_a_person_cuts_and_does_not_raise_under_suspicion(api: World):
    """An override to 10 is made; one to 150 is refused with the clock as its reason."""
    api.clock.jump(HOUR)
    until_ms = api.clock.utc_ms() + 6 * HOUR
    with pytest.raises(ClockSuspected):
        api.engine.submit("api", api.override(150, until_ms, second="user:bo"))

    api.engine.submit("api", api.override(10, until_ms))
    assert 10 == api.limit("api")


def test_a_person_may_confirm_the_clock(api: World):
    """Somebody looked at it: what waited goes on at once, and the ledger says who."""
    api.clock.jump(2 * DAY)
    api.run(SECOND)
    api.engine.confirm_clock("user:ana", "the time server was mended")
    api.run(SECOND)

    assert "later" == api.stage("api")
    assert "user:ana" == api.engine.ledger().tail(1, "")[0].entry.actor
    assert not api.engine.clock_status().suspect


def test_confirming_a_clock_that_is_trusted_does_nothing(api: World):
    """No entry, no error."""
    api.engine.confirm_clock("user:ana", "to be sure")

    assert [] == api.kinds("")


def test_a_start_before_the_ledgers_last_instant_is_suspect(api: World):
    """The machine comes up a day in the past: UTC does not run back, and nothing rises."""
    api.run(2 * HOUR)
    seen = api.engine.now_ms()
    api.engine.submit("api", api.verb("hold"))
    api.engine.submit("api", api.verb("resume"))
    api.clock.jump(-DAY)
    api.crash()

    assert api.engine.clock_status().suspect
    assert api.engine.now_ms() >= seen
    assert "clock_suspected" in api.kinds("")


def test_a_fresh_ledger_trusts_its_clock(tmp_path: Path):
    """There is nothing to contradict it, synchronised or not."""
    world = World(tmp_path, DATED)
    assert not world.engine.clock_status().suspect


def test_what_is_planned_comes_no_later_for_a_ledger_that_took_its_time(tmp_path: Path) -> None:
    """An override of 10 for an hour takes the ledger 700 ms to write. The meters' UTC is then the clock's, and not that of
    700 ms ago: every fall that is planned would come as much too late.
    """
    world = World(tmp_path, DATED)

    class Slow(Disk):
        def commit(self, move: Move) -> tuple[int, ...]:
            world.clock.advance(700)
            return super().commit(move)

    world.engine._mover._store = Slow(world.engine.ledger())
    world.engine.submit("api", world.override(10, START_MS + HOUR))

    assert world.clock.utc_ms() == world.reading_now("api").utc_ns // 1_000_000


@pytest.mark.parametrize("past_ns", [0, 1, 400_000, 999_999])
def test_meters_take_over_the_wall_and_not_its_milliseconds(api: World, past_ns: int):
    """Published in the middle of a millisecond: nothing of it is lost, or a planned fall would come late by as much."""
    api.core.advance(past_ns)
    before = api.reading_now("api").version
    api.engine.submit("api", api.verb("hold"))
    reading = api.reading_now("api")

    assert reading.version > before
    assert START_MS * 1_000_000 - 1_000_000_000 == reading.utc_ns - reading.boot_ns


def test_meters_do_not_take_over_a_wall_that_jumped_just_now(api: World):
    """Between the look and the publication the wall moves: who is not looked at yet is not believed."""
    api.clock.jump(5)
    api.engine._mover._handover.republish(["api"], api.engine.now_ms())

    assert START_MS * 1_000_000 - 1_000_000_000 == api.reading_now("api").utc_ns - api.reading_now("api").boot_ns
