"""Any number answers: why this, since when, by whom, on what evidence, and when and by what it would change."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from headway.errors import UnknownContract, UnknownRef
from headway.ramp.observations import EventSeen, VerbCall
from tests.engine.test_engine import API, POOL
from tests.engine.world import HOUR, MINUTE, START_MS, World

WAITING = """
contract: db
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp:
  - {stage: now, limit: 100}
  - stage: later
    limit: 200
    when: {not_before: 2025-12-03T00:00Z, event: {type: go, source: ci}, approval: dba}
"""


@pytest.fixture
def api(tmp_path: Path) -> World:
    return World(tmp_path, API)


def test_a_limit_says_why_since_when_by_whom_and_what_comes_next(api: World):
    """In its first stage, waiting for a soak: every key that the surfaces show, as plain JSON."""
    api.run(5 * MINUTE, {"api": 0.7})
    said = api.engine.explain("api")

    assert said == json.loads(json.dumps(said))
    assert (100.0, "request", 1000) == (said["limit"][""]["limit"], said["limit"][""]["unit"], said["limit"][""]["per"])
    assert "api is limited to 100 requests a second, because stage now is in force since 2025-12-01" in said["why"]
    assert ("headway", START_MS, 1) == (said["by"], said["since_ms"], said["evidence"]["seq"])
    assert "soaked" == said["next"]["stage"]
    (soak,) = said["next"]["conditions"]
    assert ("soak", False) == (soak["kind"], soak["met"])
    assert soak["evidence"]["earned_ms"] > 4 * MINUTE
    assert START_MS + 10 * MINUTE <= said["next"]["earliest_ms"] <= START_MS + 11 * MINUTE
    assert ["promoted", "target"] == [one["stage"] for one in said["later"]]
    assert not said["clock"]["suspect"]


def test_conditions_are_told_one_by_one(tmp_path: Path):
    """A date, an event, an approval: which holds, since when, on what evidence, and when the others could."""
    world = World(tmp_path, WAITING)
    world.engine.receive(world.event("go"))
    conditions = {one["kind"]: one for one in world.engine.explain("db")["next"]["conditions"]}

    assert {"not_before": False, "event": True, "approval": False} == {
        kind: one["met"] for kind, one in conditions.items()
    }
    assert START_MS + 2 * 24 * HOUR == conditions["not_before"]["earliest_ms"]
    assert "ci" == conditions["event"]["evidence"]["source"]
    assert "dba" in conditions["approval"]["waits_for"]


def test_what_was_seen_and_not_counted_says_why(tmp_path: Path):
    """The event came from a laptop: it is named, with the reason, and once."""
    world = World(tmp_path, WAITING)
    for id in ("1", "2"):
        world.engine.receive(EventSeen(0, id, "laptop", "go", "event:laptop"))

    (seen,) = world.engine.explain("db")["not_counted"]
    assert "laptop" in seen["what"]
    assert "source" in seen["why"]


def test_an_override_and_a_climb_explain_themselves(api: World):
    """Who overrode it and until when; a climb says where it leads and until when."""
    api.engine.submit("api", api.override(10, START_MS + HOUR))
    said = api.engine.explain("api")
    assert "user:ana overrode it until 2025-12-01 01:00:00 UTC: an incident" in said["why"]
    assert "user:ana" == said["by"]
    assert {"": 10_000_000} == said["overridden"]["value_micro"]

    api.run(61 * MINUTE)
    api.run(11 * MINUTE, {"api": 0.7})
    api.engine.receive(api.event("replica.promoted"))
    api.run(MINUTE)
    assert "it is climbing to stage promoted until" in api.engine.explain("api")["why"]


def test_an_aborted_ramp_says_that_it_was_aborted(api: World):
    """Not merely that its first stage is in force, as on the day it began."""
    api.engine.submit("api", VerbCall(api.clock.utc_ms(), "abort", "user:ana", "the vendor is gone"))

    assert (
        "its ramp was aborted 2025-12-01 00:00:00 UTC and is back in stage now: the vendor is gone"
        in (api.engine.explain("api")["why"])
    )


def test_a_spender_shows_its_upstream(tmp_path: Path):
    """Half a connection each, of a pool that stands at 100."""
    (upstream,) = World(tmp_path, POOL).engine.explain("shop")["upstream"]

    assert ("pool", {"": 0.5}, {"": 100.0}) == (upstream["contract"], upstream["spends"], upstream["limit"])


def test_a_refusal_tells_its_story(api: World):
    """Its ref leads to what was behind it, and to what has changed since."""
    limiter = api.engine.limiter("api")
    answers = [limiter.try_acquire() for _ in range(101)]
    refusal = answers[-1]
    assert not refusal

    story = api.engine.explain_ref(refusal.ref)
    assert "api" == story["contract"]
    assert not story["now"]["changed"]
    assert "soaked" == story["raises"]["stage"]
    assert (START_MS, START_MS + 10) == (story["at_ms"], story["retry_at_ms"])
    assert {"": "100 requests a second"} == story["now"]["limit"]

    api.engine.submit("api", api.override(10, START_MS + HOUR))
    assert api.engine.explain_ref(refusal.ref)["now"]["changed"]


def test_unknown_names_and_refs_say_so(api: World):
    """A ref of another process, a contract that is not there."""
    with pytest.raises(UnknownRef):
        api.engine.explain_ref("hw:0000")
    with pytest.raises(UnknownContract):
        api.engine.explain("nobody")
    with pytest.raises(UnknownContract):
        api.engine.timeline("nobody")


def test_a_timeline_shows_what_was_what_is_decided_and_what_is_awaited(api: World):
    """Soaked, then climbing for an hour, seen half way: two steps and half a climb behind, the other half ahead."""
    api.run(11 * MINUTE, {"api": 0.7})
    api.engine.receive(api.event("replica.promoted"))
    api.run(30 * MINUTE)

    line = api.engine.timeline("api")

    # Pieces touch, from the first instant to now.
    assert START_MS == line.past[0].start_ms
    assert line.now_ms == line.past[-1].end_ms == line.ahead[0].start_ms
    assert all(one.end_ms == two.start_ms for one, two in zip(line.past, line.past[1:], strict=False))
    assert [100, 200] == sorted(
        {piece.from_micro // 1_000_000 for piece in line.past if piece.from_micro == piece.to_micro}
    )
    climbing = line.past[-1]
    assert ("promoted", 200_000_000) == (climbing.stage, climbing.from_micro)
    assert 249_000_000 <= climbing.to_micro <= 250_000_000
    assert [300_000_000] == [piece.to_micro for piece in line.ahead if piece.end_ms is None]
    assert ["target"] == [one.stage for one in line.stages]
    assert {"applied", "soaked", "entered", "event"} == {mark.kind for mark in line.marks}


def test_a_timeline_is_cut_to_what_is_asked_for(api: World):
    """A window of time, and at most so many pieces: the latest."""
    for minute in range(5):
        api.engine.submit("api", api.override(10 + minute, api.clock.utc_ms() + 30_000))
        api.run(MINUTE)

    assert 2 == len(api.engine.timeline("api", most=2).past)
    assert 0 == len(api.engine.timeline("api", most=0).past)
    cut = api.engine.timeline("api", from_ms=START_MS + 2 * MINUTE, to_ms=START_MS + 3 * MINUTE)
    assert {12} <= {piece.from_micro // 1_000_000 for piece in cut.past} <= {12, 13, 100}
    assert all(START_MS + 2 * MINUTE <= mark.at_ms < START_MS + 3 * MINUTE for mark in cut.marks)
