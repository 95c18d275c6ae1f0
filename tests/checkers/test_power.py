"""The checkers have power: the twins pass them over random histories, and every wrong variant is caught by them."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from tests.checkers import mutants
from tests.checkers.exact import concurrency_over_by, quota_over_by, rate_over_by
from tests.model.counts import Concurrency, Quota
from tests.model.curves import MICRO, Plan, Seg
from tests.model.lean import LeanRate
from tests.model.test_lean import SECOND, random_plan

GRAINS_LOG2 = 4
GRAIN = Fraction(1, 1 << GRAINS_LOG2)
OFFSET_NS = 1 << 40


def restart_empty(meter: LeanRate, at_ns: int) -> None:
    """What a crash leaves: no marks, and nothing to spend."""
    meter.marks.clear()
    entitled = meter.entitlement(at_ns)
    for stretch in meter.stretches:
        if stretch.end_ns is None or stretch.end_ns > at_ns:
            stretch.k0 = max(stretch.k0, entitled)


def rate_history(meter: LeanRate, dice: Random) -> Fraction:
    """Plays saturating demand, reservations, debts, changes and a crash; returns how far any interval went over."""
    now_ns = 50 * SECOND
    events: list[list[int]] = []  # [instant, grains], lowered when settled for less
    debts: list[tuple[int, int]] = []
    open_: list[tuple[list[int], int, int]] = []
    reserves, settles, pace_ns = dice.choice(((0.4, 0.3, 3 * SECOND), (0.9, 0.5, SECOND // 5)))
    for step in range(dice.randrange(20, 120)):
        if step == 0 or dice.random() < 0.12:
            now_ns += 1
            meter.publish(random_plan(dice, step, now_ns + OFFSET_NS), OFFSET_NS, now_ns)
        if dice.random() < 0.02:
            getattr(meter, "restart_empty", lambda at_ns: restart_empty(meter, at_ns))(now_ns)
            open_.clear()
            debts.clear()  # a crash forgets what was still owed: the one debt that is not carried
        charge = -(-dice.choice((1, 2, 3, 9, 27)) * (1 << GRAINS_LOG2) // 3)
        for _ in range(dice.choice((0, 1, 1, 12))):
            if not meter.admit(now_ns, charge, None):
                break
            events.append([now_ns, charge])
            if dice.random() < reserves:
                open_.append((events[-1], meter.marks[None], meter.given_back[None]))
        if open_ and dice.random() < settles:
            event, mark1, given_back1 = open_.pop(dice.randrange(len(open_)))
            settled = dice.choice((0, dice.randrange(2 * event[1] + 1)))
            if settled < event[1]:
                meter.give_back(now_ns, event[1] - settled, mark1, given_back1, None)
                event[1] = settled
            elif settled > event[1]:
                meter.owe(now_ns, settled - event[1], None)
                debts.append((now_ns, settled - event[1]))
        now_ns += dice.choice((0, 1, dice.randrange(pace_ns), dice.randrange(pace_ns)))
    as_units = [(at_ns, Fraction(grains) * GRAIN) for at_ns, grains in events]
    return rate_over_by(as_units, meter.course, SECOND, [(at_ns, grains * GRAIN) for at_ns, grains in debts])


def count_plan(dice: Random, version: int, now_ns: int, window: tuple[int, ...] = ()) -> Plan:
    """Steps, climbs and falls between 0 and 12 units."""
    start_ns = now_ns + OFFSET_NS
    level, to = dice.randrange(13) * MICRO, dice.randrange(13) * MICRO
    middle_ns = start_ns + dice.randrange(1, 4 * SECOND)
    return Plan(version, (Seg(start_ns, middle_ns, level, to), Seg(middle_ns, None, to, to)), window=window)


def quota_history(meter: Quota, dice: Random) -> Fraction:
    """Demand above the limit over four windows whose limit flaps, with refunds; returns how far a window went over."""
    now_ns = -1
    windows = (0, 10 * SECOND, 20 * SECOND, 30 * SECOND)
    utc_windows = tuple(start_ns + OFFSET_NS for start_ns in windows)
    events: list[list[int]] = []
    open_: list[tuple[list[int], int]] = []
    for step in range(150):
        if step == 0 or dice.random() < 0.1:
            now_ns += 1
            meter.publish(count_plan(dice, step, now_ns, utc_windows), OFFSET_NS, now_ns)
        charge = dice.randrange(1, 4) * MICRO
        if meter.admit(now_ns, charge, None):
            events.append([now_ns, charge])
            open_.append((events[-1], meter.by_key[None].window_ns))
        if open_ and dice.random() < 0.1:
            event, window_ns = open_.pop(dice.randrange(len(open_)))
            returned = dice.randrange(event[1] + 1)
            meter.give_back(returned, window_ns, None)
            event[1] -= returned
        now_ns += dice.randrange(SECOND // 2)
    return quota_over_by([(at_ns, micro) for at_ns, micro in events], meter.levels.course, windows)


def concurrency_history(meter: Concurrency, dice: Random) -> Fraction:
    """Slots taken and given back under a limit that flaps; returns how far an admission went over."""
    now_ns = 0
    events: list[list[int | None]] = []
    for step in range(150):
        now_ns += dice.randrange(1, SECOND // 2)
        if step == 0 or dice.random() < 0.1:
            meter.publish(count_plan(dice, step, now_ns), OFFSET_NS, now_ns)
            now_ns += 1
        charge = dice.randrange(1, 4) * MICRO
        if meter.admit(now_ns, charge, None):
            events.append([now_ns, None, charge])
        held = [event for event in events if event[1] is None]
        if held and dice.random() < 0.4:
            event = dice.choice(held)
            event[1] = now_ns + 1
            now_ns += 1
            assert event[2] is not None
            meter.release(event[2], None)
    told = [(at_ns or 0, released_ns, micro or 0) for at_ns, released_ns, micro in events]
    return concurrency_over_by(told, meter.levels.course)


def test_the_rate_twin_is_never_more_than_a_grain_over() -> None:
    """1,500 histories in coarse grains of a sixteenth: entitlement rounded down twice is less than one grain over."""
    assert max(rate_history(LeanRate(SECOND, GRAINS_LOG2), Random(seed)) for seed in range(1_500)) < GRAIN


def test_the_count_twins_are_never_over() -> None:
    """300 histories of each: quotas that flap and concurrencies that are cut below what is in flight."""
    assert max(quota_history(Quota(), Random(seed)) for seed in range(300)) <= 0
    assert max(concurrency_history(Concurrency(), Random(seed)) for seed in range(300)) <= 0


@pytest.mark.parametrize("wrong", mutants.RATES)
def test_every_wrong_rate_is_caught(wrong: type[LeanRate]) -> None:
    """Within 1,500 histories some interval is over by a grain or more."""
    assert any(rate_history(wrong(SECOND, GRAINS_LOG2), Random(seed)) >= GRAIN for seed in range(1_500))


@pytest.mark.parametrize("wrong", mutants.QUOTAS)
def test_every_wrong_quota_is_caught(wrong: type[Quota]) -> None:
    """Within 300 histories some window holds more than the largest limit in force in it."""
    assert any(quota_history(wrong(), Random(seed)) > 0 for seed in range(300))


@pytest.mark.parametrize("wrong", mutants.CONCURRENCIES)
def test_every_wrong_concurrency_is_caught(wrong: type[Concurrency]) -> None:
    """Within 300 histories some admission finds more in flight than its limit."""
    assert any(concurrency_history(wrong(), Random(seed)) > 0 for seed in range(300))
