"""The web shop: a small ASGI application whose scarce things are under contract.

Three workloads stress it: browsing reads products, checkout writes sales, reporting reads everything and exports. All
of them meet `shop-api` in Headway's middleware before they meet a handler here; a handler that needs the database takes
a connection of `orders-db`; a sale is confirmed over a connection of `mail-relay`, which worker processes use as well;
reports and exports keep a worker of `orders-cpu` busy themselves, an export counts against its tenant's day, and a
lookup, which a cache answers, against its visitor's ten seconds.
"""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import dataclass
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

import headway
from examples.shop import store
from examples.shop.count import Count
from examples.shop.store import Pool, PoolFull
from headway import Limiter, Refusal
from headway.asgi import App, Message, Middleware, Receive, Scope, Send

API, POOL, CPU = "shop-api", "orders-db", "orders-cpu"
EXPORTS, LOOKUPS = "tenant-exports", "visitor-lookups"
RELAY = "mail-relay"

WORKLOAD_OF = {
    "products": "browsing",
    "lookups": "browsing",
    "checkout": "checkout",
    "reports": "reporting",
    "exports": "reporting",
}
"""The first part of a path says who asks; any other path is `other`."""

PAGE_S, CHECKOUT_S, REPORT_S = 0.08, 0.45, 1.2
"""How long a page, a checkout, and a report keep what they hold, in seconds, where the caller does not say."""

MAIL_S = 0.1
"""How long the confirmation of a sale keeps a connection to the mail relay."""

TAKES_MOST_S = 5.0
"""The longest a caller may ask a handler to take."""

CART_MOST = 20
"""Products in one checkout, at most."""


def workload_of(scope: Scope) -> str:
    """Which workload a request belongs to, by its path."""
    first: str = scope["path"].strip("/").partition("/")[0]
    return WORKLOAD_OF.get(first, "other")


@dataclass(frozen=True, slots=True)
class Shop:
    """The application to serve, and the pool to close when it is over."""

    app: App
    pool: Pool


def build(hw: headway.Headway, database: Path, count: Count) -> Shop:
    """Puts the shop together around an open Headway; every decision is stamped in `count`."""
    pool = Pool(database, {name: hw.limiter(POOL, name) for name in ("browsing", "checkout")}, count)
    limiters = {CPU: "reporting", EXPORTS: "reporting", LOOKUPS: "browsing", RELAY: "confirmations"}
    handlers = _Handlers(pool, {name: hw.limiter(name, workload) for name, workload in limiters.items()}, count)
    inner = Starlette(
        routes=[
            Route("/products", handlers.products),
            Route("/lookups", handlers.lookups),
            Route("/checkout", handlers.checkout, methods=["POST"]),
            Route("/reports", handlers.reports),
            Route("/exports", handlers.exports, methods=["POST"]),
        ]
    )
    metered = Middleware(_Stamped(inner, count), hw, API, workload=workload_of, tell="full")
    return Shop(_Asking(metered, count), pool)


class _Handlers:
    def __init__(self, pool: Pool, limiters: dict[str, Limiter], count: Count) -> None:
        self._pool = pool
        self._limiters = limiters
        self._count = count

    async def products(self, request: Request) -> JSONResponse:
        number = _whole(request, "page", least=0, most=store.PRODUCTS // 10 - 1, default=0)
        if number is None:
            return _bad("`page` is a whole number from 0 to 19")
        try:
            async with self._pool.connection("browsing", takes_s=_takes(request, PAGE_S)) as db:
                return JSONResponse({"page": number, "products": store.page(db, number)})
        except PoolFull as full:
            return _refused(full.refusal)

    async def lookups(self, request: Request) -> JSONResponse:
        visitor = request.query_params.get("visitor", "")[:64]
        if not visitor:
            return _bad("a lookup names its `visitor`")
        answer = self._count.decide(self._limiters[LOOKUPS], key=visitor)
        return _refused(answer, 429) if isinstance(answer, Refusal) else JSONResponse({"in_stock": True})

    async def checkout(self, request: Request) -> JSONResponse:
        cart = request.query_params.get("cart", "")[:64]
        pieces = _whole(request, "pieces", least=1, most=CART_MOST, default=1)
        if not cart or pieces is None:
            return _bad(f"a checkout names its `cart`, and how many `pieces`, 1 to {CART_MOST}")
        try:
            async with self._pool.connection("checkout", takes_s=_takes(request, CHECKOUT_S)) as db:
                products = [1 + (len(cart) * 7 + place) % store.PRODUCTS for place in range(pieces)]
                sale, total_cents = store.buy(db, cart, products)
        except PoolFull as full:
            return _refused(full.refusal)
        mailed = await self._confirm()
        return JSONResponse({"sale": sale, "total_cents": total_cents, "mailed": mailed}, status_code=201)

    async def _confirm(self) -> bool:
        """Confirms a sale by mail, unless the relay is full: then a later one will do."""
        connection = self._count.decide(self._limiters[RELAY])
        if isinstance(connection, Refusal):
            return False
        with connection:
            await asyncio.sleep(MAIL_S)
        return True

    async def reports(self, request: Request) -> JSONResponse:
        return await self._on_a_worker(request, {"report": "sales"})

    async def exports(self, request: Request) -> JSONResponse:
        tenant = request.query_params.get("tenant", "")[:64]
        if not tenant:
            return _bad("an export names its `tenant`")
        return await self._on_a_worker(request, {"export": tenant}, tenant)

    async def _on_a_worker(self, request: Request, said: dict[str, str], tenant: str | None = None) -> JSONResponse:
        """Work that keeps one worker busy. The worker first: it can be given back, an export of a day cannot."""
        worker = self._count.decide(self._limiters[CPU])
        if isinstance(worker, Refusal):
            return _refused(worker)
        with worker:
            if tenant is not None:
                export = self._count.decide(self._limiters[EXPORTS], key=tenant)
                if isinstance(export, Refusal):
                    return _refused(export, 429)
            await asyncio.sleep(_takes(request, REPORT_S))
        return JSONResponse(said)


class _Asking:
    """Outermost: stamps just before the middleware decides, and records its refusals."""

    def __init__(self, app: App, count: Count) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        before = self._count.now_ns()
        scope = {**scope, "shop.before_ns": before}
        refused_at: int | None = None

        async def watch(message: Message) -> None:
            nonlocal refused_at
            if message["type"] == "http.response.start" and "shop.entered" not in scope:
                refused_at = self._count.now_ns()
            elif message["type"] == "http.response.body" and refused_at is not None:
                said = json.loads(message["body"])
                workload = workload_of(scope)
                self._count.refused(API, workload, None, 1, before, refused_at, said["why"], said["detail"])
                refused_at = None
            await send(message)

        await self._app(scope, receive, watch)


class _Stamped:
    """Innermost: a request that arrives here was admitted by `shop-api` since the outer stamp."""

    def __init__(self, app: App, count: Count) -> None:
        self._app = app
        self._count = count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            after = self._count.now_ns()
            self._count.admitted(API, workload_of(scope), None, 1, scope["shop.before_ns"], after)
            scope["shop.entered"] = True
        await self._app(scope, receive, send)


def _refused(refusal: Refusal, status: int = 503) -> JSONResponse:
    """503: the shop is full, 429: the caller has had its share; with when to come again where that is known."""
    seconds = refusal.retry_after_s
    headers = {} if seconds is None else {"Retry-After": str(max(1, math.ceil(seconds)))}
    title = "The shop is full" if status == 503 else "That was your share"
    said = {"title": title, "status": status, "detail": str(refusal), "ref": refusal.ref}
    return JSONResponse(said, status, headers, media_type="application/problem+json")


def _bad(detail: str) -> JSONResponse:
    said = {"title": "Not a request the shop knows", "status": 400, "detail": detail}
    return JSONResponse(said, 400, media_type="application/problem+json")


def _whole(request: Request, name: str, *, least: int, most: int, default: int) -> int | None:
    """A whole number within bounds from the query, None where it is not one."""
    text = request.query_params.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 9):
        return None
    number = int(text)
    return number if least <= number <= most else None


def _takes(request: Request, default_s: float) -> float:
    """How long the work takes: milliseconds in `takes_ms`, bounded; traffic varies it."""
    asked_ms = _whole(request, "takes_ms", least=1, most=int(TAKES_MOST_S * 1000), default=int(default_s * 1000))
    return default_s if asked_ms is None else asked_ms / 1000
