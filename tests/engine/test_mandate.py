"""One mandate: who has it alone decides, whoever is frozen, cut off, slow, or late."""

from __future__ import annotations

import random
from collections.abc import Callable
from threading import Event

import pytest

from headway.contract.read import read_text
from headway.engine.mandate import EPS_PPM, MS, PPM, TERM_MS, Mandate, longest_ms
from headway.errors import Busy, Fenced, LedgerFailing
from headway.ledger import Ledger
from headway.ledger.sqlite import SqliteStore

TERM_NS = TERM_MS * MS


class World:
    """True time, and one store that all machines reach unless it is away."""

    def __init__(self) -> None:
        self.now_ns = 1_000_000_000
        self.store = SqliteStore.memory()
        self.away = False


class Machine:
    """One server: a clock of its own rate, meters that say whether they decide, a ledger over the world's store."""

    def __init__(self, world: World, name: str, rate_ppm: int = 0) -> None:
        self.world = world
        self.rate_ppm = rate_ppm
        self.until_ns = 0
        self.ledger = Reached(world)
        self.said: list[str] = []
        self.pauses: Callable[[float], None] = self.sleep
        self.mandate = Mandate(self.ledger, self, self, name, pause=self._pause)

    def boot_ns(self) -> int:
        return self.world.now_ns * (PPM + self.rate_ppm) // PPM

    def decide_until(self, boot_ns: int, /) -> None:
        self.until_ns = boot_ns

    @property
    def decides(self) -> bool:
        return self.boot_ns() < self.until_ns

    def sleep(self, seconds: float) -> None:
        self.world.now_ns += int(seconds * 1_000_000_000)

    def _pause(self, event: Event, seconds: float) -> bool:
        self.pauses(seconds)
        return event.is_set()

    def acquire(self, *, standby: bool = False) -> None:
        """Until it has the mandate; it is renewed by hand from then on."""
        self.mandate.acquire(standby=standby, say=self.said.append)
        self.mandate._renewed(self.mandate._renewed_ns)
        self.ledger.begin("boot", 1, 1)
        self.mandate.begun()


class Reached(Ledger):
    """A ledger that is away when the world says so."""

    def __init__(self, world: World) -> None:
        super().__init__(world.store)
        self._world = world

    def held(self):
        self._vet()
        return super().held()

    def renew(self, *, settled: bool = True) -> None:
        self._vet()
        super().renew(settled=settled)

    def _vet(self) -> None:
        if self._world.away:
            raise LedgerFailing("the ledger's database cannot be reached")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def one(world: World) -> Machine:
    """Has the mandate."""
    machine = Machine(world, "one")
    machine.acquire()
    return machine


def test_a_mandate_that_nobody_ever_had_is_taken_at_once(world: World):
    """No time passes, and the meters decide from then on for a term, less what clocks may be off."""
    machine = Machine(world, "one")
    assert not machine.decides

    before_ns = world.now_ns
    machine.acquire()

    assert before_ns == world.now_ns
    assert before_ns + TERM_NS * PPM // (PPM + EPS_PPM) == machine.until_ns


def test_a_second_server_is_told_who_lives(one: Machine, world: World):
    """It looks until it has seen a renewal, and no longer."""
    two = Machine(world, "two")

    def renewing(seconds: float) -> None:
        two.sleep(seconds)
        one.mandate.renew()

    two.pauses = renewing
    with pytest.raises(Busy, match="one server at a time") as raised:
        two.acquire()

    assert "HW501" == raised.value.code
    assert "one has its mandate" in raised.value.because
    assert one.decides
    assert not two.decides


def test_a_server_that_died_is_succeeded_after_a_whole_term(one: Machine, world: World):
    """Not a moment before the last instant at which it could have decided, standby or not; it is said for whom this waits."""
    two = Machine(world, "two")
    from_ns = world.now_ns

    two.acquire()

    assert from_ns + TERM_NS * (PPM + EPS_PPM) // PPM <= world.now_ns < from_ns + 2 * TERM_NS
    assert not one.decides
    assert two.decides
    assert ["one has the mandate of memory: waiting until it ends"] == two.said


def test_a_standby_waits_for_as_long_as_the_other_renews(one: Machine, world: World):
    """An hour of renewals, then none: it takes over a term later. A database that is away in between is waited for."""
    two, ends_ns = Machine(world, "two"), world.now_ns + 3_600_000 * MS

    def renewing(seconds: float) -> None:
        two.sleep(seconds)
        world.away = ends_ns - 600_000 * MS < world.now_ns < ends_ns
        if world.now_ns < ends_ns:
            one.mandate.renew()

    two.pauses = renewing
    two.acquire(standby=True)

    assert world.now_ns >= ends_ns + TERM_NS
    with pytest.raises(Fenced):
        one.ledger.renew()


def test_a_clean_stop_is_succeeded_at_once(one: Machine, world: World):
    """There is no term to wait out."""
    one.ledger.finish(2, 2, None)
    two, from_ns = Machine(world, "two"), world.now_ns

    two.acquire()

    assert from_ns == world.now_ns


def test_a_server_that_was_frozen_decides_nothing_when_it_wakes(one: Machine, world: World):
    """Its mandate ended on its own clock. It asks, hears that another has it, and is at an end, which is told once."""
    told: list[str] = []
    one.mandate.tell_lost(lambda: told.append("lost"))
    two = Machine(world, "two")
    two.acquire()

    assert not one.decides
    one.mandate.renew()
    one.mandate.end(Fenced("again"))

    assert isinstance(one.mandate.lost, Fenced)
    assert "run 2 (two) took it over" == one.mandate.lost.because
    assert ["lost"] == told
    assert not one.decides
    assert two.decides
    assert "this run may not write the ledger any more" == one.mandate.unready()


def test_a_database_that_is_away_is_outlived_to_the_end_of_the_mandate(one: Machine, world: World):
    """Renewals fail and are tried again soon; after the term nothing is decided; once one arrives all goes on."""
    world.away = True
    assert TERM_MS / 10 / 1000 == one.mandate.renew()
    assert one.decides
    assert "" == one.mandate.unready()

    one.sleep(TERM_MS / 1000)
    one.mandate.renew()
    assert not one.decides
    assert "could not be renewed" in one.mandate.unready()

    world.away = False
    assert TERM_MS / 3 / 1000 == one.mandate.renew()
    assert one.decides
    assert one.mandate.lost is None


def test_a_mandate_counts_from_before_its_renewal_was_sent(one: Machine, world: World, monkeypatch: pytest.MonkeyPatch):
    """The answer takes four of five seconds: one is left."""
    sent_ns, renew = world.now_ns, Reached.renew

    def slow(ledger: Reached, *, settled: bool = True) -> None:
        renew(ledger, settled=settled)
        one.sleep(4.0)

    monkeypatch.setattr(Reached, "renew", slow)
    one.mandate.renew()

    assert sent_ns + TERM_NS * PPM // (PPM + EPS_PPM) == one.until_ns


def test_what_a_copy_may_lack_is_waited_out(one: Machine, world: World):
    """For so long nothing is decided, renewals or not; then it is."""
    one.mandate.begun(60_000)
    one.decide_until(0)
    assert not one.decides
    assert "another copy" in one.mandate.unready()

    for _ in range(40):
        one.sleep(1.6)
        one.mandate.renew()
        assert one.decides is (world.now_ns >= 1_000_000_000 + 60_060 * MS)

    assert one.decides


def test_a_run_that_ends_while_it_waits_leaves_the_waiting_to_the_next(world: World, monkeypatch: pytest.MonkeyPatch):
    """The copy is another one: the first run waits for a minute, and is killed after ten seconds. The second one waits a whole
    minute again, and only then is this copy as good as the one before; the third one does not wait.
    """
    monkeypatch.setattr(SqliteStore, "place", "cluster/1")
    Machine(world, "zero").acquire()
    monkeypatch.setattr(SqliteStore, "place", "cluster/2")
    lacks = []
    for seconds in (10, 70, 10):
        machine = Machine(world, "one")
        machine.mandate.acquire(standby=True, say=machine.said.append)
        machine.mandate.renew()
        lacks.append(machine.ledger.begin("boot", 1, 1).may_lack)
        machine.mandate.begun(60_000 if lacks[-1] else 0)
        for _ in range(seconds):
            machine.sleep(1.0)
            machine.mandate.renew()

    assert [True, True, False] == lacks


def test_who_was_frozen_before_its_run_began_takes_nothing_from_the_one_that_serves(world: World):
    """It wakes when a standby has waited a whole term and serves: its run is refused, and one decides."""
    late, serving = Machine(world, "late"), Machine(world, "serving")
    late.mandate.acquire(standby=False, say=late.said.append)
    late.mandate._renewed(late.mandate._renewed_ns)
    serving.acquire(standby=True)

    with pytest.raises(Fenced):
        late.ledger.begin("boot", 1, 1)
    late.mandate.renew()
    serving.mandate.renew()

    assert (False, True) == (late.decides, serving.decides)
    assert isinstance(late.mandate.lost, Fenced)
    assert serving.mandate.lost is None


def test_everything_lent_has_ended_after_the_longest_drain_and_hold():
    """5 s and 2 min of a concurrency; what a rate would hold is nothing."""
    text = """
contract: {name}
owner: team-web
constraint: {{measure: {measure}, unit: request{more}}}
enforce: {{drain_within: {drain}}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: 10}}]
"""
    reading = read_text(
        text.format(name="slots", measure="concurrency", more=", max_hold: 2min", drain="5s")
        + "---"
        + text.format(name="rate", measure="rate", more=", per: 1s", drain="90s")
    )
    assert reading.ok, reading.findings

    assert 125_000 == longest_ms(reading.contracts.values())
    assert 90_000 == longest_ms([reading.contracts["rate"]])
    assert 0 == longest_ms([])


@pytest.mark.parametrize("seed", range(40))
def test_no_two_ever_decide_at_once(seed: int):
    """Machines whose clocks run fast or slow by a thousandth; each is frozen and woken at any time, the database is away for
    a while, renewals arrive late, new ones come up: at no instant two decide. And always again one does.
    """
    dice, world = random.Random(seed), World()
    machines: list[Machine] = []
    decided = 0

    def live(seconds: float) -> None:
        """Time passes in small steps, in which those who have had the mandate renew, or do not."""
        nonlocal decided
        for _ in range(5):
            world.now_ns += int(seconds * 200_000_000 * dice.choice([1, 1, 1, 3]))
            world.away = dice.random() < 0.1
            for machine in machines:
                if dice.random() < awake and machine.mandate.lost is None:
                    machine.mandate.renew()
            deciding = [machine for machine in machines if machine.decides]
            decided += len(deciding)
            assert len(deciding) <= 1, f"seed {seed}"

    for number in range(6):
        awake = dice.choice([0.0, 0.02, 0.3])
        machine = Machine(world, f"m{number}", dice.choice([-EPS_PPM // 2, 0, EPS_PPM // 2]))
        machine.pauses = live
        world.away = False
        awake_until = world.now_ns + 60_000 * MS

        def until_silent(seconds: float, machine: Machine = machine, awake_until: int = awake_until) -> None:
            nonlocal awake
            if world.now_ns > awake_until:
                awake = 0.0
            live(seconds)

        machine.pauses = until_silent
        machine.mandate.acquire(standby=True, say=lambda _: None)
        machine.mandate._renewed(machine.mandate._renewed_ns)
        machine.mandate.begun()
        machines.append(machine)
        live(0.1)

    assert decided > 6
