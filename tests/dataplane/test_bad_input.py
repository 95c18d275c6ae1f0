"""What arrives and should not: too much, too little, too slowly, too often."""

from __future__ import annotations

import socket
import struct

import h2.errors
import pytest

from tests.dataplane.conftest import GATE, House, Serve
from tests.dataplane.envoy import (
    INVALID_ARGUMENT,
    OK,
    SHOULD_RATE_LIMIT,
    UNIMPLEMENTED,
    Connection,
    descriptor,
    frame,
    request,
)
from tests.dataplane.wire import message, varint


@pytest.fixture
def house(serve: Serve) -> House:
    """A thousand a second under `{contract: api}`, and a deadline that no busy machine misses."""
    made = serve(deadline_ms=60_000)
    made.rate("api", 1_000)
    limiter = made.limiter("api")
    made.check("api", limiter)
    made.bind(limiter, {"contract": "api"})
    return made


ONE = descriptor({"contract": "api"})


def admitted(house: House) -> int:
    return sum(path.admitted for path in house.meters.paths())


@pytest.mark.parametrize(
    "raw",
    [
        request(*[ONE] * 17),
        request(descriptor([("a", "b")] * 9)),
        request(descriptor([("a", "b")] * 10_000)),
        request(descriptor({"contract": "x" * 257})),
        request(descriptor({"k" * 257: "x"})),
        request(ONE, domain="d" * 257),
        request(descriptor({"contract": "x" * 2**20})),
        request(ONE) + message((99, b"x" * 100_000)),
        request(ONE)[:-1],
        request(ONE) + b"\x12\xff\xff\xff\xff\x7f",
        b"\xff" * 50,
        message((2, message((1, message((1, b"\xff\xfe")))))),
        message((1, 7)),
        b"\x0b\x0c",
        b"\x12" + varint(3) + b"\x1a\x05\x08",
    ],
    ids=lambda raw: f"{len(raw)}-{raw[:6].hex()}",
)
def test_an_oversize_or_malformed_request_is_an_invalid_argument(house: House, raw: bytes) -> None:
    """Told as such, charged nothing, and the connection goes on."""
    with house.envoy() as envoy:
        assert INVALID_ARGUMENT == envoy.call(SHOULD_RATE_LIMIT, raw).grpc
        assert 0 == admitted(house)
        assert OK == envoy.ask(request(ONE)).code


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", INVALID_ARGUMENT),
        (b"\0\0\0", INVALID_ARGUMENT),
        (frame(request(ONE), 2), INVALID_ARGUMENT),
        (frame(request(ONE)) * 2, INVALID_ARGUMENT),
        (struct.pack(">BI", 0, 2**32 - 1) + request(ONE), INVALID_ARGUMENT),
        (frame(request(ONE), 1), UNIMPLEMENTED),
    ],
)
def test_a_frame_that_is_none_is_told(house: House, body: bytes, status: int) -> None:
    """Cut short, two at once, a length that is not there, compressed."""
    with house.envoy() as envoy:
        stream = envoy.start(SHOULD_RATE_LIMIT)
        envoy.send(stream, body)
        assert status == envoy.wait(stream).grpc
        assert 0 == admitted(house)


def test_the_largest_request_that_is_read_is_answered(house: House) -> None:
    """16 descriptors of 8 entries with 256 bytes each: all of it, in several pieces."""
    largest = descriptor([(f"{entry}" + "k" * 255, "v" * 256) for entry in range(8)])

    with house.envoy() as envoy:
        assert [OK] * 16 == envoy.ask(request(*[largest] * 16)).codes


def test_streams_that_are_reset_as_they_are_opened_end_their_connection(house: House) -> None:
    """Rapid reset (CVE-2023-44487): 2,000 in one piece, again and again; the peer is cut off, others are answered as before."""
    with house.envoy() as rude, house.envoy() as envoy:
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            open_and_reset(rude, SHOULD_RATE_LIMIT, pieces=20, each=2_000)
        assert OK == envoy.ask(request(ONE)).code
    assert 1 == admitted(house)


def open_and_reset(envoy: Connection, path: str, *, pieces: int, each: int) -> None:
    """Begins calls and gives them up, so many in one piece."""
    for _ in range(pieces):
        for _ in range(each):
            envoy.h2.reset_stream(envoy.start(path), h2.errors.ErrorCodes.CANCEL)
        envoy.flush()


def test_streams_beyond_their_number_are_refused_by_the_protocol(house: House) -> None:
    """1,001 calls that never send their message: the peer may have 1,000 under way, and other peers do not notice."""
    with house.envoy() as slow, house.envoy() as envoy:
        slow.socket.settimeout(10)
        while slow.h2.remote_settings.max_concurrent_streams > 2**20:
            slow.read_once()
        assert 1_000 == slow.h2.remote_settings.max_concurrent_streams
        for _ in range(1_000):
            slow.start(SHOULD_RATE_LIMIT)
        slow.flush()
        assert OK == envoy.ask(request(ONE)).code


def test_headers_beyond_their_bytes_are_refused(house: House) -> None:
    """100 KB of headers: 431 over HTTP/1.1, a refused stream over HTTP/2, and nobody else notices."""
    with house.http() as front, house.envoy() as envoy:
        assert 431 == front.get("/check/api", headers={"x-filler": "x" * 100_000}).status_code
        stream = envoy.start(SHOULD_RATE_LIMIT, end=True, x_filler="x" * 15_000, x_more="y" * 15_000)
        envoy.flush()
        reply = envoy.wait(stream)
        assert "431" == reply.headers.get(":status", "431")
        assert 200 == front.get("/check/api").status_code


def test_a_peer_that_does_not_read_is_closed(serve: Serve) -> None:
    """Its window stays shut, so its answers wait; after `idle_ms` without progress the connection ends."""
    house = serve(deadline_ms=60_000, idle_ms=300)
    house.rate("api", 1_000)
    house.bind(house.limiter("api"), {"contract": "api"})

    with house.envoy() as deaf:
        deaf.h2.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
        deaf.flush()
        for _ in range(3):
            deaf.send(deaf.start(SHOULD_RATE_LIMIT), frame(request(ONE)))
        deaf.wait_closed()

    assert all(reply.reset is not None or not reply.body for reply in deaf.replies.values())
    with house.envoy() as envoy:
        assert OK == envoy.ask(request(ONE)).code


@pytest.mark.parametrize("opening", [b"", b"GET /check/api HTTP/1.1\r\nx: y\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"])
def test_a_peer_that_never_asks_is_closed(serve: Serve, opening: bytes) -> None:
    """Nothing, half of a request's headers, or a preface and then silence: none may hold its place."""
    house = serve(idle_ms=200)

    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as silent:
        silent.sendall(opening)
        received = b""
        while piece := silent.recv(4_096):
            received += piece

    assert b"200" not in received[:20]


def test_a_message_that_never_comes_is_given_up(serve: Serve) -> None:
    """Headers, half a message, and silence: with the connection's time the call ends as well."""
    house = serve(idle_ms=200)

    with house.envoy() as slow:
        stream = slow.start(SHOULD_RATE_LIMIT)
        slow.send(stream, frame(request(ONE))[:7], end=False)
        slow.wait_closed()

    assert 0 == admitted(house)


def test_connections_beyond_their_number_are_closed_at_once(serve: Serve) -> None:
    """Two may be open; the third is closed before it says anything, and the first goes on."""
    house = serve(connections=2, deadline_ms=60_000)

    with house.envoy() as first, house.envoy() as second:
        assert [OK, OK] == [envoy.ask(request()).code for envoy in (first, second)]
        assert not is_served(house)
        assert OK == first.ask(request()).code


def test_one_peer_has_no_more_than_its_share_of_them(serve: Serve) -> None:
    """Two from one address, of eight in all: the third is closed at once, and when one leaves there is room again."""
    house = serve(connections=8, per_peer=2, deadline_ms=60_000)

    with house.envoy() as first:
        with house.envoy() as second:
            assert [OK, OK] == [envoy.ask(request()).code for envoy in (first, second)]
            assert (False, True) == (is_served(house), is_served(house, "127.0.0.2"))
        assert OK == first.ask(request()).code
        # A closed connection leaves its place as soon as its end is seen.
        assert any(is_served(house) for _ in range(1_000))


def is_served(house: House, source: str = "127.0.0.1") -> bool:
    """Whether one more connection is answered; False where it is closed instead."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=10, source_address=(source, 0)) as one:
        try:
            one.sendall(b"GET /healthz HTTP/1.1\r\nhost: headway\r\n\r\n")
            return one.recv(100).startswith(b"HTTP/1.1 200")
        except ConnectionError:
            return False


def test_requests_beyond_their_number_are_overloaded(serve: Serve) -> None:
    """One may be under way, and it waits for its message: the next is refused by a contract that enforces, uncharged."""
    house = serve(in_flight=1, deadline_ms=60_000)
    house.rate("api", 1_000)
    limiter = house.limiter("api")
    house.check("api", limiter)
    house.bind(limiter, {"contract": "api"})

    with house.envoy() as slow, house.envoy() as envoy:
        stream = slow.start(SHOULD_RATE_LIMIT)
        slow.send(stream, b"", end=False)
        slow.settle()
        answer = envoy.ask(request(ONE))
        slow.send(stream, frame(request(ONE)))
        slow.wait(stream)
        after = envoy.ask(request(ONE))

    assert ("overloaded", OK) == (answer.metadata["why"], after.code)
    assert {"overloaded": 1} == limiter.reading().refused_by


def test_a_post_with_a_body_is_answered_without_reading_it(house: House) -> None:
    """The question stands in the query; what a front sends along is not kept."""
    with house.http() as front:
        response = front.post("/check/api", content=b"x" * 100_000)
        assert 200 == response.status_code
        assert 200 == front.get("/check/api").status_code


def test_what_is_no_http_is_answered_as_such(house: House) -> None:
    """A TLS hello on a plain port."""
    with socket.create_connection(("127.0.0.1", house.port), timeout=10) as lost:
        lost.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 600)
        received = b""
        while piece := lost.recv(4_096):
            received += piece

    assert received == b"" or received.startswith(b"HTTP/1.1 400")
    with Connection(house.port, GATE) as envoy:
        assert OK == envoy.ask(request(ONE)).code
