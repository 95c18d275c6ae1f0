"""The WSGI middleware, under the validator of PEP 3333 and a real server."""

import http.client
import io
import json
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server
from wsgiref.util import setup_testing_defaults
from wsgiref.validate import validator

import pytest

import headway
import headway.testing
from headway.adapters.wsgi import Middleware
from tests.adapters.limits import CONTRACT, MATCHED, admitted, assert_all_returned, observed
from tests.library.exchange import ask
from tests.library.exchange import hello as asgi_hello
from tests.library.pool import free, slots

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


def hello(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
    """The smallest application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [b"hello"]


class Exchange:
    """One request as a server sees it; the response is pulled and closed by the test."""

    def __init__(self, app: App, method: str = "GET", path: str = "/") -> None:
        self.status, self.headers = "", dict[str, str]()
        environ: dict[str, Any] = {"REQUEST_METHOD": method, "SCRIPT_NAME": "", "PATH_INFO": path, "QUERY_STRING": ""}
        setup_testing_defaults(environ)
        environ["wsgi.errors"] = io.StringIO()
        self.response: Any = app(environ, self._start)

    def _start(
        self,
        status: str,
        headers: list[tuple[str, str]],
        exc_info: tuple[type[BaseException], BaseException, TracebackType] | tuple[None, None, None] | None = None,
    ) -> Callable[[bytes], object]:
        assert not self.status or exc_info, "a second head wants a reason"
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        return lambda _body: None

    def read(self) -> bytes:
        """The whole body; closes the response as servers do, after a failure too."""
        try:
            return b"".join(self.response)
        finally:
            if hasattr(self.response, "close"):
                self.response.close()


def test_an_admitted_request_passes_and_its_response_says_what_is_left() -> None:
    """Of 5 a minute one is taken: the application's own answer, with the policy and 4 remaining."""
    exchange = Exchange(validator(Middleware(hello, headway.limit("5/minute", name="api"))))

    assert b"hello" == exchange.read()
    assert "200 OK" == exchange.status
    assert '"api";q=5;w=60' == exchange.headers["ratelimit-policy"]
    assert exchange.headers["ratelimit"].startswith('"api";r=4')
    assert "text/plain" == exchange.headers["content-type"]


def test_a_refused_request_is_answered_as_under_asgi() -> None:
    """Status, header fields and problem document are the same ones, but for the refusal's own name."""
    limiter = headway.limit("1/31d", name="api")
    limiter.try_acquire()

    wsgi, asgi = Exchange(validator(Middleware(hello, limiter))), ask(headway.asgi.Middleware(asgi_hello, limiter))
    body = json.loads(wsgi.read())

    assert "429 Too Many Requests" == wsgi.status
    assert "application/problem+json" == wsgi.headers["content-type"]
    apart = {"ref", "detail"}
    assert {k: v for k, v in asgi.body.items() if k not in apart} == {k: v for k, v in body.items() if k not in apart}
    assert asgi.headers == wsgi.headers
    assert body["ref"] in body["detail"]


def test_a_limit_that_cannot_be_asked_is_503() -> None:
    """A contract that was closed is no yes."""
    with headway.testing.open(CONTRACT) as hw:
        app = Middleware(hello, hw, "orders-db", workload="checkout")

    exchange = Exchange(validator(app))

    assert "503 Service Unavailable" == exchange.status
    assert "closed" == json.loads(exchange.read())["why"]


def test_an_answer_to_head_has_no_body() -> None:
    """HEAD is told the length of what it leaves out."""
    limiter = headway.limit("1/31d")
    limiter.try_acquire()

    exchange = Exchange(validator(Middleware(hello, limiter)), method="HEAD")

    assert b"" == exchange.read()
    assert int(exchange.headers["content-length"]) > 0


def test_a_generator_holds_its_slot_to_the_last_chunk_and_not_longer() -> None:
    """Two chunks: the slot is taken until the server asks for a third, and the application's clean-up runs after."""
    limiter = slots(1)

    def streaming(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        yield b"a"
        yield b"b"

    exchange = Exchange(Middleware(streaming, limiter))
    seen = [(chunk, free(limiter)) for chunk in exchange.response]

    assert [(b"a", 0), (b"b", 0)] == seen
    assert 1 == free(limiter)
    exchange.response.close()
    assert_all_returned(limiter, 1)


def test_a_response_that_is_closed_early_gives_the_slot_back_and_closes_what_it_wraps() -> None:
    """A client that went away: the server closes after the first chunk, and once more."""
    limiter = slots(1)
    closed = []

    def streaming(environ: dict[str, Any], start_response: Any) -> Iterator[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            yield b"a"
            yield b"b"
        finally:
            closed.append(free(limiter))

    exchange = Exchange(Middleware(streaming, limiter))
    next(iter(exchange.response))
    exchange.response.close()
    exchange.response.close()

    assert [0] == closed
    assert_all_returned(limiter, 1)


@pytest.mark.parametrize("at", ["call", "first", "second", "close"])
def test_an_exception_anywhere_gives_the_slot_back(at: str) -> None:
    """In the call, before the head, in the middle of a stream, in the clean-up: the error goes on to the server."""
    limiter = slots(1)

    def failing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if at == "call":
            raise LookupError(at)
        return stream(start_response)

    def stream(start_response: Any) -> Iterator[bytes]:
        if at == "first":
            raise LookupError(at)
        start_response("200 OK", [])
        try:
            yield b"a"
            if at == "second":
                raise LookupError(at)
            yield b"b"
        except GeneratorExit:
            raise LookupError(at) from None

    def serve() -> None:
        exchange = Exchange(Middleware(failing, limiter))
        next(iter(exchange.response))
        if at == "second":
            exchange.read()
        exchange.response.close()

    with pytest.raises(LookupError, match=at):
        serve()

    assert_all_returned(limiter, 1)


def test_an_error_page_that_replaces_the_head_has_the_fields_too() -> None:
    """An application may say a head twice, the second time with what went wrong."""

    def failing(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        start_response("200 OK", [("Content-Type", "text/plain")])
        try:
            raise LookupError("late")
        except LookupError:
            start_response("500 Internal Server Error", [("Content-Type", "text/plain")], sys.exc_info())
        return [b"sorry"]

    exchange = Exchange(validator(Middleware(failing, headway.limit("5/minute"))))

    assert (b"sorry", "500 Internal Server Error") == (exchange.read(), exchange.status)
    assert "ratelimit" in exchange.headers


def test_exempt_requests_keys_units_and_workloads_come_from_the_environ() -> None:
    """A health check passes a spent limit; two keys have a limit each; a batch is charged its size."""
    limiter = headway.limit("2/31d", keys=10)
    app = Middleware(
        hello,
        limiter,
        key=lambda environ: environ["QUERY_STRING"] or None,
        units=lambda environ: 2 if environ["PATH_INFO"] == "/batch" else 1,
        exempt=lambda environ: environ["PATH_INFO"] == "/healthz",
    )

    statuses = [Exchange(app, path=path).status[:3] for path in ("/batch", "/", "/healthz", "/batch")]

    assert ["200", "429", "200", "429"] == statuses
    with headway.testing.open(CONTRACT) as hw:
        by_path = Middleware(hello, hw, "orders-db", workload=lambda environ: environ["PATH_INFO"].strip("/"))
        Exchange(by_path, path="/reporting").read()
        assert (0, 1) == tuple(hw.limiter("orders-db", name).reading().admitted for name in ("checkout", "reporting"))


def test_in_observe_everything_is_admitted_and_counted() -> None:
    """Three requests at once on one slot: all are answered, two would have been refused."""
    limiter = observed()
    app = Middleware(hello, limiter)

    open_ones = [Exchange(app) for _ in range(3)]

    assert ["200 OK"] * 3 == [exchange.status for exchange in open_ones]
    assert 2 == limiter.reading().refused
    assert [b"hello"] * 3 == [exchange.read() for exchange in open_ones]


class Quiet(WSGIRequestHandler):
    """A handler that writes no log."""

    def log_message(self, format: str, *args: Any) -> None: ...


def test_a_real_server_sends_both_answers() -> None:
    """wsgiref's own server: the first request is served, the second refused with all its header fields."""
    with make_server("127.0.0.1", 0, Middleware(hello, headway.limit("1/31d")), handler_class=Quiet) as server:
        thread = threading.Thread(target=lambda: [server.handle_request() for _ in range(2)])
        thread.start()
        answers = []
        for _ in range(2):
            connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
            connection.request("GET", "/")
            answer = connection.getresponse()
            answers.append((answer.status, answer.headers.get("retry-after") is not None, len(answer.read()) > 5))
            connection.close()
        thread.join()

    assert [(200, False, False), (429, True, True)] == answers


def test_the_first_match_that_takes_a_request_names_its_workload() -> None:
    """A path is read as UTF-8 where it was mounted, a header under its variable; the user is said beside it."""
    with headway.testing.open(MATCHED) as hw:

        def asked(**environ: str) -> None:
            app = Middleware(hello, hw, "api", attributes=lambda environ: {"user": environ.get("REMOTE_USER")})
            Exchange(lambda own, start: validator(app)(own | environ, start)).read()

        asked(SCRIPT_NAME="/checkout", PATH_INFO="", HTTP_X_TEAM="shop")
        asked(SCRIPT_NAME="/checkout", PATH_INFO="/\xc3\xa9", HTTP_X_TEAM="shop")
        asked(REQUEST_METHOD="POST", HTTP_HOST="shop.example:80")
        asked(REMOTE_USER="ana@shop.example")
        asked(PATH_INFO="/checkout", HTTP_X_TEAM="press")

        assert {"checkout": 2, "posts": 1, "staff": 1, "other": 1} == admitted(hw)
