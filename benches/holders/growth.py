"""Growth of leases through the ledger's writer, as the core queues it: how much, and how long each waits to be durable."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from headway._core import Growth
from headway.errors import LedgerStopped
from headway.ledger import Ledger
from headway.ledger.writer import Writer

HOLDERS = 10_000
UNIT_MICRO = 1_000_000


@dataclass(frozen=True)
class Waited:
    """Rows a second, and ms from when a row was asked for to when its holder may be answered."""

    rows: int
    per_s: float
    p50_ms: float
    p99_ms: float
    most_ms: float


class Arriving:
    """A queue at which growth arrives evenly, so many a second, whether the writer keeps up or not; each of another holder
    than the one before.

    Args:
        per_s: Rows a second.
        seconds: For how long.
    """

    def __init__(self, per_s: int, seconds: float) -> None:
        self._per_s = per_s
        self._count = int(per_s * seconds)
        self._began = time.perf_counter()
        self._taken = 0
        self._batches: dict[int, tuple[int, int]] = {}
        self.ended_s = 0.0
        self.waited_ms: list[float] = []
        self.done = Event()

    def take(self, max_items: int = 1_000, wait_ms: int = 50, /) -> Sequence[Growth]:
        """What has arrived by now, at most so much."""
        since = time.perf_counter() - self._began
        count = min(int(since * self._per_s), self._count, self._taken + max_items) - self._taken
        if count <= 0:
            time.sleep(min(wait_ms / 1_000, 0.001 if self._taken < self._count else 1.0))
            return []
        first, batch = self._taken, len(self._batches) + 1
        self._taken += count
        self._batches[batch] = (first, count)
        return [
            Growth(batch, "lent_slots", "bench", f"other\n{number * 7_919 % HOLDERS:032x}", UNIT_MICRO, 0)
            for number in range(first, first + count)
        ]

    def answer(self, batch_id: int, ok: bytes, /) -> None:
        """A batch is durable."""
        now = time.perf_counter() - self._began
        first, count = self._batches[batch_id]
        assert ok == b"\x01" * count
        # One in ten: looking at each costs as much as writing it.
        self.waited_ms += [(now - number / self._per_s) * 1_000 for number in range(first, first + count, 10)]
        if first + count == self._count:
            self.ended_s = now
            self.done.set()

    def close(self, reason: str, /) -> None:
        """The ledger stopped."""
        raise RuntimeError(reason)

    def reopen(self) -> None:
        """Never closed."""

    def waited(self) -> Waited:
        """How it went."""
        each = sorted(self.waited_ms)
        p50, p99 = (each[int(share * (len(each) - 1))] for share in (0.5, 0.99))
        return Waited(self._count, self._count / self.ended_s, p50, p99, each[-1])


@contextmanager
def _writing(folder: Path, queue: Arriving) -> Iterator[None]:
    ledger = Ledger.open(folder / "ledger.db")
    ledger.begin("bench", 1, 1)

    def stopped(why: LedgerStopped) -> None:
        raise why

    writer = Writer(ledger, queue, stopped)
    writer.start()
    try:
        yield
    finally:
        writer.stop()
        ledger.close()


def grown(folder: Path, per_s: int, seconds: float) -> Waited:
    """Lets growth arrive at a new ledger in a folder, which is on a disk."""
    queue = Arriving(per_s, seconds)
    with _writing(folder, queue):
        if not queue.done.wait(seconds * 20):
            raise RuntimeError("the ledger's writer does not come to an end")
    return queue.waited()
