"""The one thread that writes the ledger: moves of the engine first, then batches of durable draws.

Whoever asks for a move waits until it is committed. Draws come in batches from a thread that only takes them from the
core; each batch is one transaction, and a cut never waits behind more than the one under way.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from threading import Condition, Thread
from typing import Protocol, TypeVar

from headway.errors import Closed, LedgerStopped
from headway.ledger.ledger import NO_ROOM, Ledger
from headway.ledger.moves import Draw, Move

T = TypeVar("T")

TAKE_MOST = 4_000
"""Draws a transaction."""

TAKE_MS = 500
"""How long one look for draws waits; a stop takes at most that long."""


class Growing(Draw, Protocol):
    """A draw that is part of a batch."""

    @property
    def batch_id(self) -> int: ...


class Queue(Protocol):
    """The core's queue of durable draws."""

    def take(self, max_items: int = ..., wait_ms: int = ..., /) -> Sequence[Growing]: ...
    def answer(self, batch_id: int, ok: bytes, /) -> None: ...
    def close(self, reason: str, /) -> None: ...
    def reopen(self) -> None: ...


class Writer:
    """Runs writes of a ledger one at a time, in its thread.

    Args:
        ledger: The ledger, its mandate taken.
        growth: The core's queue; None where no meter is durable.
        stopped: Told, in the writer's thread, when draws could not be booked. The queue is closed by then.
    """

    def __init__(self, ledger: Ledger, growth: Queue | None, stopped: Callable[[LedgerStopped], None]) -> None:
        self._ledger = ledger
        self._growth = growth
        self._stopped = stopped
        self._changed = Condition()
        self._moves: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._draws: deque[tuple[Callable[[], object], Future[object]]] = deque()
        self._open = True
        self._threads = [Thread(target=self._write, name="headway-writer", daemon=True)]
        if growth is not None:
            self._threads.append(Thread(target=self._take, args=(growth,), name="headway-growth", daemon=True))

    def start(self) -> None:
        """Starts the threads."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Writes what waits, then ends the threads. Draws asked for later are refused by the queue."""
        with self._changed:
            self._open = False
            self._changed.notify_all()
        for thread in reversed(self._threads):
            if thread.ident is not None:
                thread.join()

    def commit(self, move: Move) -> tuple[int, ...]:
        """`Ledger.commit`, before any draw that waits."""
        return self._first(lambda: self._ledger.commit(move))

    def beat(self, utc_ms: int, boot_ms: int) -> None:
        """`Ledger.beat`, likewise."""
        self._first(lambda: self._ledger.beat(utc_ms, boot_ms))

    def _first(self, write: Callable[[], T]) -> T:
        return self._ask(self._moves, write)

    def _ask(self, line: deque[tuple[Callable[[], object], Future[object]]], write: Callable[[], T]) -> T:
        answer: Future[object] = Future()
        with self._changed:
            if not self._open:
                raise Closed("the ledger is closed", because="the engine was closed", mend="open it again")
            line.append((write, answer))
            self._changed.notify_all()
        return answer.result()  # type: ignore[return-value]

    def _write(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._moves or self._draws or not self._open)
                if not self._moves and not self._draws:
                    return
                write, answer = (self._moves or self._draws).popleft()
            try:
                answer.set_result(write())
            except BaseException as error:
                # The one who asked gets it, whatever it is; the writer goes on for the others.
                answer.set_exception(error)

    def _take(self, growth: Queue) -> None:
        while self._open:
            batch = growth.take(TAKE_MOST, TAKE_MS)
            if not batch:
                continue
            try:
                ok = self._ask(self._draws, lambda batch=batch: self._ledger.draw(batch))  # type: ignore[misc]
            except Closed:
                growth.answer(batch[0].batch_id, bytes([NO_ROOM]) * len(batch))
                return
            except LedgerStopped as stopped:
                # Closed before it is answered: no demand may come between and start another draw.
                growth.close(stopped.problem)
                growth.answer(batch[0].batch_id, bytes([NO_ROOM]) * len(batch))
                self._stopped(stopped)
            else:
                growth.answer(batch[0].batch_id, ok)
