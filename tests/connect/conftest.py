"""A keeper in this process, on a port that it keeps when it stops and starts, and gates that ask it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import headway
from headway._core import Meters
from headway.engine.engine import Engine
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import ANSWERED, RoutedPlane
from headway.server.listen import Address

TOKEN = "a-gate's-token"
TOKEN_OF_ANOTHER = "another-gate's-token"
VIEWER = "a-viewer's-token"
CONTRACTS = """\
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads: {web: {}, other: {}}
ramp: [{stage: now, limit: 4}]
---
contract: db
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}, reports: {cost: 2}}
ramp: [{stage: now, limit: 5}, {stage: more, limit: 7, when: {event: more}}]
---
contract: patient
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 1}]
enforce: {wait: 30s}
---
contract: seats
owner: team-web
constraint: {measure: concurrency, unit: seat}
each: {key: user, count: 5}
workloads: {other: {}}
ramp: [{stage: now, limit: 1}]
---
contract: mails
owner: team-web
constraint: {measure: quota, unit: mail, per: month}
workloads: {other: {}}
ramp: [{stage: now, limit: 300}]
---
contract: tokens
owner: team-ml
constraint: {measure: rate, unit: token, per: 1h, cost: {estimate: 10, max: 100}}
each: {key: user, count: 10}
workloads: {other: {}}
ramp: [{stage: now, limit: 50}]
---
contract: seen
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads: {other: {}}
ramp: [{stage: now, limit: 1}]
enforce: {mode: observe}
---
contract: shop
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads:
  checkout: {match: {user: checkout_*}}
  posts:    {match: {method: POST}}
ramp: [{stage: now, limit: 1000}]
enforce: {tell: full}
---
contract: rooms
owner: team-web
constraint: {measure: concurrency, unit: room}
each: {key: house, count: 5, scale: {big: 2}}
workloads: {guests: {guarantee: 40%}, tours: {ceiling: 1}, other: {}}
ramp: [{stage: now, limit: 5}]
---
contract: exports
owner: team-web
constraint: {measure: quota, unit: export, per: month}
workloads: {web: {weight: 3}, other: {}}
ramp: [{stage: now, limit: 300}]
"""


class Keeper:
    """An engine and its data plane, which can stop, crash as far as its slots go, and come back."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path = folder / "contracts.yaml"
        self._path.write_text(CONTRACTS)
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.start()

    def start(self) -> None:
        self.engine = Engine.open(self._path, data=self._folder / "data", meters=Meters(), answered=ANSWERED)
        credentials = [Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))]
        credentials.append(Credential("another", sha256_of(TOKEN_OF_ANOTHER), frozenset({"gate"})))
        credentials.append(Credential("eve", sha256_of(VIEWER), frozenset({"viewer"})))
        self.plane = RoutedPlane(self.engine, Address("127.0.0.1", self.port), Access(credentials))

    def stop(self) -> None:
        self.plane.close()
        self.engine.close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def holders(self) -> int:
        """Gates that the data plane knows."""
        return self.plane.holders

    def in_use(self, meter: str) -> int:
        """Units, as the keeper's own meter counts them."""
        return next(one.use_micro for one in self.engine.meters.snapshot() if one.meter == meter) // 1_000_000


@pytest.fixture
def keeper(tmp_path: Path) -> Iterator[Keeper]:
    keeper = Keeper(tmp_path)
    yield keeper
    keeper.stop()


@pytest.fixture
def gate(keeper: Keeper) -> Iterator[headway.Connected]:
    with headway.connect(keeper.url, token=TOKEN) as gate:
        yield gate


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], None]:
    """Waits for something that other threads bring about: at most ten seconds, looking again and again."""
    from time import monotonic

    def wait(holds: Callable[[], bool]) -> None:
        end = monotonic() + 10
        while not holds():
            assert monotonic() < end, "it did not come about"

    return wait
