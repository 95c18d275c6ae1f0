"""The gRPC interceptors, under real servers on loopback and the official client."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from types import SimpleNamespace
from typing import Any, cast

import grpc
import grpc.aio
import pytest
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status
from grpc_status import rpc_status
from hypothesis import given
from hypothesis import strategies as st

import headway
import headway.testing
from headway import Limiter
from headway.adapters.grpc import AsyncInterceptor, Interceptor, _varint, status_of, trailing_metadata
from tests.adapters.limits import CONTRACT, MATCHED, admitted, assert_all_returned, observed
from tests.library.pool import free, slots

KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
WAIT_S = 30.0
"""How long a client waits for what is about to come."""


def handlers(methods: dict[str, Callable[..., Any]]) -> grpc.GenericRpcHandler:
    """A service `shop` of methods that take and give bytes: `unary_unary` and so on, by their names' first two words."""
    makes = {kind: getattr(grpc, f"{kind}_rpc_method_handler") for kind in KINDS}
    made = {name: makes["_".join(name.split("_")[:2])](method) for name, method in methods.items()}
    return grpc.method_handlers_generic_handler("shop", made)


@contextmanager
def serving(interceptor: Interceptor, **methods: Callable[..., Any]) -> Iterator[grpc.Channel]:
    """A server in threads, and a channel to it."""
    server = grpc.server(ThreadPoolExecutor(4), interceptors=[interceptor])
    server.add_generic_rpc_handlers((handlers(methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        server.stop(0).wait()


def call(channel: Any, name: str = "unary_unary", **options: Any) -> Any:
    """One call of a method; the responses of a streaming one as a list, unless it is to be taken by hand."""
    kind = "_".join(name.split("_")[:2])
    request: Any = iter([b"1", b"2"]) if kind.startswith("stream") else b"1"
    answer = getattr(channel, kind)(f"/shop/{name}")(request, timeout=options.pop("timeout", WAIT_S), **options)
    return list(answer) if kind.endswith("stream") else answer


def refusal_of(refused: pytest.ExceptionInfo[grpc.RpcError]) -> tuple[grpc.StatusCode, dict[str, Any]]:
    error: Any = refused.value
    return error.code(), dict(error.trailing_metadata())


def the_four(limiter: Limiter, seen: list[int]) -> dict[str, Callable[..., Any]]:
    """A method of each kind; each notes how many slots are free while it works."""

    def look(_request: bytes, _context: Any) -> bytes:
        seen.append(free(limiter))
        return b"a"

    def look_twice(_request: Any, _context: Any) -> Iterator[bytes]:
        for answer in (b"a", b"b"):
            seen.append(free(limiter))
            yield answer

    def take(requests: Iterator[bytes], context: Any) -> bytes:
        assert [b"1", b"2"] == list(requests)
        return look(b"", context)

    return {"unary_unary": look, "unary_stream": look_twice, "stream_unary": take, "stream_stream": look_twice}


# --- in threads -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_call_of_any_kind_holds_its_slot_while_it_works(kind: str) -> None:
    """Requests and responses alone or in streams: one slot is taken until the last response."""
    limiter, seen = slots(1), list[int]()

    with serving(Interceptor(limiter), **the_four(limiter, seen)) as channel:
        answer = call(channel, kind)

    assert answer == ([b"a", b"b"] if kind.endswith("stream") else b"a")
    assert {0} == set(seen)
    assert_all_returned(limiter, 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_refused_call_never_reaches_its_method(kind: str) -> None:
    """RESOURCE_EXHAUSTED with when to ask again, as the official client and its library read it."""
    limiter, seen = headway.limit("1/31d", name="orders"), list[int]()
    limiter.try_acquire()

    with serving(Interceptor(limiter), **the_four(limiter, seen)) as channel, pytest.raises(grpc.RpcError) as refused:
        call(channel, kind)

    code, trailing = refusal_of(refused)
    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, []) == (code, seen)
    status = rpc_status.from_call(cast(Any, refused.value))
    assert status is not None
    retry, info = RetryInfo(), ErrorInfo()
    assert status.details[0].Unpack(retry) and status.details[1].Unpack(info)
    month_ms = 31 * 86_400_000
    assert month_ms - 60_000 < int(trailing["grpc-retry-pushback-ms"]) <= month_ms
    assert int(trailing["grpc-retry-pushback-ms"]) == retry.retry_delay.ToMilliseconds()
    assert ("FULL", "headway", "orders") == (info.reason, info.domain, info.metadata["contract"])
    assert info.metadata["ref"] in status.message == cast(Any, refused.value).details()


def test_what_never_fits_is_not_to_be_tried_again_and_what_nobody_knows_says_nothing() -> None:
    """Nine units of a limit of five push back for good; a slot comes back when somebody leaves."""
    never = headway.limit("5/s").try_acquire(9)
    slot = slots(1)
    held, unknown = slot.try_acquire(), slot.try_acquire()

    assert held and isinstance(never, headway.Refusal) and isinstance(unknown, headway.Refusal)
    assert "-1" == dict(trailing_metadata(never, "full"))["grpc-retry-pushback-ms"]
    assert "grpc-retry-pushback-ms" not in dict(trailing_metadata(unknown, "full"))


def test_a_limit_that_cannot_be_asked_is_unavailable() -> None:
    """A closed contract is no reason to think that the caller was over its limit, and no yes."""
    with headway.testing.open(CONTRACT) as hw:
        interceptor = Interceptor(hw, "orders-db", workload="checkout")

    served = serving(interceptor, unary_unary=lambda request, context: request)
    with served as channel, pytest.raises(grpc.RpcError) as refused:
        call(channel)

    assert grpc.StatusCode.UNAVAILABLE == refusal_of(refused)[0]


@pytest.mark.parametrize("kind", ["unary_unary", "unary_stream"])
def test_an_exception_or_an_abort_in_a_method_gives_the_slot_back(kind: str) -> None:
    """The method's own status reaches the client."""
    limiter = slots(1)

    def fails(_request: bytes, _context: Any) -> bytes:
        raise LookupError("no such order")

    def aborts(_request: bytes, context: Any) -> Iterator[bytes]:
        yield b"a"
        context.abort(grpc.StatusCode.NOT_FOUND, "no such order")

    served = serving(Interceptor(limiter), unary_unary=fails, unary_stream=aborts)
    with served as channel, pytest.raises(grpc.RpcError) as failed:
        call(channel, kind)

    assert refusal_of(failed)[0] in (grpc.StatusCode.UNKNOWN, grpc.StatusCode.NOT_FOUND)
    assert_all_returned(limiter, 1)


def test_a_client_that_goes_away_in_a_stream_gives_the_slot_back() -> None:
    """It takes one response of an endless stream and cancels: the method is ended, and its slot is free."""
    limiter, ended = slots(1), threading.Event()

    def endless(_request: bytes, _context: Any) -> Iterator[bytes]:
        try:
            while True:
                yield b"a"
        finally:
            ended.set()

    with serving(Interceptor(limiter), unary_stream=endless) as channel:
        responses = channel.unary_stream("/shop/unary_stream")(b"1", timeout=WAIT_S)
        assert b"a" == next(responses)
        responses.cancel()
        assert ended.wait(WAIT_S)

    assert_all_returned(limiter, 1)


def test_a_call_waits_its_turn_but_not_past_its_deadline() -> None:
    """One slot with a long wait: a call with a short deadline leaves the line with it, the next is served."""
    limiter, door, inside = slots(1, wait=300.0), threading.Event(), threading.Event()

    def slow(request: bytes, _context: Any) -> bytes:
        inside.set()
        assert door.wait(WAIT_S)
        return request

    with serving(Interceptor(limiter), unary_unary=slow) as channel:
        first = channel.unary_unary("/shop/unary_unary").future(b"1", timeout=WAIT_S)
        assert inside.wait(WAIT_S)
        with pytest.raises(grpc.RpcError) as late:
            call(channel, timeout=0.05)
        while limiter.reading().waiting:
            pass
        second = channel.unary_unary("/shop/unary_unary").future(b"2", timeout=WAIT_S)
        door.set()
        assert [b"1", b"2"] == [first.result(), second.result()]

    assert refusal_of(late)[0] in (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.RESOURCE_EXHAUSTED)
    assert_all_returned(limiter, 1)


def test_keys_units_exemptions_and_workloads_come_from_the_calls_details() -> None:
    """Tenants have a limit each, a batch costs two, health checks nothing; metadata name the workload."""

    def said(details: grpc.HandlerCallDetails, name: str) -> str | None:
        return cast("str | None", dict(details.invocation_metadata or ()).get(name))

    def same(request: bytes, _context: Any) -> bytes:
        return request

    interceptor = Interceptor(
        headway.limit("2/31d", keys=10),
        key=lambda details: said(details, "tenant"),
        units=lambda details: 2 if details.method.endswith("_batch") else 1,
        exempt=lambda details: details.method.endswith("_health"),
    )
    methods = {"unary_unary": same, "unary_unary_batch": same, "unary_unary_health": same}
    with serving(interceptor, **methods) as channel:
        call(channel, "unary_unary_batch", metadata=[("tenant", "a")])
        call(channel, "unary_unary_health", metadata=[("tenant", "a")])
        call(channel, metadata=[("tenant", "b")])
        with pytest.raises(grpc.RpcError):
            call(channel, metadata=[("tenant", "a")])

    with headway.testing.open(CONTRACT) as hw:
        by_job = Interceptor(hw, "orders-db", workload=lambda details: said(details, "job"))
        with serving(by_job, unary_unary=same) as channel:
            call(channel, metadata=[("job", "reporting")])
        assert 1 == hw.limiter("orders-db", "reporting").reading().admitted


def test_an_unknown_method_is_unimplemented_and_not_metered() -> None:
    """What nobody serves costs nobody anything."""
    limiter = headway.limit("1/31d")

    with serving(Interceptor(limiter)) as channel, pytest.raises(grpc.RpcError) as unknown:
        call(channel)

    assert (grpc.StatusCode.UNIMPLEMENTED, 0) == (refusal_of(unknown)[0], limiter.reading().admitted)


def test_in_observe_everything_is_admitted_and_counted() -> None:
    """A limit of one a second, spent: the call is served, and counted as one that would have been refused."""
    limiter = observed("rate")
    for _ in range(3):
        limiter.try_acquire()
    before = limiter.reading().refused

    with serving(Interceptor(limiter), unary_unary=lambda request, context: request) as channel:
        assert b"1" == call(channel)

    assert before + 1 == limiter.reading().refused


# --- what a refused call is told --------------------------------------------------------------------------------------


@given(st.integers(0, 2**64))
def test_a_number_is_written_as_protocol_buffers_do(value: int) -> None:
    """Read back seven bits at a time."""
    written = _varint(value)

    assert value == sum((byte & 0x7F) << 7 * place for place, byte in enumerate(written))
    assert [True] * (len(written) - 1) + [False] == [byte > 0x7F for byte in written]


@given(st.floats(0, 10**9), st.text(max_size=50))
def test_the_official_library_reads_what_is_written(after_s: float, sentence: str) -> None:
    """Any wait and any words, names of a contract in other alphabets too: status, delay and reason come back."""
    said = {
        "retry_after_s": after_s,
        "retryable": True,
        "why": "full",
        "contract": sentence,
        "ref": "hw:1",
        "units": 1.0,
        "undecided": False,
        "sentence": lambda _tell: sentence,
    }
    refusal = cast(headway.Refusal, SimpleNamespace(**said))
    trailing = trailing_metadata(refusal, "public")
    message = cast(bytes, dict(trailing)["grpc-status-details-bin"])
    status, retry, info = Status.FromString(message), RetryInfo(), ErrorInfo()

    assert status_of(refusal).value[0] == status.code
    assert status.details[0].Unpack(retry) and status.details[1].Unpack(info)
    assert 0 <= retry.retry_delay.ToNanoseconds() - after_s * 10**9 <= 1.01 * 10**6
    assert (sentence, "hw:1") == (info.metadata["contract"], info.metadata["ref"])


# --- asynchronously -------------------------------------------------------------------------------------------------


@asynccontextmanager
async def serving_async(
    interceptor: AsyncInterceptor, **methods: Callable[..., Any]
) -> AsyncIterator[grpc.aio.Channel]:
    """A server on the loop, and a channel to it."""
    server = grpc.aio.server(interceptors=[interceptor], migration_thread_pool=ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((handlers(methods),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel
    finally:
        await server.stop(0)


async def none_yet() -> AsyncIterator[bytes]:
    """Requests that do not come. The asynchronous client calls it an internal error when its request is not taken."""
    await asyncio.Event().wait()
    yield b""


async def call_async(channel: grpc.aio.Channel, name: str = "unary_unary", requests: Any = (b"1", b"2")) -> Any:
    kind = "_".join(name.split("_")[:2])
    request: Any = requests if kind.startswith("stream") else b"1"
    answer = getattr(channel, kind)(f"/shop/{name}")(request, timeout=WAIT_S)
    return [response async for response in answer] if kind.endswith("stream") else await answer


def every_kind(limiter: Limiter, seen: list[int]) -> dict[str, Callable[..., Any]]:
    """Coroutines, generators, one that writes by itself, and methods that the server runs in threads."""

    async def awaited(_request: bytes, _context: Any) -> bytes:
        seen.append(free(limiter))
        return b"a"

    async def generated(_request: Any, _context: Any) -> AsyncIterator[bytes]:
        for answer in (b"a", b"b"):
            seen.append(free(limiter))
            yield answer

    async def written(_request: Any, context: Any) -> None:
        for answer in (b"a", b"b"):
            seen.append(free(limiter))
            await context.write(answer)

    async def took(requests: AsyncIterator[bytes], context: Any) -> bytes:
        assert [b"1", b"2"] == [request async for request in requests]
        return await awaited(b"", context)

    in_threads = the_four(limiter, seen)
    return {
        "unary_unary": awaited,
        "unary_stream": generated,
        "unary_stream_written": written,
        "stream_unary": took,
        "stream_stream": generated,
        "unary_unary_threads": in_threads["unary_unary"],
        "unary_stream_threads": in_threads["unary_stream"],
    }


NAMES = (*KINDS, "unary_stream_written", "unary_unary_threads", "unary_stream_threads")


@pytest.mark.parametrize("name", NAMES)
def test_an_asynchronous_call_of_any_kind_holds_its_slot_while_it_works(name: str) -> None:
    """As in threads, and for methods that write their responses themselves."""
    limiter, seen = slots(1), list[int]()

    async def run() -> Any:
        async with serving_async(AsyncInterceptor(limiter), **every_kind(limiter, seen)) as channel:
            return await call_async(channel, name)

    answer = asyncio.run(run())

    assert answer == ([b"a", b"b"] if "_stream" in name else b"a")
    assert {0} == set(seen)
    assert_all_returned(limiter, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_refused_asynchronous_call_never_reaches_its_method(name: str) -> None:
    """The same status and trailing metadata, whatever the method is made of."""
    limiter, seen = headway.limit("1/31d", name="orders"), list[int]()
    limiter.try_acquire()

    async def run() -> grpc.aio.AioRpcError:
        async with serving_async(AsyncInterceptor(limiter), **every_kind(limiter, seen)) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await call_async(channel, name, none_yet())
            return refused.value

    error = asyncio.run(run())

    assert (grpc.StatusCode.RESOURCE_EXHAUSTED, []) == (error.code(), seen)
    trailing = dict(cast(Any, error.trailing_metadata()))
    assert {"grpc-retry-pushback-ms", "grpc-status-details-bin"} <= set(trailing)
    assert error.details() is not None and "orders" in cast(str, error.details())


def test_cancelled_asynchronous_calls_give_their_slots_back() -> None:
    """One works, one is in the middle of a stream, one waits in line: cancelled by their clients, all are gone."""
    limiter = slots(2, wait=300.0)

    async def run() -> None:
        inside, ended = asyncio.Semaphore(0), asyncio.Semaphore(0)

        async def stuck(_request: bytes, _context: Any) -> bytes:
            try:
                inside.release()
                await asyncio.Event().wait()
                return b""
            finally:
                ended.release()

        async def endless(_request: bytes, _context: Any) -> AsyncIterator[bytes]:
            try:
                inside.release()
                while True:
                    yield b"a"
            finally:
                ended.release()

        async with serving_async(AsyncInterceptor(limiter), unary_unary=stuck, unary_stream=endless) as channel:
            working = channel.unary_unary("/shop/unary_unary")(b"1")
            streaming = channel.unary_stream("/shop/unary_stream")(b"1")
            assert b"a" == await streaming.read()
            for _ in range(2):
                await inside.acquire()
            waiting = channel.unary_unary("/shop/unary_unary")(b"2")
            while not limiter.reading().waiting:
                await asyncio.sleep(0)
            waiting.cancel()
            while limiter.reading().waiting:
                await asyncio.sleep(0)
            working.cancel()
            streaming.cancel()
            for _ in range(2):
                await ended.acquire()

    asyncio.run(run())

    assert_all_returned(limiter, 2)


def test_an_exempt_asynchronous_call_passes_a_spent_limit() -> None:
    """And an unknown method is nobody's."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()

    async def run() -> tuple[Any, grpc.StatusCode]:
        interceptor = AsyncInterceptor(limiter, exempt=lambda details: True)
        async with serving_async(interceptor, **every_kind(slots(1), [])) as channel:
            answer = await call_async(channel)
            with pytest.raises(grpc.aio.AioRpcError) as unknown:
                await call_async(channel, "unary_unary_nowhere")
            return answer, unknown.value.code()

    assert (b"a", grpc.StatusCode.UNIMPLEMENTED) == asyncio.run(run())


CALLS = MATCHED.replace("/checkout*", "/shop/unary_*")


def test_the_first_match_that_takes_a_call_names_its_workload() -> None:
    """A call's path is its method's full name; metadata of one name are one list, and binary ones are no text."""
    with headway.testing.open(CALLS) as hw:
        interceptor = Interceptor(
            hw, "api", attributes=lambda call: {"user": dict(call.invocation_metadata).get("user")}
        )
        with serving(interceptor, unary_unary=lambda _request, _context: b"a") as channel:
            call(channel, metadata=(("x-team", "eu"), ("x-team", "shop")))
            call(channel, metadata=(("user", "ana@shop.example"),))
            call(channel, metadata=(("x-team-bin", b"shop"),))

        assert {"checkout": 1, "staff": 1, "other": 1} == admitted(hw)


def test_an_asynchronous_call_is_told_apart_likewise() -> None:
    async def play() -> None:
        server = grpc.aio.server(interceptors=[AsyncInterceptor(hw, "api")])

        async def answer(_request: bytes, _context: Any) -> bytes:
            return b"a"

        server.add_generic_rpc_handlers((handlers({"unary_unary": answer}),))
        port = server.add_insecure_port("127.0.0.1:0")
        await server.start()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            method = channel.unary_unary("/shop/unary_unary")
            assert b"a" == await method(b"1", metadata=(("x-team", "shop"),), timeout=WAIT_S)
            assert b"a" == await method(b"1", timeout=WAIT_S)
        await server.stop(0)

    with headway.testing.open(CALLS) as hw:
        asyncio.run(play())

        assert {"checkout": 1, "other": 1} == admitted(hw)
