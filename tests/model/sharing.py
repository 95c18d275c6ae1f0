"""The twin of shares: room, guarantees and ceilings as `docs/sharing.md` says them, on the twins of the meters.

A guarantee is a meter of its own on its part of the limit; what it holds is what nobody else may take. Whole units, rounded
down, are what is left. Source: design, section 2 (`workloads.*`) and section 3, *Who gets it*.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from math import floor
from typing import Final

from tests.model.counts import Concurrency, Quota
from tests.model.curves import MICRO, Piece, Plan, Seg
from tests.model.meters import Rate
from tests.model.weights import Division
from tests.model.windows import Windows

RANKS: Final = {"background": 0, "normal": 1, "critical": 2}
ROOM_PPM: Final = {"background": 200_000, "normal": 50_000, "critical": 0}


@dataclass(frozen=True, slots=True)
class Agreed:
    """What was agreed with one workload; parts in ppm."""

    workload: str
    priority: str = "normal"
    guarantee_ppm: int | None = None
    ceiling_ppm: int | None = None
    weight: int | None = None


class Part(Rate):
    """A part of a rate, whose burst is that part of the burst and not at least one unit."""

    def burst(self, piece: Piece, at_ns: int) -> Fraction:
        """`g x B`, however small."""
        return self._down(self.scale * piece.level(at_ns) * piece.burst_ns / (MICRO * self.per_ns))

    def _corner(self, piece: Piece) -> int | None:
        return None


Twin = Rate | Concurrency | Quota


def part_of(plan: Plan, ppm: int) -> Plan:
    """The part of a plan, whole micro-units at the ends of its segments."""
    segs = [Seg(s.start_ns, s.end_ns, s.from_micro * ppm // MICRO, s.to_micro * ppm // MICRO) for s in plan.segs]
    return replace(plan, segs=tuple(segs))


class Shared:
    """One meter and what its workloads share of it. Amounts are grains of a rate, else micro-units.

    With keys each key is one of its own: what was agreed holds within every key, whatever its `scale_ppm`.
    """

    def __init__(
        self, measure: str, per_ns: int, grains_log2: int, agreed: list[Agreed], scale_ppm: int = MICRO
    ) -> None:
        def twin(kind: type[Rate] = Rate) -> Twin:
            if measure == "rate":
                return kind(per_ns, grains_log2, scale_ppm)
            return Concurrency(scale_ppm) if measure == "concurrency" else Quota(scale_ppm)

        self.unit = 1 << grains_log2 if measure == "rate" else MICRO
        self.agreed = {one.workload: one for one in agreed}
        self.whole = twin()
        self.sure = {one.workload: twin(Part) for one in agreed if one.guarantee_ppm is not None}
        weights = {one.workload: one.weight or 1 for one in agreed}
        ranks = {one.workload: RANKS[one.priority] for one in agreed}
        is_weighed = any(one.weight for one in agreed)
        self.division: Division | None = None
        if is_weighed and measure == "quota":
            self.division = Windows(weights, ranks)
        elif is_weighed:
            self.division = Division(measure == "rate", self.unit, weights, ranks)
        self.most = {one.workload: twin() for one in agreed if one.ceiling_ppm is not None}

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        """A version of the limit, and of everybody's part of it."""
        self.whole.publish(plan, offset_ns, at_ns)
        for parts, name in ((self.sure, "guarantee_ppm"), (self.most, "ceiling_ppm")):
            for workload, part in parts.items():
                part.publish(part_of(plan, getattr(self.agreed[workload], name)), offset_ns, at_ns)

    def limit(self, twin: Twin, at_ns: int) -> Fraction | int:
        """What one demand may be: the level, or a rate's burst."""
        if isinstance(twin, Rate):
            return twin.burst(twin._until(at_ns)[-1], at_ns)
        return twin.levels.limit_micro(at_ns)

    def units(self, amount: Fraction | int) -> int:
        """Whole units of an amount, as an amount."""
        return floor(amount / self.unit) * self.unit

    def unused(self, workload: str, at_ns: int) -> int:
        """What is kept for a workload."""
        twin = self.sure[workload]
        most = self.units(self.limit(twin, at_ns))
        if isinstance(twin, Rate):
            return min(most, int(twin.entitlement(at_ns) - twin.mark(at_ns)))
        held = twin.used_micro(at_ns, None) if isinstance(twin, Quota) else twin.by_key.get(None, 0)
        return max(0, most - held)

    def leaves(self, workload: str, at_ns: int, n: int) -> int:
        """What has to fit beside a demand."""
        if workload in self.sure and n <= self.unused(workload, at_ns):
            return 0
        agreed = self.agreed_with(workload, at_ns)
        if self.division is None:
            return agreed
        entitled, limit = self.entitled(at_ns), int(self.limit(self.whole, at_ns))
        kept = {one: self.unused(one, at_ns) for one in self.sure}
        return agreed + self.division.leaves(workload, at_ns, n, entitled, limit, agreed, kept)

    def agreed_with(self, workload: str, at_ns: int) -> int:
        """The room for who goes first, and what is unused of guarantees."""
        own = self.agreed[workload]
        higher = {one.workload for one in self.agreed.values() if RANKS[one.priority] > RANKS[own.priority]}
        room = self.room(own.priority, at_ns) if higher else 0
        others = {one: self.unused(one, at_ns) for one in self.sure if one != workload}
        theirs = sum(kept for one, kept in others.items() if one in higher)
        return sum(others.values()) - theirs + max(room, theirs)

    def room(self, priority: str, at_ns: int) -> int:
        """What a priority leaves to higher ones."""
        return self.units(Fraction(self.limit(self.whole, at_ns)) * ROOM_PPM[priority] / MICRO)

    def entitled(self, at_ns: int) -> int:
        """`E` of a rate; 0 of slots."""
        return int(self.whole.entitlement(at_ns)) if isinstance(self.whole, Rate) else 0

    def admit(self, workload: str, at_ns: int, n: int) -> str | None:
        """Takes `n`; None where it fits, else which bound stood in the way: `most` or `limit`."""
        if workload in self.most and not _fits(self.most[workload], at_ns, n):
            return "most"
        division = self.division
        if isinstance(division, Windows) and isinstance(self.whole, Quota):
            division.enter(self.whole.window_at(at_ns))
        if division is not None and division.is_due(at_ns):
            self._divide(division, at_ns)
        if not _fits(self.whole, at_ns, n + self.leaves(workload, at_ns, n)):
            if division is not None:
                division.refuse(workload, at_ns, n)
            return "limit"
        if division is not None:
            division.take(workload, n, self.entitled(at_ns), int(self.limit(self.whole, at_ns)))
        kept = self.unused(workload, at_ns) if workload in self.sure else 0
        for twin in (self.whole, self.most.get(workload)):
            if twin is not None:
                _take(twin, at_ns, n)
        sure = self.sure.get(workload)
        if isinstance(sure, Rate):
            sure.marks[None] = sure.entitlement(at_ns) - max(0, kept - n)
        elif sure is not None:
            _take(sure, at_ns, n)
        return None

    def _divide(self, division: Division, at_ns: int) -> None:
        whole = self.whole
        if isinstance(whole, Rate):
            level, held = floor(whole._until(at_ns)[-1].level(at_ns)), 0
        elif isinstance(whole, Concurrency):
            level, held = whole.levels.limit_micro(at_ns), whole.by_key.get(None, 0)
        else:
            level, held = whole.levels.limit_micro(at_ns), whole.used_micro(at_ns, None)
        parts = [
            {
                one.workload: level * ppm // MICRO
                for one in self.agreed.values()
                if (ppm := getattr(one, name)) is not None
            }
            for name in ("guarantee_ppm", "ceiling_ppm")
        ]
        rooms = {RANKS[name]: self.room(name, at_ns) // MICRO for name in ("background", "normal")}
        if isinstance(division, Windows) and isinstance(whole, Quota):
            division.look_ahead(at_ns, whole.window_ends(at_ns), level, held, parts[0], parts[1], rooms)
        else:
            division.renew(at_ns, level, held, parts[0], parts[1], rooms)

    def release(self, workload: str, n: int) -> None:
        """Gives slots back."""
        if self.division is not None:
            stake = self.division.stakes[workload]
            stake.spent = max(0, stake.spent - n)
        for twin in (self.whole, self.most.get(workload), self.sure.get(workload)):
            if isinstance(twin, Concurrency):
                twin.release(n, None)


def _fits(twin: Twin, at_ns: int, n: int) -> bool:
    if isinstance(twin, Rate):
        return twin.fits(at_ns, Fraction(n))
    if isinstance(twin, Quota):
        is_open = twin.window_at(at_ns) is not None
        return is_open and twin.used_micro(at_ns, None) + n <= twin.levels.limit_micro(at_ns)
    return twin.by_key.get(None, 0) + n <= twin.levels.limit_micro(at_ns)


def _take(twin: Twin, at_ns: int, n: int) -> None:
    """Charges whether it fits or not: a guarantee is what is kept, not what may be taken."""
    if isinstance(twin, Rate):
        twin.marks[None] = twin.mark(at_ns) + n
    elif isinstance(twin, Quota):
        twin.owe(at_ns, n, None)
    else:
        twin.by_key[None] = twin.by_key.get(None, 0) + n
