"""Until when the middleware holds a slot: through streams, exceptions, clients that left, WebSockets."""

import asyncio

import pytest

import headway
from headway import _core
from headway.asgi import App, Message, Middleware, Receive, Scope, Send
from tests.library.exchange import HTTP, START, Exchange, ask, call, hello, in_flight, parsed

# --- HTTP: until when a slot is held ------------------------------------------------------------------------------


def held_while(app: App, limit: int, limiter: headway.Limiter) -> list[int]:
    """Slots in flight after each message that the server was sent, and once more after the call ended."""
    seen = []

    async def run() -> None:
        async def send(message: Message) -> None:
            seen.append(in_flight(limiter, limit))

        await app(HTTP, Exchange().receive, send)

    asyncio.run(run())
    return [*seen, in_flight(limiter, limit)]


def test_a_stream_holds_its_slot_to_the_last_byte_and_not_longer() -> None:
    """Head, two chunks and an end: the slot is taken through the end's send, and free while a background task goes on."""
    limiter = headway.limit("2 concurrent")
    after = []

    async def streaming(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b", "more_body": True})
        await send({"type": "http.response.body", "body": b""})
        after.append(in_flight(limiter, 2))

    seen = held_while(Middleware(streaming, limiter), 2, limiter)

    assert [1, 1, 1, 1, 0] == seen
    assert [0] == after
    assert 0 == limiter.reading().double_released


def test_trailers_are_part_of_the_response() -> None:
    """A response that promised trailers is complete with the last of them."""
    limiter = headway.limit("1 concurrent")
    between = []

    async def trailing(scope: Scope, receive: Receive, send: Send) -> None:
        await send({**START, "trailers": True})
        await send({"type": "http.response.body", "body": b"a"})
        between.append(in_flight(limiter, 1))
        await send({"type": "http.response.trailers", "headers": [], "more_trailers": False})
        between.append(in_flight(limiter, 1))

    ask(Middleware(trailing, limiter))

    assert [1, 0] == between


@pytest.mark.parametrize("at", [0, 1, 2])
def test_an_exception_anywhere_gives_the_slot_back(at: int) -> None:
    """Before the head, between head and body, after the body: the error goes on to the server, the slot comes back."""
    limiter = headway.limit("1 concurrent")

    async def failing(scope: Scope, receive: Receive, send: Send) -> None:
        messages = [START, {"type": "http.response.body", "body": b"a"}]
        for message in messages[:at]:
            await send(message)
        raise LookupError("the database is gone")

    with pytest.raises(LookupError):
        ask(Middleware(failing, limiter))

    assert 0 == in_flight(limiter, 1)
    assert (0, 0) == (limiter.reading().double_released, limiter.reading().dropped_unreleased)


def test_a_client_that_went_away_gives_the_slot_back() -> None:
    """The server's send fails in the middle of a stream, or the application ends when it hears of it."""
    limiter = headway.limit("1 concurrent")

    async def endless(scope: Scope, receive: Receive, send: Send) -> None:
        await send(START)
        while True:
            await send({"type": "http.response.body", "body": b"a", "more_body": True})

    async def run() -> None:
        sent = 0

        async def send(message: Message) -> None:
            nonlocal sent
            sent += 1
            if sent > 3:
                raise OSError("connection lost")

        with pytest.raises(OSError, match="connection lost"):
            await Middleware(endless, limiter)(HTTP, Exchange().receive, send)

    asyncio.run(run())

    assert 0 == in_flight(limiter, 1)


def test_a_cancelled_request_gives_the_slot_back() -> None:
    """A server that cancels a request in the middle, or while it waits for its slot, leaks none."""
    limiter = headway.limit("1 concurrent", wait=60)

    async def stuck(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def run() -> None:
        app = Middleware(stuck, limiter)
        tasks = [asyncio.ensure_future(call(app, HTTP, Exchange())) for _ in range(3)]
        for _ in range(5):
            await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())

    assert 0 == in_flight(limiter, 1)
    assert 0 == limiter.reading().waiting


def test_a_request_waits_its_turn_where_the_limit_says_so() -> None:
    """With a wait, the second of two requests on one slot is answered after the first, and neither is refused."""
    limiter = headway.limit("1 concurrent", wait=60)
    order: list[str] = []

    async def run() -> list[int]:
        door = asyncio.Event()

        async def slow(scope: Scope, receive: Receive, send: Send) -> None:
            order.append(scope["path"])
            if scope["path"] == "/first":
                await door.wait()
            await hello(scope, receive, send)

        app = Middleware(slow, limiter)
        first, second = Exchange(), Exchange()
        one = asyncio.ensure_future(call(app, {**HTTP, "path": "/first"}, first))
        await asyncio.sleep(0)
        two = asyncio.ensure_future(call(app, {**HTTP, "path": "/second"}, second))
        await asyncio.sleep(0)
        assert ["/first"] == order
        door.set()
        await asyncio.gather(one, two)
        return [first.status, second.status]

    assert [200, 200] == asyncio.run(run())
    assert ["/first", "/second"] == order


# --- WebSocket, lifespan ------------------------------------------------------------------------------------------

SOCKET: Scope = {"type": "websocket", "path": "/", "headers": [], "client": ("10.0.0.1", 4711)}
CONNECT: Message = {"type": "websocket.connect"}


def test_a_websocket_holds_its_slot_while_it_is_open() -> None:
    """From the handshake to the application's return; the acceptance carries the fields."""
    limiter = headway.limit("1 concurrent", name="sockets")
    seen = []

    async def chat(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        seen.append(in_flight(limiter, 1))
        await send({"type": "websocket.close"})
        seen.append(in_flight(limiter, 1))

    exchange = ask(Middleware(chat, limiter), SOCKET, CONNECT)

    assert [1, 1] == seen
    assert 0 == in_flight(limiter, 1)
    assert "sockets" == parsed(exchange.headers, "ratelimit")[0].value


def test_a_refused_websocket_is_denied_in_http_where_the_server_can() -> None:
    """With the denial extension the client reads 429 and the problem; without it the handshake is closed, try later."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()
    app = Middleware(hello, limiter)

    denied = ask(app, {**SOCKET, "extensions": {"websocket.http.response": {}}}, CONNECT)
    closed = ask(app, SOCKET, CONNECT)

    assert [[], []] == [exchange.left for exchange in (denied, closed)]

    assert ("websocket.http.response.start", 429) == (denied.sent[0]["type"], denied.status)
    assert "quota-exceeded" in denied.body["type"]
    assert [("websocket.close", 1013)] == [(message["type"], message["code"]) for message in closed.sent]
    assert closed.sent[0]["reason"].startswith("hw:")


def test_the_lifespan_passes_by() -> None:
    """Start-up and shutdown are nobody's demand."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()
    seen = []

    async def started(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((await receive())["type"])

    ask(Middleware(started, limiter), {"type": "lifespan"}, {"type": "lifespan.startup"})

    assert ["lifespan.startup"] == seen


def test_in_observe_everything_is_admitted_and_counted() -> None:
    """A contract that is only observed refuses nobody; what it would have refused is counted."""
    meters = _core.Meters()
    meters.declare([_core.MeterSpec("api", "rate", ceiling_micro=1_000_000, per_ns=10**9)])
    curve = _core.Curve("rate", 1, "now", [_core.Segment(0, None, 1_000_000, 1_000_000)], 10**9, 10**9)
    meters.publish([("api", curve)], 0)
    limiter = meters.limiter(_core.PathSpec("api", "other", [("api", 1_000_000, False)], mode="observe"))
    app = Middleware(hello, limiter)

    assert [200] * 5 == [ask(app).status for _ in range(5)]
    assert limiter.reading().refused >= 3
