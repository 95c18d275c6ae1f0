"""Limits that the adapters' tests share: an observed one, and contracts with workloads."""

import gc

from headway import Limiter, _core
from tests.library.pool import free

LEVEL = 1_000_000
"""One unit in micro-units."""

CONTRACT = """
contract: orders-db
owner: team-shop
constraint: {measure: concurrency, unit: connection}
workloads: {checkout: {}, reporting: {}}
ramp: [{stage: now, limit: 2}]
"""


def observed(measure: _core.Measure = "concurrency") -> Limiter:
    """One unit, in `observe`: everything is admitted, what would have been refused is counted."""
    per_ns = 10**9 if measure == "rate" else 0
    meters = _core.Meters()
    meters.declare([_core.MeterSpec("api", measure, ceiling_micro=LEVEL, per_ns=per_ns)])
    curve = _core.Curve(measure, 1, "now", [_core.Segment(0, None, LEVEL, LEVEL)], per_ns, per_ns)
    meters.publish([("api", curve)], 0)
    return meters.limiter(_core.PathSpec("api", "other", [("api", LEVEL, False)], mode="observe"))


def assert_all_returned(limiter: Limiter, count: int) -> None:
    """Every slot was given back by whoever held it: once, and not by the collector in its stead."""
    gc.collect()
    assert count == free(limiter)
    reading = limiter.reading()
    assert (0, 0, 0) == (reading.waiting, reading.double_released, reading.dropped_unreleased)
