"""The twin of a quota's window that is divided by weight, as `docs/sharing.md` says it: a division that looks ahead.

What was used, and what will be asked for until the window's end at the pace that was seen, is what is wanted.
"""

from __future__ import annotations

from fractions import Fraction
from math import exp2, floor, isqrt
from typing import Final

from tests.model.weights import MICRO, PERIOD_NS, SECOND, Division

HALF_LIVES: Final = 8
DEVIATIONS: Final = 2
ALL: Final = 1 << 64
"""A part that binds nobody."""


class Windows(Division):
    """Divides what is left of a window; amounts in micro-units."""

    def __init__(self, weights: dict[str, int], ranks: dict[str, int]) -> None:
        super().__init__(is_rate=False, unit=MICRO, weights=weights, ranks=ranks)
        self.window_ns: int | None = None
        self.kept = dict.fromkeys(weights, 0)
        self.is_contended = False
        self.since_ns: dict[str, int] = {}
        self.looked_ns = 0

    def enter(self, window_ns: int | None) -> None:
        """Another window begins at nothing."""
        if window_ns != self.window_ns:
            self.window_ns = window_ns
            for stake in self.stakes.values():
                stake.spent = 0

    def look_ahead(
        self,
        at_ns: int,
        ends: tuple[int, int] | None,
        level_micro: int,
        used_micro: int,
        sure: dict[str, int],
        most: dict[str, int],
        rooms: dict[int, int],
    ) -> None:
        """One division. `ends`: of the window, None where its end is not decided. The others as for `renew`."""
        self.due_ns, self.is_contended = at_ns + PERIOD_NS, False
        turn, self.turn = self.turn, self.turn + 1
        if ends is None:
            return
        start_ns, end_ns = ends
        half_life_ns = max((end_ns - start_ns) // HALF_LIVES, 1)
        self._look(at_ns, half_life_ns)
        others = max(0, used_micro - sum(one.spent for one in self.stakes.values()))
        amount = max(0, level_micro - others) // MICRO
        scale = Fraction(amount, max(level_micro, 1))
        wants = {
            name: -(-stake.spent // MICRO) + self._ahead(name, at_ns, end_ns - at_ns, half_life_ns)
            for name, stake in self.stakes.items()
        }
        sures = {name: max(want, floor(sure.get(name, 0) * scale)) for name, want in wants.items()}
        claims, kept = (self._claims(one, sure, most, scale) for one in (wants, sures))
        grants = self._beside_rooms(amount, claims, kept, rooms, turn)
        for rank in (0, 1, 2):
            tier = [
                (name, claim, grant)
                for name, claim, grant in zip(self.stakes, claims, grants, strict=True)
                if self.ranks[name] == rank
            ]
            level = min((Fraction(grant, claim.weight) for _, claim, grant in tier if grant < claim.cap), default=None)
            self.is_contended |= level is not None
            for name, claim, grant in tier:
                stake = self.stakes[name]
                stake.wants_more = grant < claim.cap
                by_weight = ALL if level is None else floor(level * claim.weight) * MICRO
                stake.part = grant * MICRO if stake.wants_more else max(by_weight, grant * MICRO)
                self.kept[name] = grant * MICRO

    def _look(self, at_ns: int, half_life_ns: int) -> None:
        before = {name: sum(seen) for name, (_, _, seen) in self.asked.items()}
        super()._look(at_ns, half_life_ns)
        is_paused = at_ns - self.looked_ns > 4 * half_life_ns
        for name, (asked, _, seen) in self.asked.items():
            is_new = sum(seen) > before.get(name, 0)
            if is_paused or (not is_new and asked.micro * 4 * half_life_ns <= MICRO * SECOND):
                self.since_ns.pop(name, None)
            elif is_new:
                self.since_ns.setdefault(name, self.looked_ns)
        self.looked_ns = at_ns

    def _ahead(self, name: str, at_ns: int, left_ns: int, half_life_ns: int) -> int:
        if name not in self.since_ns:
            return 0
        age_ns = max(at_ns - self.since_ns[name], 1)
        pace = floor(self.asked[name][0].micro / (1.0 - exp2(-(age_ns / half_life_ns))) + 0.5)
        expected = pace * left_ns // SECOND
        deviation = isqrt(expected * MICRO // min(age_ns, 2 * half_life_ns) * left_ns)
        return (expected + DEVIATIONS * deviation) // MICRO

    def leaves(
        self, name: str, at_ns: int, n: int, entitled: int, limit: int, agreed: int, kept: dict[str, int]
    ) -> int:
        """What equals are on course to use, where it has used its part."""
        own = self.stakes[name]
        if not self.is_contended or n <= own.part - own.spent:
            return 0
        left = 0
        for one, stake in self.stakes.items():
            if one != name and self.ranks[one] == self.ranks[name]:
                left += max(0, max(0, self.kept[one] - stake.spent) - kept.get(one, 0))
        return min(left // MICRO * MICRO, max(0, limit - agreed - n))

    def refuse(self, name: str, at_ns: int, n: int) -> None:
        """Only counted: a quota that refuses has nothing left to divide."""
        self.stakes[name].refused += n
