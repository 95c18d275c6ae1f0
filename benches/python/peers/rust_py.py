"""rust-py-rate-limit: a fixed window over keys in Rust; it has no call without a key."""

from __future__ import annotations

from collections.abc import Callable

from rust_py_rate_limit import RateLimiter  # type: ignore[import-untyped]

from benches.python.subject import HUGE, Peer, Subject

NAME = "rust-py-rate-limit"
DAY_S = 86_400


def _subjects() -> list[Subject]:
    open_, spent = RateLimiter(HUGE, DAY_S), RateLimiter(1, DAY_S)
    spent.allow("one")
    return [
        Subject(NAME, "admitted", "take('one')", {"take": open_.allow}),
        Subject(NAME, "refused", "take('one')", {"take": spent.allow}),
        Subject(NAME, "key hot", "take('user:1')", {"take": open_.allow}),
        Subject(NAME, "100k keys", "take(key)", {"take": open_.allow}, keyed=True),
    ]


def _taker(limit: int) -> Callable[[], bool]:
    limiter = RateLimiter(limit, DAY_S)
    return lambda: bool(limiter.allow("one"))


def _filler() -> Callable[[str], object]:
    allow: Callable[[str], object] = RateLimiter(HUGE, DAY_S).allow
    return allow


PEER = Peer(NAME, _subjects, _taker, _filler)
