"""The whole engine on a clock that is moved by hand: what starts, what moves, what never does."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from headway.errors import OverPromised, UnknownContract, UnknownStage, UnknownWorkload, VerbRefused
from tests.engine.world import HOUR, MINUTE, SECOND, START_MS, World

API = """
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
ramp:
  - {stage: now, limit: 100}
  - {stage: soaked, limit: 200, when: {soak: {for: 10m, above: 50%}}}
  - {stage: promoted, limit: 300, climb: 1h, when: {event: replica.promoted}}
  - {stage: target, limit: 400, when: {not_before: 2025-12-01T06:00Z, approval: dba}}
"""

POOL = """
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp:
  - {stage: small, limit: 100}
  - {stage: large, limit: 200, when: {approval: dba}}
---
contract: shop
owner: team-web
constraint: {measure: concurrency, unit: session}
workloads: {other: {}}
upstream: [{contract: pool, spends: 0.5}]
ramp:
  - {stage: now, limit: 150}
  - {stage: later, limit: 250, when: {event: go}}
  - {stage: big, limit: 400, when: {requires: {pool: large}}}
"""


@pytest.fixture
def api(tmp_path: Path) -> World:
    return World(tmp_path, API)


@pytest.fixture
def pool(tmp_path: Path) -> World:
    return World(tmp_path, POOL)


def test_a_first_start_applies_the_documents_and_enforces_them(api: World):
    """An empty ledger takes the file; the meters know its first stage before anybody asks."""
    assert ["api"] == api.engine.names()
    assert 100 == api.limit("api")
    assert api.engine.limiter("api").try_acquire()
    assert ["applied"] == api.kinds()
    assert api.engine.limiter("api") is api.engine.limiter("api", "other")


def test_a_stage_is_entered_after_its_soak_under_load(api: World):
    """70 % of the limit for ten minutes: at nine it waits, at eleven it has moved. Never without load, always with it."""
    api.run(9 * MINUTE, {"api": 0.7})
    assert "now" == api.stage("api")

    api.run(2 * MINUTE, {"api": 0.7})
    assert "soaked" == api.stage("api")
    assert 200 == api.limit("api")


def test_no_load_no_advance(api: World):
    """A day of silence, and a day at 40 %, earn nothing: no evidence, no advance."""
    api.run(2 * HOUR)
    api.run(10 * MINUTE, {"api": 0.4})

    assert "now" == api.stage("api")
    assert ["applied"] == api.kinds()


def to_promoted(world: World) -> None:
    """Past its soak and its event, climbing."""
    world.run(11 * MINUTE, {"api": 0.7})
    world.engine.receive(world.event("replica.promoted"))


def test_an_event_counts_once_and_starts_a_climb(api: World):
    """From 200 to 300 over an hour: half way after half of it; the same event again changes nothing."""
    to_promoted(api)
    api.run(30 * MINUTE)

    assert "promoted" == api.stage("api")
    assert 249 <= api.limit("api") <= 250
    (again,) = api.engine.receive(api.event("replica.promoted"))
    assert ((), "api counted it already, 2025-12-01 00:11:00 UTC") == (again.seqs, again.said)

    api.run(31 * MINUTE)
    assert 300 == api.limit("api")
    assert 1 == api.kinds().count("event")
    assert 1 == api.kinds().count("arrived")


def test_an_event_is_known_again_after_a_restart(api: World):
    """Who sends it again after a crash hears the same."""
    to_promoted(api)
    api.crash()

    (again,) = api.engine.receive(api.event("replica.promoted"))
    assert ((), "api counted it already, 2025-12-01 00:11:00 UTC") == (again.seqs, again.said)
    assert 1 == api.kinds().count("event")


def test_an_event_that_nobody_asks_for_leaves_no_trace(api: World):
    """A flood of foreign events is not worth a ledger."""
    assert [] == api.engine.receive(api.event("weather.changed"))

    assert ["applied"] == api.kinds()


def test_a_date_and_an_approval_open_the_last_stage(api: World):
    """The approval is there in the third hour, the date is the sixth: it enters at the date, to the millisecond."""
    to_promoted(api)
    api.run(2 * HOUR)
    outcome = api.engine.submit("api", api.approval("api", "target"))
    assert "approved" in outcome.said
    assert "promoted" == api.stage("api")

    api.run(5 * HOUR)

    entered = [one.entry for one in api.engine.ledger().records(0, 10_000) if one.entry.kind == "entered"]
    assert START_MS + 6 * HOUR == entered[-1].at_ms
    assert 400 == api.limit("api")
    assert "completed" == api.engine.contract("api").state.status


def test_the_engine_sleeps_until_the_next_instant_that_matters(api: World):
    """With nothing observed a turn says so: at most a second for the clocks, and then no evaluation at all."""
    api.run(5 * SECOND)
    api.engine._mover.decide = None  # type: ignore[assignment, method-assign]

    assert api.engine.turn() > 0


def test_a_state_equals_its_replay_after_every_crash(api: World):
    """Crash at each step of the way: the ledger is whole, the stage is kept, nothing is entered twice."""
    for _ in range(6):
        api.run(3 * MINUTE, {"api": 0.7})
        before = api.engine.contract("api").state
        api.crash(away_ms=SECOND)
        after = api.engine.contract("api").state
        assert before.stage == after.stage
        assert api.engine.ledger().verify().ok
        assert after == api.engine.ledger().replay()["api"]

    assert ["now", "soaked"] == ["now"] + [
        one.entry.body["name"] for one in api.engine.ledger().records(0, 10_000) if one.entry.kind == "entered"
    ]


def test_soak_survives_a_crash_but_for_a_grain(api: World):
    """Nine of ten minutes earned, a crash: at most a twentieth is lost, so less than two minutes bring it in."""
    api.run(9 * MINUTE, {"api": 0.7})
    api.crash()
    assert "now" == api.stage("api")

    api.run(2 * MINUTE, {"api": 0.7})
    assert "soaked" == api.stage("api")


def test_an_upstream_that_is_full_holds_a_raise_back(pool: World):
    """The shop at 250 would spend 125 of 100 connections: the event is noted, the stage waits, and explain says for what;
    once the pool has grown it enters by itself.
    """
    pool.engine.receive(pool.event("go"))
    pool.run(MINUTE)
    assert "now" == pool.stage("shop")
    assert "pool is full" in pool.engine.explain("shop")["next"]["in_words"]

    pool.engine.submit("pool", pool.approval("pool", "large"))
    pool.run(MINUTE)
    assert ("large", "big") == (pool.stage("pool"), pool.stage("shop"))


def test_whoever_requires_falls_along_in_the_same_transaction(pool: World):
    """The pool is overridden to 50: the shop cannot stay at its stage that requires it, and both are in one move."""
    pool.engine.receive(pool.event("go"))
    pool.engine.submit("pool", pool.approval("pool", "large"))
    pool.run(MINUTE)
    assert "big" == pool.stage("shop")

    outcome = pool.engine.submit("pool", pool.override(50, pool.clock.utc_ms() + HOUR))

    assert ["overridden", "fell"] == [entry.kind for entry in outcome.entries]
    assert (50, 250) == (pool.limit("pool"), pool.limit("shop"))
    assert ({"": 200_000_000}, {"": 50_000_000}) == (outcome.before_micro, outcome.after_micro)
    assert "along with it: shop" in outcome.said


def test_a_preview_says_what_would_happen_and_changes_nothing(pool: World):
    """Entries, limits before and after, who is affected; the ledger and the meters are as they were."""
    seen = pool.engine.preview("pool", pool.override(50, pool.clock.utc_ms() + HOUR))

    assert ["overridden"] == [entry.kind for entry in seen.entries]
    assert ({"": 100_000_000}, {"": 50_000_000}) == (seen.before_micro, seen.after_micro)
    assert ("shop",) == seen.affected
    assert ["applied", "applied"] == pool.kinds()
    assert 100 == pool.limit("pool")


def test_hold_stops_and_resume_goes_on(api: World):
    """Held in the middle of a climb the limit stays; resumed, it climbs for the time that was left. Each says its undo."""
    to_promoted(api)
    api.run(30 * MINUTE)
    held = api.engine.submit("api", api.verb("hold"))
    api.run(2 * HOUR)
    assert 249 <= api.limit("api") <= 250
    assert held.undo is not None
    assert held.undo.startswith("headway resume api")

    api.engine.submit("api", api.verb("resume"))
    api.run(31 * MINUTE)
    assert 300 == api.limit("api")


def test_what_cannot_be_done_is_refused_and_leaves_nothing(api: World):
    """No reason, unknown names, wrong terms, a verb after the end: coded, with a mend; not a single entry."""
    submit, entries = api.engine.submit, api.engine.ledger().count
    for name, observation, error, code in (
        ("api", api.verb("hold", " "), VerbRefused, "HW519"),
        ("apy", api.verb("hold"), UnknownContract, "HW404"),
        ("api", api.approval("api", "targets"), UnknownStage, "HW405"),
        ("api", replace(api.approval("api", "target"), terms_digest="0" * 64), VerbRefused, "HW512"),
        ("api", api.approval("api", "target", "cooks"), VerbRefused, "HW513"),
        ("api", api.verb("resume"), VerbRefused, "HW516"),
        ("api", api.override(10, START_MS - 1), VerbRefused, "HW517"),
        ("api", api.override(1_000, START_MS + HOUR), VerbRefused, "HW514"),
        ("api", api.override(1_000_000, START_MS + HOUR, second="user:bo"), VerbRefused, "HW517"),
    ):
        with pytest.raises(error) as raised:
            submit(name, observation)
        assert code == raised.value.code
        assert raised.value.mend

    assert 1 == entries()
    submit("api", api.verb("abort"))
    with pytest.raises(VerbRefused) as raised:
        submit("api", api.verb("hold"))
    assert "HW510" == raised.value.code
    assert 2 == entries()


def test_unknown_names_are_told_the_nearest(api: World):
    """`apy` is `api`; a workload that is not declared is `other`'s."""
    with pytest.raises(UnknownContract) as raised:
        api.engine.limiter("apy")
    assert "did you mean `api`?" == raised.value.mend
    assert api.engine.limiter("api", "anybody").try_acquire()


def test_a_workload_that_is_not_declared_and_no_other_is_unknown(tmp_path: Path):
    """Without `other` nobody is let in by a name that was made up."""
    world = World(tmp_path, API.replace("{other: {}}", "{checkout: {}, reporting: {}}"))

    with pytest.raises(UnknownWorkload):
        world.engine.limiter("api", "chekout")
    with pytest.raises(UnknownWorkload):
        world.engine.limiter("api")


def test_an_override_is_ended_early_by_the_command_that_it_names(api: World):
    """To 150 for an hour, undone after a minute: at 100 at once, in the ledger with who, and no undo of the undo."""
    raised = api.engine.submit("api", api.override(150, START_MS + HOUR, second="user:bo"))
    api.run(MINUTE)
    assert (150, "headway resume api --reason …") == (api.limit("api"), raised.undo)

    ended = api.engine.submit("api", api.verb("resume"))

    assert (100, None) == (api.limit("api"), ended.undo)
    assert "api: its override ends; the limit goes from 150 to 100 requests a second" == ended.said
    last = api.engine.ledger().tail(1, "api")[0].entry
    assert ("override_ended", "user:ana", "to see") == (last.kind, last.actor, last.reason)
    api.crash()
    assert api.engine.contract("api").state.overridden is None


def test_the_end_of_a_cut_is_named_with_the_second_person_that_it_wants(api: World):
    """From 100 down to 10: the way back is a raise. A single user's own is not, nor is an override to what holds anyway."""
    down = api.override(10, START_MS + HOUR)
    for asked, undo in (
        (down, "headway resume api --second FILE --reason …"),
        (replace(down, single_user=True), "headway resume api --reason …"),
        (api.override(100, START_MS + HOUR), "headway resume api --reason …"),
    ):
        assert undo == api.engine.preview("api", asked).undo

    assert "headway resume api --second FILE --reason …" == api.engine.submit("api", down).undo
    with pytest.raises(VerbRefused) as alone:
        api.engine.submit("api", api.verb("resume"))
    assert "HW514" == alone.value.code
    api.engine.submit("api", replace(api.verb("resume"), second="user:bo"))
    assert 100 == api.limit("api")


def test_an_override_of_a_held_contract_names_no_undo(api: World):
    """A resume would lift the hold, which somebody else may have wanted."""
    api.engine.submit("api", api.verb("hold"))

    assert api.engine.submit("api", api.override(10, START_MS + HOUR)).undo is None


def test_an_override_that_an_upstream_has_no_room_for_is_refused(pool: World):
    """The shop at 300 spends 150 of 100: the person is told, the ledger holds nothing of it."""
    with pytest.raises(OverPromised, match="pool is full"):
        pool.engine.submit("shop", pool.override(300, START_MS + HOUR, second="user:bo"))

    assert ["applied", "applied"] == pool.kinds()
    assert 150 == pool.limit("shop")
