"""What the API's tests share: an engine in memory on clocks that stand still, the application, and a caller for each role."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from starlette.testclient import TestClient

from headway._core import Clock, Meters
from headway.contract.read import read_text
from headway.engine.clock import ManualClock
from headway.engine.engine import Engine
from headway.server import create_app
from headway.server.access import Access, Credential, Role, sha256_of

NOW_MS = 1_796_112_000_000
"""2026-12-01 08:00 UTC."""

CONTRACTS = """\
contract: cluster-cpu
owner: team-platform
constraint: {measure: concurrency, unit: core}
workloads: {}
ramp: [{stage: now, limit: 200}]
---
contract: orders-db
owner: team-storage
labels: {service: orders, tier: 1}
constraint: {measure: concurrency, unit: connection}
workloads: {checkout: {}, other: {}}
upstream: [{contract: cluster-cpu, spends: 0.25}]
ramp:
  - {stage: launch, limit: 50}
  - {stage: replica, limit: 120, when: {event: replica.promoted, approval: dba}}
  - {stage: target, limit: 400, when: {soak: {for: 72h, above: 60%}, approval: [dba, product]}}
---
contract: search
owner: team-web
labels: {service: search}
constraint:
  requests: {measure: rate, unit: request, per: 1s}
  daily: {measure: quota, unit: request, per: day}
workloads: {other: {}}
ramp: [{stage: now, limit: {requests: 100, daily: 10k}}]
"""


@dataclass
class World:
    """An engine in memory, and the clock that moves it."""

    engine: Engine
    clock: ManualClock
    access: Access

    def pass_ms(self, by_ms: int) -> None:
        """Time passes, and what is due is done."""
        self.clock.advance(by_ms)
        self.engine.turn()


def credential(name: str, *roles: Role, groups: tuple[str, ...] = (), single_user: bool = False) -> Credential:
    """A credential whose token is its name."""
    return Credential(name, sha256_of(name), frozenset(roles), frozenset(groups), single_user)


@pytest.fixture
def world() -> Iterator[World]:
    ticks = Clock.manual(10**15)
    clock = ManualClock(ticks, NOW_MS)
    engine = Engine.memory(read_text(CONTRACTS, "contracts.yaml").require(), clock=clock, meters=Meters(ticks))
    access = Access(
        [
            credential("vera", "viewer"),
            credential("olaf", "viewer", "operator"),
            credential("olga", "viewer", "operator"),
            credential("dora", "viewer", "approver", groups=("dba",)),
            credential("gate", "gate"),
            credential("solo", "viewer", "operator", single_user=True),
        ]
    )
    yield World(engine, clock, access)
    engine.close()


class Callers:
    """One client a token, over the same application. An error of ours is an answer, not an exception, as on a socket."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._clients: dict[str, TestClient] = {}

    def __getitem__(self, token: str) -> TestClient:
        if token not in self._clients:
            headers = {"authorization": f"Bearer {token}"}
            self._clients[token] = TestClient(
                self._app, base_url="http://127.0.0.1:7700", headers=headers, raise_server_exceptions=False
            )
        return self._clients[token]


@pytest.fixture
def callers(world: World) -> Callers:
    return Callers(create_app(world.engine, world.access))


def problem(response: Any) -> tuple[int, str]:
    """An error's status and code, once it is sure that it says everything an error says."""
    document = response.json()
    assert response.headers["content-type"].startswith("application/problem+json")
    assert response.status_code == document["status"]
    assert document["problem"]
    assert document["mend"]
    return response.status_code, document["code"]
