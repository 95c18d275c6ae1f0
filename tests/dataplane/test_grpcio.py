"""The same service through gRPC's own client: its headers, its framing, its statuses, its deadlines."""

from __future__ import annotations

from collections.abc import Callable

import grpc

from tests.dataplane.conftest import GATE, House
from tests.dataplane.envoy import OK, OVER_LIMIT, SHOULD_RATE_LIMIT, Answer, descriptor, request
from tests.dataplane.wire import message

AS_GATE = (("authorization", f"Bearer {GATE}"),)


def unary(channel: grpc.Channel, path: str) -> Callable[..., bytes]:
    """A call whose messages are bytes on both sides."""
    call: Callable[..., bytes] = channel.unary_unary(path, bytes, bytes)
    return call


def test_a_client_of_grpcs_own_is_answered(house: House) -> None:
    """Three calls for 2 a second, on one channel."""
    house.rate("api", 2)
    house.bind(house.limiter("api"), {"contract": "api"})
    raw = request(descriptor({"contract": "api"}))

    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        call = unary(channel, SHOULD_RATE_LIMIT)
        answers = [Answer(call(raw, metadata=AS_GATE, timeout=10)) for _ in range(3)]

    assert [OK, OK, OVER_LIMIT] == [answer.code for answer in answers]


def test_what_went_wrong_is_a_status_with_its_reason(house: House) -> None:
    """No token, a message that is none, a call that is not served."""
    told = []
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        for path, raw, metadata in (
            (SHOULD_RATE_LIMIT, b"", ()),
            (SHOULD_RATE_LIMIT, b"\xff\xff", AS_GATE),
            ("/envoy.service.ratelimit.v3.RateLimitService/Other", b"", AS_GATE),
        ):
            try:
                unary(channel, path)(raw, metadata=metadata, timeout=10)
            except grpc.RpcError as error:
                told.append((error.code(), error.details()))

    assert [
        (grpc.StatusCode.UNAUTHENTICATED, "no token, or one that is not known"),
        (grpc.StatusCode.INVALID_ARGUMENT, "the message is malformed: it ends in the middle of a field"),
        (grpc.StatusCode.UNIMPLEMENTED, "no such call is served"),
    ] == told


def test_a_health_probe_of_grpcs_own_needs_no_token(house: House) -> None:
    """SERVING for the server as a whole."""
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        assert message((1, 1)) == unary(channel, "/grpc.health.v1.Health/Check")(b"", timeout=10)
