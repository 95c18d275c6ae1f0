"""The application: `headway serve` and `headway.open(listen=…)` serve this same one."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from difflib import get_close_matches
from html import escape
from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.openapi.utils import get_openapi
from fastapi.responses import HTMLResponse, JSONResponse
from starlette.exceptions import HTTPException

from headway.contract.faults import Unreadable
from headway.errors import HeadwayError
from headway.server.access import Access
from headway.server.doorway import Doorway
from headway.server.gate_metrics import PlaneReading
from headway.server.metrics import Look
from headway.server.problems import MEDIA_TYPE, ServerError, problem_document, problem_headers, status_of
from headway.server.rights import Viewer
from headway.server.routes.acts import acts
from headway.server.routes.described import PROBLEM_SCHEMA, answers
from headway.server.routes.ledger import ledger_routes
from headway.server.routes.live import Streams, live
from headway.server.routes.reads import reads

if TYPE_CHECKING:
    from headway.engine.engine import Engine

FIELDS_MOST = 50
"""Faulty fields one answer names."""


def create_app(
    engine: Engine,
    access: Access,
    *,
    hosts: Iterable[str] = (),
    streams: Streams | None = None,
    look: Look = PlaneReading,
) -> FastAPI:
    """The API over one engine.

    Args:
        engine: An open engine; the application neither opens nor closes it.
        access: Who may call.
        hosts: Host names it answers to besides loopback's.
        streams: The live streams, where the server that runs it wants to end them itself.
        look: Reads the data plane beside it.
    """
    open_streams = streams or Streams()

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        open_streams.close()

    app = FastAPI(
        title="Headway", version=_version(), lifespan=lifespan, docs_url=None, redoc_url=None, openapi_url=None
    )
    app.include_router(reads(engine))
    app.include_router(acts(engine, access))
    app.include_router(ledger_routes(engine))
    app.include_router(live(engine, open_streams, look))
    _add_index(app, engine)
    _add_problems(app)
    app.add_middleware(Doorway, access=access, hosts=tuple(hosts))
    return app


def openapi_of(app: FastAPI) -> dict[str, Any]:
    """The description of the API, with the problem document among its schemas."""
    if app.openapi_schema is None:
        document = get_openapi(
            title="Headway",
            version=app.version,
            routes=app.routes,
            description="Limits that are explicit, move on evidence, and are enforced. Errors are problem documents "
            "with a stable code; `docs/errors.md` lists them.",
        )
        document["components"]["schemas"]["Problem"] = PROBLEM_SCHEMA
        app.openapi_schema = document
    return app.openapi_schema


def _add_index(app: FastAPI, engine: Engine) -> None:
    @app.get("/", tags=["read"], responses=answers({"name": "Headway", "paths": ["/v1/contracts"]}, 401, 403))
    def index(request: Request, _: Viewer) -> Response:
        """Names the paths there are: as a page for a browser, as JSON for everything else."""
        paths = sorted(openapi_of(app)["paths"])
        if "text/html" in request.headers.get("accept", ""):
            rows = "".join(f"<li><code>{escape(path)}</code></li>" for path in paths)
            names = "".join(f"<li>{escape(name)}</li>" for name in engine.names()[:1000])
            return HTMLResponse(
                "<!doctype html><html lang=en><meta charset=utf-8><title>Headway</title><h1>Headway</h1>"
                f"<p>Contracts:</p><ul>{names}</ul><p>Ask <code>headway explain NAME</code>, or the API:</p>"
                f"<ul>{rows}</ul>"
            )
        return JSONResponse({"name": "Headway", "version": app.version, "paths": paths, "openapi": "/openapi.json"})

    @app.get("/openapi.json", include_in_schema=False)
    def openapi(_: Viewer) -> Response:
        return Response(json.dumps(openapi_of(app), ensure_ascii=False), media_type="application/json")


def _add_problems(app: FastAPI) -> None:
    """Everything that goes wrong leaves as a problem document, whoever raised it."""

    async def headway_error(_: Request, error: Exception) -> Response:
        assert isinstance(error, HeadwayError)
        return _answer(error)

    async def unreadable(_: Request, error: Exception) -> Response:
        assert isinstance(error, Unreadable)
        first, count = error.findings[0], len(error.findings)
        problem = first.problem if count == 1 else f"{first.problem} (and {count - 1} more)"
        told = HeadwayError(
            problem, because=first.because, mend=first.mend, where=str(first.where or ""), code=first.code
        )
        findings = [found.as_json() for found in error.findings]
        document = {**problem_document(told), "status": 422, "findings": findings}
        return JSONResponse(document, 422, media_type=MEDIA_TYPE)

    async def invalid(_: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _answer(_invalid(error.errors()))

    async def http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return _answer(
                ServerError("HW411", f"{request.method} is not for this path", headers=dict(error.headers or {}))
            )
        if error.status_code == 404:
            return _answer(_no_such_path(request.url.path, app))
        return _answer(ServerError("HW400", "the request cannot be taken apart", because=str(error.detail)))

    async def ours(_: Request, _error: Exception) -> Response:
        # The text of an unforeseen error may hold anything; it goes to the log alone.
        return _answer(HeadwayError("something went wrong inside Headway", mend="Look into the server's log."))

    handlers: Sequence[tuple[type[Exception], Callable[[Request, Exception], Awaitable[Response]]]] = (
        (HeadwayError, headway_error),
        (Unreadable, unreadable),
        (RequestValidationError, invalid),
        (HTTPException, http),
        (Exception, ours),
    )
    for kind, handler in handlers:
        app.add_exception_handler(kind, handler)


def _answer(error: HeadwayError) -> Response:
    return Response(
        json.dumps(problem_document(error), ensure_ascii=False), status_of(error), headers=problem_headers(error)
    )


def _invalid(errors: Sequence[Any]) -> ServerError:
    """What pydantic found, without the values that were sent: a value may be a secret in the wrong field."""
    fields = [
        {"field": ".".join(str(part) for part in error["loc"] if part != "body"), "problem": str(error["msg"])}
        for error in errors[:FIELDS_MOST]
    ]
    first = fields[0]
    return ServerError("HW422", f"`{first['field'] or 'body'}`: {first['problem']}", extra={"fields": fields})


def _no_such_path(path: str, app: FastAPI) -> ServerError:
    near = get_close_matches(path[:200], openapi_of(app)["paths"], n=3)
    return ServerError("HW410", f"there is no path `{path[:80]}`", extra={"nearest": near})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("headway")
    except PackageNotFoundError:
        # A source tree on the path, not an installed wheel.
        return "0"
