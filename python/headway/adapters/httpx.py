"""A transport for httpx clients: every request meets a contract before it is sent.

For what is scarce on the other side: a partner's API, a model provider. A request that does not fit waits as long as the
contract's `enforce.wait`, in line with all others, and then raises `headway.Refused`; nothing was sent. Redirects and
retries are requests of their own. A permit is held until the response is closed, through a stream to its last byte.

    client = httpx.Client(transport=Transport(httpx.HTTPTransport(), headway.open("contracts/"), "partner-api"))
    client = httpx.AsyncClient(transport=AsyncTransport(httpx.AsyncHTTPTransport(), headway.limit("5/s")))
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from types import TracebackType
from typing import Self

import httpx

from headway._core import Limiter, Permit
from headway.enforce.asking import Asking, Contracts
from headway.enforce.attributes import HEADER, Attributes


class Transport(httpx.BaseTransport):
    """Meters the requests that go through another transport. Arguments and errors as `headway.enforce.asking.Asking`;
    functions of a request are given the `httpx.Request`. It says its `method`, `host`, `path` and `header.NAME`.
    """

    def __init__(
        self,
        transport: httpx.BaseTransport,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[httpx.Request], str | None] | None = None,
        workload: str | Callable[[httpx.Request], str | None] | None = None,
        attributes: Callable[[httpx.Request], Attributes | None] | None = None,
        units: int | Callable[[httpx.Request], int] = 1,
        exempt: Callable[[httpx.Request], bool] | None = None,
    ) -> None:
        self._transport = transport
        self._asking = Asking(
            limiter,
            contract,
            key=key,
            workload=workload,
            attributes=attributes,
            units=units,
            exempt=exempt,
            read=_said,
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        demand = self._asking.demand_of(request)
        if demand is None:
            return self._transport.handle_request(request)

        permit = demand.limiter.acquire(demand.units, demand.key)
        try:
            response = self._transport.handle_request(request)
            if response.is_closed:
                # It came with its body, as mocks and caches answer; nobody closes it again.
                permit.release()
            else:
                assert isinstance(response.stream, httpx.SyncByteStream)
                response.stream = _Held(permit, response.stream)
        except BaseException:
            permit.release()
            raise
        return response

    def close(self) -> None:
        self._transport.close()

    def __enter__(self) -> Self:
        self._transport.__enter__()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        self._transport.__exit__(exc_type, exc_value, traceback)


class AsyncTransport(httpx.AsyncBaseTransport):
    """`Transport` for `httpx.AsyncClient`: a request that waits its turn lets its loop go on."""

    def __init__(
        self,
        transport: httpx.AsyncBaseTransport,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[httpx.Request], str | None] | None = None,
        workload: str | Callable[[httpx.Request], str | None] | None = None,
        attributes: Callable[[httpx.Request], Attributes | None] | None = None,
        units: int | Callable[[httpx.Request], int] = 1,
        exempt: Callable[[httpx.Request], bool] | None = None,
    ) -> None:
        self._transport = transport
        self._asking = Asking(
            limiter,
            contract,
            key=key,
            workload=workload,
            attributes=attributes,
            units=units,
            exempt=exempt,
            read=_said,
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        demand = self._asking.demand_of(request)
        if demand is None:
            return await self._transport.handle_async_request(request)

        permit = await demand.limiter.acquire_async(demand.units, demand.key)
        try:
            response = await self._transport.handle_async_request(request)
            if response.is_closed:
                permit.release()
            else:
                assert isinstance(response.stream, httpx.AsyncByteStream)
                response.stream = _AsyncHeld(permit, response.stream)
        except BaseException:
            permit.release()
            raise
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()

    async def __aenter__(self) -> Self:
        await self._transport.__aenter__()
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None = None,
        exc_value: BaseException | None = None,
        traceback: TracebackType | None = None,
    ) -> None:
        await self._transport.__aexit__(exc_type, exc_value, traceback)


def _said(request: httpx.Request, name: str) -> str | None:
    match name:
        case "method":
            return request.method
        case "host":
            return request.url.host
        case "path":
            return request.url.path
        case _:
            return request.headers.get(name[len(HEADER) :]) if name.startswith(HEADER) else None


class _Held(httpx.SyncByteStream):
    """A response's body and the permit it holds, released once. httpx closes a body at its end and on every error."""

    def __init__(self, permit: Permit, stream: httpx.SyncByteStream) -> None:
        self._permit: Permit | None = permit
        self._stream = stream

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._stream)

    def close(self) -> None:
        permit, self._permit = self._permit, None
        try:
            self._stream.close()
        finally:
            if permit is not None:
                permit.release()


class _AsyncHeld(httpx.AsyncByteStream):
    def __init__(self, permit: Permit, stream: httpx.AsyncByteStream) -> None:
        self._permit: Permit | None = permit
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        permit, self._permit = self._permit, None
        try:
            await self._stream.aclose()
        finally:
            if permit is not None:
                permit.release()
