"""When a change of limit was in force at every gate, judged from what the gates were answered and from nothing else.

Stamps are of one clock, in ns, taken outside of the call that admits. A cut is in force once nothing is admitted beyond it:
after the last admission, of any gate, that was asked for since and made more slots in use than the new limit. A raise is
in force once every gate has more in use than its even part of the old limit, or was refused under the new one, since the
others have it all. A raise is of use once all gates together have more in use than nine tenths of it.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Held:
    """A slot of a gate: `asked` before its call, `admitted` after it, `released` before it was given back."""

    asked: int
    admitted: int
    released: int
    gate: int


@dataclass(frozen=True)
class Change:
    """A limit in units, in force from `at` on; `planned` where that was known before."""

    at: int
    before: int
    after: int
    planned: bool
    version: int
    """Of the curve with it."""

    @property
    def is_cut(self) -> bool:
        return self.after < self.before


@dataclass(frozen=True)
class Met:
    """From `at` on refusals of a gate are of that version of the curve."""

    at: int
    gate: int
    version: int


@dataclass(frozen=True)
class Step:
    """An admission, with what was in use then: at the gate, and at all of them."""

    asked: int
    at: int
    gate: int
    own: int
    all: int


def steps(held: Sequence[Held]) -> Iterator[Step]:
    """Every admission in order. What is released at an instant is gone before what is admitted then."""
    own: dict[int, int] = {}
    entered = [(one.admitted, 1, one.gate, one.asked) for one in held]
    left = [(one.released, -1, one.gate, one.asked) for one in held]
    for at, by, gate, asked in sorted(entered + left):
        own[gate] = own.get(gate, 0) + by
        if by > 0:
            yield Step(asked, at, gate, own[gate], sum(own.values()))


def followed(steps: Sequence[Step], met: Sequence[Met], change: Change, until: int, gates: int) -> int | None:
    """How many ns after a change it was in force everywhere; None if it was not by `until`, when the next one came."""
    meanwhile = _meanwhile(steps, change, until)
    if change.is_cut:
        return max((step.at - change.at for step in meanwhile if step.all > change.after), default=0)
    part = -(-change.before // gates)
    first: dict[int, int] = {}
    signs = [(step.at, step.gate) for step in meanwhile if step.own > part]
    signs += [(one.at, one.gate) for one in met if one.version >= change.version and change.at <= one.at < until]
    for at, gate in sorted(signs):
        first.setdefault(gate, at - change.at)
    return max(first.values()) if len(first) == gates else None


def used(steps: Sequence[Step], change: Change, until: int) -> int | None:
    """How many ns after a raise nine tenths of it were in use; None if they were not by `until`."""
    enough = change.before + (change.after - change.before) * 9 / 10
    return next((step.at - change.at for step in _meanwhile(steps, change, until) if step.all >= enough), None)


def _meanwhile(steps: Sequence[Step], change: Change, until: int) -> Sequence[Step]:
    first = bisect_left(steps, change.at, key=lambda step: step.at)
    last = bisect_left(steps, until, key=lambda step: step.at)
    return [step for step in steps[first:last] if change.at <= step.asked]


def quantile(values: Sequence[float], share: float) -> float:
    """The least value that at least `share` of them do not exceed."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]
