"""gRPC server interceptors: every call meets a contract before it meets its method.

    server = grpc.server(threads, interceptors=[Interceptor(headway.open("contracts/"), "orders-api")])
    server = grpc.aio.server(interceptors=[AsyncInterceptor(headway.limit("100 concurrent"))])

A permit is held until the method is through, for a stream of responses until the last one is taken or the client is gone.
A refused call ends with RESOURCE_EXHAUSTED, or with UNAVAILABLE where the limit could not be asked, and in its trailing
metadata `grpc-retry-pushback-ms`, which clients with a retry policy obey, and `grpc-status-details-bin` with a `RetryInfo`
and an `ErrorInfo`. A call waits its turn as long as the contract's `enforce.wait`, but never past its own deadline.

Source: gRFC A6 (pushback), google/rpc/status.proto and error_details.proto, Protocol Buffers' encoding.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import aclosing
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio

from headway._core import Limiter, Permit, Refusal, Refused
from headway.enforce.asking import Asking, Contracts, Demand
from headway.enforce.attributes import HEADER, Attributes
from headway.enforce.http import Tell

Details = grpc.HandlerCallDetails
Behaviour = Callable[[Any, Any], Any]
if TYPE_CHECKING:
    Handler = grpc.RpcMethodHandler[Any, Any]

_MAKES: dict[str, Callable[..., Handler]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}

_ANY = "type.googleapis.com/google.rpc."


class _Interceptor:
    """What both kinds share. Arguments and errors as `headway.enforce.asking.Asking`; functions of a request are given
    the call's `grpc.HandlerCallDetails`: its method and its metadata. A call says its `path`, which is its method's full
    name as `/shop.Orders/Get`, and its metadata as `header.NAME`.
    """

    def __init__(
        self,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[Details], str | None] | None = None,
        workload: str | Callable[[Details], str | None] | None = None,
        attributes: Callable[[Details], Attributes | None] | None = None,
        units: int | Callable[[Details], int] = 1,
        exempt: Callable[[Details], bool] | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._asking = Asking(
            limiter,
            contract,
            key=key,
            workload=workload,
            attributes=attributes,
            units=units,
            exempt=exempt,
            tell=tell,
            read=_said,
        )

    def _metered(self, handler: Handler | None, details: Details) -> Handler | None:
        demand = None if handler is None else self._asking.demand_of(details)
        if handler is None or demand is None:
            return handler
        name = f"{_word(handler.request_streaming)}_{_word(handler.response_streaming)}"
        behaviour = _behaviour(getattr(handler, name), handler.response_streaming, demand, self._asking.tell)
        return _MAKES[name](behaviour, handler.request_deserializer, handler.response_serializer)


class Interceptor(_Interceptor, grpc.ServerInterceptor):
    """For `grpc.server`. A call that waits its turn waits in one of the server's threads."""

    def intercept_service(
        self, continuation: Callable[[Details], Handler | None], handler_call_details: Details
    ) -> Handler | None:
        return self._metered(continuation(handler_call_details), handler_call_details)


class AsyncInterceptor(_Interceptor, grpc.aio.ServerInterceptor):
    """For `grpc.aio.server`, with methods that are coroutines, asynchronous generators, or run in its threads."""

    async def intercept_service(
        self, continuation: Callable[[Details], Awaitable[Handler | None]], handler_call_details: Details
    ) -> Handler | None:
        return self._metered(await continuation(handler_call_details), handler_call_details)


def _said(details: Details, name: str) -> str | None:
    if name == "path":
        return str(details.method)
    if not name.startswith(HEADER):
        return None
    # Values of `-bin` metadata are bytes, and no text.
    wanted, metadata = name[len(HEADER) :], details.invocation_metadata or ()
    values = [value for key, value in metadata if key == wanted and isinstance(value, str)]
    return ", ".join(values) if values else None


def _word(streaming: bool) -> str:
    return "stream" if streaming else "unary"


def _behaviour(behaviour: Behaviour, streams: bool, demand: Demand, tell: Tell) -> Behaviour:
    """A method with a permit around it, of the same kind: servers look at what kind a method is before they call it."""

    async def generating(request: Any, context: Any) -> AsyncIterator[Any]:
        with await _admitted_async(demand, tell, context):
            async with aclosing(behaviour(request, context)) as responses:
                async for response in responses:
                    yield response

    async def awaiting(request: Any, context: Any) -> Any:
        with await _admitted_async(demand, tell, context):
            return await behaviour(request, context)

    def iterating(request: Any, context: Any) -> Iterator[Any]:
        with _admitted(demand, tell, context):
            yield from behaviour(request, context)

    def calling(request: Any, context: Any) -> Any:
        with _admitted(demand, tell, context):
            return behaviour(request, context)

    if inspect.isasyncgenfunction(behaviour):
        return generating
    if inspect.iscoroutinefunction(behaviour):
        return awaiting
    return iterating if streams else calling


def _admitted(demand: Demand, tell: Tell, context: Any) -> Permit:
    limiter, units, key = demand
    try:
        return limiter.acquire(units, key, _patience_s(limiter, context))
    except Refused as refused:
        refusal = refused.refusal
    # Outside of the handler: an abort is an exception, and what was refused is no part of its story.
    context.set_trailing_metadata(trailing_metadata(refusal, tell))
    context.abort(status_of(refusal), refusal.sentence(tell))
    raise AssertionError("an abort ends the call")


async def _admitted_async(demand: Demand, tell: Tell, context: Any) -> Permit:
    limiter, units, key = demand
    try:
        return await limiter.acquire_async(units, key, _patience_s(limiter, context))
    except Refused as refused:
        refusal = refused.refusal
    await context.abort(status_of(refusal), refusal.sentence(tell), trailing_metadata(refusal, tell))
    raise AssertionError("an abort ends the call")


def _patience_s(limiter: Limiter, context: Any) -> float:
    """Seconds a call may wait: an answer after its deadline reaches nobody."""
    remaining_s = context.time_remaining()
    return limiter.wait_s if remaining_s is None else max(0.0, min(limiter.wait_s, remaining_s))


# --- what a refused call is told ------------------------------------------------------------------------------------


def status_of(refusal: Refusal) -> grpc.StatusCode:
    """RESOURCE_EXHAUSTED where a limit is reached, UNAVAILABLE where it could not be asked."""
    return grpc.StatusCode.UNAVAILABLE if refusal.undecided else grpc.StatusCode.RESOURCE_EXHAUSTED


def trailing_metadata(refusal: Refusal, tell: Tell) -> tuple[tuple[str, str | bytes], ...]:
    """When to ask again, for clients' libraries and for programs. Where nobody knows, nothing is said of it."""
    details: list[bytes] = []
    pushback: list[tuple[str, str | bytes]] = []
    after_s = refusal.retry_after_s
    if after_s is not None:
        ms = math.ceil(max(after_s, 0.0) * 1000)
        pushback.append(("grpc-retry-pushback-ms", str(ms)))
        duration = _number(1, ms // 1000) + _number(2, ms % 1000 * 1_000_000)
        details.append(_any("RetryInfo", _field(1, duration)))
    elif not refusal.retryable:
        pushback.append(("grpc-retry-pushback-ms", "-1"))
    known = {"contract": refusal.contract, "ref": refusal.ref}
    pairs = [_field(3, _text(1, name) + _text(2, value)) for name, value in known.items()]
    details.append(_any("ErrorInfo", _text(1, refusal.why.upper()) + _text(2, "headway") + b"".join(pairs)))
    code: int = status_of(refusal).value[0]
    status = _number(1, code) + _text(2, refusal.sentence(tell)) + b"".join(_field(3, detail) for detail in details)
    return (*pushback, ("grpc-status-details-bin", status))


def _any(name: str, message: bytes) -> bytes:
    return _text(1, _ANY + name) + _field(2, message)


def _text(number: int, text: str) -> bytes:
    return _field(number, text.encode())


def _field(number: int, payload: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    """Seven bits a byte, the lowest first; the top bit says that more follow. For values from 0 on."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
