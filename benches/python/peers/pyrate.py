"""pyrate-limiter: its default, a log of the window's items in a bucket in memory."""

from __future__ import annotations

from collections.abc import Callable

from pyrate_limiter import Duration, InMemoryBucket, Limiter, Rate

from benches.python.subject import Peer, Subject

NAME = "pyrate-limiter"
ROOMY = 1_000_000
"""Its bucket keeps every item of the window: a larger one measures the memory, not the decision."""


def _limiter(limit: int, window: Duration) -> Limiter:
    return Limiter(InMemoryBucket([Rate(limit, window)]))


def _subjects() -> list[Subject]:
    open_, spent = _limiter(ROOMY, Duration.SECOND), _limiter(1, Duration.DAY)
    spent.try_acquire("one", blocking=False)
    return [
        Subject(NAME, "admitted", "take('one', 1, False)", {"take": open_.try_acquire}),
        Subject(NAME, "refused", "take('one', 1, False)", {"take": spent.try_acquire}),
    ]


def _taker(limit: int) -> Callable[[], bool]:
    limiter = _limiter(limit, Duration.DAY)
    return lambda: bool(limiter.try_acquire("one", blocking=False))


PEER = Peer(NAME, _subjects, _taker)
