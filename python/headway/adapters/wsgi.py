"""WSGI middleware: every request of an application meets a contract before it meets the application.

As `headway.asgi`: a permit is held until the response is sent in full, through a generator to its last chunk, whatever
ends it; a refused request is answered here with 429, `Retry-After` and a problem document. A request that waits its turn
(`enforce.wait`) waits in its worker's thread.

    app = Middleware(app, headway.open("contracts/"), "api", key=lambda environ: environ["REMOTE_ADDR"])

Source: PEP 3333.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from http import HTTPStatus
from typing import TYPE_CHECKING

from headway._core import Limiter, Permit, Refused
from headway.enforce.asking import Asking, Contracts
from headway.enforce.attributes import Attributes, of_environ
from headway.enforce.http import Header, Tell, answer_of, rate_limit_fields

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment


class Middleware:
    """Meters the requests of a WSGI application. Arguments and errors as `headway.enforce.asking.Asking`; functions of
    a request are given its environ. A request says its `method`, `path`, `host` and `header.NAME`.
    """

    def __init__(
        self,
        app: WSGIApplication,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[WSGIEnvironment], str | None] | None = None,
        workload: str | Callable[[WSGIEnvironment], str | None] | None = None,
        attributes: Callable[[WSGIEnvironment], Attributes | None] | None = None,
        units: int | Callable[[WSGIEnvironment], int] = 1,
        exempt: Callable[[WSGIEnvironment], bool] | None = None,
        tell: Tell | None = None,
    ) -> None:
        self._app = app
        self._asking = Asking(
            limiter,
            contract,
            key=key,
            workload=workload,
            attributes=attributes,
            units=units,
            exempt=exempt,
            tell=tell,
            read=of_environ,
        )

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        demand = self._asking.demand_of(environ)
        if demand is None:
            return self._app(environ, start_response)

        limiter, units, key = demand
        tell = self._asking.tell
        try:
            permit = limiter.acquire(units, key)
        except Refused as refused:
            answer = answer_of(limiter, refused.refusal, tell)
            start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", _text(answer.headers))
            # A HEAD's answer has the length of what it leaves out.
            return [] if environ.get("REQUEST_METHOD") == "HEAD" else [answer.body]

        try:
            started = _with_fields(start_response, lambda: _text(rate_limit_fields(limiter, key, tell)))
            return _Held(permit, self._app(environ, started))
        except BaseException:
            permit.release()
            raise


class _Held:
    """A response and the permit it holds: released once, after the last chunk or when the server closes it."""

    def __init__(self, permit: Permit, response: Iterable[bytes]) -> None:
        self._permit: Permit | None = permit
        self._response = response
        self._chunks: Iterator[bytes] | None = None

    def __iter__(self) -> _Held:
        return self

    def __next__(self) -> bytes:
        if self._chunks is None:
            self._chunks = iter(self._response)
        try:
            return next(self._chunks)
        except BaseException:
            # The last chunk is sent when the server asks for one more; a failed one is followed by none.
            self._release()
            raise

    def close(self) -> None:
        try:
            if (close := getattr(self._response, "close", None)) is not None:
                close()
        finally:
            self._release()

    def _release(self) -> None:
        permit, self._permit = self._permit, None
        if permit is not None:
            permit.release()


def _with_fields(start_response: StartResponse, fields: Callable[[], list[tuple[str, str]]]) -> StartResponse:
    def start(status, headers, exc_info=None, /):  # type: ignore[no-untyped-def]
        return start_response(status, [*headers, *fields()], exc_info)

    return start


def _text(headers: list[Header]) -> list[tuple[str, str]]:
    return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in headers]
