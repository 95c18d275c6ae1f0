"""Who may ask on 7701: tokens with the role gate or operator, and nobody else."""

from __future__ import annotations

import pytest

from tests.dataplane.conftest import GATE, OPERATOR, VIEWER, House
from tests.dataplane.envoy import (
    NOT_FOUND,
    OK,
    PERMISSION_DENIED,
    SHOULD_RATE_LIMIT,
    UNAUTHENTICATED,
    UNIMPLEMENTED,
    descriptor,
    request,
)
from tests.dataplane.wire import message

HEALTH = "/grpc.health.v1.Health/Check"
RLS = "envoy.service.ratelimit.v3.RateLimitService"


@pytest.fixture
def open_house(house: House) -> House:
    house.rate("api", 10)
    limiter = house.limiter("api")
    house.check("api", limiter)
    house.bind(limiter, {"contract": "api"})
    return house


@pytest.mark.parametrize("token", [GATE, OPERATOR])
def test_gates_and_operators_may_ask(open_house: House, token: str) -> None:
    """Both ways of asking take the same tokens."""
    with open_house.http(token) as front, open_house.envoy(token) as envoy:
        assert 200 == front.get("/check/api").status_code
        assert OK == envoy.ask(request(descriptor({"contract": "api"}))).code


@pytest.mark.parametrize(
    ("token", "status", "code", "grpc"),
    [
        (None, 401, "HW401", UNAUTHENTICATED),
        ("hw_gate-of-the-edgf", 401, "HW401", UNAUTHENTICATED),
        ("x" * 600, 401, "HW401", UNAUTHENTICATED),
        (VIEWER, 403, "HW403", PERMISSION_DENIED),
    ],
)
def test_everybody_else_may_not(open_house: House, token: str | None, status: int, code: str, grpc: int) -> None:
    """No token, a wrong or an overlong one, and one of a viewer: told apart, and nothing of the token is repeated."""
    with open_house.http(token) as front, open_house.envoy(token) as envoy:
        answers = [front.get(path) for path in ("/check/api", "/check/none", "/", "/check/api?units=0")]
        call = envoy.call(SHOULD_RATE_LIMIT, request(descriptor({"contract": "api"})))

    assert [(status, code)] * 4 == [(answer.status_code, answer.json()["code"]) for answer in answers]
    assert grpc == call.grpc
    assert (status == 401) == (answers[0].headers.get("www-authenticate") == "Bearer")
    assert not token or token not in answers[0].text + str(call.headers)


def test_another_scheme_is_no_token(open_house: House) -> None:
    """Basic, or two headers of which one would do."""
    with open_house.http(None) as front:
        basic = front.get("/check/api", headers={"authorization": f"Basic {GATE}"})
        two = front.get("/check/api", headers=[("authorization", f"Bearer {GATE}"), ("authorization", "Bearer x")])

    assert [401, 401] == [basic.status_code, two.status_code]


def test_health_is_anybodys(open_house: House) -> None:
    """Load balancers have no token: over HTTP, and over gRPC for the server and for the rate-limit service."""
    with open_house.http(None) as front, open_house.envoy(None) as envoy:
        assert (200, "ok") == ((health := front.get("/healthz")).status_code, health.text)
        for service in ("", RLS):
            reply = envoy.call(HEALTH, message((1, service)) if service else b"")
            assert (0, message((1, 1))) == (reply.grpc, reply.unframed)
        assert NOT_FOUND == envoy.call(HEALTH, message((1, "other"))).grpc


def test_calls_that_are_not_served_are_unimplemented(open_house: House) -> None:
    """Other calls of services that there are, another version, and anything made up, with a token."""
    paths = ["/grpc.health.v1.Health/List", "/grpc.reflection.v2.ServerReflection/ServerReflectionInfo", "/x"]

    with open_house.envoy() as envoy:
        assert [UNIMPLEMENTED] * 3 == [envoy.call(path, b"").grpc for path in paths]
    with open_house.http() as front:
        response = front.post(SHOULD_RATE_LIMIT, headers={"content-type": "application/grpc"})
    assert str(UNIMPLEMENTED) == response.headers["grpc-status"]
