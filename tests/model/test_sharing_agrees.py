"""Shares in the core against their twin: random contracts, random histories, every decision; and what always holds."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

import pytest

from headway import _core
from tests.model.curves import MICRO, Plan, Seg
from tests.model.sharing import RANKS, Agreed, Shared

SECOND, MINUTE = 1_000_000_000, 60_000_000_000
CEILING = 400 * MICRO
UTC_NS = 1_800_000_000 * SECOND
MEASURES: tuple[_core.Measure, ...] = ("rate", "concurrency", "quota")
KEYS = ("ana", "bo", "cy")


def scaled_log2(measure: _core.Measure, log2: int, ppm: int) -> int:
    """The grain of a key whose limit is scaled: as fine as the meter's, or 16 times finer than its own ceiling asks for."""
    if measure != "rate" or ppm == MICRO:
        return log2
    return min(log2, _core.grains_log2(CEILING * ppm // MICRO, SECOND) + 4)


@dataclass
class Played:
    """What a history held."""

    admitted: int = 0
    refused: int = 0
    capped: int = 0
    within_guarantee: int = 0


class History:
    """One seed's contract in core and twin, and turns played on both."""

    def __init__(
        self, seed: int, measure: _core.Measure, *, cuts: bool = True, weighed: bool = False, keyed: bool = False
    ) -> None:
        self.dice = dice = Random(f"{measure}-{seed}")
        self.measure, self.cuts, self.version, self.utc_ns = measure, cuts, 0, UTC_NS
        self.level = 0
        log2 = _core.grains_log2(CEILING, SECOND) if measure == "rate" else 0
        self.log2 = log2
        left_ppm = MICRO
        self.agreed = []
        for number in range(dice.randrange(1, 5)):
            sure = dice.choice((None, None, 50_000, 333_333, 400_000))
            sure = sure if sure is None or sure <= left_ppm else None
            left_ppm -= sure or 0
            most = dice.choice((None, None, None, 500_000, 1_000_000))
            weight = dice.choice((None, 1, 2, 7, 1_000)) if weighed else None
            rank = "normal" if weighed and dice.random() < 0.7 else dice.choice((*RANKS,))
            self.agreed.append(Agreed(f"w{number}", rank, sure, most, weight))
        scales = {key: dice.choice((MICRO, 2 * MICRO, MICRO // 3, MICRO // 7)) for key in KEYS} if keyed else {}
        scaled = {key: ppm for key, ppm in scales.items() if ppm != MICRO}
        self.twins: dict[str | None, Shared] = {
            key: Shared(measure, SECOND, scaled_log2(measure, log2, ppm), self.agreed, ppm)
            for key, ppm in (scales or {None: MICRO}).items()
        }
        self.clock = _core.Clock.manual(dice.randrange(1_000 * SECOND))
        self.core = _core.Meters(self.clock)
        shares = [
            _core.ShareSpec(
                one.workload,
                one.priority,  # type: ignore[arg-type]
                guarantee_ppm=one.guarantee_ppm,
                ceiling_ppm=one.ceiling_ppm,
                weight=one.weight,
            )
            for one in self.agreed
        ]
        per_ns = SECOND if measure == "rate" else 0
        keys_max = len(KEYS) if keyed else None
        spec = _core.MeterSpec(
            "m",
            measure,
            ceiling_micro=CEILING,
            per_ns=per_ns,
            shares=shares,
            keys_max=keys_max,
            scale_ppm=sorted(scaled.items()),
        )
        self.core.declare([spec])
        self.limiters = {
            one.workload: self.core.limiter(_core.PathSpec("m", one.workload, [("m", MICRO, keyed)]))
            for one in self.agreed
        }
        self.held: list[tuple[str | None, str, int, _core.Permit]] = []
        self.publish()

    def publish(self) -> None:
        """A flat limit, or one that climbs."""
        dice = self.dice
        self.level = dice.choice((1, 3, 7, 20, 100, 300))
        to = self.level if not self.cuts or dice.random() < 0.6 else dice.choice((0, 5, 60, 250))
        segs = (
            Seg(self.utc_ns, self.utc_ns + 3 * SECOND, self.level * MICRO, to * MICRO),
            Seg(self.utc_ns + 3 * SECOND, None, to * MICRO, to * MICRO),
        )
        self.version += 1
        first_ns = self.utc_ns // MINUTE * MINUTE
        window = tuple(first_ns + number * MINUTE for number in range(4)) if self.measure == "quota" else ()
        burst_ns = dice.choice((SECOND // 7, SECOND, SECOND)) if self.measure == "rate" else 0
        plan = Plan(self.version, segs, burst_ns, window)
        curve = _core.Curve(
            self.measure,
            plan.version,
            "s",
            [_core.Segment(seg.start_ns, seg.end_ns, seg.from_micro, seg.to_micro) for seg in segs],
            per_ns=SECOND if self.measure == "rate" else 0,
            burst_ns=burst_ns,
            window=window,
        )
        self.core.publish([("m", curve)], self.utc_ns)
        for twin in self.twins.values():
            twin.publish(plan, self.utc_ns - self.clock.boot_ns(), self.clock.boot_ns())

    @property
    def twin(self) -> Shared:
        """The only one, where there are no keys."""
        return self.twins[None]

    def play(self, turns: int) -> Played:
        """Plays turns; both answer every demand alike."""
        played, dice = Played(), self.dice
        for turn in range(turns):
            if dice.random() < 0.3:
                by_ns = dice.choice((1, dice.randrange(SECOND // 50), dice.randrange(2 * SECOND)))
                self.clock.advance(by_ns)
                self.utc_ns += by_ns
            if self.cuts and dice.random() < 0.02:
                self.publish()
            if self.held and dice.random() < 0.3:
                key, workload, n, permit = self.held.pop(dice.randrange(len(self.held)))
                permit.release()
                self.twins[key].release(workload, n)
            self.ask(turn, played)
        return played

    def ask(self, turn: int, played: Played) -> None:
        """One demand, of both."""
        workload = self.dice.choice(self.agreed).workload
        units = self.dice.choice((1, 1, 1, 2, 5, 30))
        key = self.dice.choice((*self.twins,))
        twin = self.twins[key]
        n, at_ns = units * twin.unit, self.clock.boot_ns()
        is_sure = workload in twin.sure and n <= twin.unused(workload, at_ns)
        answer = self.limiters[workload].try_acquire(units, key)
        stopped = twin.admit(workload, at_ns, n)
        what = f"turn {turn}: {units} of {workload} for {key} at {at_ns}"
        if isinstance(answer, _core.Permit):
            assert stopped is None, what
            played.admitted += 1
            played.within_guarantee += is_sure
            if self.measure == "concurrency":
                self.held.append((key, workload, n, answer))
        else:
            assert stopped == ("most" if "@" in answer.meter else "limit"), f"{what}: {answer}"
            played.refused += 1
            played.capped += stopped == "most"
            # Where nothing was cut a guarantee is found whatever the others did, unless its own ceiling is less.
            assert self.cuts or not is_sure or stopped == "most", what


@pytest.mark.parametrize("measure", MEASURES)
def test_core_and_twin_share_alike(measure: _core.Measure) -> None:
    """Contracts of up to four workloads, 200 turns each, with climbs, cuts and publications in between. Exact fractions
    of a rate take their time, so of those there are fewer.
    """
    total = Played()
    for seed in range(24 if measure == "rate" else 150):
        played = History(seed, measure).play(200)
        for name in vars(total):
            setattr(total, name, getattr(total, name) + getattr(played, name))

    assert all(count > 100 for count in vars(total).values()), total


@pytest.mark.parametrize("measure", MEASURES)
def test_core_and_twin_share_every_keys_limit_alike(measure: _core.Measure) -> None:
    """The same within each of three keys, some of which have a multiple or a part of the limit."""
    total = Played()
    for seed in range(8 if measure == "rate" else 150):
        played = History(4_000 + seed, measure, keyed=True).play(300)
        for name in vars(total):
            setattr(total, name, getattr(total, name) + getattr(played, name))

    assert all(count > 100 for count in vars(total).values()), total


@pytest.mark.parametrize("measure", MEASURES)
def test_a_guarantee_is_always_found_in_every_key(measure: _core.Measure) -> None:
    histories = [History(5_000 + seed, measure, cuts=False, keyed=True) for seed in range(10)]
    found = sum(history.play(200).within_guarantee for history in histories)

    assert found > 50


@pytest.mark.parametrize("measure", MEASURES)
def test_core_and_twin_divide_alike(measure: _core.Measure) -> None:
    """The same with weights beside everything else: every division to the last unit, or a decision would differ."""
    total = Played()
    for seed in range(24 if measure == "rate" else 150):
        played = History(3_000 + seed, measure, weighed=True).play(200)
        total.admitted += played.admitted
        total.refused += played.refused

    assert total.admitted > 500 and total.refused > 500, total


@pytest.mark.parametrize("measure", MEASURES)
def test_a_guarantee_is_always_found_while_the_limit_stands(measure: _core.Measure) -> None:
    """The other half of *never over the limit*: a demand within a guarantee is admitted, whatever the others took."""
    found = sum(History(1_000 + seed, measure, cuts=False).play(200).within_guarantee for seed in range(40))

    assert found > 200


@pytest.mark.parametrize("measure", MEASURES)
def test_nothing_that_somebody_may_have_stays_idle(measure: _core.Measure) -> None:
    """Whoever goes first and has no ceiling can always take the limit up to what is guaranteed to others."""
    for seed in range(40):
        history = History(2_000 + seed, measure, cuts=False)
        best = max(history.agreed, key=lambda one: RANKS[one.priority])
        if best.ceiling_ppm is not None:
            continue
        at_ns, unit = history.clock.boot_ns(), history.twin.unit
        kept = sum(history.twin.unused(name, at_ns) for name in history.twin.sure if name != best.workload)
        fits = int((history.twin.limit(history.twin.whole, at_ns) - kept) // unit)
        permits = [history.limiters[best.workload].try_acquire() for _ in range(fits + 1)]
        assert [True] * fits + [False] == [bool(permit) for permit in permits]
