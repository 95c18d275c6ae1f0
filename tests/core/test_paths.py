"""Several meters in one demand, reservations, and giving back."""

from __future__ import annotations

import pytest

from headway._core import Clock, Meters, MeterSpec, PathSpec
from tests.core.making import MICRO, SECOND, UTC, limiter_of, quota, quota_curve, rate, rate_curve, slots, slots_curve


def three() -> Meters:
    """10 a second, 5 at once, 3 in a window."""
    meters = Meters(Clock.manual(100 * SECOND))
    meters.declare(
        [
            MeterSpec("r", "rate", ceiling_micro=10 * MICRO, per_ns=SECOND),
            MeterSpec("c", "concurrency", ceiling_micro=10 * MICRO),
            MeterSpec("q", "quota", ceiling_micro=10 * MICRO),
        ]
    )
    meters.publish([("r", rate_curve(10)), ("c", slots_curve(5)), ("q", quota_curve(3))], UTC)
    return meters


def use(meters: Meters) -> dict[str, float]:
    return {reading.meter: reading.use_micro / MICRO for reading in meters.snapshot()}


def test_a_demand_takes_from_all_meters_or_from_none():
    """The quota refuses the fourth: rate and slots are as if it had never asked."""
    meters = three()
    limiter = limiter_of(meters, "r", "c", "q")
    permits = [limiter.try_acquire() for _ in range(3)]
    before = use(meters)

    refusal = limiter.try_acquire()

    assert all(permits)
    assert {"r": 3.0, "c": 3.0, "q": 3.0} == before == use(meters)
    assert ("q", "full") == (refusal.meter, refusal.why)
    # The window's end, not the rate, is what it waits for.
    assert 160 * SECOND == refusal.retry_at_ns


def test_factors_weigh_each_meter_by_its_own_and_round_up():
    """A third of a unit is 333,333 millionths and a grain more, never less."""
    meters = three()
    limiter = meters.limiter(PathSpec("api", "web", [("c", 333_333, False), ("q", 2 * MICRO, False)]))

    permit = limiter.try_acquire()

    assert permit
    assert {"r": 0.0, "c": 0.333333, "q": 2.0} == use(meters)
    permit.release()
    assert {"r": 0.0, "c": 0.0, "q": 2.0} == use(meters)


def test_a_reservation_settled_below_gives_the_difference_back_once():
    """8 reserved, 3 spent: 5 are there again. A second settlement is an error and changes nothing."""
    api = rate(10)
    permit = api.limiter.reserve(8)

    permit.settle(3)

    assert 3.0 == api.in_use
    with pytest.raises(RuntimeError):
        permit.settle(0)
    assert 3.0 == api.in_use


def test_giving_back_late_mints_nothing():
    """8 of 10 reserved; a second later the bucket is full again, and giving back 8 makes no 18 of it."""
    api = rate(10)
    permit = api.limiter.reserve(8)
    api.clock.advance(SECOND)

    permit.settle(0)

    assert api.limiter.try_acquire(10)
    assert not api.limiter.try_acquire()


def test_two_reservations_do_not_give_the_same_units_back():
    """5 and 5 reserved, 0.5 s pass (5 came in), both give back all: 10 are there, not 15."""
    api = rate(10)
    first, second = api.limiter.reserve(5), api.limiter.reserve(5)
    api.clock.advance(SECOND // 2)

    second.settle(0)
    first.settle(0)

    assert api.limiter.try_acquire(10)
    assert not api.limiter.try_acquire()


def test_settling_above_is_a_debt_up_to_the_declared_most():
    """4 reserved and 25 spent under `cost.max` 20: charged 20, counted as above the most; the debt of 10 drains first."""
    api = rate(10, path={"settle_max_micro": 20 * MICRO})
    permit = api.limiter.reserve(4)

    permit.settle(25)

    assert 20.0 == api.in_use
    assert 1 == api.limiter.reading().settled_above_max
    assert -10 * MICRO == api.meters.snapshot()[0].headroom_micro
    assert 101 * SECOND + SECOND // 10 == api.limiter.try_acquire().retry_at_ns


def test_without_a_declared_most_nothing_settles_above_its_reservation():
    """4 reserved, 9 said: 4 charged, and counted."""
    api = quota(10)
    permit = api.limiter.reserve(4)

    permit.settle(9)

    assert (4.0, 1) == (api.in_use, api.limiter.reading().settled_above_max)


def test_a_quota_settles_into_the_window_it_was_reserved_in():
    """5 reserved, the window ends, 5 given back: nothing of the new window, where 2 are used."""
    api = quota(10)
    permit = api.limiter.reserve(5)
    api.clock.advance(60 * SECOND)
    assert api.limiter.try_acquire(2)

    permit.settle(0)

    assert 2.0 == api.in_use


def test_only_a_reservation_can_be_settled():
    """A plain permit, of a rate or of a slot, says so; a negative cost is no cost."""
    for permit in (rate().limiter.try_acquire(), slots().limiter.try_acquire()):
        with pytest.raises(RuntimeError):
            permit.settle(1)
    with pytest.raises(ValueError, match="-1"):
        rate().limiter.reserve(1).settle(-1)


def test_a_reservation_that_does_not_fit_is_refused_like_any_demand():
    """And a reservation of slots holds them until it is released."""
    assert not rate(10).limiter.reserve(11)
    pool = slots(2)
    permit = pool.limiter.reserve(2)
    assert not pool.limiter.try_acquire()
    permit.settle(1)
    permit.release()
    assert 0.0 == pool.in_use
