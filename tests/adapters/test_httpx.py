"""The httpx transport: what is spent before sending, and until when a slot is held."""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest

import headway
import headway.testing
from headway.adapters.httpx import AsyncTransport, Transport
from tests.adapters.limits import CONTRACT, MATCHED, admitted, assert_all_returned, observed
from tests.library.pool import free, settle_down, slots

URL = "http://partner.example/"


class Answering(BaseHTTPRequestHandler):
    """A partner: `/` in one piece, `/stream` in two chunks, `/moved` to `/`."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        if self.path == "/moved":
            self.send_response(302)
            self.send_header("location", "/")
            self.send_header("content-length", "0")
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"1\r\na\r\n1\r\nb\r\n0\r\n\r\n")

    def log_message(self, format: str, *args: Any) -> None: ...


@pytest.fixture(scope="module")
def partner() -> Iterator[str]:
    """The partner's address."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def mocked(limiter: headway.Limiter, **answer: Any) -> httpx.Client:
    return httpx.Client(
        transport=Transport(httpx.MockTransport(lambda _request: httpx.Response(200, **answer)), limiter)
    )


# --- what is spent ------------------------------------------------------------------------------------------------


def test_what_is_refused_is_not_sent() -> None:
    """The second of one request a month raises `Refused`, and the partner hears of the first alone."""
    sent = []

    def answer(request: httpx.Request) -> httpx.Response:
        sent.append(request.url.path)
        return httpx.Response(200)

    client = httpx.Client(transport=Transport(httpx.MockTransport(answer), headway.limit("1/31d")))
    client.get(URL + "one")

    with pytest.raises(headway.Refused) as refused:
        client.get(URL + "two")

    assert ["/one"] == sent
    assert refused.value.refusal.retry_after_s is not None


def test_a_redirect_is_a_request_of_its_own(partner: str) -> None:
    """One call that is sent on costs two; a limit of one stops at the redirect."""
    limiter = headway.limit("3/31d")
    with httpx.Client(transport=Transport(httpx.HTTPTransport(), limiter), follow_redirects=True) as client:
        assert b"ab" == client.get(partner + "/moved").content
        assert 2 == limiter.reading().admitted
        with pytest.raises(headway.Refused):
            client.get(partner + "/moved")


def test_keys_units_exemptions_and_workloads_come_from_the_request() -> None:
    """Hosts have a limit each, a batch costs its size, health checks nothing, and a header names the workload."""
    transport = Transport(
        httpx.MockTransport(lambda _request: httpx.Response(200)),
        headway.limit("2/31d", keys=10),
        key=lambda request: request.url.host,
        units=lambda request: 2 if request.url.path == "/batch" else 1,
        exempt=lambda request: request.url.path == "/healthz",
    )
    client = httpx.Client(transport=transport)

    client.get("http://a.example/batch")
    client.get("http://b.example/")
    client.get("http://a.example/healthz")
    with pytest.raises(headway.Refused):
        client.get("http://a.example/")
    with headway.testing.open(CONTRACT) as hw:
        inner = httpx.MockTransport(lambda _request: httpx.Response(200))
        named = Transport(inner, hw, "orders-db", workload=lambda request: request.headers.get("job"))
        httpx.Client(transport=named).get(URL, headers={"job": "reporting"})
        assert 1 == hw.limiter("orders-db", "reporting").reading().admitted


def test_in_observe_everything_is_sent_and_counted() -> None:
    """Three streams at once on one slot: all are answered, two would have been refused."""
    limiter = observed()
    client = mocked(limiter, stream=Two())

    with client.stream("GET", URL), client.stream("GET", URL), client.stream("GET", URL):
        assert 2 == limiter.reading().refused


# --- until when a slot is held --------------------------------------------------------------------------------------


class Two(httpx.SyncByteStream):
    """A body of two chunks, the second of which may fail."""

    def __init__(self, fails: bool = False) -> None:
        self.fails = fails
        self.closed = 0

    def __iter__(self) -> Iterator[bytes]:
        yield b"a"
        if self.fails:
            raise httpx.ReadError("connection lost")
        yield b"b"

    def close(self) -> None:
        self.closed += 1


def test_a_stream_holds_its_slot_to_its_end() -> None:
    """While the body is read the slot is taken; it is free with the last byte, and closing again gives nothing back."""
    limiter, body = slots(1), Two()

    with mocked(limiter, stream=body).stream("GET", URL) as response:
        during = [(chunk, free(limiter)) for chunk in response.iter_raw()]
        after = free(limiter)
        response.close()

    assert [(b"a", 0), (b"b", 0)] == during
    assert (1, 1) == (after, free(limiter))
    assert 0 == limiter.reading().double_released
    assert body.closed >= 1


def test_a_response_that_came_whole_holds_nothing() -> None:
    """A mock's or a cache's answer is complete when it arrives: no slot is held for it."""
    limiter = slots(1)

    answers = [mocked(limiter, content=b"whole").get(URL).content for _ in range(3)]

    assert [b"whole"] * 3 == answers
    assert 1 == free(limiter)


def test_a_real_partners_answer_holds_its_slot_until_it_is_read(partner: str) -> None:
    """Over a socket, in one piece and in a stream that is left in the middle."""
    limiter = slots(1)
    with httpx.Client(transport=Transport(httpx.HTTPTransport(), limiter)) as client:
        assert b"ab" == client.get(partner).content
        with client.stream("GET", partner + "/stream") as response:
            assert 0 == free(limiter)
            next(response.iter_raw())

    assert_all_returned(limiter, 1)


def test_an_error_before_or_in_the_body_gives_the_slot_back() -> None:
    """No connection, and a connection that is lost in the middle of the body."""
    limiter = slots(1)

    def unreachable(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("nobody there", request=request)

    with pytest.raises(httpx.ConnectError):
        httpx.Client(transport=Transport(httpx.MockTransport(unreachable), limiter)).get(URL)
    assert 1 == free(limiter)
    with pytest.raises(httpx.ReadError):
        mocked(limiter, stream=Two(fails=True)).get(URL)
    assert_all_returned(limiter, 1)


def test_closing_the_client_closes_what_is_inside() -> None:
    """`with client`, and `client.close()`, reach the transport that does the sending."""
    seen = []

    class Noted(httpx.MockTransport):
        def __enter__(self) -> "Noted":
            seen.append("enter")
            return self

        def __exit__(self, *told: object) -> None:
            seen.append("exit")

        def close(self) -> None:
            seen.append("close")

    def client() -> httpx.Client:
        inner = Noted(lambda _request: httpx.Response(200))
        return httpx.Client(transport=Transport(inner, slots(1)))

    with client():
        pass
    client().close()

    assert ["enter", "exit", "close"] == seen


# --- asynchronously -------------------------------------------------------------------------------------------------


class AsyncTwo(httpx.AsyncByteStream):
    """A body whose second chunk comes when it is let."""

    def __init__(self, door: asyncio.Event) -> None:
        self.door = door

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b"a"
        await self.door.wait()
        yield b"b"


def async_client(limiter: headway.Limiter, stream: httpx.AsyncByteStream) -> httpx.AsyncClient:
    inner = httpx.MockTransport(lambda _request: httpx.Response(200, stream=stream))
    return httpx.AsyncClient(transport=AsyncTransport(inner, limiter))


def test_a_request_waits_its_turn_and_lets_the_loop_go_on() -> None:
    """With a wait, the second of two requests on one slot is sent when the first one's body is read."""
    limiter = slots(1, wait=300.0)

    async def run() -> list[bytes]:
        door = asyncio.Event()
        client = async_client(limiter, AsyncTwo(door))
        tasks = [asyncio.ensure_future(client.get(URL)) for _ in range(2)]
        await settle_down()
        assert 1 == limiter.reading().waiting
        door.set()
        return [response.content for response in await asyncio.gather(*tasks)]

    assert [b"ab", b"ab"] == asyncio.run(run())
    assert_all_returned(limiter, 1)


def test_a_cancelled_request_gives_the_slot_back_wherever_it_was() -> None:
    """One is in the middle of its body, one waits for its slot: cancelled, neither holds anything."""
    limiter = slots(1, wait=300.0)

    async def run() -> None:
        client = async_client(limiter, AsyncTwo(asyncio.Event()))
        tasks = [asyncio.ensure_future(client.get(URL)) for _ in range(2)]
        await settle_down()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())

    assert_all_returned(limiter, 1)


def test_an_asynchronous_refusal_is_not_sent_and_an_error_holds_nothing(partner: str) -> None:
    """Over a real socket: one is answered, one refused while the first is open; a dead address gives the slot back."""
    limiter = slots(1)

    async def run() -> bytes:
        async with httpx.AsyncClient(transport=AsyncTransport(httpx.AsyncHTTPTransport(), limiter)) as client:
            async with client.stream("GET", partner + "/stream") as response:
                with pytest.raises(headway.Refused):
                    await client.get(partner)
                body = await response.aread()
            with pytest.raises(httpx.ConnectError):
                await client.get("http://127.0.0.1:1/")
            return body

    assert b"ab" == asyncio.run(run())
    assert_all_returned(limiter, 1)


def test_an_exempt_asynchronous_request_holds_nothing(partner: str) -> None:
    """Its slot is taken by somebody else, and it is sent all the same."""
    limiter = slots(1)
    held = limiter.try_acquire()

    async def run() -> int:
        transport = AsyncTransport(httpx.AsyncHTTPTransport(), limiter, exempt=lambda request: request.url.path == "/")
        async with httpx.AsyncClient(transport=transport) as client:
            return (await client.get(partner)).status_code

    assert held
    assert 200 == asyncio.run(run())


# --- who asks -----------------------------------------------------------------------------------------------------


def test_the_first_match_that_takes_a_request_names_its_workload() -> None:
    with headway.testing.open(MATCHED) as hw:
        answering = httpx.MockTransport(lambda _request: httpx.Response(200))
        client = httpx.Client(transport=Transport(answering, hw, "api"))
        client.get("http://partner.example/checkout/7", headers={"X-Team": "shop"})
        client.post("http://SHOP.example:8080/")
        client.get(URL)

        assert {"checkout": 1, "posts": 1, "other": 1} == admitted(hw)


def test_an_asynchronous_request_is_told_apart_likewise() -> None:
    async def play() -> None:
        answering = httpx.MockTransport(lambda _request: httpx.Response(200))
        transport = AsyncTransport(answering, hw, "api", attributes=lambda _request: {"user": "ana@shop.example"})
        async with httpx.AsyncClient(transport=transport) as client:
            await client.get(URL)

    with headway.testing.open(MATCHED) as hw:
        asyncio.run(play())

        assert {"staff": 1} == admitted(hw)
