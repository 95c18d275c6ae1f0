"""limits: the most used one, its cheapest strategy (fixed window) over its memory storage."""

from __future__ import annotations

from collections.abc import Callable

from limits import RateLimitItemPerDay
from limits.storage import MemoryStorage
from limits.strategies import FixedWindowRateLimiter

from benches.python.subject import HUGE, Peer, Subject

NAME = "limits"


def _subjects() -> list[Subject]:
    limiter = FixedWindowRateLimiter(MemoryStorage())
    open_, spent = RateLimitItemPerDay(HUGE), RateLimitItemPerDay(1)
    limiter.hit(spent, "spent")
    hit = {"take": limiter.hit, "item": open_}
    four = "take(item, 'a'); take(item, 'b'); take(item, 'c'); take(item, 'd')"
    return [
        Subject(NAME, "admitted", "take(item, 'one')", hit),
        Subject(NAME, "refused", "take(item, 'spent')", {"take": limiter.hit, "item": spent}),
        Subject(NAME, "key hot", "take(item, 'user:1')", hit),
        Subject(NAME, "100k keys", "take(item, key)", hit, keyed=True),
        Subject(NAME, "four meters", four, hit),
    ]


def _taker(limit: int) -> Callable[[], bool]:
    limiter, item = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerDay(limit)
    return lambda: limiter.hit(item, "one")


def _filler() -> Callable[[str], object]:
    limiter, item = FixedWindowRateLimiter(MemoryStorage()), RateLimitItemPerDay(HUGE)
    return lambda key: limiter.hit(item, key)


PEER = Peer(NAME, _subjects, _taker, _filler)
