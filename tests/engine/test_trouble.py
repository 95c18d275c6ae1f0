"""When the ledger cannot be written nothing moves, what is enforced stays, nothing is lost, and it goes on by itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from headway.errors import Fenced, LedgerFull, LedgerStopped
from headway.ledger import Ledger, Move
from tests.engine.test_engine import API
from tests.engine.world import HOUR, MINUTE, SECOND, World


@dataclass
class Disk:
    """A store over a real ledger that fails while it is told to, and notes the order of things."""

    ledger: Ledger
    failing: LedgerStopped | None = None
    log: list[str] = field(default_factory=list)

    def commit(self, move: Move) -> tuple[int, ...]:
        if self.failing:
            raise self.failing
        self.log.append("commit")
        return self.ledger.commit(move)

    def beat(self, utc_ms: int, boot_ms: int) -> None:
        if self.failing:
            raise self.failing
        self.ledger.beat(utc_ms, boot_ms)


FULL = LedgerFull("there is no room for another entry in the ledger", mend="free space")


@pytest.fixture
def api(tmp_path: Path) -> World:
    return World(tmp_path, API)


@pytest.fixture
def disk(api: World, monkeypatch: pytest.MonkeyPatch) -> Disk:
    disk = Disk(api.engine.ledger())
    monkeypatch.setattr(api.engine._mover, "_store", disk)
    return disk


def test_everything_is_in_the_ledger_before_it_is_published(api: World, disk: Disk, monkeypatch: pytest.MonkeyPatch):
    """At the instant a curve reaches the meters, a replay of the ledger already leads to it."""
    publish = api.meters.publish
    known: list[bool] = []

    class Watched:
        def __getattr__(self, name: str) -> object:
            return getattr(api.meters, name)

        def publish(self, curves: list[tuple[str, object]], utc_ns: int) -> int:
            state = api.engine.ledger().replay()["api"]
            known.append(state.overridden is not None and disk.log == ["commit"])
            return publish(curves, utc_ns)

    monkeypatch.setattr(api.engine._mover._handover, "_publisher", Watched())
    api.engine.submit("api", api.override(10, api.clock.utc_ms() + HOUR))

    assert [True] == known
    assert 10 == api.limit("api")


def test_a_full_disk_refuses_a_move_and_keeps_the_limit(api: World, disk: Disk):
    """A cut that cannot be recorded is not made: the caller is told why, the limit and the state are as they were."""
    disk.failing = FULL
    before = api.engine.contract("api").state

    with pytest.raises(LedgerFull):
        api.engine.submit("api", api.override(10, api.clock.utc_ms() + HOUR))
    with pytest.raises(LedgerFull):
        api.engine.submit("api", api.verb("hold"))

    assert before is api.engine.contract("api").state
    assert 100 == api.limit("api")
    assert api.engine.limiter("api").try_acquire()
    assert "no room" in api.engine.unready()


def test_when_space_is_back_it_goes_on_by_itself(api: World, disk: Disk):
    """The last soak entry does not fit for an hour: the stage waits, and is entered once there is room, without a person."""
    api.run(9 * MINUTE, {"api": 0.7})
    disk.failing = FULL
    api.run(10 * MINUTE, {"api": 0.7})
    assert "now" == api.stage("api")

    disk.failing = None
    api.run(4 * MINUTE, {"api": 0.7})
    assert "soaked" == api.stage("api")
    assert "" == api.engine.unready()
    assert api.engine.ledger().verify().ok


def test_a_date_that_came_while_the_disk_was_full_is_taken_up(api: World, disk: Disk):
    """What was due and not written is still due: the climb's end was missed by an hour, its arrival is recorded with its
    true instant.
    """
    api.run(11 * MINUTE, {"api": 0.7})
    api.engine.receive(api.event("replica.promoted"))
    api.run(MINUTE)
    disk.failing = FULL
    api.run(2 * HOUR)
    assert api.engine.contract("api").state.arrived_at_ms is None
    assert 300 == api.limit("api"), "a climb that was decided goes on"

    disk.failing = None
    api.run(5 * SECOND)
    state = api.engine.contract("api").state
    assert state.arrived_at_ms == state.course.end_ms


def test_what_came_due_in_the_very_moment_the_disk_filled_is_still_due(api: World, disk: Disk):
    """The climb ends while the disk is full for a second, and nothing was tried before (no sign of life was due either):
    it is tried again, not forgotten.
    """
    api.run(11 * MINUTE + 7 * SECOND, {"api": 0.7})
    api.engine.receive(api.event("replica.promoted"))
    end_ms = api.engine.contract("api").state.course.end_ms
    api.run(end_ms - api.clock.utc_ms() - 500)
    disk.failing = FULL
    api.run(SECOND)
    assert "no room" in api.engine.unready()

    disk.failing = None
    api.run(5 * SECOND)
    assert end_ms == api.engine.contract("api").state.arrived_at_ms


def test_draws_that_cannot_be_booked_stop_the_engine_too(api: World, disk: Disk):
    """The writer says so from its own thread; the growth queue is closed, and reopened when writing works again."""
    disk.failing = FULL
    api.engine._mover.stop(FULL)
    api.run(3 * SECOND)
    assert "no room" in api.engine.unready()

    disk.failing = None
    api.run(3 * SECOND)
    assert "" == api.engine.unready()


def test_an_engine_that_was_fenced_never_moves_again(api: World, disk: Disk):
    """Another run took the ledger over: this one enforces what it knows, and leaves the ledger alone for good."""
    disk.failing = Fenced("a later run has the mandate")
    with pytest.raises(Fenced):
        api.engine.submit("api", api.verb("hold"))

    disk.failing = None
    api.run(HOUR)
    assert api.engine.unready()
    assert ["applied"] == api.kinds()


def test_watchers_hear_that_it_stopped_and_that_it_moves(api: World, disk: Disk):
    """Once each, however often it is tried in between."""
    heard = api.engine.subscribe()
    disk.failing = FULL
    with pytest.raises(LedgerFull):
        api.engine.submit("api", api.verb("hold"))
    api.run(10 * SECOND)
    disk.failing = None
    api.run(2 * SECOND)

    assert ["stopped", "moving"] == [change.kind for change in iter(lambda: heard.next(0), None)]
