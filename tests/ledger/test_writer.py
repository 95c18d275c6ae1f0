"""The one writer thread: moves first, draws in batches, everything answered."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator

import pytest

from headway.errors import Closed, LedgerFull, LedgerStopped
from headway.ledger import Ledger, Move, Writer
from tests.ledger.ramps import Growth, applied, contract_of

WAIT_S = 10


class FakeQueue:
    """The core's growth queue, filled by hand."""

    def __init__(self) -> None:
        self.batches: deque[list[Growth]] = deque()
        self.answers: dict[int, bytes] = {}
        self.told: list[str] = []
        self.changed = threading.Condition()
        self.log: list[str] = []

    def put(self, batch: list[Growth]) -> None:
        with self.changed:
            self.batches.append(batch)
            self.changed.notify_all()

    def take(self, max_items: int = 1000, wait_ms: int = 50, /) -> list[Growth]:
        with self.changed:
            self.changed.wait_for(lambda: self.batches, wait_ms / 1000)
            return self.batches.popleft() if self.batches else []

    def answer(self, batch_id: int, ok: bytes, /) -> None:
        with self.changed:
            self.answers[batch_id] = ok
            self.changed.notify_all()

    def close(self, reason: str, /) -> None:
        self.told.append(reason)

    def reopen(self) -> None:
        self.told.append("reopened")

    def answered(self, batch_id: int) -> bytes:
        with self.changed:
            assert self.changed.wait_for(lambda: batch_id in self.answers, WAIT_S)
            return self.answers[batch_id]


@pytest.fixture
def begun(ledger: Ledger) -> Ledger:
    """A ledger with a mandate and room for 100 calls."""
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 100}))
    return ledger


@pytest.fixture
def queue() -> FakeQueue:
    return FakeQueue()


@pytest.fixture
def stops() -> list[LedgerStopped]:
    return []


@pytest.fixture
def writer(
    begun: Ledger, queue: FakeQueue, stops: list[LedgerStopped], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Writer]:
    monkeypatch.setattr("headway.ledger.writer.TAKE_MS", 20)
    one = Writer(begun, queue, stops.append)
    one.start()
    yield one
    one.stop()


def draws(batch_id: int, by_micro: int) -> list[Growth]:
    return [Growth(batch_id, "quota_draw", "calls", "", by_micro, 5)]


def test_draws_are_booked_and_answered(writer: Writer, queue: FakeQueue, begun: Ledger):
    """70 of 100, then 70 more: no room; then 30."""
    queue.put(draws(1, 70))
    assert b"\x01" == queue.answered(1)
    queue.put(draws(2, 70))
    assert b"\x00" == queue.answered(2)
    queue.put(draws(3, 30))
    assert b"\x01" == queue.answered(3)


def test_a_move_is_committed_when_it_returns(writer: Writer, begun: Ledger):
    """Whoever asked reads it back at once."""
    move, state = applied(contract_of(), 2_000)

    assert (1,) == writer.commit(move)

    assert state == begun.load().states["api"]


def test_a_move_goes_before_draws_that_wait(ledger: Ledger, queue: FakeQueue, monkeypatch: pytest.MonkeyPatch):
    """A cut waits for the write under way and for nothing else, however many draws stand in line."""
    order: list[str] = []
    gate, started = threading.Event(), threading.Event()
    ledger.begin("boot", 1_000, 1_000)

    def slow_draw(batch: list[Growth]) -> bytes:
        started.set()
        gate.wait(WAIT_S)
        order.append(f"draw {batch[0].batch_id}")
        return b"\x01"

    monkeypatch.setattr(ledger, "draw", slow_draw)
    monkeypatch.setattr(ledger, "commit", lambda move: order.append("move") or ())
    writer = Writer(ledger, queue, lambda stopped: None)
    writer.start()
    queue.put(draws(1, 1))
    queue.put(draws(2, 1))
    started.wait(WAIT_S)
    asking = threading.Thread(target=writer.commit, args=(Move(),))
    asking.start()
    with writer._changed:
        assert writer._changed.wait_for(lambda: writer._moves, WAIT_S)

    gate.set()
    asking.join(WAIT_S)
    queue.answered(2)
    writer.stop()

    assert ["draw 1", "move", "draw 2"] == order


def test_an_error_reaches_who_asked_and_the_writer_goes_on(writer: Writer, begun: Ledger):
    """An entry without its state is our mistake: the caller gets it, the next move is written."""
    move, _ = applied(contract_of(), 2_000)

    with pytest.raises(ValueError, match="without its state"):
        writer.commit(Move(entries=move.entries, versions=move.versions))

    assert (1,) == writer.commit(move)


def test_draws_on_a_full_disk_close_the_queue_and_are_answered(
    writer: Writer, begun: Ledger, queue: FakeQueue, stops: list[LedgerStopped], monkeypatch: pytest.MonkeyPatch
):
    """No room on the disk: the queue is closed with the reason before the answer, nothing is granted, the engine is told."""

    def full(batch: list[Growth]) -> bytes:
        raise LedgerFull("there is no room for another entry in the ledger")

    monkeypatch.setattr(begun, "draw", full)
    queue.put(draws(1, 1))

    assert b"\x00" == queue.answered(1)
    assert ["there is no room for another entry in the ledger"] == queue.told
    writer.beat(3_000, 3_000)
    assert ["HW504"] == [stopped.code for stopped in stops]


def test_after_a_stop_nothing_is_written(begun: Ledger, queue: FakeQueue):
    """What waited was written; what comes later is told that the engine is closed."""
    writer = Writer(begun, queue, lambda stopped: None)
    writer.start()
    writer.stop()

    with pytest.raises(Closed):
        writer.commit(applied(contract_of(), 2_000)[0])
    assert 0 == begun.count()
