"""What every request passes before the application sees it: host, token, origin, and a body of bounded size.

One layer, outermost, so that no route can forget a check: a request that fails one never reaches a route, and its body
is not read. Bodies are small here (contracts, events, verbs), so a body is read whole within its bound and handed on in
one piece.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from typing import Final

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from headway.server.access import Access, Caller
from headway.server.listen import LOOPBACK_NAMES, host_of
from headway.server.problems import ServerError, problem_bytes, problem_headers, status_of

CALLER: Final = "headway.caller"
"""Where in the scope the authenticated caller stands."""

BODY_MOST: Final = 64 * 1024
"""Bytes of a body, where `BODY_MOST_AT` says nothing else. More is answered 413 without reading it."""

BODY_MOST_AT: Final[Mapping[str, int]] = {"/v1/apply": 1024 * 1024}

BODY_WITHIN_S: Final = 30.0
"""Seconds within which a body has to arrive whole; then 408."""

OPEN_PATHS: Final = frozenset({"/healthz", "/readyz"})
"""The only paths that ask for no token, and that answer to any host name: a probe knows an address at most."""

_SAFE_METHODS: Final = frozenset({"GET", "HEAD", "OPTIONS"})

_HEADERS: Final[Mapping[str, str]] = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}


class Doorway:
    """The outermost ASGI layer.

    Args:
        app: What requests are handed to.
        access: The credentials there are.
        hosts: Host names the server answers to besides loopback's own; lower-case, without port.
    """

    def __init__(self, app: ASGIApp, *, access: Access, hosts: Iterable[str] = ()) -> None:
        self._app = app
        self._access = access
        self._hosts = LOOPBACK_NAMES | {host.lower() for host in hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        dressed = _with_headers(send)
        try:
            headers = Headers(scope=scope)
            if scope["path"] not in OPEN_PATHS:
                self._vet_host(headers)
                scope[CALLER] = self._authenticate(headers)
            self._vet_origin(scope["method"], headers)
            body = await _body_of(headers, receive, BODY_MOST_AT.get(scope["path"], BODY_MOST))
        except ServerError as error:
            await _answer(dressed, error)
            return
        await self._app(scope, _replay(body, receive), dressed)

    def _vet_host(self, headers: Headers) -> None:
        hosts = headers.getlist("host")
        if len(hosts) != 1 or host_of(hosts[0]) not in self._hosts:
            raise ServerError("HW416", "the server does not answer to this host name")

    def _vet_origin(self, method: str, headers: Headers) -> None:
        """A browser tells where a request comes from; a change has to come from the very site that was called."""
        origin = headers.get("origin")
        if method in _SAFE_METHODS or origin is None:
            return
        scheme, _, authority = origin.partition("://")
        if scheme not in ("http", "https") or authority.lower() != headers["host"].lower():
            raise ServerError("HW417", "a change was asked for by a page of another site")

    def _authenticate(self, headers: Headers) -> Caller:
        caller = self._access.caller_of_header(headers.get("authorization"))
        if caller is None:
            told = "authorization" in headers
            raise ServerError(
                "HW401",
                "the token is not known" if told else "there is no token",
                headers={"www-authenticate": 'Bearer realm="headway"'},
            )
        return caller


async def _body_of(headers: Headers, receive: Receive, most: int) -> bytes:
    """The whole body, or 413 as soon as it is known to be over `most` bytes."""
    declared = headers.get("content-length", "0")
    if not declared.isascii() or not declared.isdigit():
        raise ServerError("HW400", "`Content-Length` is not a number")
    if int(declared[:20]) > most:
        raise _too_large(most)
    parts: list[bytes] = []
    size = 0
    try:
        async with asyncio.timeout(BODY_WITHIN_S):
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ServerError("HW400", "the connection ended before the body did")
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if size > most:
                    raise _too_large(most)
                if not message.get("more_body", False):
                    return b"".join(parts)
    except TimeoutError:
        raise ServerError("HW408", f"the body did not arrive within {BODY_WITHIN_S:.0f} s") from None


def _too_large(most: int) -> ServerError:
    return ServerError("HW413", f"the body is over {most // 1024} KiB", headers={"connection": "close"})


def _replay(body: bytes, receive: Receive) -> Receive:
    """Hands the body on in one piece, then whatever comes next (a disconnect)."""
    handed = False

    async def next_message() -> Message:
        nonlocal handed
        if handed:
            return await receive()
        handed = True
        return {"type": "http.request", "body": body, "more_body": False}

    return next_message


def _with_headers(send: Send) -> Send:
    async def dressed(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
        await send(message)

    return dressed


async def _answer(send: Send, error: ServerError) -> None:
    body = problem_bytes(error)
    headers = {**problem_headers(error), "content-length": str(len(body))}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status_of(error), "headers": raw})
    await send({"type": "http.response.body", "body": body})
