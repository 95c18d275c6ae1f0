"""The grained twin made quick: whole grains, sums kept per piece; ten million decisions take minutes.

`test_lean.py` holds it against `meters.Rate` with grains, decision by decision; the compiled core is held against it.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from copy import copy
from typing import Literal

from tests.model.curves import MICRO, Piece, Plan, joined, pieces
from tests.model.meters import FAR_NS, When, first


class Stretch:
    """A piece of a course with what came before it: `e0` grains of entitlement and `k0`, the largest `E - B` so far."""

    __slots__ = ("_a", "_b", "_den", "_level", "_level_den", "_n0", "_slope", "_unit", "e0", "end_ns", "k0", "start_ns")

    def __init__(self, piece: Piece, per_ns: int, grains_log2: int, scale_ppm: int, e0: int, k0: int) -> None:
        self.start_ns, self.end_ns, self.e0 = piece.start_ns, piece.end_ns, e0
        origin, span = piece.origin_ns, piece.span_ns
        climb = piece.to_micro - piece.from_micro
        # E = ((2 span from) x + climb x^2) 2^g scale / (2 span 10^6 10^6 per), x counted from the segment's start.
        grains = (1 << grains_log2) * scale_ppm
        self._den = 2 * span * MICRO * MICRO * per_ns
        self._b = climb * grains
        self._a = 2 * span * piece.from_micro * grains - 2 * origin * self._b
        self._n0 = 0
        self._n0 = self._area(piece.start_ns)
        # B = (from + climb x / span) burst 2^g scale / (10^6 10^6 per), at least a unit.
        self._level_den = span * MICRO * MICRO * per_ns
        self._slope = climb * grains * piece.burst_ns
        self._level = (piece.from_micro * span - climb * origin) * grains * piece.burst_ns
        self._unit = 1 << grains_log2
        self.k0 = max(k0, e0 - self.burst(piece.start_ns))

    def corner(self) -> int | None:
        """The first nanosecond at which a rising burst is more than one unit; None where it never passes it."""
        if (
            self.end_ns is None
            or self.end_ns <= self.start_ns
            or self._slope <= 0
            or self.burst(self.start_ns) > self._unit
        ):
            return None
        return first(self.start_ns, self.end_ns - 1, self._unit + 1, self.burst)

    def cut(self, at_ns: int) -> Stretch:
        """Cuts the stretch where its burst passes one unit; returns the second part. `E` is not rounded again."""
        after = copy(self)
        after.start_ns, self.end_ns = at_ns, at_ns
        after.k0 = max(self.k0, self.entitlement(at_ns) - self._unit, self.spent_floor(at_ns))
        return after

    def _area(self, at_ns: int) -> int:
        return (self._a + self._b * at_ns) * at_ns - self._n0

    def entitlement(self, at_ns: int) -> int:
        """`E(t)` in grains, the piece's own part rounded down."""
        return self.e0 + self._area(at_ns) // self._den

    def burst(self, at_ns: int) -> int:
        """`B(t)` in grains, rounded down."""
        held = (self._level + self._slope * at_ns) // self._level_den
        return max(self._unit, held)

    def spent_floor(self, at_ns: int) -> int:
        """`K(t)`, exact inside the piece because `E - B` is monotone there or has only a minimum."""
        here = self.entitlement(at_ns) - self.burst(at_ns)
        return max(self.k0, here)


class LeanRate:
    """A rate's meter with its keys, in grains. The same calls as `meters.Rate`, integers for fractions."""

    def __init__(self, per_ns: int, grains_log2: int, scale_ppm: int = MICRO) -> None:
        self.per_ns, self.grains_log2, self.scale_ppm = per_ns, grains_log2, scale_ppm
        self.course: list[Piece] = []
        self.stretches: list[Stretch] = []
        self._starts: list[int] = []
        self.marks: dict[str | None, int] = {}
        self.given_back: defaultdict[str | None, int] = defaultdict(int)

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Literal["full", "empty"] = "full") -> None:
        """Joins a version at `at_ns`, keeping every sum that was made before it."""
        is_first = not self.course
        self.course = joined(self.course, plan, offset_ns, at_ns)
        kept = sum(stretch.start_ns <= at_ns for stretch in self.stretches)
        del self.stretches[kept:]
        if kept:
            self.stretches[-1].end_ns = at_ns
        for piece in pieces(plan, offset_ns, at_ns):
            e0, k0 = 0, -(1 << 200)
            if self.stretches:
                last = self.stretches[-1]
                e0, k0 = last.entitlement(piece.start_ns), last.spent_floor(piece.start_ns)
            stretch = Stretch(piece, self.per_ns, self.grains_log2, self.scale_ppm, e0, k0)
            if is_first and born == "empty" and not self.stretches:
                stretch.k0 = max(stretch.k0, 0)
            self.stretches.append(stretch)
            corner_ns = stretch.corner()
            if corner_ns is not None:
                self.stretches.append(stretch.cut(corner_ns))
        self._starts = [stretch.start_ns for stretch in self.stretches]

    def stretch_at(self, at_ns: int) -> Stretch:
        """The stretch in force at an instant of the course."""
        last = self.stretches[-1]
        if at_ns >= last.start_ns:
            return last
        index = bisect_right(self._starts, at_ns) - 1
        if index < 0:
            raise ValueError(f"the course begins at {self._starts[0]}, after {at_ns}")
        return self.stretches[index]

    def entitlement(self, at_ns: int) -> int:
        """`E(t)`."""
        return self.stretch_at(at_ns).entitlement(at_ns)

    def spent_floor(self, at_ns: int) -> int:
        """`K(t)`."""
        return self.stretch_at(at_ns).spent_floor(at_ns)

    def mark(self, at_ns: int, key: str | None = None) -> int:
        """`max(M, K(t))`."""
        lowest = self.stretch_at(at_ns).spent_floor(at_ns)
        mark = self.marks.get(key, lowest)
        return max(lowest, mark)

    def fits(self, at_ns: int, charge: int, key: str | None = None) -> bool:
        """Whether a charge is admitted at an instant."""
        stretch = self.stretch_at(at_ns)
        entitled = stretch.entitlement(at_ns)
        if entitled - stretch.burst(at_ns) + charge > entitled or stretch.k0 + charge > entitled:
            return False
        mark = self.marks.get(key)
        return mark is None or mark + charge <= entitled

    def admit(self, at_ns: int, charge: int, key: str | None = None) -> bool:
        """Charges if it fits."""
        if not self.fits(at_ns, charge, key):
            return False
        self.marks[key] = self.mark(at_ns, key) + charge
        return True

    def owe(self, at_ns: int, charge: int, key: str | None = None) -> None:
        """Charges whether it fits or not."""
        self.marks[key] = self.mark(at_ns, key) + charge

    def give_back(self, at_ns: int, returned: int, mark1: int, given_back1: int, key: str | None) -> None:
        """Gives back by the design's rule; see `meters.Rate.give_back`."""
        before = self.given_back[key]
        self.given_back[key] += returned
        unexpired = mark1 - (before - given_back1) - self.spent_floor(at_ns)
        self.marks[key] -= max(0, min(unexpired, returned))

    def live_keys(self, at_ns: int) -> int:
        """Keys that differ from a new one."""
        lowest = self.spent_floor(at_ns)
        return sum(mark > lowest for mark in self.marks.values())

    def earliest(self, from_ns: int, charge: int, key: str | None = None) -> When:
        """The first instant at or after `from_ns` at which the charge fits; see `meters.Rate.earliest`."""
        spent = self.mark(from_ns, key)
        under_a_burst = False
        for stretch in self.stretches[bisect_right(self._starts, from_ns) - 1 :]:
            start_ns = max(stretch.start_ns, from_ns)
            end_ns = FAR_NS if stretch.end_ns is None else stretch.end_ns
            if start_ns >= end_ns:
                continue
            last_ns = end_ns - 1
            spent = max(spent, stretch.spent_floor(start_ns))
            holds_last = charge <= stretch.burst(last_ns)
            under_a_burst |= holds_last or charge <= stretch.burst(start_ns)
            came_ns = first(start_ns, last_ns, spent + charge, stretch.entitlement)
            if came_ns is None:
                continue
            if charge <= stretch.burst(came_ns):
                return came_ns
            if holds_last:
                fits_ns = first(came_ns, last_ns, charge, stretch.burst)
                assert fits_ns is not None
                return fits_ns
        return "unknown" if under_a_burst else "never"
