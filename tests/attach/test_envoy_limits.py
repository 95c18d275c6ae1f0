"""Envoy's rate-limit filter: what it makes of Headway's answers, and what it makes of answers that Headway never gives.

The printed configuration stands in all of these but for what a test says it changes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from headway._core import DataPlane, Limiter, Matches, Meters, MeterSpec, PathSpec, RlsRoute
from headway.attach import FRONTS, Attachment
from headway.server.access import Access, Credential, sha256_of
from tests.attach.fronts import Change, application, filter_of, free_port, route_of, running
from tests.attach.scripted import Scripted, scripted
from tests.core.making import MICRO, MINUTE, rate_curve
from tests.dataplane.envoy import OK, OVER_LIMIT
from tests.dataplane.wire import message

TOKEN = "a-gate's-token"
SERVICE = {"service": "orders"}
LIMIT = 3
HOUR = 60 * MINUTE

Front = Callable[..., AbstractContextManager[httpx.Client]]


@pytest.fixture
def front(tmp_path: Path) -> Front:
    """Starts an Envoy that asks at an address."""

    @contextmanager
    def started(
        address: str,
        descriptor: dict[str, str] = SERVICE,
        *,
        attributes: tuple[str, ...] = (),
        change: Change | None = None,
    ) -> Iterator[httpx.Client]:
        asked = Attachment(
            "orders", "rate", data_plane=address, domain="edge", descriptor=descriptor, attributes=attributes
        )
        with (
            application() as behind,
            running("envoy", FRONTS["envoy"](asked), free_port(), behind.port, tmp_path, TOKEN, change=change) as url,
            httpx.Client(base_url=url, trust_env=False, timeout=20) as client,
        ):
            yield client

    return started


@pytest.fixture
def script() -> Iterator[Scripted]:
    with scripted() as script:
        yield script


# --- answers that Headway never gives -----------------------------------------------------------------------------


def said(code: int, *statuses: int, rest: bytes = b"") -> bytes:
    """A RateLimitResponse with a code of its own and one for each status."""
    return message((1, code), *((2, message((1, status))) for status in statuses)) + rest


def test_unknown_is_a_yes(front: Front, script: Scripted) -> None:
    """In spite of `failure_mode_deny`: so Headway never says it."""
    script.answer = lambda _: said(0)

    with front(script.address) as client:
        assert 200 == client.get("/").status_code
    assert 1 == len(script.asked)


def test_the_overall_code_alone_decides(front: Front, script: Scripted) -> None:
    """OK with a status that is over its limit is a yes, OVER_LIMIT with statuses that are OK a no; statuses may be missing."""
    answers = iter([said(OK, OVER_LIMIT), said(OVER_LIMIT, OK), said(OK), said(OVER_LIMIT)])
    script.answer = lambda _: next(answers)

    with front(script.address) as client:
        assert [200, 429, 200, 429] == [client.get("/").status_code for _ in range(4)]


def test_a_quota_in_an_answer_saves_no_call(front: Front, script: Scripted) -> None:
    """A thousand requests for an hour, it says; each of five is asked about all the same."""
    quota = message((1, 1_000), (2, message((1, 3_600))))
    script.answer = lambda _: said(OK, OK, rest=message((7, quota)))

    with front(script.address) as client:
        assert [200] * 5 == [client.get("/").status_code for _ in range(5)]
    assert 5 == len(script.asked)


@pytest.mark.parametrize(("deny", "status"), [(True, 500), (False, 200)])
@pytest.mark.parametrize("how", ["late", "an error", "gone"])
def test_no_answer_is_a_yes_but_for_the_printed_deny(
    front: Front, script: Scripted, how: str, deny: bool, status: int
) -> None:
    """Later than its 20 ms unless told otherwise, an error of gRPC, nobody there: that is why `failure_mode_deny` is printed."""
    over = threading.Event()

    def answer(_request: bytes) -> bytes:
        if how == "late":
            over.wait(30)
            return said(OK)
        raise ValueError("the server's own mistake")

    def changed(manager: dict[str, Any]) -> None:
        filter_of(manager)["failure_mode_deny"] = deny
        if how == "late":
            del filter_of(manager)["timeout"]

    script.answer = answer
    address = f"127.0.0.1:{free_port()}" if how == "gone" else script.address
    with front(address, change=changed) as client:
        answered = client.get("/").status_code
        over.set()

    assert status == answered
    # Of the 20 ms a busy machine may need all before anything is heard.
    assert how == "late" or (0 if how == "gone" else 1) == len(script.asked)


# --- Headway's answers --------------------------------------------------------------------------------------------


class House:
    """Three requests an hour for `{service: orders}`."""

    def __init__(self, *, deadline_ms: int = 5_000) -> None:
        self.meters = Meters()
        access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
        self.plane = DataPlane(self.meters, credentials=access.hashed(), deadline_ms=deadline_ms)
        self.routes: list[RlsRoute] = []
        self.orders = self.bind("orders", LIMIT, SERVICE)

    def bind(self, name: str, level: int, descriptor: dict[str, str], *, keyed: bool = False, **route: Any) -> Limiter:
        """A rate of so many an hour, met by a descriptor; `each` stands for its key."""
        keys = {"keys_max": 10} if keyed else {}
        spec = MeterSpec(name, "rate", ceiling_micro=100_000 * MICRO, per_ns=HOUR, unit="request", **keys)
        self.meters.declare([spec])
        self.meters.publish([(name, rate_curve(level, per_ns=HOUR))], 0)
        limiter = self.limiter(name, keyed=keyed)
        entries = [(entry, None if value == "each" else value) for entry, value in descriptor.items()]
        self.routes.append(RlsRoute("edge", entries, limiter, **route))
        self.plane.routes([], self.routes)
        return limiter

    def limiter(self, name: str, *, workload: str = "other", keyed: bool = False) -> Limiter:
        """A limiter on a rate that was bound."""
        path = PathSpec(name, workload, [(name, MICRO, keyed)], settle_max_micro=100_000 * MICRO)
        return self.meters.limiter(path)


@pytest.fixture
def house() -> Iterator[House]:
    house = House()
    yield house
    house.plane.close()


def test_a_refusal_is_429_with_our_body_and_our_fields(front: Front, house: House) -> None:
    """`raw_body` becomes the body, added headers reach the client as they are, and Envoy says that it was a rate limit."""
    with front(house.plane.address) as client:
        answers = [client.get("/") for _ in range(LIMIT + 1)]

    refused = answers[-1]
    assert [200] * LIMIT + [429] == [answer.status_code for answer in answers]
    assert "true" == refused.headers["x-envoy-ratelimited"]
    assert "application/problem+json" == refused.headers["content-type"]
    assert "quota-exceeded" in refused.json()["type"]
    assert '"orders";q=3;w=3600' == refused.headers["ratelimit-policy"]
    assert 0 < int(refused.headers["retry-after"]) <= 1_200
    assert "x-envoy-ratelimited" not in answers[0].headers


def test_envoys_own_headers_come_from_the_limit_with_the_least_left(front: Front, house: House) -> None:
    """3 an hour beside 100 in one request: the three fields that Envoy makes speak of the 3, and list both."""
    house.bind("all", 100, {"all": "yes"})

    def changed(manager: dict[str, Any]) -> None:
        filter_of(manager)["enable_x_ratelimit_headers"] = "DRAFT_VERSION_03"
        route_of(manager)["route"]["rate_limits"].append(
            {"actions": [{"generic_key": {"descriptor_key": "all", "descriptor_value": "yes"}}]}
        )

    with front(house.plane.address, change=changed) as client:
        answers = [client.get("/") for _ in range(LIMIT + 1)]

    assert ["2", "1", "0", "0"] == [answer.headers["x-ratelimit-remaining"] for answer in answers]
    assert '3, 3;w=3600;name="orders:now", 100;w=3600;name="all:now"' == answers[0].headers["x-ratelimit-limit"]
    assert 0 < int(answers[-1].headers["x-ratelimit-reset"]) <= 1_200


def test_a_descriptor_whose_header_is_missing_is_dropped_and_the_others_are_sent(front: Front, house: House) -> None:
    """Without `x-team` the limit for each team is not asked about, and that for all of them still holds."""
    teams = house.bind("teams", 1, {"team": "each"}, keyed=True)

    def changed(manager: dict[str, Any]) -> None:
        by_header = {"request_headers": {"descriptor_key": "team", "header_name": "x-team"}}
        route_of(manager)["route"]["rate_limits"].append({"actions": [by_header]})

    with front(house.plane.address, change=changed) as client:
        nameless = [client.get("/").status_code for _ in range(2)]
        named = [client.get("/", headers={"x-team": "a"}).status_code for _ in range(2)]

    assert [200, 200] == nameless
    assert [200, 429] == named
    assert (1, 3) == (teams.reading().admitted, house.orders.reading().admitted)


def test_what_matches_look_at_is_said_where_a_request_has_it(front: Front, house: House) -> None:
    """By path and by header, and with neither: each request is charged to one workload, and none is let by unasked."""
    matches = Matches(
        [("checkout", [("path", ["/checkout*"]), ("user", ["ana", "eve"])]), ("batch", [("header.x-job", ["*"])])]
    )
    house.routes.clear()
    checkout, batch = house.limiter("orders", workload="checkout"), house.limiter("orders", workload="batch")
    house.routes.append(
        RlsRoute("edge", [("service", "orders")], house.orders, matches=matches, matched=[checkout, batch])
    )
    house.plane.routes([], house.routes)

    with front(house.plane.address, attributes=tuple(matches.attributes)) as client:
        asked = [
            client.get("/checkout/7?x=1", headers={"x-user": "ana"}),
            client.get("/", headers={"x-user": "ana", "x-job": "nightly"}),
            client.get("/checkout/7"),
        ]

    assert [200] * 3 == [answer.status_code for answer in asked]
    assert (1, 1, 1) == tuple(limiter.reading().admitted for limiter in (checkout, batch, house.orders))


def per_filter(manager: dict[str, Any], *limits: dict[str, Any]) -> None:
    """The limits of the route, given to the filter and taken from where they are printed."""
    route = route_of(manager)
    del route["route"]["rate_limits"]
    own = "type.googleapis.com/envoy.extensions.filters.http.ratelimit.v3.RateLimitPerRoute"
    route["typed_per_filter_config"] = {"envoy.filters.http.ratelimit": {"@type": own, "rate_limits": list(limits)}}


def test_no_hits_are_a_probe(front: Front, house: House) -> None:
    """`hits_addend: {number: 0}`: told whether use is within the limit, and nothing is charged."""

    def changed(manager: dict[str, Any]) -> None:
        (limit,) = route_of(manager)["route"]["rate_limits"]
        per_filter(manager, {**limit, "hits_addend": {"number": 0}})

    with front(house.plane.address, change=changed) as client:
        assert [200] * 10 == [client.get("/").status_code for _ in range(10)]

    assert 0 == house.orders.reading().admitted


def test_hits_that_stand_at_the_route_itself_are_not_sent(front: Front, house: House) -> None:
    """There Envoy reads the actions and drops `hits_addend` without a word: each request is charged as one."""

    def changed(manager: dict[str, Any]) -> None:
        route_of(manager)["route"]["rate_limits"][0]["hits_addend"] = {"number": 0}

    with front(house.plane.address, change=changed) as client:
        assert [200] * LIMIT + [429] == [client.get("/").status_code for _ in range(LIMIT + 1)]


def test_a_direct_response_is_not_asked_about(front: Front, house: House) -> None:
    """A route needs a cluster for its limit to be asked: what Envoy answers by itself is not limited by it."""

    def changed(manager: dict[str, Any]) -> None:
        route = route_of(manager)
        limits = route.pop("route")["rate_limits"]
        route["direct_response"] = {"status": 200, "body": {"inline_string": "hello"}}
        manager["route_config"]["virtual_hosts"][0]["rate_limits"] = limits

    with front(house.plane.address, change=changed) as client:
        assert [200] * (LIMIT + 2) == [client.get("/").status_code for _ in range(LIMIT + 2)]

    assert 0 == house.orders.reading().admitted


def test_what_cannot_be_decided_in_time_is_a_no(front: Front) -> None:
    """A deadline that every request misses: OVER_LIMIT, and not an error, which Envoy may take for a yes."""
    house = House(deadline_ms=0)

    def allowing(manager: dict[str, Any]) -> None:
        filter_of(manager)["failure_mode_deny"] = False

    with front(house.plane.address, change=allowing) as client:
        refused = client.get("/")
    house.plane.close()

    assert (429, "true") == (refused.status_code, refused.headers["x-envoy-ratelimited"])
    assert 0 == house.orders.reading().admitted
