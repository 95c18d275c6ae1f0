"""Open-loop traffic of three workloads that grows past the limits.

Open loop: arrivals do not wait for answers, as customers do not. When each request comes is a pure function of a seed
(`arrivals`); sending them is the thin edge (`Traffic`). Browsing and reporting call the application in process,
checkout comes over real HTTP on the loopback, so both ways into the shop are used.
"""

from __future__ import annotations

import asyncio
import heapq
import math
import random
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

import httpx

from headway.asgi import App, Message, Scope

OUTSTANDING_MOST = 1_000
"""Requests under way at once; one that comes above it is given up by its customer, and counted as `gave_up`."""

TENANTS = ("acme", "birch", "cedar", "dune", "elm", "fjord", "grove", "heath")
ACME_SHARE = 0.3

VISITORS = 40
BOT_SHARE = 0.3
"""What the one busiest visitor asks of all lookups; the others are alike."""


@dataclass(frozen=True, slots=True)
class Stream:
    """One kind of request: its rate grows in a straight line over `grows_s` seconds, then stays."""

    name: str
    from_per_s: float
    to_per_s: float
    takes_ms: int
    over_http: bool = False


STREAMS = (
    Stream("products", 22, 120, takes_ms=80),
    Stream("checkout", 12, 45, takes_ms=450, over_http=True),
    Stream("reports", 7, 26, takes_ms=1200),
    Stream("exports", 5, 9, takes_ms=500),
    Stream("lookups", 6, 20, takes_ms=5),
)


@dataclass(frozen=True, slots=True, order=True)
class Arrival:
    """One request: when it comes, in seconds since the start, and what it asks."""

    at_s: float
    method: str
    path: str
    query: str
    over_http: bool


def arrivals(seed: int, grows_s: float, until_s: float, from_s: float = 0.0) -> Iterator[Arrival]:
    """Every request between two instants, in order of time: a Poisson stream for each kind, the same for the same seed.

    Args:
        seed: Whatever differs gives other instants and other customers.
        grows_s: How long rates grow, above 0.
        until_s: Nothing comes at or after it; may be infinite.
        from_s: Nothing comes before it; rates are those of that instant.
    """
    each = [_stream(stream, random.Random(f"{seed}/{stream.name}"), grows_s, until_s, from_s) for stream in STREAMS]
    return heapq.merge(*each)


def _stream(stream: Stream, chance: random.Random, grows_s: float, until_s: float, from_s: float) -> Iterator[Arrival]:
    # Arrivals of a Poisson stream are a unit stream in cumulated rate; each step goes back from there to time.
    expected = _cumulated(stream, grows_s, from_s)
    while True:
        expected += chance.expovariate(1.0)
        at_s = _reached(stream, grows_s, expected)
        if at_s >= until_s:
            return
        yield _arrival(stream, chance, at_s)


def _arrival(stream: Stream, chance: random.Random, at_s: float) -> Arrival:
    takes_ms = min(4_000, max(5, round(chance.expovariate(1.0 / stream.takes_ms))))
    asks: Mapping[str, str | int]
    match stream.name:
        case "products":
            method, asks = "GET", {"page": chance.randrange(20)}
        case "checkout":
            method, asks = ("POST", {"cart": f"cart-{chance.randrange(10_000)}", "pieces": chance.randint(1, 4)})
        case "reports":
            method, asks = "GET", {}
        case "lookups":
            visitor = "bot" if chance.random() < BOT_SHARE else f"visitor-{chance.randrange(VISITORS)}"
            method, asks = "GET", {"visitor": visitor}
        case _:
            tenant = TENANTS[0] if chance.random() < ACME_SHARE else chance.choice(TENANTS[1:])
            method, asks = "POST", {"tenant": tenant}
    query = urlencode({**asks, "takes_ms": takes_ms})
    return Arrival(at_s, method, f"/{stream.name}", query, stream.over_http)


def _cumulated(stream: Stream, grows_s: float, at_s: float) -> float:
    """Requests expected from the start up to an instant."""
    growing = min(at_s, grows_s)
    slope = (stream.to_per_s - stream.from_per_s) / grows_s
    return stream.from_per_s * growing + slope * growing * growing / 2 + stream.to_per_s * max(0.0, at_s - grows_s)


def _reached(stream: Stream, grows_s: float, expected: float) -> float:
    """The instant at which so many requests are expected: the inverse of `_cumulated`."""
    grown = _cumulated(stream, grows_s, grows_s)
    if expected >= grown:
        return grows_s + (expected - grown) / stream.to_per_s
    slope = (stream.to_per_s - stream.from_per_s) / grows_s
    return 2 * expected / (stream.from_per_s + math.sqrt(stream.from_per_s**2 + 2 * slope * expected))


class Traffic:
    """Sends arrivals as they come due.

    Args:
        app: The shop, for requests in process.
        client: Over HTTP, with the shop's address as its base.
        now_s: Seconds since the start of the traffic, on any clock that only grows.
    """

    def __init__(self, app: App, client: httpx.AsyncClient, now_s: Callable[[], float]) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        """(path, status) to how many; status 0 where no answer came."""
        self.gave_up = 0
        self._app = app
        self._client = client
        self._now_s = now_s
        self._under_way: set[asyncio.Task[None]] = set()

    @property
    def under_way(self) -> int:
        return len(self._under_way)

    async def run(self, coming: Iterator[Arrival]) -> None:
        """Sends each arrival at its instant. Returns when the last is sent; what is under way then is cancelled."""
        try:
            for arrival in coming:
                early_s = arrival.at_s - self._now_s()
                # Also where it is late: others must get their turn between two of us.
                await asyncio.sleep(max(0.0, early_s))
                if len(self._under_way) >= OUTSTANDING_MOST:
                    self.gave_up += 1
                    continue
                task = asyncio.create_task(self._send(arrival))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
        finally:
            for task in self._under_way:
                task.cancel()
            await asyncio.gather(*self._under_way, return_exceptions=True)

    async def _send(self, arrival: Arrival) -> None:
        status = await (self._over_http(arrival) if arrival.over_http else in_process(self._app, arrival))
        self.answers[arrival.path, status] += 1

    async def _over_http(self, arrival: Arrival) -> int:
        try:
            answer = await self._client.request(arrival.method, f"{arrival.path}?{arrival.query}")
        except httpx.TransportError:
            return 0
        return answer.status_code


async def in_process(app: App, arrival: Arrival) -> int:
    """One request by an ASGI call; returns its status, 0 where the application sent none."""
    scope: Scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": arrival.method,
        "scheme": "http",
        "path": arrival.path,
        "raw_path": arrival.path.encode("ascii"),
        "query_string": arrival.query.encode("ascii"),
        "root_path": "",
        "headers": [(b"host", b"shop")],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    status = 0

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        nonlocal status
        if message["type"] == "http.response.start":
            status = message["status"]

    await app(scope, receive, send)
    return status
