"""ASGI middleware: every request of an application meets a contract before it meets the application.

A request that is admitted holds its permit until its response is sent in full: through a stream, to the last byte, and
no longer, whatever ends it: the last chunk, a client that went away, an exception. One that is refused is answered here
with 429, `Retry-After` and a problem document, and the application never hears of it. A WebSocket holds its permit for
as long as it is open; the lifespan passes by.

    app = Middleware(app, headway.open("contracts/"), "api", key=lambda scope: scope["client"][0])
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from hashlib import sha256
from typing import Any, Protocol

from headway._core import Limiter, Permit, Refusal, Refused
from headway.enforce.http import Header, Tell, problem, rate_limit_fields, refusal_headers, status_of

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

KEY_BYTES_MAX = 256
"""Bytes of a key in UTF-8. A longer one, or one that is no UTF-8, is charged under its SHA-256."""

NO_KEY = "-"
"""What requests are charged under for which `key` answers None: they share one key, and none goes unmetered."""

TRY_AGAIN_LATER = 1013
"""WebSocket close code (registry of RFC 6455, section 11.7)."""

OTHER = "other"
"""The workload that takes the rest."""

_DENIAL = "websocket.http.response"


class Contracts(Protocol):
    """Where limiters come from by contract and workload: `headway.open(...)` is one."""

    def limiter(self, contract: str, workload: str | None = None) -> Limiter: ...
    def workloads(self, contract: str) -> tuple[str, ...]: ...
    def tell(self, contract: str) -> Tell | None: ...


class Middleware:
    """Meters the requests of an ASGI application.

    Args:
        app: The application.
        limiter: A `Limiter`, or what `headway.open` returned, then with `contract`.
        contract: The contract's name; not with a `Limiter`.
        key: Whom a request is charged to, from its scope; for contracts and limits that have keys.
        workload: Which workload asks: its name, or a function of the scope; not with a `Limiter`. `other` where absent,
            and for what a function answers that is not declared: a request may say anything.
        units: How many units a request is for, or a function of its scope that says so; at least 1.
        exempt: Which requests are not metered, from their scope: health checks, say.
        tell: How much a response says; absent: as the contract's `enforce.tell` says, else `public`.

    Raises:
        TypeError: `contract` or `workload` beside a `Limiter`, or no `contract` beside `headway.open(...)`.
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
        units: int | Callable[[Scope], int] = 1,
        exempt: Callable[[Scope], bool] | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._app = app
        self._limiter_of = _limiters(limiter, contract, workload, keyed=key is not None)
        self._key = key
        self._units = units
        self._exempt = exempt
        self._tell: Tell = tell or _declared(limiter, contract) or "public"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket") or (self._exempt is not None and self._exempt(scope)):
            await self._app(scope, receive, send)
            return

        limiter = self._limiter_of(scope)
        key = None if self._key is None else _bounded(self._key(scope))
        units = self._units(scope) if callable(self._units) else self._units
        try:
            permit = await limiter.acquire_async(units, key)
        except Refused as refused:
            await self._refuse(limiter, refused.refusal, scope, receive, send)
            return

        held = _Held(permit, send, lambda: rate_limit_fields(limiter, key, self._tell))
        try:
            await self._app(scope, receive, held.send)
        finally:
            held.release()

    async def _refuse(self, limiter: Limiter, refusal: Refusal, scope: Scope, receive: Receive, send: Send) -> None:
        headers = refusal_headers(limiter, refusal, self._tell)
        body = problem(refusal, self._tell)
        if scope["type"] == "websocket":
            # The handshake's event stands first in line; servers expect it to be taken before an answer.
            await receive()
            if _DENIAL not in (scope.get("extensions") or {}):
                await send({"type": "websocket.close", "code": TRY_AGAIN_LATER, "reason": refusal.ref})
                return
        prefix = "http.response" if scope["type"] == "http" else _DENIAL
        length: Header = (b"content-length", str(len(body)).encode("ascii"))
        await send({"type": f"{prefix}.start", "status": status_of(refusal), "headers": [*headers, length]})
        # A HEAD's answer has the length of what it leaves out.
        await send({"type": f"{prefix}.body", "body": b"" if scope.get("method") == "HEAD" else body})


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


def _limiters(
    limiter: Limiter | Contracts,
    contract: str | None,
    workload: str | Callable[[Scope], str | None] | None,
    *,
    keyed: bool,
) -> Callable[[Scope], Limiter]:
    if isinstance(limiter, Limiter):
        if contract is not None or workload is not None:
            raise TypeError("a Limiter already knows its contract and workload: leave `contract` and `workload` out")
        return _only(limiter, keyed)
    if contract is None:
        raise TypeError("name the contract: Middleware(app, headway.open(...), 'api')")
    if workload is None or isinstance(workload, str):
        return _only(limiter.limiter(contract, workload), keyed)
    return _by_workload(limiter, contract, workload, keyed)


def _only(limiter: Limiter, keyed: bool) -> Callable[[Scope], Limiter]:
    _vet(limiter, keyed)
    return lambda _scope: limiter


def _by_workload(
    source: Contracts, contract: str, ask: Callable[[Scope], str | None], keyed: bool
) -> Callable[[Scope], Limiter]:
    """One limiter for each declared workload, made once: what a request calls itself makes no new one."""
    declared = {name: source.limiter(contract, name) for name in source.workloads(contract)}
    for limiter in declared.values():
        _vet(limiter, keyed)

    def limiter_of(scope: Scope) -> Limiter:
        asked = ask(scope)
        found = declared.get(asked or OTHER) or declared.get(OTHER)
        return source.limiter(contract, asked) if found is None else found

    return limiter_of


def _vet(limiter: Limiter, keyed: bool) -> None:
    # A limit with keys and no `key`, or the other way round, is told at start-up and not by the first request.
    limiter.probe(1, NO_KEY if keyed else None)


def _declared(limiter: Limiter | Contracts, contract: str | None) -> Tell | None:
    return None if isinstance(limiter, Limiter) or contract is None else limiter.tell(contract)


def _bounded(key: str | None) -> str:
    if key is None:
        return NO_KEY
    try:
        size = len(key.encode())
    except UnicodeEncodeError:
        size = KEY_BYTES_MAX + 1
    return key if size <= KEY_BYTES_MAX else "sha256:" + sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
