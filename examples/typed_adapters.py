"""Every adapter with types throughout, checked by mypy --strict and pyright: a shop that asks and is asked.

Run it: `python examples/typed_adapters.py`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import celery
import grpc
import grpc.aio
import httpx
from fastapi import Depends, FastAPI
from fastapi.requests import HTTPConnection
from sqlalchemy import create_engine, text
from sqlalchemy.pool import QueuePool

import headway
from headway.adapters import wsgi
from headway.adapters.celery import Call
from headway.adapters.celery import limited as limited_task
from headway.adapters.fastapi import Limited
from headway.adapters.grpc import AsyncInterceptor, Interceptor
from headway.adapters.httpx import AsyncTransport, Transport
from headway.adapters.opentelemetry import traced
from headway.adapters.sqlalchemy import limited as limited_pool

if TYPE_CHECKING:
    from collections.abc import Iterable
    from wsgiref.types import StartResponse, WSGIEnvironment


def hello(environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
    """A WSGI application."""
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"hello {environ['PATH_INFO']}".encode()]


def address(environ: WSGIEnvironment) -> str | None:
    """Whom a WSGI request is charged to."""
    value: str | None = environ.get("REMOTE_ADDR")
    return value


def tenant(request: HTTPConnection) -> str | None:
    """Whom a FastAPI request is charged to."""
    return request.headers.get("x-tenant")


def caller(call: grpc.HandlerCallDetails) -> str | None:
    """Whom a gRPC call is charged to."""
    return next((str(value) for name, value in call.invocation_metadata if name == "tenant"), None)


def size(request: httpx.Request) -> int:
    """How many units a request to the partner is for."""
    return max(1, len(request.content) // 1000)


def recipients(call: Call) -> int:
    """How many mails a task sends."""
    return len(call.args)


def asked() -> None:
    """What the shop is asked: WSGI, FastAPI, gRPC."""
    site = wsgi.Middleware(hello, headway.limit("1/s", keys=100), key=address)
    with httpx.Client(transport=httpx.WSGITransport(site), base_url="http://shop") as client:
        print([client.get("/").status_code for _ in range(2)])

    orders = Limited(headway.limit("100/s", keys=100), key=tenant)
    app = FastAPI()

    @app.get("/orders", dependencies=[Depends(orders)])
    async def list_orders() -> list[str]:
        return ["pears"]

    async def get_orders() -> int:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as async_client:
            return (await async_client.get("/orders")).status_code

    print(asyncio.run(get_orders()))

    limiter = headway.limit("10 concurrent", keys=100)
    server: grpc.Server = grpc.server(ThreadPoolExecutor(2), interceptors=[Interceptor(limiter, key=caller)])
    server.stop(None)

    async def serve() -> None:
        async_server: grpc.aio.Server = grpc.aio.server(interceptors=[AsyncInterceptor(limiter, key=caller)])
        await async_server.stop(None)

    asyncio.run(serve())


def asks() -> None:
    """What the shop asks of others: a partner, a database, its own workers."""
    partner = httpx.MockTransport(lambda _request: httpx.Response(200))
    with httpx.Client(transport=Transport(partner, headway.limit("5/s"), units=size)) as client:
        print(client.get("http://partner.example/").status_code)

    async def get() -> int:
        async with httpx.AsyncClient(
            transport=AsyncTransport(partner, headway.limit("5/s"), units=size)
        ) as async_client:
            return (await async_client.get("http://partner.example/")).status_code

    print(asyncio.run(get()))

    pool: type[QueuePool] = limited_pool(QueuePool, headway.limit("1 concurrent", name="orders-db"))
    engine = create_engine("sqlite://", poolclass=pool)
    with engine.connect() as connection:
        one: int | None = connection.scalar(text("select 1"))
        try:
            engine.connect()
        except headway.Refused as refused:
            print(one, refused.refusal.contract)

    shop = celery.Celery("shop", broker="memory://")

    @shop.task(base=limited_task(headway.limit("2/s"), units=recipients))
    def send(*addresses: str) -> int:
        return len(addresses)

    print(send("ana@shop.example", "bo@shop.example"))

    told: headway.Limiter = traced(headway.limit("5/s"), keys=True)
    print(bool(told.try_acquire()))


def main() -> None:
    """Both ways."""
    asked()
    asks()


if __name__ == "__main__":
    main()
