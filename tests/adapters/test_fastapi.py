"""The FastAPI dependency, in real applications."""

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

import httpx
import pytest
from fastapi import Depends, FastAPI, HTTPException, WebSocket
from fastapi.responses import StreamingResponse
from fastapi.testclient import TestClient
from starlette.testclient import WebSocketDenialResponse

import headway
import headway.testing
from headway.adapters.fastapi import Limited
from headway.asgi import Middleware
from tests.adapters.limits import CONTRACT, MATCHED, admitted, assert_all_returned, observed
from tests.library.exchange import HTTP, Exchange, ask, call, hello
from tests.library.pool import free, settle_down, slots


def app_over(limited: Limited) -> FastAPI:
    """An application whose `/` depends on a limit."""
    app = FastAPI()

    @app.get("/{rest:path}", dependencies=[Depends(limited)])
    def answer() -> dict[str, str]:
        return {"said": "hello"}

    return app


def test_an_admitted_request_passes_and_its_response_says_what_is_left() -> None:
    """Of 5 a minute one is taken."""
    answer = TestClient(app_over(Limited(headway.limit("5/minute", name="api")))).get("/")

    assert (200, {"said": "hello"}) == (answer.status_code, answer.json())
    assert '"api";q=5;w=60' == answer.headers["ratelimit-policy"]
    assert answer.headers["ratelimit"].startswith('"api";r=4')


def test_a_refused_request_has_the_middlewares_status_fields_and_document() -> None:
    """FastAPI puts the document into `detail`."""
    limiter = headway.limit("1/31d", name="api")
    limiter.try_acquire()
    app = app_over(Limited(limiter))

    answer, expected = TestClient(app).get("/"), ask(Middleware(hello, limiter))
    said = answer.json()["detail"]

    assert 429 == answer.status_code == expected.status
    apart = {"content-type", "content-length"}
    assert {k: v for k, v in expected.headers.items() if k not in apart}.items() <= dict(answer.headers).items()
    apart = {"ref", "detail"}
    assert {k: v for k, v in expected.body.items() if k not in apart} == {
        k: v for k, v in said.items() if k not in apart
    }


def test_a_refused_request_reaches_neither_its_function_nor_a_dependency_after_it() -> None:
    """No database session is opened for what is refused."""
    seen = []

    def session() -> None:
        seen.append("session")

    limiter = headway.limit("1/31d")
    limiter.try_acquire()
    app = FastAPI()

    @app.get("/", dependencies=[Depends(Limited(limiter)), Depends(session)])
    def answer() -> None:
        seen.append("function")

    assert 429 == TestClient(app).get("/").status_code
    assert [] == seen


def test_a_stream_holds_its_slot_to_the_last_byte() -> None:
    """A function that returned long ago goes on sending: the slot is taken until its body is sent."""
    limiter = slots(1)
    app = FastAPI()
    seen = []

    @app.get("/", dependencies=[Depends(Limited(limiter))])
    async def answer() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            yield b"a"
            seen.append(free(limiter))
            yield b"b"
            seen.append(free(limiter))

        return StreamingResponse(body())

    assert b"ab" == TestClient(app).get("/").content
    assert [0, 0] == seen
    assert_all_returned(limiter, 1)


@pytest.mark.parametrize("kind", [LookupError, HTTPException(418)])
def test_an_exception_gives_the_slot_back(kind: Exception) -> None:
    """The application's own error is answered as ever."""
    limiter = slots(1)
    app = FastAPI()

    @app.get("/", dependencies=[Depends(Limited(limiter))])
    def answer() -> None:
        raise kind

    status = TestClient(app, raise_server_exceptions=False).get("/").status_code

    assert status in (418, 500)
    assert_all_returned(limiter, 1)


def test_a_client_that_went_away_gives_the_slot_back() -> None:
    """The server says so in the middle of an endless stream."""
    limiter = slots(1)
    app = FastAPI()
    sent: list[int] = []

    @app.get("/", dependencies=[Depends(Limited(limiter))])
    async def answer() -> StreamingResponse:
        async def body() -> AsyncIterator[bytes]:
            while True:
                sent.append(free(limiter))
                yield b"a"
                await asyncio.sleep(0)

        return StreamingResponse(body())

    scope = {**HTTP, "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": ""}
    asyncio.run(call(app, scope, Exchange({"type": "http.request"})))

    assert {0} == set(sent)
    assert_all_returned(limiter, 1)


def test_requests_wait_their_turn_and_cancelled_ones_hold_nothing() -> None:
    """Three requests on one slot with a wait: one works, one is served after it, one gives up in line."""
    limiter = slots(1, wait=300.0)
    app = FastAPI()

    async def run() -> list[int]:
        door = asyncio.Event()

        @app.get("/", dependencies=[Depends(Limited(limiter))])
        async def answer() -> None:
            await door.wait()

        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://shop") as client:
            first, second, third = (asyncio.ensure_future(client.get("/")) for _ in range(3))
            while limiter.reading().waiting < 2:
                await settle_down()
            third.cancel()
            door.set()
            return [(await task).status_code for task in (first, second)]

    assert [200, 200] == asyncio.run(run())
    assert_all_returned(limiter, 1)


def test_a_websocket_holds_its_slot_while_it_is_open_and_a_refused_one_is_denied() -> None:
    """One socket is open; a second is answered 429 in place of the handshake."""
    limiter = slots(1)
    app = FastAPI()

    @app.websocket("/", dependencies=[Depends(Limited(limiter))])
    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        await socket.send_text(str(free(limiter)))
        await socket.receive_text()

    client = TestClient(app)
    with client.websocket_connect("/") as socket:
        assert "0" == socket.receive_text()
        with pytest.raises(WebSocketDenialResponse) as denied, client.websocket_connect("/"):
            pass
        assert 429 == denied.value.status_code
        socket.send_text("bye")

    assert_all_returned(limiter, 1)


def test_keys_units_exemptions_and_workloads_come_from_the_request() -> None:
    """Tenants have a limit each, a batch costs its size, health checks nothing; a header names the workload."""
    limited = Limited(
        headway.limit("2/31d", keys=10),
        key=lambda request: request.headers.get("x-tenant"),
        units=lambda request: int(request.query_params.get("size", "1")),
        exempt=lambda request: request.url.path == "/healthz",
    )
    client = TestClient(app_over(limited))
    asked = [("/?size=2", "a"), ("/", "a"), ("/healthz", "a"), ("/", "b")]

    assert [200, 429, 200, 200] == [client.get(path, headers={"x-tenant": who}).status_code for path, who in asked]
    with headway.testing.open(CONTRACT) as hw:
        named = Limited(hw, "orders-db", workload=lambda request: request.headers.get("job"))
        TestClient(app_over(named)).get("/", headers={"job": "reporting"})
        assert 1 == hw.limiter("orders-db", "reporting").reading().admitted


def test_one_dependency_asked_for_twice_in_a_request_is_one_demand() -> None:
    """FastAPI remembers a dependency within a request: a router's and a route's are the same demand."""
    limiter = headway.limit("5/31d")
    limited = Limited(limiter)
    app = FastAPI(dependencies=[Depends(limited)])

    @app.get("/")
    def answer(_asked: Annotated[None, Depends(limited)]) -> None: ...

    assert 200 == TestClient(app).get("/").status_code
    assert 1 == limiter.reading().admitted


def test_in_observe_everything_is_admitted_and_counted() -> None:
    """Three requests in a second of a limit of one: all are answered, two would have been refused."""
    limiter = observed("rate")
    client = TestClient(app_over(Limited(limiter)))
    for _ in range(3):
        limiter.try_acquire()

    assert 200 == client.get("/").status_code
    assert 3 <= limiter.reading().refused


def test_the_first_match_that_takes_a_request_names_its_workload() -> None:
    with headway.testing.open(MATCHED) as hw:
        limited = Limited(hw, "api", attributes=lambda request: {"user": request.headers.get("x-user")})
        client = TestClient(app_over(limited), base_url="http://shop.example")
        client.get("/checkout/7", headers={"x-team": "shop"})
        client.get("/", headers={"x-user": "ana@shop.example"})
        client.get("/")

        assert {"checkout": 1, "staff": 1, "other": 1} == admitted(hw)
