"""The shop itself: what it answers, whom it turns away and how, and that every slot comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import headway.testing
from examples.shop import app
from examples.shop.app import API, CPU, EXPORTS, LOOKUPS, POOL, RELAY, Shop
from examples.shop.count import Count, read_record
from examples.shop.demo import CONTRACTS
from headway.testing import Rehearsal

FAST = "&takes_ms=1"


@pytest.fixture
def hw() -> Iterator[Rehearsal]:
    with headway.testing.open("\n---\n".join(path.read_text() for path in sorted(CONTRACTS.glob("*.yaml")))) as one:
        yield one


@pytest.fixture
def count(tmp_path: Path, hw: Rehearsal) -> Count:
    one = Count(tmp_path / "count", hw.engine.meters.clock.boot_ns)
    one.begin(1, 1, 0)
    return one


@pytest.fixture
def shop(hw: Rehearsal, count: Count, tmp_path: Path) -> Iterator[Shop]:
    one = app.build(hw, tmp_path / "shop.sqlite", count)
    yield one
    one.pool.close()


def answers(shop: Shop, *asked: str) -> list[httpx.Response]:
    """What the shop answers to each "METHOD /path", one after the other."""

    async def ask(client: httpx.AsyncClient) -> list[httpx.Response]:
        return [await client.request(*one.split(" ", 1)) for one in asked]

    return asyncio.run(_with_client(shop, ask))


async def _with_client(
    shop: Shop, use: Callable[[httpx.AsyncClient], Awaitable[list[httpx.Response]]]
) -> list[httpx.Response]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(shop.app), base_url="http://shop") as client:
        return await use(client)


def in_use(hw: Rehearsal, meter: str) -> float:
    return next(one.use_micro for one in hw.engine.meters.snapshot() if one.meter == meter) / 1e6


def test_a_page_shows_ten_products(shop: Shop):
    """The second page begins at product 11."""
    (page,) = answers(shop, f"GET /products?page=1{FAST}")

    assert (200, 10, 11) == (page.status_code, len(page.json()["products"]), page.json()["products"][0][0])
    assert '"shop-api"' in page.headers["ratelimit"]


def test_a_checkout_is_a_sale_and_gives_its_connection_back(shop: Shop, hw: Rehearsal):
    """Two sales in a row, numbered; nothing stays in use, neither connections nor workers."""
    first, second = answers(shop, f"POST /checkout?cart=a&pieces=2{FAST}", f"POST /checkout?cart=b{FAST}")

    assert [(201, 1), (201, 2)] == [(one.status_code, one.json()["sale"]) for one in (first, second)]
    assert first.json()["total_cents"] > second.json()["total_cents"] > 0
    assert (0, 0, 0) == (in_use(hw, POOL), in_use(hw, CPU), in_use(hw, RELAY))


def test_a_sale_stands_whether_or_not_the_relay_has_a_connection_for_its_confirmation(shop: Shop, hw: Rehearsal):
    """The first is confirmed; with all 3 connections out the second is sold as well, and not confirmed."""
    (first,) = answers(shop, f"POST /checkout?cart=a{FAST}")
    hw.fill(hw.limiter(RELAY, "newsletter"))
    (second,) = answers(shop, f"POST /checkout?cart=b{FAST}")

    assert [(201, True), (201, False)] == [(one.status_code, one.json()["mailed"]) for one in (first, second)]
    assert 3 == in_use(hw, RELAY)


def test_a_full_pool_is_a_503_that_says_so(shop: Shop, hw: Rehearsal, count: Count):
    """All 6 connections are out: the caller reads Headway's sentence, and the shop counts the refusal."""
    hw.fill(hw.limiter(POOL, "checkout"))

    (full,) = answers(shop, f"GET /products?page=1{FAST}")

    assert (503, "The shop is full") == (full.status_code, full.json()["title"])
    assert "orders-db is full: 6 of 6 connections" in full.json()["detail"]
    assert 1 == count.tallies[POOL, "browsing"].refused


def test_a_request_over_the_rate_is_a_429_that_the_shop_counts(shop: Shop, hw: Rehearsal, count: Count):
    """4 at once are the burst of 40 a second; the fifth never reaches a handler, and 25 ms later one may."""
    *within, over = answers(shop, *[f"GET /products?page=1{FAST}"] * 5)

    assert [200] * 4 == [one.status_code for one in within]
    assert (429, "1") == (over.status_code, over.headers["retry-after"])
    tally = count.tallies[API, "browsing"]
    assert (4, 1, {"full": 1}) == (tally.admitted, tally.refused, dict(tally.why))
    hw.advance(0.025)
    assert 200 == answers(shop, f"GET /products?page=1{FAST}")[0].status_code


def test_an_export_that_is_over_its_tenants_day_gives_its_worker_back(shop: Shop, hw: Rehearsal, count: Count):
    """birch has used its 20: 429, no worker stays in use, and acme, another tenant, is served."""
    for _ in range(20):
        assert hw.limiter(EXPORTS, "reporting").try_acquire(1, "birch")

    birch, acme = answers(shop, f"POST /exports?tenant=birch{FAST}", f"POST /exports?tenant=acme{FAST}")

    assert (429, 200) == (birch.status_code, acme.status_code)
    assert "tenant-exports" in birch.json()["detail"]
    assert 0 == in_use(hw, CPU)


def test_a_bot_is_turned_away_and_a_visitor_is_not(shop: Shop, hw: Rehearsal):
    """10 lookups are its share of ten seconds; one second later it may look up one thing more."""
    limiter = hw.limiter(LOOKUPS, "browsing")
    assert 10 == hw.fill(limiter, "bot")

    bot, visitor = answers(shop, "GET /lookups?visitor=bot", "GET /lookups?visitor=v")

    assert (429, "1", 200) == (bot.status_code, bot.headers["retry-after"], visitor.status_code)
    hw.advance(1)
    assert 200 == answers(shop, "GET /lookups?visitor=bot")[0].status_code


def test_a_customer_who_goes_away_leaves_no_slot_behind(shop: Shop, hw: Rehearsal, count: Count, tmp_path: Path):
    """Cancelled in the middle of a checkout: the connection is free, and its release is in the count."""

    async def leave(client: httpx.AsyncClient) -> list[httpx.Response]:
        asked = asyncio.create_task(client.post("/checkout?cart=a&takes_ms=5000"))
        while not in_use(hw, POOL):
            await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
        return []

    asyncio.run(_with_client(shop, leave))

    assert (0, 0) == (in_use(hw, POOL), in_use(hw, CPU))
    (held,) = [one for one in read_record(tmp_path / "count").admissions if one.contract == POOL]
    assert held.freed is not None


@pytest.mark.parametrize(
    "asked",
    [
        "GET /products?page=20",
        "GET /products?page=-1",
        "GET /products?page=one",
        "GET /products?page=9999999999",
        "POST /checkout",
        "POST /checkout?cart=a&pieces=0",
        "POST /checkout?cart=a&pieces=21",
        "POST /exports",
        "POST /exports?tenant=",
        "GET /lookups",
    ],
)
def test_a_request_that_makes_no_sense_is_a_400_and_uses_nothing(shop: Shop, hw: Rehearsal, asked: str):
    """It says what would make sense; no connection, worker or export was taken."""
    (bad,) = answers(shop, asked)

    assert (400, "application/problem+json") == (bad.status_code, bad.headers["content-type"])
    assert (0, 0, 0) == (in_use(hw, POOL), in_use(hw, CPU), in_use(hw, EXPORTS))


def test_a_caller_cannot_make_a_handler_wait_longer_than_allowed(shop: Shop):
    """`takes_ms` beyond 5 s is not believed; the usual time is taken."""
    (page,) = answers(shop, "GET /products?page=1&takes_ms=999999")

    assert 200 == page.status_code


def test_other_messages_pass_by(shop: Shop):
    """Lifespan is not a request: it is neither metered nor counted."""
    sent: list[Any] = []

    async def receive() -> dict[str, str]:
        return {"type": "lifespan.startup"} if not sent else {"type": "lifespan.shutdown"}

    async def send(message: Any) -> None:
        sent.append(message["type"])

    asyncio.run(shop.app({"type": "lifespan"}, receive, send))  # type: ignore[arg-type]

    assert ["lifespan.startup.complete", "lifespan.shutdown.complete"] == sent
