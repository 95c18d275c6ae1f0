"""A FastAPI dependency: the routes that depend on it meet a contract, before their function and its other dependencies.

    orders = Limited(headway.open("contracts/"), "orders-api", key=lambda request: request.headers.get("x-tenant"))

    @app.get("/orders", dependencies=[Depends(orders)])

For a whole application `headway.asgi.Middleware` is cheaper and answers with a problem document. Here the answer is
FastAPI's own: an `HTTPException` whose `detail` is that document, with the same status and header fields. A permit is held
until the response is sent, through a stream to its last byte, and for a WebSocket until its function returns. What a
function returns has the `RateLimit` fields added; a response that it builds itself has its own fields alone.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable

from fastapi import HTTPException, Response
from fastapi.requests import HTTPConnection

from headway._core import Limiter, Refused
from headway.enforce.asking import Asking, Contracts
from headway.enforce.attributes import Attributes, of_scope
from headway.enforce.http import Header, Tell, answer_of, rate_limit_fields


class Limited:
    """Meters what depends on it. Arguments and errors as `headway.enforce.asking.Asking`; functions of a request are
    given the `HTTPConnection`, which is a `Request` or a `WebSocket`. It says its `method`, `path`, `host` and `header.NAME`.
    """

    def __init__(
        self,
        limiter: Limiter | Contracts,
        contract: str | None = None,
        *,
        key: Callable[[HTTPConnection], str | None] | None = None,
        workload: str | Callable[[HTTPConnection], str | None] | None = None,
        attributes: Callable[[HTTPConnection], Attributes | None] | None = None,
        units: int | Callable[[HTTPConnection], int] = 1,
        exempt: Callable[[HTTPConnection], bool] | None = None,
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
            read=lambda request, name: of_scope(request.scope, name),
        )

    async def __call__(self, request: HTTPConnection, response: Response) -> AsyncIterator[None]:
        demand = self._asking.demand_of(request)
        if demand is None:
            yield
            return

        limiter, units, key = demand
        tell = self._asking.tell
        try:
            permit = await limiter.acquire_async(units, key)
        except Refused as refused:
            answer = answer_of(limiter, refused.refusal, tell)
            raise HTTPException(answer.status, json.loads(answer.body), _text(answer.fields)) from refused
        try:
            response.headers.update(_text(rate_limit_fields(limiter, key, tell)))
            yield
        finally:
            permit.release()


def _text(headers: list[Header]) -> dict[str, str]:
    return {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}
