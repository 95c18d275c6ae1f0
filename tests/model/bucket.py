"""The explicitly settled bucket: the oracle that knows no marks and no capacity clock.

A level in units that fills at the limit's speed, is cut to the burst, and is settled at *every* change of limit or
burst, first to the old burst and then to the new one. The design claims that its one mark per key equals this without
ever touching a sleeping key; this class is the claim's other side.

Source: protocols of the meters: "available tokens are kept, cut to the new burst".
"""

from __future__ import annotations

from fractions import Fraction
from math import floor

from tests.model.curves import MICRO, Piece, Plan, joined


class Bucket:
    """One bucket in exact fractions of a unit. Instants never go back."""

    def __init__(self, per_ns: int, level: Fraction | None = None) -> None:
        """`level` None: as full as the first burst."""
        self.per_ns = per_ns
        self.level = level
        self.settled_ns: int | None = None
        self.course: list[Piece] = []

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        """Settles under the old plan up to `at_ns`, then cuts to the new burst."""
        if self.course:
            self.settle(at_ns)
        self.course = joined(self.course, plan, offset_ns, at_ns)
        newest = next(piece for piece in reversed(self.course) if piece.start_ns == at_ns)
        burst = self._burst(newest, at_ns)
        self.level = burst if self.level is None else min(self.level, burst)
        self.settled_ns = at_ns

    def _burst(self, piece: Piece, at_ns: int) -> Fraction:
        return max(piece.level(at_ns) * piece.burst_ns / (MICRO * self.per_ns), Fraction(1))

    def settle(self, at_ns: int) -> Fraction:
        """Walks every boundary up to `at_ns`; returns the level."""
        assert self.level is not None and self.settled_ns is not None
        for piece in self.course:
            if piece.end_ns is not None and piece.end_ns < self.settled_ns:
                continue
            if piece.start_ns > at_ns:
                break
            start_ns = max(piece.start_ns, self.settled_ns)
            end_ns = at_ns if piece.end_ns is None else min(at_ns, piece.end_ns)
            corner_ns = self._corner(piece)
            if corner_ns is not None and start_ns < corner_ns <= end_ns:
                self._fill(piece, start_ns, corner_ns)
                self.level = min(self.level, Fraction(1))
                start_ns = corner_ns
            self._fill(piece, start_ns, end_ns)
        self.settled_ns = at_ns
        return self.level

    def _fill(self, piece: Piece, start_ns: int, end_ns: int) -> None:
        assert self.level is not None
        self.level = min(self.level, self._burst(piece, start_ns))
        mean = (piece.level(start_ns) + piece.level(end_ns)) / 2
        self.level += mean * (end_ns - start_ns) / (MICRO * self.per_ns)
        self.level = min(self.level, self._burst(piece, end_ns))

    def _corner(self, piece: Piece) -> int | None:
        """Where a rising burst passes one unit, up to the next nanosecond: there what is above one unit is cut."""
        if piece.end_ns is None or piece.to_micro <= piece.from_micro or not piece.burst_ns:
            return None
        one_micro = Fraction(MICRO * self.per_ns, piece.burst_ns)
        passed = (one_micro - piece.from_micro) * piece.span_ns / (piece.to_micro - piece.from_micro)
        corner_ns = piece.origin_ns + floor(passed) + 1
        return corner_ns if piece.start_ns < corner_ns < piece.end_ns else None

    def admit(self, at_ns: int, units: Fraction) -> bool:
        """Takes `units` if the settled level holds them."""
        if self.settle(at_ns) < units:
            return False
        assert self.level is not None
        self.level -= units
        return True

    def owe(self, at_ns: int, units: Fraction) -> None:
        """Takes `units` whether the level holds them or not."""
        self.level = self.settle(at_ns) - units
