"""One thing that is timed: a statement, the names it uses, and what it is a case of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

HUGE = 1_000_000_000
"""Units a second of limits that always admit: a timed loop never reaches them."""

KEYS = 100_000
"""Live keys of the case with many."""


@dataclass(frozen=True)
class Subject:
    """A case of somebody's.

    who: "headway", a peer's name, or "floor".
    case: What is compared; peers' and our subjects of one case stand side by side.
    statement: Python, run once an iteration; `key` is each time another of 100,000 in random order where `keyed`.
    before: Run untimed before each round, so that the case stays what it says.
    """

    who: str
    case: str
    statement: str
    names: Mapping[str, object]
    keyed: bool = False
    awaits: bool = False
    before: Callable[[], object] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Peer:
    """Somebody's limiter.

    subjects: Its cases, built anew.
    taker: A limit of so many in a period that outlasts the run: each call says whether one more was admitted.
    filler: Makes a keyed limiter and returns what takes one for a key; None where it has no keys.
    """

    name: str
    subjects: Callable[[], list[Subject]]
    taker: Callable[[int], Callable[[], bool]] | None = None
    filler: Callable[[], Callable[[str], object]] | None = None
