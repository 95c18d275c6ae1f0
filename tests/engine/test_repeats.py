"""Whoever sends an event that changes nothing hears what became of it; only what nobody asks for says nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from headway.ramp.observations import EventSeen
from tests.engine.world import MINUTE, World

ASKING = """
contract: db
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp:
  - {stage: now, limit: 100}
  - {stage: later, limit: 200, when: {event: {type: go, source: ci}}}
  - {stage: last, limit: 300, when: {event: {type: done, again: true}}}
"""


@pytest.fixture
def db(tmp_path: Path) -> World:
    return World(tmp_path, ASKING)


def said(world: World, type: str, id: str, source: str = "ci") -> list[tuple[bool, str]]:
    """Whether each outcome changed something, and its sentence."""
    outcomes = world.engine.receive(EventSeen(0, id, source, type, "event:ci"))
    return [(bool(one.seqs), one.said) for one in outcomes]


def test_the_same_event_again_hears_when_it_was_counted(db: World):
    """Counted at midnight; a minute later it comes again."""
    assert said(db, "go", "7")[0][0]
    db.run(MINUTE)

    assert [(False, "db counted it already, 2025-12-01 00:00:00 UTC")] == said(db, "go", "7")


def test_another_event_of_its_kind_hears_which_one_was_counted(db: World):
    """The trigger has what it asked for: event 7; event 8 changes nothing, and hears so each time."""
    said(db, "go", "7")
    db.run(MINUTE)

    counted = (False, "db counted go already, 2025-12-01 00:00:00 UTC, by event 7 from ci")
    assert [counted] == said(db, "go", "8")
    assert [
        (False, "db saw it already, 2025-12-01 00:01:00 UTC, and looks at an event once: a new one has another id")
    ] == (said(db, "go", "8"))
    assert 1 == db.kinds().count("event")


def test_an_event_that_is_not_counted_hears_why_each_time(db: World):
    """From a laptop, where ci is asked for: the first is noted in the ledger, the second only hears the same."""
    noted = said(db, "go", "1", "laptop")
    again = said(db, "go", "2", "laptop")

    assert [(True, "db: no trigger asks for it from this source, at this time")] == noted
    assert [(False, "db does not count it: no trigger asks for it from this source, at this time")] == again


def test_an_event_that_came_too_early_hears_that_it_wants_another_id(db: World):
    """`again`: it counts while its stage is next. Sent before, and the same one once it is next: it was looked at."""
    said(db, "done", "1")
    said(db, "go", "7")
    db.run(MINUTE)

    ((changed, words),) = said(db, "done", "1")
    assert (False, True) == (changed, words.endswith("and looks at an event once: a new one has another id"))
    assert said(db, "done", "2")[0][0]


def test_a_ramp_that_is_over_says_so(db: World):
    db.engine.submit("db", db.verb("abort"))

    assert [(False, "db counts no event any more: its ramp is aborted")] == said(db, "go", "7")


def test_what_nobody_asks_for_hears_nothing(db: World):
    assert [] == said(db, "coffee.ready", "1")
