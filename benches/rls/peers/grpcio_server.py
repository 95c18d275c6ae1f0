"""`grpcio_server.py threads|aio`: answers ShouldRateLimit from a counter of its own; prints its port.

As one would write it in an afternoon: grpcio's server, messages of protobuf's own runtime, a window of a second or an hour
for each `user`, in a dict. Run as a program; it imports nothing of the bench, whose cost would be its.
"""

from __future__ import annotations

import asyncio
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

SERVICE = "envoy.service.ratelimit.v3.RateLimitService"
OK, OVER_LIMIT = 1, 2
THREADS = 10
LIMITS = {"open": (100_000_000, 1), "closed": (1, 3_600)}
"""Service -> so many in so many seconds."""

_MESSAGES = {
    "Entry": [("key", 1, "string"), ("value", 2, "string")],
    "Descriptor": [("entries", 1, "*Entry")],
    "RateLimitRequest": [("domain", 1, "string"), ("descriptors", 2, "*Descriptor"), ("hits_addend", 3, "uint32")],
    "Status": [("code", 1, "int32"), ("limit_remaining", 3, "uint32")],
    "RateLimitResponse": [("overall_code", 1, "int32"), ("statuses", 2, "*Status")],
}


def _classes() -> dict[str, Any]:
    """The messages, as the protobuf compiler would make them of Envoy's files: the fields that are used here."""
    file = descriptor_pb2.FileDescriptorProto(name="bench.proto", package="bench", syntax="proto3")
    field_type = descriptor_pb2.FieldDescriptorProto
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        for field, number, kind in fields:
            if kind.startswith("*"):
                message.field.add(
                    name=field,
                    number=number,
                    label=field_type.LABEL_REPEATED,
                    type=field_type.TYPE_MESSAGE,
                    type_name=f".bench.{kind[1:]}",
                )
            else:
                of = getattr(field_type, f"TYPE_{kind.upper()}")
                message.field.add(name=field, number=number, label=field_type.LABEL_OPTIONAL, type=of)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"bench.{name}")) for name in _MESSAGES}


CLASSES = _classes()
counters: dict[tuple[str, str, str, int], int] = {}


def should_rate_limit(asked: Any, _: object) -> Any:
    """All descriptors are counted; over one limit is over all."""
    response = CLASSES["RateLimitResponse"](overall_code=OK)
    hits = asked.hits_addend or 1
    for descriptor in asked.descriptors:
        entries = {entry.key: entry.value for entry in descriptor.entries}
        limit, seconds = LIMITS[entries["service"]]
        key = (asked.domain, entries["service"], entries["user"], int(time.time()) // seconds)
        used = counters[key] = counters.get(key, 0) + hits
        code = OK if used <= limit else OVER_LIMIT
        response.statuses.add(code=code, limit_remaining=max(0, limit - used))
        if code == OVER_LIMIT:
            response.overall_code = OVER_LIMIT
    return response


async def should_rate_limit_aio(asked: Any, context: object) -> Any:
    return should_rate_limit(asked, context)


def handlers(call: Any) -> list[grpc.GenericRpcHandler]:
    reads, writes = CLASSES["RateLimitRequest"].FromString, CLASSES["RateLimitResponse"].SerializeToString
    method = grpc.unary_unary_rpc_method_handler(call, reads, writes)
    return [grpc.method_handlers_generic_handler(SERVICE, {"ShouldRateLimit": method})]


def serve_with_threads() -> None:
    server = grpc.server(ThreadPoolExecutor(THREADS), handlers=handlers(should_rate_limit))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


async def serve_with_asyncio() -> None:
    server = grpc.aio.server(handlers=handlers(should_rate_limit_aio))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


if __name__ == "__main__":
    if sys.argv[1] == "aio":
        asyncio.run(serve_with_asyncio())
    else:
        serve_with_threads()
