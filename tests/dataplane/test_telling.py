"""What the data plane tells of itself: whether it serves, and what, to clients that were written for neither."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any

import grpc
import pytest
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from tests.dataplane.conftest import VIEWER, House, Serve
from tests.dataplane.envoy import (
    INVALID_ARGUMENT,
    OK,
    PERMISSION_DENIED,
    SHOULD_RATE_LIMIT,
    UNAUTHENTICATED,
    frame,
)
from tests.dataplane.gate import HOLD
from tests.dataplane.test_grpcio import AS_GATE, unary
from tests.dataplane.wire import fields, message, only

WATCH = "/grpc.health.v1.Health/Watch"
RLS, LEASES, HEALTH = "envoy.service.ratelimit.v3.RateLimitService", "headway.lease.v1.Leases", "grpc.health.v1.Health"
SERVING, NOT_SERVING, SERVICE_UNKNOWN = 1, 2, 3
VERSIONS = ("v1", "v1alpha")
RESOURCE_EXHAUSTED = 8


def asks(version: str) -> str:
    return f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo"


def streamed(channel: grpc.Channel, path: str, questions: Iterable[bytes], metadata: Any = AS_GATE) -> Iterator[bytes]:
    """A call of many questions and answers, each bytes."""
    answers: Iterator[bytes] = channel.stream_stream(path, bytes, bytes)(iter(questions), metadata=metadata, timeout=10)
    return answers


# --- health ---------------------------------------------------------------------------------------------------------


def test_a_watch_is_told_at_once_and_again_when_the_plane_closes(house: House) -> None:
    """SERVING, NOT_SERVING, and the end; nobody needs a token."""
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        told = channel.unary_stream(WATCH, bytes, bytes)(message((1, RLS)), timeout=10)
        assert message((1, SERVING)) == next(told)
        house.plane.close()
        assert [message((1, NOT_SERVING))] == list(told)


def test_a_watch_of_an_unknown_service_is_no_error(house: House) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        told = channel.unary_stream(WATCH, bytes, bytes)(message((1, "nobody")), timeout=10)
        assert message((1, SERVICE_UNKNOWN)) == next(told)
        told.cancel()


@pytest.mark.parametrize("body", [b"", frame(b"\xff"), frame(message((1, "x" * 257))), frame(b"") * 2])
def test_a_watch_that_asks_for_nothing_is_told_so(house: House, body: bytes) -> None:
    with house.envoy(None) as probe:
        stream = probe.start(WATCH)
        probe.send(stream, body)
        assert INVALID_ARGUMENT == probe.wait(stream).grpc


def test_watches_hold_no_place_for_ever(serve: Serve) -> None:
    """They are no sign of life: their connection ends as an idle one does, with at most sixty-four of them on it."""
    house = serve(idle_ms=300)
    with house.envoy(None) as probe:
        for _ in range(65):
            probe.send(probe.start(WATCH), frame(b""))
        probe.wait_closed()

    statuses = [reply.grpc for reply in probe.replies.values() if "grpc-status" in reply.headers]
    assert [RESOURCE_EXHAUSTED] == statuses
    assert 64 == sum(reply.body == frame(message((1, SERVING))) for reply in probe.replies.values())


# --- reflection -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", VERSIONS)
def test_services_are_listed_under_both_names_of_the_call(house: House, version: str) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        (answer,) = streamed(channel, asks(version), [message((7, "*"))])

    listed = only(answer, 6, b"")
    assert isinstance(listed, bytes)
    assert {RLS, LEASES, HEALTH} == {
        bytes(only(one, 1)).decode() for _, one in fields(listed) if isinstance(one, bytes)
    }  # type: ignore[arg-type]


def pool_of(house: House, *services: str) -> descriptor_pool.DescriptorPool:
    """What a generic client knows after asking for services: their files, in the order in which they were told."""
    pool, seen = descriptor_pool.DescriptorPool(), set()
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        for answer in streamed(channel, asks("v1"), [message((4, name)) for name in services]):
            files = only(answer, 4, b"")
            assert isinstance(files, bytes)
            for _, raw in fields(files):
                assert isinstance(raw, bytes)
                told = descriptor_pb2.FileDescriptorProto.FromString(raw)
                if told.name not in seen:
                    seen.add(told.name)
                    pool.Add(told)  # type: ignore[no-untyped-call]
    return pool


def test_a_generic_client_asks_for_room_with_what_it_was_told(house: House) -> None:
    """Messages made from the descriptors alone: 7 of 10 a second are taken, and the answer says 3 are left."""
    house.rate("api")
    house.bind(house.limiter("api"), {"contract": "api"})
    call = pool_of(house, RLS).FindServiceByName(RLS).methods_by_name["ShouldRateLimit"]
    asked = message_factory.GetMessageClass(call.input_type)()
    asked.domain = "edge"
    told = asked.descriptors.add()
    told.entries.add(key="contract", value="api")
    told.hits_addend.value = 7

    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        raw = unary(channel, SHOULD_RATE_LIMIT)(asked.SerializeToString(), metadata=AS_GATE, timeout=10)
    answer = message_factory.GetMessageClass(call.output_type).FromString(raw)

    assert (OK, 3, 10) == (
        answer.overall_code,
        answer.statuses[0].limit_remaining,
        answer.statuses[0].current_limit.requests_per_unit,
    )


def test_the_stream_of_gates_is_described_as_it_is_spoken(house: House) -> None:
    """Both ways a stream; a Hello made from the descriptors is welcomed, and nothing in the answer is unknown."""
    house.plane.routes([], [])
    call = pool_of(house, LEASES, HEALTH).FindServiceByName(LEASES).methods_by_name["Hold"]
    assert (True, True) == (call.client_streaming, call.server_streaming)
    said = message_factory.GetMessageClass(call.input_type)()
    said.hello.holder, said.hello.protocol = bytes(16), 1
    said.hello.paths.add(id=7, contract="nothing", workload="")

    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        answers = [
            message_factory.GetMessageClass(call.output_type).FromString(raw)
            for raw in streamed(channel, HOLD, [said.SerializeToString()])
        ]

    assert ["welcome", "facts"] == [answer.WhichOneof("is") for answer in answers]
    assert (7, "HW404") == (answers[1].facts.path, answers[1].facts.code)


@pytest.mark.parametrize(
    "question", [message((3, "../secrets")), message((4, "nobody")), message((5, b"")), message((6, HEALTH))]
)
def test_what_is_not_served_is_not_found(house: House, question: bytes) -> None:
    """The stream goes on: the next question is answered."""
    with grpc.insecure_channel(f"127.0.0.1:{house.port}") as channel:
        missing, found = streamed(channel, asks("v1"), [question, message((4, HEALTH))])

    error = only(missing, 7, b"")
    assert isinstance(error, bytes)
    assert (5, question) == (only(error, 1), only(missing, 2))
    assert only(found, 4, b"")


@pytest.mark.parametrize(
    ("token", "status"), [(None, UNAUTHENTICATED), ("wrong", UNAUTHENTICATED), (VIEWER, PERMISSION_DENIED)]
)
def test_what_is_served_is_told_to_those_who_may_ask(house: House, token: str | None, status: int) -> None:
    with house.envoy(token) as nosy:
        assert status == nosy.call(asks("v1"), message((7, "*"))).grpc


@pytest.mark.parametrize("raw", [b"\xff", b"", message((99, 1)), message((4, b"\xff"))])
def test_what_is_no_question_ends_the_stream(house: House, raw: bytes) -> None:
    with house.envoy() as lost:
        assert INVALID_ARGUMENT == lost.call(asks("v1"), raw).grpc


def test_a_question_that_is_too_long_is_not_waited_for(house: House) -> None:
    with house.envoy() as lost:
        stream = lost.start(asks("v1"))
        lost.send(stream, struct.pack(">BI", 0, 4_097), end=False)
        assert INVALID_ARGUMENT == lost.wait(stream).grpc
