"""A rate's meter in exact fractions: the design's formulas, written down as they stand there, as slowly as they read.

With `grains_log2` the same formulas in whole grains of 2^-g units: entitlement and burst rounded down, piece by piece,
charges up. Without, nothing is rounded at all; that is the meter the grained one approaches.

Source: design, section 3: E, K, M, giving back, earliest instants.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from fractions import Fraction
from functools import partial
from itertools import pairwise
from math import ceil, floor
from typing import Final, Literal, TypeVar

from tests.model.curves import MICRO, Piece, Plan, joined, piece_at

N = TypeVar("N", int, Fraction)

When = int | Literal["never", "unknown"]
"""An instant on the meters' clock, or why there is none."""

FAR_NS: Final = 1 << 66
"""Past every instant a refusal may name: what is not reached by then waits for another version of the curve."""


class Rate:
    """One rate's meter with its keys, in units (`Fraction`), or in grains where `grains_log2` is told.

    `scale_ppm` multiplies the limit: a scaled key is a meter of its own. Instants are ns on the meters' clock and may
    go back a little, as long as the course was in force by then.
    """

    def __init__(self, per_ns: int, grains_log2: int | None = None, scale_ppm: int = MICRO) -> None:
        self.per_ns = per_ns
        self.grains_log2 = grains_log2
        self.scale = Fraction(scale_ppm, MICRO)
        self.course: list[Piece] = []
        self.floor_from: tuple[int, Fraction] | None = None
        self.marks: dict[str | None, Fraction] = {}
        self.given_back: defaultdict[str | None, Fraction] = defaultdict(Fraction)

    # -- what belongs to the curve ----------------------------------------------------------------------------------

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Literal["full", "empty"] = "full") -> None:
        """Joins a version at `at_ns`. The first one also says whether the meter starts full or empty."""
        is_first = not self.course
        self.course = joined(self.course, plan, offset_ns, at_ns)
        if is_first and born == "empty":
            self.floor_from = (at_ns, self.entitlement(at_ns))

    def entitlement(self, at_ns: int) -> Fraction:
        """`E(t)`, the integral of the limit from the start of the course."""
        return sum((self._area(piece, at_ns) for piece in self._until(at_ns)), Fraction(0))

    def _until(self, at_ns: int) -> list[Piece]:
        return self.course[: piece_at(self.course, at_ns) + 1]

    def _area(self, piece: Piece, at_ns: int) -> Fraction:
        """The area under a straight line up to `at_ns` or the piece's end: the mean of both ends, times the width."""
        until_ns = at_ns if piece.end_ns is None else min(at_ns, piece.end_ns)
        mean = (piece.level(piece.start_ns) + piece.level(until_ns)) / 2
        return self._down(self.scale * mean * (until_ns - piece.start_ns) / (MICRO * self.per_ns))

    def burst(self, piece: Piece, at_ns: int) -> Fraction:
        """`B` of a piece at an instant: its span of the limit, at least one unit."""
        span = self.scale * piece.level(at_ns) * piece.burst_ns / (MICRO * self.per_ns)
        return max(self._down(span), self._down(Fraction(1)))

    def _corner(self, piece: Piece) -> int | None:
        """The first nanosecond at which a rising burst is more than one unit; None where it never passes it."""
        if piece.end_ns is None or piece.from_micro >= piece.to_micro:
            return None
        unit = self._down(Fraction(1))
        if self.burst(piece, piece.start_ns) > unit or self.burst(piece, piece.end_ns - 1) == unit:
            return None
        # Above one unit means by a grain, or, without grains, by anything at all: the corner itself is not above it.
        above = unit + 1 if self.grains_log2 is not None else unit + Fraction(1, 1 << 200)
        return first(piece.start_ns, piece.end_ns - 1, above, partial(self.burst, piece))

    def spent_floor(self, at_ns: int) -> Fraction:
        """`K(t)`, the largest `E - B` so far.

        In a piece `E - B` is monotone or has only a minimum, so its ends do; but for one corner: where a rising burst
        passes one unit, `E - B` rises before and may fall after.
        """
        seen: list[Fraction] = []
        entitled = Fraction(0)
        for piece in self._until(at_ns):
            until_ns = at_ns if piece.end_ns is None else min(at_ns, piece.end_ns)
            seen.append(entitled - self.burst(piece, piece.start_ns))
            corner_ns = self._corner(piece)
            if corner_ns is not None and corner_ns <= until_ns:
                seen.append(entitled + self._area(piece, corner_ns) - self._down(Fraction(1)))
            entitled += self._area(piece, at_ns)
            seen.append(entitled - self.burst(piece, until_ns))
        if self.floor_from is not None and at_ns >= self.floor_from[0]:
            seen.append(self.floor_from[1])
        return max(seen)

    def _down(self, units: Fraction) -> Fraction:
        return units if self.grains_log2 is None else Fraction(floor(units * 2**self.grains_log2))

    def charge_of(self, units: Fraction) -> Fraction:
        """What a demand charges: units, or whole grains rounded up."""
        return units if self.grains_log2 is None else Fraction(ceil(units * 2**self.grains_log2))

    # -- what belongs to a key --------------------------------------------------------------------------------------

    def mark(self, at_ns: int, key: str | None = None) -> Fraction:
        """`max(M, K(t))`: the entitlement that counts as spent."""
        lowest = self.spent_floor(at_ns)
        return max(self.marks.get(key, lowest), lowest)

    def fits(self, at_ns: int, charge: Fraction, key: str | None = None) -> bool:
        """Whether a charge is admitted at an instant."""
        return self.mark(at_ns, key) + charge <= self.entitlement(at_ns)

    def admit(self, at_ns: int, charge: Fraction, key: str | None = None) -> bool:
        """Charges if it fits."""
        if not self.fits(at_ns, charge, key):
            return False
        self.marks[key] = self.mark(at_ns, key) + charge
        return True

    def owe(self, at_ns: int, charge: Fraction, key: str | None = None) -> None:
        """Charges a settlement above its reservation, whether it fits or not."""
        self.marks[key] = self.mark(at_ns, key) + charge

    def give_back(
        self, at_ns: int, returned: Fraction, mark1: Fraction, given_back1: Fraction, key: str | None
    ) -> None:
        """Gives back part of a charge that left the mark at `mark1` and the sum of give-backs at `given_back1`."""
        before = self.given_back[key]
        self.given_back[key] += returned
        unexpired = mark1 - (before - given_back1) - self.spent_floor(at_ns)
        self.marks[key] = self.marks[key] - max(Fraction(0), min(unexpired, returned))

    # -- when -------------------------------------------------------------------------------------------------------

    def earliest(self, from_ns: int, charge: Fraction, key: str | None = None) -> When:
        """The first instant at or after `from_ns` at which the charge fits on the course, if nothing else comes."""
        spent = self.mark(from_ns, key)
        under_a_burst = False
        for piece, start_ns, end_ns in self._stretches(from_ns):
            spent = max(spent, self.spent_floor(start_ns))
            last_ns = end_ns - 1
            holds_first, holds_last = (charge <= self.burst(piece, at_ns) for at_ns in (start_ns, last_ns))
            under_a_burst |= holds_first or holds_last
            # Two things must hold: enough has come in, which stays so, and the burst holds it, which for a rising
            # limit comes to be so and for a falling one ceases.
            came_ns = first(start_ns, last_ns, spent + charge, self.entitlement)
            if came_ns is None:
                continue
            if charge <= self.burst(piece, came_ns):
                return came_ns
            if holds_last:
                fits_ns = first(came_ns, last_ns, charge, partial(self.burst, piece))
                assert fits_ns is not None
                return fits_ns
        return "unknown" if under_a_burst else "never"

    def _stretches(self, from_ns: int) -> Iterator[tuple[Piece, int, int]]:
        """The pieces from an instant on, cut at their corners: on each stretch `K` is its start's or `E - B`."""
        for piece in self.course[piece_at(self.course, from_ns) :]:
            corner_ns = self._corner(piece)
            ends = [piece.start_ns, *([] if corner_ns is None else [corner_ns]), piece.end_ns or FAR_NS]
            for start_ns, end_ns in pairwise(ends):
                if max(start_ns, from_ns) < end_ns:
                    yield piece, max(start_ns, from_ns), end_ns


def first(low_ns: int, high_ns: int, needed: N, value: Callable[[int], N]) -> int | None:
    """The first instant in [low, high] at which a value that only rises reaches `needed`, by halving; else None."""
    if value(high_ns) < needed:
        return None
    while low_ns < high_ns:
        middle_ns = (low_ns + high_ns) // 2
        if needed <= value(middle_ns):
            high_ns = middle_ns
        else:
            low_ns = middle_ns + 1
    return low_ns
