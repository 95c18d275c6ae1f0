"""token-bucket: a token bucket in plain Python, without locks."""

from __future__ import annotations

from collections.abc import Callable

from token_bucket import Limiter, MemoryStorage

from benches.python.subject import HUGE, Peer, Subject

NAME = "token-bucket"
SLOW = 1 / 86_400


def _subjects() -> list[Subject]:
    open_, spent = Limiter(HUGE, HUGE, MemoryStorage()), Limiter(SLOW, 1, MemoryStorage())
    spent.consume("one")
    return [
        Subject(NAME, "admitted", "take('one')", {"take": open_.consume}),
        Subject(NAME, "refused", "take('one')", {"take": spent.consume}),
        Subject(NAME, "key hot", "take('user:1')", {"take": open_.consume}),
        Subject(NAME, "100k keys", "take(key)", {"take": open_.consume}, keyed=True),
    ]


def _taker(limit: int) -> Callable[[], bool]:
    limiter = Limiter(SLOW, limit, MemoryStorage())
    return lambda: bool(limiter.consume("one"))


def _filler() -> Callable[[str], object]:
    consume: Callable[[str], object] = Limiter(HUGE, HUGE, MemoryStorage()).consume
    return consume


PEER = Peer(NAME, _subjects, _taker, _filler)
