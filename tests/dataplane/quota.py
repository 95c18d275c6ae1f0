"""A proxy on Envoy's quota service: its stream by hand, what it reports, what it is told."""

from __future__ import annotations

import struct
import time
from dataclasses import dataclass
from typing import Literal

from headway._core import RlqsRoute
from tests.core.making import SECOND
from tests.dataplane.conftest import GATE, House
from tests.dataplane.envoy import Connection, Reply, frame
from tests.dataplane.wire import fields, message, only

STREAM = "/envoy.service.rate_limit_quota.v3.RateLimitQuotaService/StreamRateLimitQuotas"
CHECKOUT = {"name": "checkout"}
QUIET_S = 5
"""Nothing is assigned before what an earlier process assigned has ended."""


@dataclass(frozen=True)
class Told:
    """One bucket action. `deny` has its life; `bucket` too, and its tokens; `abandon` has neither."""

    bucket: dict[str, str]
    kind: Literal["deny", "bucket", "abandon"]
    ttl_s: int = 0
    tokens: int = 0
    per_s: int = 0


def usage(bucket: dict[str, str], allowed: int, denied: int = 0) -> bytes:
    """A BucketQuotaUsage, with a `time_elapsed` of zero, as Envoy's first."""
    entries = [(1, message((1, key), (2, value))) for key, value in bucket.items()]
    return message((1, message(*entries)), (2, b""), (3, allowed), (4, denied))


class Proxy:
    """One stream on a connection of its own."""

    def __init__(self, port: int, token: str | None = GATE) -> None:
        self.connection = Connection(port, token)
        self.stream = self.connection.start(STREAM)
        self.connection.flush()
        self._read = 0

    @property
    def reply(self) -> Reply:
        return self.connection.replies[self.stream]

    def report(self, *usages: bytes, domain: str = "edge") -> None:
        self.send(frame(message((1, domain), *((2, one) for one in usages))))

    def send(self, raw: bytes) -> None:
        self.connection.h2.send_data(self.stream, raw)
        self.connection.flush()

    def told(self) -> Told:
        """The next action, waited for."""
        while len(self.reply.body) - self._read < 5 or len(self.reply.body) - self._read < 5 + self._size():
            assert not self.reply.ended, self.reply
            self.connection.read_once()
        start = self._read + 5
        self._read = start + self._size()
        ((number, action),) = fields(self.reply.body[start : self._read])
        assert 1 == number and isinstance(action, bytes)
        return told_of(action)

    def told_until(self, kind: str) -> list[Told]:
        """What it is told up to the first of a kind."""
        all_told = [self.told()]
        while all_told[-1].kind != kind:
            all_told.append(self.told())
        return all_told

    def _size(self) -> int:
        flag, size = struct.unpack(">BI", self.reply.body[self._read : self._read + 5])
        assert 0 == flag
        return int(size)

    def close(self) -> None:
        self.connection.socket.close()


def told_of(action: bytes) -> Told:
    """A BucketAction. Anything but a whole one is an AssertionError: an unset life or strategy, another interval than 1 s."""
    parts = dict(fields(action))
    bucket = {}
    for _, entry in fields(_bytes(parts[1])):
        bucket[_bytes(only(_bytes(entry), 1)).decode()] = _bytes(only(_bytes(entry), 2)).decode()
    if 3 in parts:
        assert {1, 3} == set(parts)
        return Told(bucket, "abandon")
    assert {1, 2} == set(parts)
    assignment = dict(fields(_bytes(parts[2])))
    assert {2, 3} == set(assignment)
    life = dict(fields(_bytes(assignment[2])))
    assert {1} == set(life)
    ((kind, strategy),) = fields(_bytes(assignment[3]))
    ttl_s = int(life[1])
    if kind == 1:
        assert 1 == strategy
        return Told(bucket, "deny", ttl_s)
    assert 3 == kind
    token_bucket = dict(fields(_bytes(strategy)))
    assert message((1, 1)) == token_bucket[3]
    per_s = int(only(_bytes(token_bucket[2]), 1))
    return Told(bucket, "bucket", ttl_s, int(token_bucket[1]), per_s)


def _bytes(value: int | bytes) -> bytes:
    assert isinstance(value, bytes)
    return value


def divided(house: House, level: int = 100, *, quiet: bool = False) -> None:
    """A rate divided for `{name: checkout}`; unless `quiet`, everything an earlier process assigned has ended."""
    house.rate("checkout", level)
    house.plane.routes([], [], [], [], [RlqsRoute("edge", CHECKOUT, house.limiter("checkout"))])
    if not quiet:
        settled(house)


def settled(house: House) -> None:
    """Past the quiet time, with the burst free. A division begins at the first look, so a stream is told to deny before."""
    proxy = Proxy(house.port)
    proxy.report(usage(CHECKOUT, 1))
    subscribed(house, proxy)
    proxy.told()
    proxy.close()
    gone(house)
    house.meters.clock.advance((QUIET_S + 1) * SECOND)
    # The first look after the quiet time counts from there on.
    other = Proxy(house.port)
    other.report(usage(CHECKOUT, 1))
    other.told()
    other.close()
    gone(house)
    house.meters.clock.advance(6 * SECOND)


def subscribed(house: House, proxy: Proxy) -> None:
    """Reports until it is heard: a report may come before the first look at the clock."""
    until = time.monotonic() + 10
    while not house.plane.divided()[0][1]:
        assert time.monotonic() < until
        proxy.report(usage(CHECKOUT, 1))
        proxy.connection.settle()


def gone(house: House) -> None:
    """Waits until the end of every stream was seen."""
    until = time.monotonic() + 10
    with house.envoy() as other:
        while house.plane.divided()[0][1]:
            assert time.monotonic() < until
            other.settle()
