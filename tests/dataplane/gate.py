"""A gate's stream as bytes: what a gate of ours would say, and what none would."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from tests.dataplane.envoy import Connection, frame
from tests.dataplane.wire import fields, message, only

HOLD = "/headway.lease.v1.Leases/Hold"
NAME = bytes(range(16))
HELLO, ASK, SETTLE, BYE, PATH, ALIVE = 1, 3, 4, 5, 6, 8
WELCOME, ANSWER, RETIRE, FACTS = 1, 3, 4, 5
"""The fields of a keeper's message; ALIVE is the same."""
ACQUIRE, RESERVE, PROBE = 0, 1, 2


def held(id: int, units: int = 1, path: int = 1, *, key: str | None = None) -> bytes:
    return message((1, id), (2, path), (3, units), *(() if key is None else ((4, key),)))


def path(id: int, contract: str, workload: str | None = None) -> bytes:
    return message((1, id), (2, contract), *(() if workload is None else ((3, workload),)))


def hello(*holds: bytes, name: bytes = NAME, paths: tuple[bytes, ...] = (), protocol: int = 1) -> bytes:
    """A framed Hello; without paths it has path 1 open, of `db`."""
    opened = paths or (path(1, "db"),)
    told = ((1, name), (2, protocol), *((3, one) for one in holds), *((6, one) for one in opened))
    return frame(message((HELLO, message(*told))))


def ask(
    id: int, units: int = 1, path: int = 1, *, key: str | None = None, wait_ms: int = 0, kind: int = ACQUIRE
) -> bytes:
    whose = () if key is None else ((4, key),)
    return frame(message((ASK, message((1, id), (2, path), (3, units), *whose, (5, wait_ms), (6, kind)))))


def settle(id: int, actual: int | None = None) -> bytes:
    return frame(message((SETTLE, message((1, id), *(() if actual is None else ((2, actual),))))))


def opens(id: int, contract: str, workload: str | None = None) -> bytes:
    return frame(message((PATH, path(id, contract, workload))))


def alive(counter: int) -> bytes:
    return frame(message((ALIVE, message((1, counter)))))


class Gate:
    """One stream on a connection of its own, or on one that it shares."""

    def __init__(self, connection: Connection, *opening: bytes) -> None:
        self.connection = connection
        self.stream = connection.start(HOLD)
        self._seen = 0
        self.say(*opening)

    def say(self, *frames: bytes, end: bool = False) -> None:
        self.connection.send(self.stream, b"".join(frames), end=end)

    def heard(self) -> Iterator[tuple[int, bytes]]:
        """What the keeper says, as (field, message), until the stream ends."""
        reply = self.connection.replies[self.stream]
        while True:
            body = reply.body[self._seen :]
            if len(body) >= 5 and len(body) - 5 >= (size := struct.unpack(">BI", body[:5])[1]):
                self._seen += 5 + size
                ((number, value),) = fields(body[5 : 5 + size])
                assert isinstance(value, bytes)
                yield number, value
            elif reply.ended:
                return
            else:
                self.connection.read_once()

    def next(self, number: int) -> bytes:
        """The next message of a kind; others before it are passed over."""
        return next(value for kind, value in self.heard() if kind == number)

    def answer(self) -> tuple[int, bool, str]:
        """The next answer: its id, whether it was granted, and why not."""
        raw = self.next(ANSWER)
        refused = only(raw, 4, b"")
        assert isinstance(refused, bytes)
        why = only(refused, 1, b"")
        assert isinstance(why, bytes)
        return int(only(raw, 1)), bool(only(raw, 2)), why.decode()

    def status(self) -> int:
        """How the stream ended."""
        return self.connection.wait(self.stream).grpc
