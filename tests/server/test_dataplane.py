"""The data plane over a running engine: its routes are the contracts there are, now and later."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from headway._core import Curve, Meters, Segment
from headway.contract.faults import Unreadable
from headway.contract.read import read_text
from headway.engine.engine import Engine
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import ANSWERED, RoutedPlane
from headway.server.gate_metrics import PlaneReading
from headway.server.listen import Address
from headway.server.metrics import exposition
from headway.server.problems import ServerError
from tests.dataplane.envoy import Connection, descriptor, request

TOKEN = "a-gate's-token"
FREE = Address("127.0.0.1", 0)
API = """\
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads: {web: {}, other: {}}
ramp: [{stage: now, limit: 2}]
enforce: {bind: [{rls: {domain: edge, descriptor: {service: api}}}]}
"""
POOL = """\
---
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 5}]
"""
LATER = API.replace("contract: api", "contract: later").replace("service: api", "service: later")


def access(*roles: str) -> Access:
    return Access([Credential("gate", sha256_of(TOKEN), frozenset(roles))])


@pytest.fixture
def engine(tmp_path: Path) -> Iterator[Engine]:
    (tmp_path / "contracts.yaml").write_text(API + POOL)
    engine = Engine.open(tmp_path / "contracts.yaml", data=tmp_path / "data", meters=Meters(), answered=ANSWERED)
    yield engine
    engine.close()


@pytest.fixture
def plane(engine: Engine) -> Iterator[RoutedPlane]:
    # What it sheds on a busy machine is tested where that is meant.
    plane = RoutedPlane(engine, FREE, access("gate"), deadline_ms=5_000)
    yield plane
    plane.close()


def check(plane: RoutedPlane, contract: str, **query: str) -> httpx.Response:
    headers = {"authorization": f"Bearer {TOKEN}"}
    with httpx.Client(base_url=f"http://{plane.address}", headers=headers, trust_env=False) as client:
        return client.get(f"/check/{contract}", params=query)


def test_a_check_is_charged_on_the_contract_and_refused_when_it_is_full(engine: Engine, plane: RoutedPlane):
    """Two an hour: the third is 429 with a `ref`, whose story the engine tells."""
    answers = [check(plane, "api", workload="web") for _ in range(3)]

    assert [200, 200, 429] == [answer.status_code for answer in answers]
    story = engine.explain_ref(answers[2].json()["ref"])
    assert ("api", "web") == (story["contract"], story["workload"])


def test_a_contract_that_is_applied_later_is_met_from_then_on(engine: Engine, plane: RoutedPlane):
    assert 404 == check(plane, "later").status_code
    engine.apply(read_text(LATER.encode()), actor="token:ana", reason="new")

    for _ in range(2_000):
        if (answer := check(plane, "later")).status_code != 404:
            break
    assert 200 == answer.status_code


def test_what_is_in_flight_is_nothing_to_check_without_an_end(plane: RoutedPlane):
    """No front tells when a request has ended: a slot over HTTP is a lease, which says how long it is held."""
    answer = check(plane, "pool")

    assert (422, True) == (answer.status_code, "say how long" in answer.json()["problem"])
    assert 200 == check(plane, "pool", hold="1s").status_code


@pytest.mark.parametrize(("roles", "status"), [(("gate",), 200), (("operator",), 200), (("viewer", "approver"), 403)])
def test_gates_and_operators_may_ask(engine: Engine, roles: tuple[str, ...], status: int):
    plane = RoutedPlane(engine, FREE, access(*roles))
    try:
        assert status == check(plane, "api").status_code
    finally:
        plane.close()


def test_an_address_that_is_taken_is_told(engine: Engine):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(ServerError) as caught:
        RoutedPlane(engine, Address("127.0.0.1", taken.getsockname()[1]), access("gate"))

    assert "HW443" == caught.value.code


def test_closing_ends_it_and_a_second_time_does_nothing(engine: Engine):
    plane = RoutedPlane(engine, Address("localhost", 0), access("gate"))
    plane.close()
    plane.close()

    with pytest.raises(httpx.ConnectError):
        check(plane, "api")


def test_a_contract_bound_to_envoy_runs_only_where_a_data_plane_answers(tmp_path: Path):
    """Without one it would be met by nobody: HW290 names the binding, and what to run."""
    (tmp_path / "contracts.yaml").write_text(API)
    with pytest.raises(Unreadable) as caught:
        Engine.open(tmp_path / "contracts.yaml", data=tmp_path / "data", meters=Meters())

    [finding] = caught.value.findings
    assert ("HW290", "binding to `rls` is read and checked, and not acted on here") == (finding.code, finding.problem)
    assert "headway serve" in finding.mend


DIVIDED = LATER.replace("rls: {domain: edge, descriptor", "rlqs: {domain: edge, bucket").replace("per: 1h", "per: 1s")
DIVIDED = DIVIDED.replace("limit: 2}", "limit: 20}")


def test_a_contract_that_is_divided_is_asked_by_nobody_else(engine: Engine, plane: RoutedPlane):
    """What is assigned is spent where it is: a check would spend it a second time."""
    engine.apply(read_text(DIVIDED.encode()), actor="token:ana", reason="new")
    for _ in range(2_000):
        status = check(plane, "later").status_code
        if plane.divided():
            break

    assert ([("later", 0, 0, 0, 0)], 404) == (plane.divided(), status)


def test_what_is_divided_is_a_metric(engine: Engine):
    """One proxy of two may let nothing through; 38 a second are assigned, and 76 may still be in use."""
    text = exposition(engine, lambda: PlaneReading([("checkout", 2, 1, 38, 76)])).decode()

    assert 'headway_divided_streams{contract="checkout",state="assigned"} 1.0' in text
    assert 'headway_divided_streams{contract="checkout",state="denied"} 1.0' in text
    assert 'headway_divided_assigned{contract="checkout"} 38.0' in text
    assert 'headway_divided_booked{contract="checkout"} 76.0' in text


@pytest.mark.parametrize(("terms", "left"), [("", [0, 0]), (", refundable: true", [0, 2])])
def test_hits_come_back_where_the_document_says_so(engine: Engine, plane: RoutedPlane, terms: str, left: list[int]):
    """Two of two are taken and given back: without `refundable: true` that is a caller's word and does nothing."""
    given = LATER.replace("service: later}", "service: later}" + terms)
    engine.apply(read_text(given.encode()), actor="token:ana", reason="new")
    # Routes follow what was applied a moment later; a check that asks for nothing meets them or is 404.
    for _ in range(2_000):
        if check(plane, "later", units="0").status_code != 404:
            break
    port = int(plane.address.rpartition(":")[2])

    with Connection(port, TOKEN) as envoy:
        answers = [envoy.ask(request(descriptor({"service": "later"}, 2, back=back))) for back in (False, True)]

    assert left == [answer.statuses[0].remaining for answer in answers]


def test_what_nobody_asks_for_and_what_no_workload_claims_are_metrics(engine: Engine):
    """`api` names `web` and leaves the rest to `other`; `pool` has `other` alone, which is no rest. Nobody asks `pool`."""
    limiters = [engine.limiter("api", workload) for workload in ("web", "other")]
    assert all(limiter.try_acquire() for limiter in limiters)
    text = exposition(engine, PlaneReading).decode()

    assert 'headway_never_asked{contract="api"} 0.0' in text
    assert 'headway_never_asked{contract="pool"} 1.0' in text
    assert 'headway_unattributed_total{contract="api"} 1.0' in text
    assert 'headway_unattributed_total{contract="pool"}' not in text


def test_what_is_divided_is_not_said_to_be_never_asked(engine: Engine):
    """Its proxies decide by themselves, and nobody counts their asking here."""
    text = exposition(engine, lambda: PlaneReading([("pool", 1, 0, 1, 1)])).decode()

    assert 'headway_never_asked{contract="pool"}' not in text


def test_a_debt_is_a_metric_and_nothing_else_is(engine: Engine):
    """Three units are held under a limit that is cut to two by hand: one too many. `api` owes nothing."""
    pool = engine.limiter("pool", "other")
    permits = [pool.try_acquire() for _ in range(3)]
    cut = Curve("concurrency", 99, "cut", [Segment(0, None, 2_000_000, 2_000_000)])
    engine.meters.publish([("pool", cut)], engine.now_ms() * 1_000_000)
    text = exposition(engine, PlaneReading).decode()

    assert all(permits)
    assert 'headway_debt{meter="pool"} 1.0' in text
    assert 'headway_debt{meter="api"} 0.0' in text


TOLD_APART = """\
contract: shop
owner: team-web
constraint: {measure: rate, unit: request, per: 1h}
workloads:
  checkout: {match: {user: checkout_*}}
  eu:       {match: {region: eu, user: "*"}}
ramp: [{stage: now, limit: 20}]
enforce: {bind: [{rls: {domain: edge, descriptor: {service: shop}}}]}
---
contract: desk
owner: team-web
constraint: {measure: concurrency, unit: seat}
workloads: {checkout: {match: {user: checkout_*}}}
ramp: [{stage: now, limit: 5}]
"""


def test_who_asks_is_told_apart_wherever_a_contract_is_met(tmp_path: Path):
    """By a check, by Envoy's entries, by a lease over HTTP and in the process: one contract, the same matches."""
    (tmp_path / "contracts.yaml").write_text(TOLD_APART)
    engine = Engine.open(tmp_path / "contracts.yaml", data=tmp_path / "data", meters=Meters(), answered=ANSWERED)
    plane = RoutedPlane(engine, FREE, access("gate"), deadline_ms=5_000)
    try:
        for said in ({"attr.user": "checkout_1"}, {"attr.user": "ana", "attr.region": "eu"}, {"attr.region": "eu"}, {}):
            assert 200 == check(plane, "shop", **said).status_code
        with Connection(int(plane.address.rpartition(":")[2]), TOKEN) as envoy:
            for entries in ({"user": "checkout_2"}, {"region": "eu", "user": "eve"}, {"region": "eu"}):
                envoy.ask(request(descriptor({"service": "shop", **entries})))
        assert 200 == check(plane, "desk", hold="9s", **{"attr.user": "checkout_1"}).status_code
        counts = {(path.contract, path.workload): path.admitted for path in engine.meters.paths() if path.admitted}
        matches = engine.matches("shop")
        unattributed = exposition(engine, plane.reading).decode()
    finally:
        plane.close()
        engine.close()

    shop = {("shop", "checkout"): 2, ("shop", "eu"): 2, ("shop", "other"): 3}
    assert shop | {("desk", "checkout"): 1} == counts
    assert matches is not None and "eu" == matches.workload_of([("region", "eu"), ("user", "x")])
    assert 'headway_unattributed_total{contract="shop"} 3.0' in unattributed


def test_a_contract_that_is_divided_has_no_matches(tmp_path: Path):
    """A proxy counts requests and tells none apart, so `check` refuses it with the reason."""
    divided = TOLD_APART.partition("---")[0].replace("rls: {domain: edge, descriptor", "rlqs: {domain: edge, bucket")
    found = read_text(divided.replace("per: 1h", "per: 1s").encode()).findings

    assert ["HW255"] == [one.code for one in found]
    assert (
        found[0].problem
        == "`shop` tells its workloads apart by `match`, and a proxy that decides alone tells nobody apart"
    )
