"""floodgate-rs: a jumping window in Rust; `trigger()` answers None where it admits."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

from floodgate import FixedMapping, JumpingWindow

from benches.python.subject import HUGE, Peer, Subject

NAME = "floodgate-rs"
SECOND = timedelta(seconds=1)
DAY = timedelta(days=1)


def _subjects() -> list[Subject]:
    open_, spent = JumpingWindow(HUGE, SECOND), JumpingWindow(1, DAY)
    spent.trigger()
    keyed: FixedMapping[str] = FixedMapping(HUGE, DAY)
    return [
        Subject(NAME, "admitted", "take()", {"take": open_.trigger}),
        Subject(NAME, "refused", "take()", {"take": spent.trigger}),
        Subject(NAME, "key hot", "take('user:1')", {"take": keyed.trigger}),
        Subject(NAME, "100k keys", "take(key)", {"take": keyed.trigger}, keyed=True),
    ]


def _taker(limit: int) -> Callable[[], bool]:
    window = JumpingWindow(limit, DAY)
    return lambda: window.trigger() is None


def _filler() -> Callable[[str], object]:
    keyed: FixedMapping[str] = FixedMapping(HUGE, DAY)
    return keyed.trigger


PEER = Peer(NAME, _subjects, _taker, _filler)
