"""throttled-py: its GCRA over its memory store, the same law as ours."""

from __future__ import annotations

from collections.abc import Callable

from throttled import MemoryStore, RateLimiterType, Throttled, per_day, per_sec
from throttled.asyncio import MemoryStore as AsyncMemoryStore
from throttled.asyncio import Throttled as AsyncThrottled

from benches.python.subject import HUGE, Peer, Subject

NAME = "throttled-py"
GCRA = RateLimiterType.GCRA.value
STORE_KEYS = 10_000_000
"""Its store forgets the oldest keys past a size of 1,024 unless told."""


def _open() -> Throttled:
    return Throttled(using=GCRA, quota=per_sec(HUGE, burst=HUGE), store=_store())


def _store() -> MemoryStore:
    return MemoryStore(options={"MAX_SIZE": STORE_KEYS})


def _subjects() -> list[Subject]:
    open_ = _open()
    spent = Throttled(using=GCRA, quota=per_day(1, burst=1), store=_store())
    spent.limit("one")
    waiting = AsyncThrottled(using=GCRA, quota=per_sec(HUGE, burst=HUGE), store=AsyncMemoryStore())
    return [
        Subject(NAME, "admitted", "take('one')", {"take": open_.limit}),
        Subject(NAME, "refused", "take('one')", {"take": spent.limit}),
        Subject(NAME, "key hot", "take('user:1')", {"take": open_.limit}),
        Subject(NAME, "100k keys", "take(key)", {"take": open_.limit}, keyed=True),
        Subject(NAME, "await acquire", "await take('one')", {"take": waiting.limit}, awaits=True),
    ]


def _taker(limit: int) -> Callable[[], bool]:
    limiter = Throttled(using=GCRA, quota=per_day(limit, burst=limit), store=_store())
    return lambda: not limiter.limit("one").limited


def _filler() -> Callable[[str], object]:
    return _open().limit


PEER = Peer(NAME, _subjects, _taker, _filler)
