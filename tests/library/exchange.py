"""One request through an application, as a server drives it: what the middleware's tests share."""

import asyncio
import json
from typing import Any

from http_sfv.list import List

import headway
from headway.asgi import App, Message, Receive, Scope, Send

HTTP: Scope = {"type": "http", "method": "GET", "path": "/", "headers": [], "client": ("10.0.0.1", 4711)}
START: Message = {"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]}


async def hello(scope: Scope, receive: Receive, send: Send) -> None:
    """The smallest application."""
    await send(START)
    await send({"type": "http.response.body", "body": b"hello"})


class Exchange:
    """One request as a server sees it: what was received, what was sent."""

    def __init__(self, *received: Message) -> None:
        self.left = list(received)
        self.sent: list[Message] = []

    async def receive(self) -> Message:
        return self.left.pop(0) if self.left else {"type": "http.disconnect"}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        status: int = self.sent[0]["status"]
        return status

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> Any:
        return json.loads(b"".join(message.get("body", b"") for message in self.sent[1:]))


def ask(app: App, scope: Scope | None = None, *received: Message) -> Exchange:
    """Runs one request through an application."""
    exchange = Exchange(*received)
    asyncio.run(call(app, HTTP if scope is None else scope, exchange))
    return exchange


async def call(app: App, scope: Scope, exchange: Exchange) -> None:
    await app(scope, exchange.receive, exchange.send)


def in_flight(limiter: headway.Limiter, limit: int) -> int:
    """How many of a concurrency's slots are taken, by taking what is left and giving it back."""
    permits = []
    while permit := limiter.try_acquire():
        assert isinstance(permit, headway.Permit)
        permits.append(permit)
    for permit in permits:
        permit.release()
    return limit - len(permits)


def parsed(headers: dict[str, str], name: str) -> List:
    """A structured field, read by a parser that we did not write."""
    field = List()
    field.parse(headers[name].encode())
    return field
