"""Meters of one kind with a limiter over them, on a manual clock at 100 s; UTC is 1,800,000,000 s there."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from headway._core import Clock, Curve, Limiter, Meters, MeterSpec, PathSpec, Segment

SECOND = 1_000_000_000
MINUTE = 60 * SECOND
MICRO = 1_000_000
UTC = 1_800_000_000 * SECOND


def rate_curve(level: int, version: int = 1, *, per_ns: int = SECOND, burst_ns: int | None = None) -> Curve:
    """`level` units a `per_ns`, flat since ever; the burst is one `per_ns` unless told."""
    segments = [Segment(0, None, level * MICRO, level * MICRO)]
    return Curve("rate", version, "now", segments, per_ns=per_ns, burst_ns=per_ns if burst_ns is None else burst_ns)


def slots_curve(level: int, version: int = 1) -> Curve:
    return Curve("concurrency", version, "now", [Segment(0, None, level * MICRO, level * MICRO)])


def quota_curve(level: int, version: int = 1, windows: int = 3) -> Curve:
    """Windows of a minute, the first one from UTC on."""
    starts = [UTC + index * MINUTE for index in range(windows)]
    return Curve("quota", version, "now", [Segment(0, None, level * MICRO, level * MICRO)], window=starts)


def limiter_of(meters: Meters, *steps: str, keyed: bool = False, **path: Any) -> Limiter:
    """A limiter of workload `web` over meters, each at its full price."""
    return meters.limiter(PathSpec("api", "web", [(name, MICRO, keyed) for name in steps], **path))


@dataclass(frozen=True)
class One:
    """One meter, the limiter over it, and their clock."""

    meters: Meters
    limiter: Limiter

    @property
    def clock(self) -> Clock:
        return self.meters.clock

    @property
    def in_use(self) -> float:
        """Units that the meter says are in use."""
        return self.meters.snapshot()[0].use_micro / MICRO


def rate(level: int = 10, *, path: dict[str, Any] | None = None, per_ns: int = SECOND, **spec: Any) -> One:
    """A rate with a burst of one `per_ns`, full."""
    given = MeterSpec("m", "rate", ceiling_micro=100 * MICRO, per_ns=per_ns, unit="request", **spec)
    return one(given, rate_curve(level, per_ns=per_ns), "keys_max" in spec, path)


def slots(level: int = 2, *, path: dict[str, Any] | None = None, **spec: Any) -> One:
    given = MeterSpec("m", "concurrency", ceiling_micro=100 * MICRO, unit="connection", **spec)
    return one(given, slots_curve(level), "keys_max" in spec, path)


def quota(level: int = 10, *, path: dict[str, Any] | None = None, **spec: Any) -> One:
    given = MeterSpec("m", "quota", ceiling_micro=100 * MICRO, unit="export", **spec)
    return one(given, quota_curve(level), "keys_max" in spec, path)


def one(spec: MeterSpec, curve: Curve, keyed: bool, path: dict[str, Any] | None) -> One:
    meters = Meters(Clock.manual(100 * SECOND))
    meters.declare([spec])
    meters.publish([("m", curve)], UTC)
    return One(meters, limiter_of(meters, "m", keyed=keyed, **(path or {})))
