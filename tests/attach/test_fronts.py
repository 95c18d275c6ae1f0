"""Real fronts with the printed configuration, before a real data plane: who is let through, and what the others are told."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from headway._core import Meters
from headway.attach import FRONTS, Attachment
from headway.engine.engine import Engine
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import ANSWERED, RoutedPlane
from headway.server.listen import Address
from tests.attach.fronts import Application, application, free_port, relay, running

TOKEN = "a-gate's-token"
REAL = ("envoy", "nginx", "caddy", "haproxy")
LIMIT = 3
CONTRACTS = f"""\
contract: orders
owner: team-shop
constraint: {{measure: rate, unit: request, per: 1h}}
workloads: {{web: {{}}, other: {{}}}}
ramp: [{{stage: now, limit: {LIMIT}}}]
enforce: {{bind: [{{rls: {{domain: edge, descriptor: {{service: orders}}}}}}]}}
---
contract: exports
owner: team-shop
constraint: {{measure: quota, unit: export, per: day}}
workloads: {{other: {{}}}}
each: {{key: team, count: 40}}
ramp: [{{stage: now, limit: {LIMIT}}}]
enforce: {{bind: [{{rls: {{domain: edge, descriptor: {{service: exports, team: each}}}}}}]}}
"""


@dataclass
class Site:
    """An engine with its data plane, an application, and fronts that are started between them."""

    plane: RoutedPlane
    application: Application
    folder: Path

    @contextmanager
    def front(self, name: str, contract: str = "orders", at: str | None = None) -> Iterator[httpx.Client]:
        """Runs a front of this name; calls to it."""
        keyed = contract == "exports"
        descriptor = {"service": contract, **({"team": "each"} if keyed else {})}
        asked = Attachment(
            contract,
            "quota" if keyed else "rate",
            keyed=keyed,
            data_plane=at or self.plane.address,
            domain="edge",
            descriptor=descriptor,
        )
        folder = self.folder / name
        folder.mkdir()
        front = running(name, FRONTS[name](asked), free_port(), self.application.port, folder, TOKEN)
        with front as url, httpx.Client(base_url=url, trust_env=False, timeout=20) as client:
            yield client


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "contracts.yaml").write_text(CONTRACTS)
    engine = Engine.open(tmp_path / "contracts.yaml", data=tmp_path / "data", meters=Meters(), answered=ANSWERED)
    access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
    # A machine that runs tests may be slow, and slow is no reason to refuse here.
    plane = RoutedPlane(engine, Address("127.0.0.1", 0), access, deadline_ms=5_000)
    with application() as behind:
        yield Site(plane, behind, tmp_path)
    plane.close()
    engine.close()


@pytest.mark.parametrize("name", REAL)
def test_a_front_lets_through_what_fits_and_says_to_the_others_when(site: Site, name: str):
    """Three of five pass, body and `Authorization` untouched; the others get 429 with what `RateLimit` says."""
    with site.front(name) as front:
        answers = [front.post("/orders", content=b"tea", headers={"authorization": "Basic mine"}) for _ in range(5)]

    assert [200, 200, 200, 429, 429] == [answer.status_code for answer in answers]
    assert [b"tea"] * 3 == site.application.bodies
    assert ["Basic mine"] * 3 == site.application.authorizations
    refused = answers[-1].headers
    assert int(refused["retry-after"]) > 0
    assert '"orders";q=3;w=3600' == refused["ratelimit-policy"]
    assert refused["ratelimit"].startswith('"orders";r=0')


@pytest.mark.parametrize("name", REAL)
def test_keys_are_told_apart(site: Site, name: str):
    """By the client's address; to Envoy by a header, so that one who has spent his part leaves another's alone."""
    with site.front(name, "exports") as front:
        mine = [front.get("/", headers={"x-team": "search"}).status_code for _ in range(4)]
        others = front.get("/", headers={"x-team": "mail"}).status_code

    assert [200, 200, 200, 429] == mine
    assert (200 if name == "envoy" else 429) == others


def test_all_fronts_share_one_limit(site: Site):
    """Four fronts, two requests each: three of eight pass, whichever they meet."""
    statuses = []
    for name in REAL:
        with site.front(name) as front:
            statuses += [front.get("/").status_code for _ in range(2)]

    assert 3 == statuses.count(200)
    assert 5 == statuses.count(429)


@pytest.mark.parametrize("name", REAL)
def test_a_data_plane_that_is_gone_is_never_a_yes(site: Site, name: str):
    """The first request passes, then the data plane ends: nothing passes any more."""
    with site.front(name) as front:
        before = front.get("/").status_code
        site.plane.close()
        after = [front.get("/").status_code for _ in range(3)]

    assert 200 == before
    assert all(status >= 400 for status in after), after


@pytest.mark.parametrize("name", ["envoy", "nginx", "caddy"])
def test_a_front_keeps_its_connection(site: Site, name: str):
    """Ten requests, one after the other, over one connection to the data plane."""
    with relay(site.plane.address) as seen, site.front(name, at=seen.address) as front:
        statuses = [front.get("/").status_code for _ in range(10)]

    assert [200] * 3 + [429] * 7 == statuses
    assert 1 == seen.connections
