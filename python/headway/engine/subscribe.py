"""Who listens: changes in order, to any number of subscriptions, each with a bound.

What was missed can be asked for again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from threading import Condition
from typing import Any

RING = 10_000
"""Changes that are kept for whoever comes back with the id it saw last."""

WAITING = 1_000
"""Changes that wait for one subscription. One more, and it lost its place: it is told so by a gap in the ids."""


@dataclass(frozen=True, slots=True)
class Change:
    """Something a watcher wants to know. `contract` is empty where it is about the engine itself."""

    id: int
    contract: str
    kind: str
    at_ms: int
    payload: Mapping[str, Any]


class Subscription:
    """An iterator of changes. It ends when it is closed, or the engine is.

    Attributes:
        gap_after: What it asked to resume behind, where changes since then are not kept any more; else None.
    """

    def __init__(self, backlog: list[Change], gap_after: int | None, leave: Callable[[Subscription], None]) -> None:
        self.gap_after = gap_after
        self._waiting: deque[Change] = deque(backlog, maxlen=max(WAITING, len(backlog)))
        self._news = Condition()
        self._open = True
        self._leave = leave

    def __iter__(self) -> Subscription:
        return self

    def __next__(self) -> Change:
        change = self.next(None)
        if change is None:
            raise StopIteration
        return change

    def next(self, timeout_s: float | None) -> Change | None:
        """The next change; None after `timeout_s` (None: no end) or when it is closed and nothing waits."""
        with self._news:
            self._news.wait_for(lambda: self._waiting or not self._open, timeout_s)
            return self._waiting.popleft() if self._waiting else None

    @property
    def closed(self) -> bool:
        """Whether nothing will come any more but what waits."""
        return not self._open

    def close(self) -> None:
        """Ends it; whoever waits in `next` wakes. A second time does nothing."""
        self._leave(self)
        self.end()

    def end(self) -> None:
        """The same, said by the bus."""
        with self._news:
            self._open = False
            self._news.notify_all()

    def tell(self, change: Change) -> None:
        """One change more; the oldest goes where there is no room."""
        with self._news:
            self._waiting.append(change)
            self._news.notify_all()


class Bus:
    """Numbers changes and hands them on. Never waits for a listener."""

    def __init__(self) -> None:
        self._ring: deque[Change] = deque(maxlen=RING)
        self._listeners: set[Subscription] = set()
        self._turn = Condition()
        self._id = 0
        self._open = True

    def tell(self, contract: str, kind: str, at_ms: int, payload: Mapping[str, Any]) -> None:
        """A change, to everybody."""
        with self._turn:
            self._id += 1
            change = Change(self._id, contract, kind, at_ms, payload)
            self._ring.append(change)
            for listener in self._listeners:
                listener.tell(change)

    def subscribe(self, after: int | None = None) -> Subscription:
        """From now on; or from behind the change `after`, as far back as the ring goes."""
        with self._turn:
            backlog = [] if after is None else [change for change in self._ring if change.id > after]
            oldest = self._ring[0].id if self._ring else self._id + 1
            # An id from before a restart lies ahead of ours: what it has seen since is unknown.
            missed = after is not None and not oldest - 1 <= after <= self._id
            subscription = Subscription(backlog, after if missed else None, self._gone)
            if self._open:
                self._listeners.add(subscription)
            else:
                subscription.end()
            return subscription

    def close(self) -> None:
        """Ends all subscriptions."""
        with self._turn:
            self._open = False
            for listener in self._listeners:
                listener.end()
            self._listeners.clear()

    def _gone(self, subscription: Subscription) -> None:
        with self._turn:
            self._listeners.discard(subscription)
