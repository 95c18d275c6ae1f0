"""The quick twin, the exact twin and the explicitly settled bucket, held against each other."""

from __future__ import annotations

from fractions import Fraction
from random import Random
from typing import Literal

import pytest

from tests.model.bucket import Bucket
from tests.model.curves import MICRO, Plan, Seg
from tests.model.lean import LeanRate
from tests.model.meters import Rate

SECOND = 1_000_000_000


def random_plan(dice: Random, version: int, now_ns: int) -> Plan:
    """Steps, climbs, falls, pauses at zero; bursts from nothing to two `per`, so that some fall below a demand."""
    at_ns = now_ns - dice.choice((0, 3 * SECOND, 7 * SECOND))
    segs: list[Seg] = []
    level = dice.choice((0, 1, 3, 10, 100)) * MICRO + dice.randrange(3)
    for _ in range(dice.randrange(4)):
        end_ns = at_ns + dice.choice((dice.randrange(1, 50), dice.randrange(1, 6 * SECOND)))
        to = level if dice.random() < 0.4 else dice.choice((0, 2, 7, 40, 200)) * MICRO
        segs.append(Seg(at_ns, end_ns, level, to))
        level = to if dice.random() < 0.5 else dice.choice((0, 1, 5, 20)) * MICRO
        at_ns = end_ns
    if not segs or dice.random() < 0.8:
        segs.append(Seg(at_ns, None, level, level))
    return Plan(version, tuple(segs), burst_ns=dice.choice((0, SECOND // 7, SECOND, 2 * SECOND)))


@pytest.mark.parametrize("seed", range(40))
def test_the_quick_twin_equals_the_exact_twin_in_grains(seed: int) -> None:
    """Same publications, demands, debts and give-backs: every decision, mark and earliest instant is the same."""
    dice = Random(seed)
    grains_log2 = dice.choice((4, 12, 30))
    scale_ppm = dice.choice((MICRO, 4 * MICRO, 333_333))
    exact, quick = Rate(SECOND, grains_log2, scale_ppm), LeanRate(SECOND, grains_log2, scale_ppm)
    now_ns, offset_ns = 50 * SECOND, dice.randrange(1 << 40)
    held: list[tuple[int, int, int, str]] = []
    born: Literal["full", "empty"] = dice.choice(("full", "empty"))
    for step in range(30):
        if step == 0 or dice.random() < 0.1:
            now_ns += dice.randrange(2)
            offset_ns += dice.choice((0, 0, SECOND, -SECOND, 17))
            plan = random_plan(dice, step, now_ns + offset_ns)
            exact.publish(plan, offset_ns, now_ns, born=born)
            quick.publish(plan, offset_ns, now_ns, born=born)
        key = dice.choice(("a", "b"))
        charge = dice.choice((1, 5, 1 << grains_log2, 3 << grains_log2, 11 << grains_log2))

        assert exact.entitlement(now_ns) == quick.entitlement(now_ns)
        assert exact.spent_floor(now_ns) == quick.spent_floor(now_ns)
        assert exact.earliest(now_ns, Fraction(charge), key) == quick.earliest(now_ns, charge, key)
        admitted = quick.admit(now_ns, charge, key)
        assert exact.admit(now_ns, Fraction(charge), key) == admitted

        if admitted and dice.random() < 0.4:
            held.append((charge, quick.marks[key], quick.given_back[key], key))
        if held and dice.random() < 0.3:
            reserved, mark1, given1, owner = held.pop(dice.randrange(len(held)))
            returned = dice.randrange(reserved + 1)
            exact.give_back(now_ns, Fraction(returned), Fraction(mark1), Fraction(given1), owner)
            quick.give_back(now_ns, returned, mark1, given1, owner)
        if dice.random() < 0.1:
            exact.owe(now_ns, Fraction(charge), key)
            quick.owe(now_ns, charge, key)
        assert exact.mark(now_ns, key) == quick.mark(now_ns, key)
        now_ns += dice.choice((0, 1, dice.randrange(SECOND), dice.randrange(5 * SECOND)))


@pytest.mark.parametrize("seed", range(20))
def test_grains_only_ever_take(seed: int) -> None:
    """The grained entitlement is at most the exact one, and short of it by less than a grain a piece."""
    dice = Random(seed)
    exact, grained = Rate(SECOND), Rate(SECOND, 6)
    now_ns, offset_ns = 50 * SECOND, 1 << 40
    for version in range(6):
        now_ns += 1
        plan = random_plan(dice, version, now_ns + offset_ns)
        exact.publish(plan, offset_ns, now_ns)
        grained.publish(plan, offset_ns, now_ns)
        now_ns += dice.randrange(10 * SECOND)

        short = exact.entitlement(now_ns) - grained.entitlement(now_ns) / 64
        assert 0 <= short < Fraction(len(exact.course), 64)


@pytest.mark.parametrize("seed", range(60))
def test_the_mark_admits_what_an_explicitly_settled_bucket_admits(seed: int) -> None:
    """In exact fractions, over random curves and bursts, debts too: no decision differs, the level left is the same."""
    dice = Random(seed)
    meter, bucket = Rate(SECOND), Bucket(SECOND)
    now_ns, offset_ns = 50 * SECOND, 1 << 40
    for step in range(40):
        if step == 0 or dice.random() < 0.15:
            now_ns += dice.randrange(2)
            plan = random_plan(dice, step, now_ns + offset_ns)
            meter.publish(plan, offset_ns, now_ns)
            bucket.publish(plan, offset_ns, now_ns)
        units = Fraction(dice.choice((1, 2, 7, 25)), dice.choice((1, 1, 3)))

        assert meter.admit(now_ns, units) == bucket.admit(now_ns, units)
        if dice.random() < 0.05:
            meter.owe(now_ns, units)
            bucket.owe(now_ns, units)

        assert meter.entitlement(now_ns) - meter.mark(now_ns) == bucket.settle(now_ns)
        now_ns += dice.choice((0, 1, dice.randrange(SECOND), dice.randrange(5 * SECOND)))


@pytest.mark.parametrize("seed", range(60))
def test_an_earliest_instant_is_the_first_that_passes(seed: int) -> None:
    """At it the demand fits, one nanosecond before it does not; of `never` and `unknown` no later instant fits."""
    dice = Random(seed)
    meter = LeanRate(SECOND, 24)
    now_ns, offset_ns = 50 * SECOND, 1 << 40
    for step in range(60):
        if step == 0 or dice.random() < 0.1:
            meter.publish(random_plan(dice, step, now_ns + offset_ns), offset_ns, now_ns)
        charge = dice.choice((1, 2, 7, 25)) << 24
        when = meter.earliest(now_ns, charge)
        if isinstance(when, int):
            assert meter.fits(when, charge)
            assert when == now_ns or not meter.fits(when - 1, charge)
            probes = [now_ns + (when - now_ns) * dice.randrange(1000) // 1000 for _ in range(8)]
            assert not any(meter.fits(at_ns, charge) for at_ns in probes if at_ns < when)
        else:
            ends = [stretch.start_ns for stretch in meter.stretches if stretch.start_ns > now_ns]
            near = [end_ns + step_ns for end_ns in ends for step_ns in (-1, 0, 1)]
            far = [now_ns + dice.randrange(1 << dice.randrange(1, 60)) for _ in range(20)]
            assert not any(meter.fits(at_ns, charge) for at_ns in near + far)
        meter.admit(now_ns, charge)
        now_ns += dice.choice((0, 1, dice.randrange(SECOND), dice.randrange(5 * SECOND)))
