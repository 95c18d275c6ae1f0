"""Asks as Envoy does: HTTP/2 with `h2`, which is nobody's we serve with, and RLS messages by hand."""

from __future__ import annotations

import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import h2.config
import h2.connection
import h2.events
import h2.settings

from tests.dataplane.wire import fields, message, only

SHOULD_RATE_LIMIT = "/envoy.service.ratelimit.v3.RateLimitService/ShouldRateLimit"
OK, OVER_LIMIT = 1, 2
INVALID_ARGUMENT, DEADLINE_EXCEEDED, NOT_FOUND, PERMISSION_DENIED, UNIMPLEMENTED, UNAUTHENTICATED = 3, 4, 5, 7, 12, 16

Entries = dict[str, str] | Sequence[tuple[str, str]]


def descriptor(
    entries: Entries, hits: int | None = None, *, back: bool = False, override: bytes | None = None
) -> bytes:
    """A RateLimitDescriptor; `hits` None leaves them to the request."""
    pairs = entries.items() if isinstance(entries, dict) else entries
    told: list[tuple[int, int | bytes | str]] = [(1, message((1, key), (2, value))) for key, value in pairs]
    if override is not None:
        told.append((2, override))
    if hits is not None:
        told.append((3, message((1, hits))))
    if back:
        told.append((4, 1))
    return message(*told)


def request(*descriptors: bytes, domain: str = "edge", hits: int = 0) -> bytes:
    """A RateLimitRequest."""
    return message((1, domain), *((2, one) for one in descriptors), *(((3, hits),) if hits else ()))


@dataclass
class Status:
    """A DescriptorStatus."""

    code: int
    quota: int
    unit: int
    name: str
    remaining: int
    reset_ns: int

    @classmethod
    def of(cls, raw: bytes) -> Status:
        limit, reset = bytes(_bytes(raw, 2)), bytes(_bytes(raw, 4))
        after = int(only(reset, 1)) * 1_000_000_000 + int(only(reset, 2))
        name = _bytes(limit, 3).decode()
        return cls(int(only(raw, 1)), int(only(limit, 1)), int(only(limit, 2)), name, int(only(raw, 3)), after)


def _bytes(raw: bytes, number: int) -> bytes:
    value = only(raw, number, b"")
    assert isinstance(value, bytes)
    return value


@dataclass
class Answer:
    """A RateLimitResponse."""

    raw: bytes
    code: int = 0
    statuses: list[Status] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    metadata: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number, value in fields(self.raw):
            if number == 1:
                self.code = int(value)
                continue
            assert isinstance(value, bytes)
            if number == 2:
                self.statuses.append(Status.of(value))
            elif number == 3:
                self.headers[_bytes(value, 1).decode()] = _bytes(value, 2).decode()
            elif number == 5:
                self.body = value
            else:
                assert 6 == number
                self.metadata = _struct(value)

    @property
    def codes(self) -> list[int]:
        return [status.code for status in self.statuses]


def _struct(raw: bytes) -> dict[str, Any]:
    return {_bytes(entry, 1).decode(): _json(_bytes(entry, 2)) for _, entry in fields(raw) if isinstance(entry, bytes)}


def _json(raw: bytes) -> Any:
    ((number, value),) = fields(raw)
    assert isinstance(value, bytes)
    match number:
        case 2:
            return struct.unpack("<d", value)[0]
        case 3:
            return value.decode()
        case 5:
            return _struct(value)
        case 6:
            return [_json(one) for _, one in fields(value) if isinstance(one, bytes)]
    raise AssertionError(number)


@dataclass
class Reply:
    """What came back on a stream: HTTP headers with trailers over them, the body, and how it ended."""

    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    reset: int | None = None
    ended: bool = False

    @property
    def grpc(self) -> int:
        return int(self.headers["grpc-status"])

    @property
    def unframed(self) -> bytes:
        flag, size = struct.unpack(">BI", self.body[:5])
        assert (0, len(self.body) - 5) == (flag, size)
        return self.body[5:]


class Connection:
    """One HTTP/2 connection. Everything waits ten seconds at most and then fails."""

    def __init__(self, port: int, token: str | None) -> None:
        self.token = token
        self.replies: dict[int, Reply] = {}
        self.goaway: int | None = None
        self.after_goaway = b""
        self._unread = b""
        self.pongs = 0
        self.is_closed = False
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=10)
        self.h2 = h2.connection.H2Connection(h2.config.H2Configuration(header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.flush()

    def __enter__(self) -> Connection:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def flush(self) -> None:
        self.socket.sendall(self.h2.data_to_send())

    def start(self, path: str, *, end: bool = False, **extra: str) -> int:
        """Sends a call's headers; the stream."""
        stream = self.h2.get_next_available_stream_id()
        headers = {":method": "POST", ":scheme": "http", ":authority": "headway", ":path": path}
        headers |= {"content-type": "application/grpc", "te": "trailers"}
        if self.token is not None:
            headers["authorization"] = f"Bearer {self.token}"
        headers |= {name.replace("_", "-"): value for name, value in extra.items()}
        self.h2.send_headers(stream, list(headers.items()), end_stream=end)
        self.replies[stream] = Reply()
        return stream

    def send(self, stream: int, body: bytes, *, end: bool = True) -> None:
        """Sends a body as the windows open; what the answer does not wait for is left out."""
        while not self.replies[stream].ended:
            size = min(self.h2.max_outbound_frame_size, self.h2.local_flow_control_window(stream))
            piece, body = body[:size], body[size:]
            if piece or not body:
                self.h2.send_data(stream, piece, end_stream=end and not body)
            self.flush()
            if not body:
                return
            if not size:
                self.read_once()

    def read_once(self) -> None:
        """Reads what there is, at least one byte or the end."""
        raw = self.socket.recv(65_536)
        if not raw:
            self.is_closed = True
            for reply in self.replies.values():
                reply.ended = True
            return
        self._unread += raw
        while len(self._unread) >= 9 and len(self._unread) >= (size := 9 + int.from_bytes(self._unread[:3])):
            frame, self._unread = self._unread[:size], self._unread[size:]
            if self.goaway is None:
                for event in self.h2.receive_data(frame):
                    self._take(event)
            else:
                self._take_late(frame)
        if self.goaway is None:
            self.flush()

    def _take_late(self, frame: bytes) -> None:
        """`h2` is done with a connection at its GOAWAY; what is still under way comes as it is, and pings are answered."""
        self.after_goaway += frame
        if (frame[3], frame[4]) == (6, 0):
            self.socket.sendall(frame[:4] + b"\1" + frame[5:])

    def settle(self) -> None:
        """Until the other side has read everything up to here."""
        pongs = self.pongs
        self.h2.ping(b"are you?")
        self.flush()
        while self.pongs == pongs:
            self.read_once()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.ConnectionTerminated):
            self.goaway = int(event.error_code or 0)
            return
        if isinstance(event, h2.events.PingAckReceived):
            self.pongs += 1
        reply = self.replies.get(getattr(event, "stream_id", 0) or 0, Reply())
        if isinstance(event, h2.events.ResponseReceived | h2.events.TrailersReceived):
            reply.headers |= {str(name): str(value) for name, value in event.headers}
        elif isinstance(event, h2.events.DataReceived):
            reply.body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamEnded):
            reply.ended = True
        elif isinstance(event, h2.events.StreamReset):
            reply.ended, reply.reset = True, int(event.error_code)

    def wait(self, stream: int) -> Reply:
        while not self.replies[stream].ended:
            self.read_once()
        return self.replies[stream]

    def call(self, path: str, raw: bytes, **extra: str) -> Reply:
        """One unary call with a message in its frame."""
        stream = self.start(path, **extra)
        self.send(stream, frame(raw))
        return self.wait(stream)

    def ask(self, raw: bytes) -> Answer:
        """One rate-limit request that is answered well."""
        reply = self.call(SHOULD_RATE_LIMIT, raw)
        assert ("200", "application/grpc", 0) == (reply.headers[":status"], reply.headers["content-type"], reply.grpc)
        return Answer(reply.unframed)

    def wait_closed(self) -> None:
        """Until the other side closes; after its GOAWAY nothing is read any more but that."""
        while not self.is_closed:
            self.read_once()


def frame(raw: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(raw)) + raw


def data_frame(stream: int, body: bytes) -> bytes:
    """A DATA frame that ends its stream."""
    return len(body).to_bytes(3) + b"\0\1" + stream.to_bytes(4) + body
