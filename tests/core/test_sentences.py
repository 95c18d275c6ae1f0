"""What a refusal says: number first, and the name of what is really full."""

from __future__ import annotations

from headway._core import Clock, Meters, MeterSpec, PathSpec
from tests.core.making import MICRO, UTC, slots_curve


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
