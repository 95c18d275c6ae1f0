"""Meters that are wrong in the ways meters are wrong elsewhere, to see that the checkers notice.

Each is one changed rule of a twin. Source: protocols of the meters, "What each peer does when the limit changes".
"""

from __future__ import annotations

from typing import Literal

from tests.model.counts import Concurrency, Quota
from tests.model.curves import Plan
from tests.model.lean import LeanRate

Born = Literal["full", "empty"]


class ResetsOnChange(LeanRate):
    """A change of limit builds a new, full bucket (proxies that rebuild their buckets when pushed a config)."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Born = "full") -> None:
        super().publish(plan, offset_ns, at_ns, born=born)
        stretch = self.stretch_at(at_ns)
        stretch.k0 = stretch.entitlement(at_ns) - stretch.burst(at_ns)
        self.marks = dict.fromkeys(self.marks, stretch.k0)


class KeepsTheRatio(LeanRate):
    """A bucket that was half full is half full of the new burst (RLQS buckets)."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Born = "full") -> None:
        old = self.stretches[-1] if self.stretches and self.stretches[-1].start_ns <= at_ns else None
        levels = {key: self.entitlement(at_ns) - self.mark(at_ns, key) for key in self.marks}
        super().publish(plan, offset_ns, at_ns, born=born)
        if old is not None:
            new = self.stretch_at(at_ns)
            for key, level in levels.items():
                scaled = level * new.burst(at_ns) // old.burst(at_ns)
                self.marks[key] = new.entitlement(at_ns) - scaled
            new.k0 = new.entitlement(at_ns) - new.burst(at_ns)


class AddsTheRaise(LeanRate):
    """A raised burst hands out the difference at once (additive strategies)."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Born = "full") -> None:
        before = self.stretch_at(at_ns).burst(at_ns) if self.stretches else 0
        super().publish(plan, offset_ns, at_ns, born=born)
        raised = max(0, self.stretch_at(at_ns).burst(at_ns) - before)
        self.marks = {key: mark - raised for key, mark in self.marks.items()}


class ForgetsTheFloor(LeanRate):
    """`K` begins anew with each version, so a raised burst mints on keys that slept through it."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Born = "full") -> None:
        super().publish(plan, offset_ns, at_ns, born=born)
        stretch = self.stretch_at(at_ns)
        stretch.k0 = stretch.entitlement(at_ns) - stretch.burst(at_ns)


class NeverFull(LeanRate):
    """No floor under the mark at all: what was not used is saved up without end."""

    def spent_floor(self, at_ns: int) -> int:
        return self.stretches[0].k0

    def fits(self, at_ns: int, charge: int, key: str | None = None) -> bool:
        return self.mark(at_ns, key) + charge <= self.entitlement(at_ns)

    def mark(self, at_ns: int, key: str | None = None) -> int:
        return max(self.marks.get(key, self.stretches[0].k0), self.stretches[0].k0)


class LowersPlainly(LeanRate):
    """Giving back lowers the mark by all of it, whatever the floor has overtaken meanwhile."""

    def give_back(self, at_ns: int, returned: int, mark1: int, given_back1: int, key: str | None) -> None:
        self.marks[key] -= returned


class ForgetsOtherGiveBacks(LeanRate):
    """The clamp without the running sum: two give-backs each believe the whole span above the floor is theirs."""

    def give_back(self, at_ns: int, returned: int, mark1: int, given_back1: int, key: str | None) -> None:
        super().give_back(at_ns, returned, mark1, self.given_back[key], key)


class ClampsDebt(LeanRate):
    """A debt is cut at zero: what was settled above the level is forgiven."""

    def owe(self, at_ns: int, charge: int, key: str | None = None) -> None:
        self.marks[key] = min(self.mark(at_ns, key) + charge, self.entitlement(at_ns))


class ForgivesDebtOnChange(LeanRate):
    """A change of limit cuts the level at zero from below."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int, *, born: Born = "full") -> None:
        super().publish(plan, offset_ns, at_ns, born=born)
        entitled = self.entitlement(at_ns)
        self.marks = {key: min(mark, entitled) for key, mark in self.marks.items()}


class RoundsChargesDown(LeanRate):
    """A grain off every charge: a third of a unit, three times, is a little less than one."""

    def admit(self, at_ns: int, charge: int, key: str | None = None) -> bool:
        return super().admit(at_ns, charge - 1, key)


class RestartsFull(LeanRate):
    """A restart hands out a burst again."""

    def restart_empty(self, at_ns: int) -> None:
        self.marks.clear()
        stretch = self.stretch_at(at_ns)
        stretch.k0 = stretch.entitlement(at_ns) - stretch.burst(at_ns)


RATES = (
    ResetsOnChange,
    KeepsTheRatio,
    AddsTheRaise,
    ForgetsTheFloor,
    NeverFull,
    LowersPlainly,
    ForgetsOtherGiveBacks,
    ClampsDebt,
    ForgivesDebtOnChange,
    RoundsChargesDown,
    RestartsFull,
)


class QuotaResets(Quota):
    """A change of limit begins the window anew."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        super().publish(plan, offset_ns, at_ns)
        for used in self.by_key.values():
            used.micro = 0


class QuotaClamps(Quota):
    """What is used is cut to the new limit, so a cut and a raise make room (a remaining that is clamped)."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        super().publish(plan, offset_ns, at_ns)
        for used in self.by_key.values():
            used.micro = min(used.micro, self.levels.limit_micro(at_ns))


class QuotaRefundsAnyWindow(Quota):
    """What was reserved yesterday is given back to today."""

    def give_back(self, charge: int, window_ns: int, key: str | None) -> None:
        self.by_key[key].micro -= charge


QUOTAS = (QuotaResets, QuotaClamps, QuotaRefundsAnyWindow)


class HearsNoCut(Concurrency):
    """Decides on the version it looked at first: a cut published meanwhile is not seen for one decision."""

    def __init__(self) -> None:
        super().__init__()
        self.stale_micro = 0

    def admit(self, at_ns: int, charge: int, key: str | None) -> bool:
        held = self.by_key.get(key, 0) + charge
        limit = max(self.stale_micro, self.levels.limit_micro(at_ns))
        self.stale_micro = self.levels.limit_micro(at_ns)
        if held > limit:
            return False
        self.by_key[key] = held
        return True


class ForgetsOnChange(Concurrency):
    """A change of limit forgets what is in flight."""

    def publish(self, plan: Plan, offset_ns: int, at_ns: int) -> None:
        super().publish(plan, offset_ns, at_ns)
        self.by_key = dict.fromkeys(self.by_key, 0)

    def release(self, charge: int, key: str | None) -> None:
        self.by_key[key] = max(0, self.by_key.get(key, 0) - charge)


class AdmitsOneMore(Concurrency):
    """Compares before it adds: the last one in is one over."""

    def admit(self, at_ns: int, charge: int, key: str | None) -> bool:
        held = self.by_key.get(key, 0)
        if held >= self.levels.limit_micro(at_ns):
            return False
        self.by_key[key] = held + charge
        return True


CONCURRENCIES = (HearsNoCut, ForgetsOnChange, AdmitsOneMore)
