"""The most, or the least, that a history of curves may have allowed when it is not sure when each came into force."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

__all__ = ["Allowance", "InForce"]

_FINE = 1_000_000
"""Levels are read in millionths of a micro-unit, rounded to the side that accuses less (certain) or more (possible)."""


@dataclass(frozen=True, slots=True)
class InForce:
    """A curve that came into force at some instant in `[earliest_ns, latest_ns]`, until the next one did.

    segments: (start_ns, end_ns or None, from_micro, to_micro), touching, in order, on the stamps' clock. Before the
    first and past the last the level stays. `burst_ns` (rates): the burst as a span of the limit.
    """

    earliest_ns: int
    latest_ns: int
    segments: tuple[tuple[int, int | None, int, int], ...]
    burst_ns: int = 0


class Allowance:
    """The most (`generous`) or least that a history may have allowed.

    Between two cuts the extreme of several straight lines is taken to be the line through the extremes at both ends:
    never below the largest, never above the smallest. Amounts are in units of 1 / `weight` micro-units.
    """

    def __init__(
        self, history: Sequence[InForce], span_ns: tuple[int, int], *, generous: bool, per_ns: int = 1
    ) -> None:
        if not history:
            raise ValueError("a history without a curve allows nothing and forbids nothing")
        changes = [instant for curve in history for instant in (curve.earliest_ns, curve.latest_ns)]
        if any(later < earlier for earlier, later in pairwise(changes)):
            raise ValueError("the curves of a history come into force one after the other")
        self._history, self._generous = history, generous
        self.weight = 2 * _FINE * per_ns
        edges = {edge for curve in history for segment in curve.segments for edge in segment[:2] if edge is not None}
        # What the first curve says of the time before it was in force bounds nothing.
        edges = {edge for edge in (*edges, *changes) if edge >= history[0].latest_ns}
        edges |= set(span_ns)
        # One to either side of an edge too: there only one of its two bursts counts.
        self.cuts = sorted({edge + side for edge in edges for side in (-1, 0, 1)})
        self._at = [self._possible(at_ns, at_ns) for at_ns in self.cuts]
        self._after = [self._possible(start, end) for start, end in pairwise(self.cuts)]
        self._lines: list[tuple[int, int]] = []
        self._sums = [0]
        for (start, end), possible in zip(pairwise(self.cuts), self._after, strict=True):
            first = self._extreme(_level(curve, start, False, generous) for curve in possible)
            last = self._extreme(_level(curve, end, True, generous) for curve in possible)
            self._lines.append((first, last))
            self._sums.append(self._sums[-1] + (first + last) * (end - start))

    def _extreme(self, values: Iterable[int]) -> int:
        return max(values) if self._generous else min(values)

    def _possible(self, start_ns: int, end_ns: int) -> list[InForce]:
        """The curves that may be in force somewhere between two neighbouring cuts, or at the one that is both."""
        following = [*self._history[1:], None]
        return [
            curve
            for index, (curve, after) in enumerate(zip(self._history, following, strict=True))
            if (index == 0 or curve.earliest_ns <= start_ns) and (after is None or after.latest_ns >= end_ns)
        ]

    def _holding(self, at_ns: int) -> list[InForce]:
        index = bisect_right(self.cuts, at_ns) - 1
        return self._at[index] if self.cuts[index] == at_ns else self._after[index]

    def entitled(self, at_ns: int, *, up: bool) -> int:
        """`E` from the first cut, which lies at or before `at_ns`, rounded."""
        index = bisect_right(self.cuts, at_ns) - 1
        if index == len(self._lines):
            return self._sums[-1]
        start, end = self.cuts[index], self.cuts[index + 1]
        first, last = self._lines[index]
        passed, span = at_ns - start, end - start
        area = 2 * first * passed * span + (last - first) * passed * passed
        return self._sums[index] + (-(-area // span) if up else area // span)

    def burst(self, at_ns: int) -> int:
        """`B`, of both sides of a change the one that accuses less (generous) or more; at least one unit."""
        sides = (
            max(2 * _level(curve, at_ns, left, self._generous) * curve.burst_ns, 1_000_000 * self.weight)
            for curve in self._holding(at_ns)
            for left in (True, False)
        )
        return self._extreme(sides)

    def largest_micro(self, from_ns: int, to_ns: int) -> int:
        """The largest level in `[from_ns, to_ns]`, whole micro-units: a demand of so much fits, one more does not."""
        inside = self.cuts[bisect_left(self.cuts, from_ns) : bisect_right(self.cuts, to_ns)]
        # From the left of the first instant nothing is allowed any more, but the least may have been.
        levels = (
            self._level_at(at_ns, left=at_ns > from_ns or not self._generous) for at_ns in {from_ns, to_ns, *inside}
        )
        return max(levels) // _FINE

    def _level_at(self, at_ns: int, *, left: bool) -> int:
        holding = self._holding(min(max(at_ns, self.cuts[0]), self.cuts[-1]))
        sides = (True, False) if left else (False,)
        return self._extreme(_level(curve, at_ns, side, self._generous) for curve in holding for side in sides)


def _level(curve: InForce, at_ns: int, from_left: bool, up: bool) -> int:
    """The level in millionths of a micro-unit; at a change, from the left or as it is."""
    for start, end, first, last in curve.segments:
        if end is None or at_ns < end or (from_left and at_ns == end):
            if end is None or at_ns <= start:
                return first * _FINE
            rise = (last - first) * (at_ns - start) * _FINE
            return first * _FINE + (-(-rise // (end - start)) if up else rise // (end - start))
    return curve.segments[-1][3] * _FINE
