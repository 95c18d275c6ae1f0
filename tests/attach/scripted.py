"""A server of both of Envoy's services that answers what a test says, and remembers what it was asked."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc

from tests.dataplane.wire import fields, message, only

UNTIL_S = 30
"""How long a test waits for what is about to come."""


@dataclass(frozen=True)
class Usage:
    """What one report says of one bucket."""

    domain: str
    bucket: Mapping[str, str]
    elapsed_ns: int
    allowed: int
    denied: int


@dataclass
class Scripted:
    """What it says and what it heard.

    Attributes:
        answer: To a rate-limit request: the bytes of a RateLimitResponse.
        asked: Rate-limit requests, as they came.
        usages: What was reported on all streams, in order.
        streams: How many streams have begun.
    """

    address: str = ""
    answer: Callable[[bytes], bytes] = lambda _request: b""
    asked: list[bytes] = field(default_factory=list)
    usages: list[Usage] = field(default_factory=list)
    streams: int = 0
    _pushes: list[queue.Queue[bytes]] = field(default_factory=list)

    def push(self, *actions: bytes) -> None:
        """Sends bucket actions down every stream, in one message each."""
        for action in actions:
            for pushes in list(self._pushes):
                pushes.put(message((1, action)))

    def of(self, bucket: Mapping[str, str]) -> list[Usage]:
        """What was reported of a bucket."""
        return [usage for usage in list(self.usages) if usage.bucket == bucket]

    def decide(self, request: bytes, _context: Any) -> bytes:
        self.asked.append(request)
        return self.answer(request)

    def stream(self, reports: Iterator[bytes], context: Any) -> Iterator[bytes]:
        pushes: queue.Queue[bytes] = queue.Queue()
        self._pushes.append(pushes)
        self.streams += 1

        def listen() -> None:
            try:
                for report in reports:
                    self.usages += _usages(report)
            except grpc.RpcError:
                # The stream is over; what ends it for us is the empty message.
                pass
            pushes.put(b"")

        threading.Thread(target=listen, daemon=True).start()
        yield from iter(pushes.get, b"")
        self._pushes.remove(pushes)


@contextmanager
def scripted() -> Iterator[Scripted]:
    """Runs one."""
    script = Scripted()
    server = grpc.server(ThreadPoolExecutor(8))
    services: list[tuple[str, str, Any]] = [
        (
            "envoy.service.ratelimit.v3.RateLimitService",
            "ShouldRateLimit",
            grpc.unary_unary_rpc_method_handler(script.decide),
        ),
        (
            "envoy.service.rate_limit_quota.v3.RateLimitQuotaService",
            "StreamRateLimitQuotas",
            grpc.stream_stream_rpc_method_handler(script.stream),
        ),
    ]
    for service, method, handler in services:
        server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {method: handler}),))
    script.address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    server.start()
    try:
        yield script
    finally:
        server.stop(0).wait()


def wait(done: Callable[[], bool]) -> None:
    """Waits for what is about to come."""
    until = time.monotonic() + UNTIL_S
    while not done():
        assert time.monotonic() < until, "it never came to that"
        threading.Event().wait(0.02)


# --- what is said of a bucket -------------------------------------------------------------------------------------


def tokens(most: int, per_fill: int = 1, *, every_s: float = 3_600) -> bytes:
    """The strategy of a token bucket; unless told it fills so slowly that it does not."""
    whole, part = int(every_s), int(every_s % 1 * 1e9)
    return message((3, message((1, most), (2, message((1, per_fill))), (3, message((1, whole), (2, part))))))


def per_unit(many: int) -> bytes:
    """The strategy of so many requests a second, which Envoy 1.40 does not know."""
    return message((2, message((1, many), (2, 1))))


def assign(bucket: Mapping[str, str], strategy: bytes | None, *, ttl_s: float | None = 60) -> bytes:
    """A BucketAction that assigns; without a strategy or a life where they are None."""
    told: list[tuple[int, int | bytes | str]] = []
    if ttl_s is not None:
        told.append((2, message((1, int(ttl_s)), (2, int(ttl_s % 1 * 1e9)))))
    if strategy is not None:
        told.append((3, strategy))
    return message((1, _id(bucket)), (2, message(*told)))


def abandon(bucket: Mapping[str, str]) -> bytes:
    """A BucketAction that lets a bucket go."""
    return message((1, _id(bucket)), (3, b""))


def _id(bucket: Mapping[str, str]) -> bytes:
    return message(*((1, message((1, name), (2, value))) for name, value in bucket.items()))


def _usages(report: bytes) -> Iterator[Usage]:
    domain = _bytes(only(report, 1, b"")).decode()
    for number, usage in fields(report):
        if number != 2:
            continue
        raw = _bytes(usage)
        bucket = {
            _bytes(only(_bytes(entry), 1)).decode(): _bytes(only(_bytes(entry), 2)).decode()
            for _, entry in fields(_bytes(only(raw, 1, b"")))
        }
        elapsed = _bytes(only(raw, 2, b""))
        elapsed_ns = int(only(elapsed, 1)) * 1_000_000_000 + int(only(elapsed, 2))
        yield Usage(domain, bucket, elapsed_ns, int(only(raw, 3)), int(only(raw, 4)))


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value
