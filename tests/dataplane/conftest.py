"""A data plane on a port of its own, over meters whose clock stands still unless told."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import httpx
import pytest

from headway._core import CheckRoute, Clock, Curve, DataPlane, Limiter, Meters, MeterSpec, PathSpec, RlsRoute
from tests.core.making import MICRO, MINUTE, SECOND, UTC, quota_curve, rate_curve, slots_curve
from tests.dataplane.envoy import Connection

GATE, OPERATOR, VIEWER = "hw_gate-of-the-edge", "hw_operator", "hw_viewer"


def hashed(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


CREDENTIALS: Sequence[tuple[str, bytes, Sequence[str]]] = [
    ("edge", hashed(GATE), ["gate"]),
    ("ops", hashed(OPERATOR), ["viewer", "operator"]),
    ("eve", hashed(VIEWER), ["viewer", "approver"]),
]


class House:
    """Meters, limiters and a data plane over them."""

    def __init__(self, **settings: Any) -> None:
        self.meters = Meters(Clock.manual(100 * SECOND))
        self.plane = DataPlane(self.meters, **({"credentials": CREDENTIALS} | settings))
        self.port = self.plane.port
        self.checks: list[CheckRoute] = []
        self.rls: list[RlsRoute] = []

    def rate(self, name: str, level: int = 10, **spec: Any) -> None:
        """A rate of `level` a second with a burst of one second."""
        self.declare(MeterSpec(name, "rate", ceiling_micro=1_000 * MICRO, per_ns=SECOND, unit="request", **spec))
        self.publish(name, rate_curve(level))

    def quota(self, name: str, level: int = 10, **spec: Any) -> None:
        """A quota of `level` in each of three windows of a minute."""
        self.declare(MeterSpec(name, "quota", ceiling_micro=1_000 * MICRO, unit="export", **spec))
        self.publish(name, quota_curve(level))

    def slots(self, name: str, level: int = 2) -> None:
        self.declare(MeterSpec(name, "concurrency", ceiling_micro=1_000 * MICRO, unit="connection"))
        self.publish(name, slots_curve(level))

    def declare(self, spec: MeterSpec) -> None:
        self.meters.declare([spec])

    def publish(self, name: str, curve: Curve) -> None:
        self.meters.publish([(name, curve)], UTC + self.meters.clock.boot_ns() - 100 * SECOND)

    def limiter(
        self, contract: str, *meters: str, workload: str = "other", keyed: bool = False, **path: Any
    ) -> Limiter:
        """A limiter over the contract's own meter, or over those named."""
        steps = [(meter, MICRO, keyed) for meter in meters or (contract,)]
        return self.meters.limiter(PathSpec(contract, workload, steps, **path))

    def check(self, contract: str, *limiters: Limiter, **route: Any) -> None:
        """One more contract that checks may ask about."""
        self.checks.append(CheckRoute(contract, limiters, **route))
        self.plane.routes(self.checks, self.rls)

    def bind(self, limiter: Limiter, descriptor: dict[str, str | None], domain: str = "edge", **route: Any) -> None:
        """One more descriptor that meets a limiter."""
        self.rls.append(RlsRoute(domain, list(descriptor.items()), limiter, **route))
        self.plane.routes(self.checks, self.rls)

    def http(self, token: str | None = GATE) -> httpx.Client:
        headers = {} if token is None else {"authorization": f"Bearer {token}"}
        return httpx.Client(base_url=f"http://127.0.0.1:{self.port}", headers=headers, timeout=10, trust_env=False)

    def envoy(self, token: str | None = GATE) -> Connection:
        return Connection(self.port, token)


Serve = Callable[..., House]
WINDOW_NS = MINUTE


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Makes houses; closes what they opened."""
    houses: list[House] = []

    def made(**settings: Any) -> House:
        houses.append(House(**settings))
        return houses[-1]

    yield made
    for house in houses:
        house.plane.close()


@pytest.fixture
def house(serve: Serve) -> House:
    """A house of its own whose deadline no busy machine misses."""
    return serve(deadline_ms=60_000)
