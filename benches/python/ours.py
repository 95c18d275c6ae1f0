"""Headway's cases, and the floor beneath every Python limiter: an empty call, an empty method in C, a clock's reading."""

from __future__ import annotations

import time
from collections.abc import Callable

from benches.python.subject import HUGE, KEYS, Subject
from headway._core import Curve, Limiter, Meters, MeterSpec, PathSpec, Segment
from headway.enforce.limit import limit

NAME = "headway"
FLOOR = "floor"

MICRO = 1_000_000
SECOND_NS = 1_000_000_000
MONTH = "31 days"

SLOW = f"1000/{MONTH}"
"""A unit charged on it stays spent for 45 minutes. A key that has drained is as good as new and need not be kept, so
only on a slow limit are a million keys a million live ones.
"""


def empty() -> None:
    """What an empty Python call costs."""


async def empty_coroutine() -> None:
    """What awaiting an empty coroutine costs."""


def floor() -> list[Subject]:
    """What nothing can go below."""
    return [
        Subject(FLOOR, "empty Python call", "call()", {"call": empty}),
        Subject(FLOOR, "empty C method", "call()", {"call": [].reverse}),
        Subject(FLOOR, "monotonic_ns()", "call()", {"call": time.monotonic_ns}),
        Subject(FLOOR, "empty coroutine", "await call()", {"call": empty_coroutine}, awaits=True),
    ]


def subjects() -> list[Subject]:
    """Each way to ask, on limits that always admit, and the refused one on a limit that is spent."""
    open_ = limit(f"{HUGE}/s")
    spent = limit(f"1/{MONTH}")
    spent.try_acquire()
    keyed, many = limit(f"{HUGE}/s", keys=2 * KEYS), limit(SLOW, keys=2 * KEYS)
    bound = keyed.bind("user:1")
    slots = limit("1M concurrent")
    return [
        Subject(NAME, "admitted", "take()", {"take": open_.try_acquire}),
        Subject(NAME, "refused", "take()", {"take": spent.try_acquire}),
        Subject(NAME, "bound key", "take()", {"take": bound.try_acquire}),
        Subject(NAME, "key hot", "take(1, 'user:1')", {"take": keyed.try_acquire}),
        Subject(NAME, "100k keys", "take(1, key)", {"take": many.try_acquire}, keyed=True),
        Subject(NAME, "four meters", "take()", {"take": four_meters().try_acquire}),
        Subject(NAME, "with, a slot", "with slots: pass", {"slots": slots}),
        Subject(NAME, "await acquire", "await take()", {"take": open_.acquire_async}, awaits=True),
        Subject(NAME, "async with", "async with limiter: pass", {"limiter": open_}, awaits=True),
        Subject(NAME, "decorator", "call()", {"call": open_(empty)}),
    ]


def four_meters() -> Limiter:
    """One limiter whose demands are charged on four rates, all or nothing."""
    names = [f"meter-{number}" for number in range(4)]
    level_micro = HUGE * MICRO
    curve = Curve("rate", 1, "", [Segment(0, None, level_micro, level_micro)], SECOND_NS, SECOND_NS)
    meters = Meters()
    meters.declare([MeterSpec(name, "rate", ceiling_micro=level_micro, per_ns=SECOND_NS) for name in names])
    meters.publish([(name, curve) for name in names], 0)
    return meters.limiter(PathSpec("four", "other", [(name, MICRO, False) for name in names]))


def taker(units: int) -> Callable[[], bool]:
    """As `Peer.taker`."""
    limiter = limit(f"{units}/{MONTH}")
    return lambda: bool(limiter.try_acquire())


def filler() -> Callable[[str], object]:
    """As `Peer.filler`."""
    limiter = limit(SLOW, keys=20_000_000)
    return lambda key: limiter.try_acquire(1, key)
