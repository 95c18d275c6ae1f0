"""The request that is sent over and over, and what its answer says."""

from __future__ import annotations

import struct

import grpc

from tests.dataplane.envoy import OK, OVER_LIMIT, SHOULD_RATE_LIMIT, Answer, descriptor, request

DOMAIN = "bench"
CASES = {"admitted": "open", "refused": "closed"}
"""Case -> the `service` of its descriptor."""

OPEN_PER_S = 100_000_000
"""What `open` admits a second: more than is ever asked here."""

ANSWER_WITHIN_S = 20.0
"""A server may be starting yet."""


def message_of(case: str) -> bytes:
    """The RateLimitRequest of a case: one descriptor of two entries, one hit."""
    return request(descriptor({"service": CASES[case], "user": "u-4711"}), domain=DOMAIN)


def framed(message: bytes) -> bytes:
    """A message as the body of a unary call. Source: gRPC over HTTP/2, Length-Prefixed-Message."""
    return struct.pack(">BI", 0, len(message)) + message


def is_admitted(port: int, token: str, case: str) -> bool:
    """Asks once, with gRPC's own client. AssertionError where the answer is neither yes nor no."""
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = channel.unary_unary(SHOULD_RATE_LIMIT, bytes, bytes)
        said = call(
            message_of(case),
            metadata=(("authorization", f"Bearer {token}"),),
            timeout=ANSWER_WITHIN_S,
            wait_for_ready=True,
        )
    # A peer that was told more than we read, as envoyproxy/ratelimit with headers, would not get past `Answer`.
    code = Answer(bytes(said)).code
    assert code in (OK, OVER_LIMIT), f"{case} was answered {code}"
    return code == OK
