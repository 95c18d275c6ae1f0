"""What a refusal says: number first, and the name of what is really full."""

from __future__ import annotations

from headway._core import NEVER, UNKNOWN, Clock, Meters, MeterSpec, PathSpec
from tests.core.making import MICRO, UTC, quota, quota_curve, slots, slots_curve


def test_an_upstream_that_is_full_is_named_and_not_the_contract_that_spends_it():
    """orders-db has 1 of 16 connections in use, but orders-cpu has no worker left: it is orders-cpu that is full."""
    meters = Meters(Clock.manual(100))
    specs = [("orders-cpu", "worker"), ("orders-db", "connection")]
    meters.declare([MeterSpec(name, "concurrency", ceiling_micro=100 * MICRO, unit=unit) for name, unit in specs])
    meters.publish([("orders-cpu", slots_curve(1)), ("orders-db", slots_curve(16))], UTC)
    path = [("orders-cpu", MICRO, False), ("orders-db", MICRO, False)]
    limiter = meters.limiter(PathSpec("orders-db", "browsing", path))

    held = limiter.try_acquire()
    refusal = limiter.try_acquire()

    assert held
    assert "orders-cpu" == refusal.meter
    assert str(refusal) == f"orders-cpu is full, and orders-db spends it: 1 of 1 worker. [{refusal.ref}]"


def test_a_limit_of_zero_is_shut_and_may_open_again():
    """An override to 0: nobody is told that a demand can never fit, and after the raise it does."""
    pool = slots(2)
    pool.meters.publish([("m", slots_curve(0, 2))], UTC)
    refusal = pool.limiter.try_acquire()

    assert ("full", True, UNKNOWN) == (refusal.why, refusal.retryable, refusal.retry_at_ns)
    assert str(refusal) == f"api admits nothing now: the limit is 0 connections. [{refusal.ref}]"
    pool.meters.publish([("m", slots_curve(2, 3))], UTC)
    assert pool.limiter.try_acquire()


def test_a_demand_over_a_limit_that_is_not_zero_never_fits():
    pool = slots(2)
    refusal = pool.limiter.try_acquire(3)

    assert ("never_fits", False, NEVER) == (refusal.why, refusal.retryable, refusal.retry_at_ns)


def test_a_quota_of_zero_is_shut_and_opens_with_what_was_used():
    """5 of 10 used, then 0, then 6: one more fits."""
    month = quota(10)
    assert month.limiter.try_acquire(5)
    month.meters.publish([("m", quota_curve(0, 2))], UTC)
    refusal = month.limiter.try_acquire(20)
    assert ("full", UNKNOWN) == (refusal.why, refusal.retry_at_ns)

    month.meters.publish([("m", quota_curve(6, 3))], UTC)
    assert NEVER == refusal.retry_at_ns
    assert not month.limiter.try_acquire(2)
    assert month.limiter.try_acquire(1)
