"""ASGI middleware: every request of an application meets a contract before it meets the application.

A request that is admitted holds its permit until its response is sent in full: through a stream, to the last byte, and
no longer, whatever ends it: the last chunk, a client that went away, an exception. One that is refused is answered here
with 429, `Retry-After` and a problem document, and the application never hears of it. A WebSocket holds its permit for
as long as it is open; the lifespan passes by.

    app = Middleware(app, headway.open("contracts/"), "api", key=lambda scope: scope["client"][0])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from headway._core import Limiter, Permit, Refused
from headway.enforce.asking import Asking, Contracts
from headway.enforce.attributes import Attributes, of_scope
from headway.enforce.http import Answer, Header, Tell, answer_of, rate_limit_fields

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

TRY_AGAIN_LATER = 1013
"""WebSocket close code (registry of RFC 6455, section 11.7)."""

_DENIAL = "websocket.http.response"


class Middleware:
    """Meters the requests of an ASGI application.

    Args:
        app: The application.
        limiter: A `Limiter`, or what `headway.open` or `headway.connect` returned, then with `contract`.
        contract: The contract's name; not with a `Limiter`.
        key: Whom a request is charged to, from its scope; for contracts and limits that have keys.
        workload: Which workload asks: its name, or a function of the scope; not with a `Limiter`. `other` where absent,
            and for what a function answers that is not declared: a request may say anything.
        attributes: What is said of a request beside its `method`, `path`, `host` and `header.NAME`, for contracts whose
            workloads have a `match`: `lambda scope: {"user": scope["user"].name}`. Not with `workload` or a `Limiter`.
        units: How many units a request is for, or a function of its scope that says so; at least 1.
        exempt: Which requests are not metered, from their scope: health checks, say.
        tell: How much a response says; absent: as the contract's `enforce.tell` says, else `public`.

    Raises:
        TypeError: `contract`, `workload` or `attributes` beside a `Limiter`, `workload` beside `attributes`, or no `contract`
            beside `headway.open(...)`.
        ValueError: `key` for a limit that has none, or no `key` for one that has.
        headway.HeadwayError: HW404, there is no such contract; HW406, it has no workload of that name. While it runs,
            HW406 where a function answers what is not declared and there is no `other`.
    """

    def __init__(
        self,
        app: App,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[Scope], str | None] | None = None,
        workload: str | Callable[[Scope], str | None] | None = None,
        attributes: Callable[[Scope], Attributes | None] | None = None,
        units: int | Callable[[Scope], int] = 1,
        exempt: Callable[[Scope], bool] | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._app = app
        self._asking = Asking(
            limiter,
            contract,
            key=key,
            workload=workload,
            attributes=attributes,
            units=units,
            exempt=exempt,
            tell=tell,
            read=of_scope,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        demand = self._asking.demand_of(scope) if scope["type"] in ("http", "websocket") else None
        if demand is None:
            await self._app(scope, receive, send)
            return

        limiter, units, key = demand
        tell = self._asking.tell
        try:
            permit = await limiter.acquire_async(units, key)
        except Refused as refused:
            await self._refuse(answer_of(limiter, refused.refusal, tell), refused.refusal.ref, scope, receive, send)
            return

        held = _Held(permit, send, lambda: rate_limit_fields(limiter, key, tell))
        try:
            await self._app(scope, receive, held.send)
        finally:
            held.release()

    @staticmethod
    async def _refuse(answer: Answer, ref: str, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            # The handshake's event stands first in line; servers expect it to be taken before an answer.
            await receive()
            if _DENIAL not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": ref})
                return
        prefix = "http.response" if scope["type"] == "http" else _DENIAL
        await send({"type": f"{prefix}.start", "status": answer.status, "headers": answer.headers})
        # A HEAD's answer has the length of what it leaves out.
        await send({"type": f"{prefix}.body", "body": b"" if scope.get("method") == "HEAD" else answer.body})


class _Held:
    """One permit and the response it is held for: released once, when the response is complete or its task ends."""

    def __init__(self, permit: Permit, send: Send, fields: Callable[[], list[Header]]) -> None:
        self._permit: Permit | None = permit
        self._send = send
        self._fields = fields
        self._trailers = False

    async def send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("http.response.start", "websocket.accept"):
            self._trailers = bool(message.get("trailers", False))
            message = {**message, "headers": [*message.get("headers", ()), *self._fields()]}
        await self._send(message)
        if self._completes(message):
            self.release()

    def release(self) -> None:
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()

    def _completes(self, message: Message) -> bool:
        """Whether the response is sent in full with this message. A WebSocket's is when the application returns."""
        match message["type"]:
            case "http.response.body" | "http.response.zerocopysend":
                return not message.get("more_body", False) and not self._trailers
            case "http.response.pathsend":
                return not self._trailers
            case "http.response.trailers":
                return not message.get("more_trailers", False)
            case _:
                return False
