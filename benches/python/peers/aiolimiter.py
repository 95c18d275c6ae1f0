"""aiolimiter: a leaky bucket for coroutines of one loop."""

from __future__ import annotations

from aiolimiter import AsyncLimiter

from benches.python.subject import HUGE, Peer, Subject

NAME = "aiolimiter"


def _subjects() -> list[Subject]:
    # One limiter a case: it complains when it meets a second loop.
    return [
        Subject(NAME, "await acquire", "await take()", {"take": AsyncLimiter(HUGE, 1).acquire}, awaits=True),
        Subject(NAME, "async with", "async with limiter: pass", {"limiter": AsyncLimiter(HUGE, 1)}, awaits=True),
    ]


PEER = Peer(NAME, _subjects)
