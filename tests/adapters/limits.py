"""Limits that the adapters' tests share: an observed one, and contracts with workloads."""

import gc

import headway.testing
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


MATCHED = """
contract: api
owner: team-shop
constraint: {measure: rate, unit: request, per: 1h}
workloads:
  checkout: {match: {path: /checkout*, header.x-team: [shop, "eu, shop"]}}
  posts:    {match: {method: POST, host: shop.example}}
  staff:    {match: {user: "*@shop.example"}}
ramp: [{stage: now, limit: 100}]
"""
"""What a request says of itself, and what is said of it; `other` is not written."""


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


def admitted(hw: headway.testing.Rehearsal, contract: str = "api") -> dict[str, int]:
    """How many demands of each workload were admitted; those of none are left out."""
    paths = hw.engine.meters.paths()
    return {path.workload: path.admitted for path in paths if path.contract == contract and path.admitted}
