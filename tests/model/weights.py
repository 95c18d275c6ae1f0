"""The twin of divisions by weight, as `docs/sharing.md` says them: measured demand, exact max-min, what equals leave.

Everything is an integer or a fraction but the fading of what was asked, which is the core's own floating point: half in each
half-life. Source: design, section 3, *Who gets it*.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import ceil, exp2, floor, log
from typing import Final

PERIOD_NS: Final = 100_000_000
HALF_LIFE_NS: Final = 500_000_000
HALF_LIFE_UNITS: Final = 8
SECOND: Final = 1_000_000_000
MICRO: Final = 1_000_000
PARTS: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Claim:
    """One that asks: what is met first, the most it can use, its weight and rank."""

    floor: int
    cap: int
    weight: int
    rank: int


def divide(amount: int, claims: list[Claim], turn: int) -> list[int]:
    """Guarantees first, then rank by rank, by weight within a rank; each rank leaves the floors below it alone."""
    if sum(one.floor for one in claims) > amount:
        claims = [Claim(0, one.floor, one.weight, one.rank) for one in claims]
    grants, left = [0] * len(claims), amount
    for rank in (2, 1, 0):
        below = sum(one.floor for one in claims if one.rank < rank)
        places = [at for at, one in enumerate(claims) if one.rank == rank]
        for at, grant in zip(places, _within(left - below, [claims[at] for at in places], turn), strict=True):
            grants[at] = grant
            left -= grant
    return grants


def _within(amount: int, tier: list[Claim], turn: int) -> list[int]:
    """`clamp(weight x level, floor, cap)` with the one level at which that comes to the amount; then whole units."""
    if sum(one.cap for one in tier) <= amount:
        return [one.cap for one in tier]
    bounds = sorted({Fraction(end, one.weight) for one in tier for end in (one.floor, one.cap)})

    def parts(level: Fraction) -> list[Fraction]:
        return [min(max(one.weight * level, Fraction(one.floor)), Fraction(one.cap)) for one in tier]

    below = max((bound for bound in bounds if sum(parts(bound)) <= amount), default=Fraction(0))
    above = next((bound for bound in bounds if bound > below), below)
    slope = sum(one.weight for one in tier if one.floor <= below * one.weight and above * one.weight <= one.cap)
    level = below + (Fraction(amount) - sum(parts(below))) / slope if slope else below
    exact = parts(level)
    grants = [floor(part) for part in exact]
    contested = [at for at, one in enumerate(tier) if one.floor < one.weight * level < one.cap]
    odd = amount - sum(grants)
    if sum(grants[at] for at in contested) + odd < len(contested):
        winners = _in_turn(contested, exact, slope, turn)
    else:
        winners = sorted(contested, key=lambda at: (-(exact[at] - grants[at]), at))[:odd]
    for at in winners:
        grants[at] += 1
    return grants


def _in_turn(contested: list[int], exact: list[Fraction], whole: int, turn: int) -> list[int]:
    """Whose remainders, laid end to end, a point of this turn falls into; points are a unit apart."""
    step = next(
        one
        for one in range(max(whole * 618_034 // 1_000_000, 1), whole + 1)
        if Fraction(one, whole).denominator == whole
    )
    point, end, winners = Fraction(turn % whole * step % whole, whole), Fraction(0), []
    for at in contested:
        start, end = end, end + exact[at] % 1
        if ceil(end - point) > ceil(start - point):
            winners.append(at)
    return winners


@dataclass(slots=True)
class Pace:
    """What is asked for a second, smoothed, in micro-units a second."""

    micro: int = 0
    seen_ns: int = 0

    def add(self, at_ns: int, units: int, half_life_ns: int) -> None:
        """Units that came since it was looked at last."""
        passed = at_ns - self.seen_ns
        fade = exp2(-(passed / half_life_ns))
        share = (1.0 - fade) / passed if passed else log(2) / half_life_ns
        self.micro = floor(self.micro * fade + units * 1_000_000.0 * share * 1e9 + 0.5)
        self.seen_ns = at_ns


@dataclass(slots=True)
class Stake:
    """One workload: its part (a rate's in 2^-32, of slots micro-units), and what it asked for and used."""

    part: int = 0
    wants_more: bool = False
    spent: int = 0
    taken: int = 0
    refused: int = 0


class Division:
    """Divides a meter among workloads; `unit` in its counts, as everything that is taken is."""

    def __init__(self, is_rate: bool, unit: int, weights: dict[str, int], ranks: dict[str, int]) -> None:
        self.is_rate, self.unit, self.weights, self.ranks = is_rate, unit, weights, ranks
        self.stakes = {name: Stake() for name in weights}
        self.asked: dict[str, tuple[Pace, Pace, list[int]]] = {}
        self.due_ns, self.until_ns, self.span_ns, self.turn = -1, -1, 2 * HALF_LIFE_NS, 0

    def is_due(self, at_ns: int) -> bool:
        """Whether whoever asks now divides first."""
        return at_ns >= self.due_ns

    def renew(
        self,
        at_ns: int,
        level_micro: int,
        held_micro: int,
        sure: dict[str, int],
        most: dict[str, int],
        rooms: dict[int, int],
    ) -> None:
        """One division.

        Args:
            at_ns: When.
            level_micro: The limit.
            held_micro: Slots that anybody holds.
            sure: Guarantees, in micro-units of the level.
            most: Ceilings, likewise.
            rooms: Whole units that a rank leaves to higher ones.
        """
        self.due_ns = at_ns + PERIOD_NS
        unit_ns = SECOND * MICRO // max(level_micro, 1) if self.is_rate else 0
        half_life_ns = max(HALF_LIFE_NS, HALF_LIFE_UNITS * unit_ns)
        self.span_ns = 2 * half_life_ns
        self._look(at_ns, half_life_ns)
        amount = level_micro
        if not self.is_rate:
            others = held_micro - sum(one.spent for one in self.stakes.values())
            amount = (level_micro - others) // MICRO if level_micro > others else 0
        scale = Fraction(amount, max(level_micro, 1))
        wants = {name: self._want(name, stake, amount) for name, stake in self.stakes.items()}
        claims = self._claims(wants, sure, most, scale)
        if self.is_rate:
            grants = divide(amount, claims, self.turn)
        else:
            # What is guaranteed of slots stands idle unless it is held.
            sures = {name: max(want, floor(sure.get(name, 0) * scale)) for name, want in wants.items()}
            grants = self._beside_rooms(amount, claims, self._claims(sures, sure, most, scale), rooms, self.turn)
        self.turn += 1
        for stake, claim, grant in zip(self.stakes.values(), claims, grants, strict=True):
            stake.wants_more = grant < claim.cap
            if self.is_rate:
                enough = grant if stake.wants_more else grant + grant // 4
                stake.part = min(enough * PARTS // max(amount, 1), PARTS)
            else:
                more = 0 if stake.wants_more or not grant else grant // 4 + 1
                stake.part = (grant + more) * MICRO

    def _look(self, at_ns: int, half_life_ns: int) -> None:
        if not self.asked:
            self.asked = {name: (Pace(0, at_ns), Pace(0, at_ns), [0, 0]) for name in self.stakes}
            return
        for name, (asked, taken, seen) in self.asked.items():
            stake = self.stakes[name]
            new, refused = stake.taken // self.unit - seen[0], stake.refused // self.unit - seen[1]
            asked.add(at_ns, new + refused, half_life_ns)
            taken.add(at_ns, new, half_life_ns)
            seen[0] += new
            seen[1] += refused

    def _want(self, name: str, stake: Stake, amount: int) -> int:
        asked, taken = (pace.micro for pace in self.asked[name][:2])
        if self.is_rate:
            return asked + asked // 64
        held = -(-stake.spent // MICRO)
        if asked < MICRO // 4 or asked * 64 <= taken * 65:
            return held
        return -(-max(held, 1) * asked // taken) if taken else max(amount, held)

    def _claims(
        self, wants: dict[str, int], sure: dict[str, int], most: dict[str, int], scale: Fraction
    ) -> list[Claim]:
        claims = []
        for name, want in wants.items():
            cap = min(want, floor(most[name] * scale)) if name in most else want
            claims.append(Claim(min(cap, floor(sure.get(name, 0) * scale)), cap, self.weights[name], self.ranks[name]))
        return claims

    def _beside_rooms(
        self, amount: int, claims: list[Claim], kept: list[Claim], rooms: dict[int, int], turn: int
    ) -> list[int]:
        """`kept`: the claims of those that want all of their guarantee, which is left to them whether they do or not."""
        grants = divide(amount, kept, turn)
        for rank in (1, 0):
            above = [at for at, one in enumerate(claims) if one.rank > rank]
            tier = [at for at, one in enumerate(claims) if one.rank == rank]
            used = sum(min(grants[at], claims[at].cap) for at in above)
            left = max(0, amount - max(used + rooms[rank], sum(grants[at] for at in above)))
            if above and sum(grants[at] for at in tier) > left:
                for at, grant in zip(tier, divide(left, [kept[at] for at in tier], turn), strict=True):
                    grants[at] = grant
        return [min(grant, claim.cap) for grant, claim in zip(grants, claims, strict=True)]

    # -- what is left to equals

    def unused(self, name: str, entitled: int, burst: int) -> int:
        """How much of its part a workload has not used, in counts."""
        stake = self.stakes[name]
        if self.is_rate:
            return min(max(entitled - stake.spent, 0), burst) * stake.part // PARTS
        return max(0, stake.part - stake.spent)

    def leaves(
        self, name: str, at_ns: int, n: int, entitled: int, limit: int, agreed: int, kept: dict[str, int]
    ) -> int:
        """Beside what was agreed. `limit`: the level, or a rate's burst; `kept`: what is unused of guarantees."""
        own = self.stakes[name]
        is_within = n <= self.unused(name, entitled, limit)
        if at_ns >= self.until_ns or (is_within and not own.wants_more):
            return 0
        if self.is_rate:
            most = min(limit // 16, 8 * self.unit) if is_within else min(max(limit // 8, self.unit), 16 * self.unit)
        else:
            most = min(limit // 50, 8 * self.unit)
            most = most if is_within else max(most, self.unit)
        few = whole = 0
        for one, stake in self.stakes.items():
            if one == name or self.ranks[one] != self.ranks[name] or (is_within and stake.wants_more):
                continue
            left = max(0, self.unused(one, entitled, limit) - kept.get(one, 0))
            if stake.wants_more and not self.is_rate:
                whole += left
            else:
                few += left
        return min((min(few, most) + whole) // self.unit * self.unit, max(0, limit - agreed - n))

    def take(self, name: str, n: int, entitled: int, burst: int) -> None:
        """Counts what was taken; above its part of a rate it is no debt."""
        stake = self.stakes[name]
        stake.taken += n
        if not self.is_rate:
            stake.spent += n
            return
        behind = min(max(entitled - stake.spent, 0), burst)
        cost = -(-n * PARTS // stake.part) if stake.part else behind
        stake.spent = entitled - max(0, behind - cost)

    def refuse(self, name: str, at_ns: int, n: int) -> None:
        """Counts what was refused: parts bind from now on."""
        self.stakes[name].refused += n
        self.until_ns = max(self.until_ns, at_ns + self.span_ns)
