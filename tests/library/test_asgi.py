"""The middleware, driven as a server drives it: what is admitted, what is said, and until when a slot is held."""

import asyncio
import hashlib
import json
from types import SimpleNamespace
from typing import Any, cast

import pytest
from http_sfv.list import List

import headway
from headway import _core
from headway.asgi import KEY_BYTES_MAX, App, Message, Middleware, Receive, Scope, Send
from headway.enforce.http import retry_after
from headway.enforce.limit import limiter_of, read

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
    asyncio.run(_call(app, HTTP if scope is None else scope, exchange))
    return exchange


async def _call(app: App, scope: Scope, exchange: Exchange) -> None:
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


# --- HTTP: what is said -------------------------------------------------------------------------------------------


def test_an_admitted_request_passes_and_its_response_says_what_is_left() -> None:
    """Of 5 a minute one is taken: the application's own answer arrives, with the policy and 4 remaining."""
    app = Middleware(hello, headway.limit("5/minute", name="api"))

    exchange = ask(app)

    assert 200 == exchange.status
    assert b"hello" == exchange.sent[1]["body"]
    policy, state = parsed(exchange.headers, "ratelimit-policy"), parsed(exchange.headers, "ratelimit")
    assert ("api", 5, 60) == (policy[0].value, policy[0].params["q"], policy[0].params["w"])
    assert ("api", 4) == (state[0].value, state[0].params["r"])
    assert "text/plain" == exchange.headers["content-type"]


def test_a_refused_request_never_reaches_the_application() -> None:
    """The second of 1 a minute gets 429, when to come back, the fields, and a problem document with a ref."""
    calls = []

    async def counted(scope: Scope, receive: Receive, send: Send) -> None:
        calls.append(scope["path"])
        await hello(scope, receive, send)

    app = Middleware(counted, headway.limit("1/minute", name="api"))
    ask(app)

    refused = ask(app)

    assert ["/"] == calls
    assert 429 == refused.status
    assert "application/problem+json" == refused.headers["content-type"]
    assert str(len(b"".join(m.get("body", b"") for m in refused.sent[1:]))) == refused.headers["content-length"]
    assert 1 <= int(refused.headers["retry-after"]) <= 60
    state = parsed(refused.headers, "ratelimit")[0]
    assert 0 == state.params["r"]
    assert "https://iana.org/assignments/http-problem-types#quota-exceeded" == refused.body["type"]
    assert ["api"] == refused.body["violated-policies"]
    assert 429 == refused.body["status"]
    assert refused.body["ref"].startswith("hw:")
    assert refused.body["ref"] in refused.body["detail"]


def test_retry_after_is_a_promise_that_is_kept() -> None:
    """`Retry-After` is rounded up: after so many whole seconds the same request passes, on a clock that only we move."""
    clock = _core.Clock.manual()
    app = Middleware(hello, limiter_of(read("7/minute"), _core.Meters(clock), name="api"))
    for _ in range(7):
        ask(app)
    refused = ask(app)

    clock.advance(int(refused.headers["retry-after"]) * 1_000_000_000)

    assert 429 == refused.status
    assert "9" == refused.headers["retry-after"]
    assert 200 == ask(app).status


def test_retry_after_is_at_least_a_second() -> None:
    """An instant that has come by the time the answer is written is still one second away for the client."""
    refusal = cast(headway.Refusal, SimpleNamespace(retry_after_s=0.0))

    assert [(b"retry-after", b"1")] == retry_after(refusal)


def test_what_never_fits_or_nobody_knows_has_no_retry_after() -> None:
    """Ten units of a limit of 5 never fit; a slot comes back when somebody leaves. Neither names an instant."""
    too_much = Middleware(hello, headway.limit("5/minute"), units=10)
    slots = headway.limit("1 concurrent")
    held = slots.try_acquire()

    never, unknown = ask(too_much), ask(Middleware(hello, slots))

    assert held
    assert (429, 429) == (never.status, unknown.status)
    assert "retry-after" not in never.headers
    assert "retry-after" not in unknown.headers
    assert "never_fits" == never.body["why"]


def test_a_concurrency_says_its_unit_and_no_window() -> None:
    """Slots have no window: the policy is counted in `concurrent-requests`."""
    exchange = ask(Middleware(hello, headway.limit("3 concurrent", name="pool")))

    policy = parsed(exchange.headers, "ratelimit-policy")[0]
    assert ("pool", 3, "concurrent-requests") == (policy.value, policy.params["q"], policy.params["qu"])
    assert "w" not in policy.params
    assert "t" not in parsed(exchange.headers, "ratelimit")[0].params


def test_in_public_a_refusal_says_nothing_of_others() -> None:
    """By default neither use nor limit nor workload of others is in the body; with `tell="full"` all is."""
    limiter = limiter_of(read("3/minute"), _core.Meters(_core.Clock.manual()), name="api")
    for _ in range(3):
        limiter.try_acquire()

    public, full = ask(Middleware(hello, limiter)), ask(Middleware(hello, limiter, tell="full"))

    assert {"type", "title", "status", "detail", "violated-policies", "contract", "why", "ref"} == set(public.body)
    assert "3 of 3" not in public.body["detail"]
    assert "3 of 3" in full.body["detail"]
    assert (3, 3) == (full.body["limit"], full.body["use"])


def test_in_public_only_the_contracts_own_meters_are_named() -> None:
    """A contract that spends an upstream and has a total over all keys tells the caller of its own share alone."""
    level = 5_000_000
    meters = _core.Meters()
    names = ("cluster", "api.calls", "api.calls#total", "api-internal")
    keyed = {"api.calls": 10}
    meters.declare(
        [_core.MeterSpec(n, "rate", ceiling_micro=level, per_ns=10**9, keys_max=keyed.get(n)) for n in names]
    )
    curve = _core.Curve("rate", 1, "now", [_core.Segment(0, None, level, level)], 10**9, 10**9)
    meters.publish([(n, curve) for n in names], 0)
    limiter = meters.limiter(_core.PathSpec("api", "other", [(n, 1_000_000, n in keyed) for n in names]))

    public = ask(Middleware(hello, limiter, key=lambda scope: "ana"))
    full = ask(Middleware(hello, limiter, key=lambda scope: "ana", tell="full"))

    assert ["api.calls"] == [member.value for member in parsed(public.headers, "ratelimit")]
    assert list(names) == [member.value for member in parsed(full.headers, "ratelimit")]
    assert list(names) == [member.value for member in parsed(full.headers, "ratelimit-policy")]


def test_a_limit_that_cannot_be_asked_is_no_quota_exceeded() -> None:
    """After `close` a demand is refused as `closed`: 503, because nothing is known of the caller's use."""
    meters = _core.Meters()
    meters.declare([_core.MeterSpec("api", "rate", ceiling_micro=1_000_000, per_ns=10**9)])
    limiter = meters.limiter(_core.PathSpec("api", "other", [("api", 1_000_000, False)]))

    refused = ask(Middleware(hello, limiter))

    assert (503, "about:blank", "not_published") == (refused.status, refused.body["type"], refused.body["why"])


def test_an_answer_to_head_has_no_body() -> None:
    """HEAD is told the length of what it leaves out."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()

    refused = ask(Middleware(hello, limiter), {**HTTP, "method": "HEAD"})

    assert 429 == refused.status
    assert b"" == refused.sent[1]["body"]
    assert int(refused.headers["content-length"]) > 0


# --- HTTP: who is charged -----------------------------------------------------------------------------------------


def test_each_key_has_its_own_limit_and_no_request_goes_unmetered() -> None:
    """Two addresses have one each; requests without an address share one."""
    app = Middleware(hello, headway.limit("1/31d", keys=10), key=lambda scope: scope["client"] and scope["client"][0])
    scopes = [{**HTTP, "client": client} for client in (("a", 1), ("b", 1), None, ("a", 2), None)]

    assert [200, 200, 200, 429, 429] == [ask(app, scope).status for scope in scopes]


def test_a_long_key_is_charged_under_its_hash() -> None:
    """A key of a megabyte is one key, apart from another that begins alike; one that is no text passes too."""
    limiter = headway.limit("1/31d", keys=10)
    app = Middleware(hello, limiter, key=lambda scope: scope["path"])
    long, other = "x" * 1_000_000, "x" * 1_000_000 + "y"

    statuses = [ask(app, {**HTTP, "path": path}).status for path in (long, other, long)]

    assert KEY_BYTES_MAX < len(long)
    assert [200, 200, 429] == statuses
    assert not limiter.try_acquire(1, "sha256:" + hashlib.sha256(long.encode()).hexdigest())
    assert 200 == ask(app, {**HTTP, "path": "\udcff"}).status


def test_exempt_requests_are_not_metered() -> None:
    """A health check passes where the limit is spent, and says nothing of it."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()
    app = Middleware(hello, limiter, exempt=lambda scope: scope["path"] == "/healthz")

    healthy = ask(app, {**HTTP, "path": "/healthz"})

    assert 200 == healthy.status
    assert "ratelimit" not in healthy.headers
    assert 429 == ask(app).status


def test_units_may_come_from_the_request() -> None:
    """A batch of 3 is charged 3: of 5 two are left, and the next batch is refused."""
    app = Middleware(hello, headway.limit("5/31d"), units=lambda scope: int(scope["path"].lstrip("/")))

    first, second, third = (ask(app, {**HTTP, "path": path}) for path in ("/3", "/3", "/2"))

    assert [200, 429, 200] == [first.status, second.status, third.status]
    assert 2 == parsed(first.headers, "ratelimit")[0].params["r"]


def test_keys_where_there_are_none_are_told_at_start_up() -> None:
    """`key` beside a limit without keys, or none beside a limit that has them, fails before the first request."""
    with pytest.raises(ValueError, match="key"):
        Middleware(hello, headway.limit("5/s"), key=lambda scope: "ana")
    with pytest.raises(ValueError, match="key"):
        Middleware(hello, headway.limit("5/s", keys=10))
    Middleware(hello, headway.limit("5/s", keys=10).bind("ana"))


def test_a_limiter_already_knows_its_contract() -> None:
    """Naming a contract beside a Limiter, or none beside contracts, is a mistake that is told at once."""
    with pytest.raises(TypeError, match="already knows"):
        Middleware(hello, headway.limit("5/s"), "api")
    with pytest.raises(TypeError, match="already knows"):
        Middleware(hello, headway.limit("5/s"), workload=lambda scope: "checkout")


def test_a_workload_may_be_a_name() -> None:
    """`workload="web"` is that workload for every request; it is looked up once, when the application is built."""
    asked: list[tuple[str, str | None]] = []

    class Contracts:
        def limiter(self, contract: str, workload: str | None = None) -> headway.Limiter:
            asked.append((contract, workload))
            return headway.limit("5/s")

        def workloads(self, contract: str) -> tuple[str, ...]:
            return ("web",)

        def tell(self, contract: str) -> None:
            return None

    Middleware(hello, Contracts(), "api", workload="web")

    assert [("api", "web")] == asked


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
        tasks = [asyncio.ensure_future(_call(app, HTTP, Exchange())) for _ in range(3)]
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
        one = asyncio.ensure_future(_call(app, {**HTTP, "path": "/first"}, first))
        await asyncio.sleep(0)
        two = asyncio.ensure_future(_call(app, {**HTTP, "path": "/second"}, second))
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
