"""The traffic: the same for the same seed, open loop, growing, bounded."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise

import httpx
import pytest

from examples.shop import traffic
from examples.shop.traffic import STREAMS, Arrival, Traffic, arrivals, in_process
from headway.asgi import Receive, Scope, Send


def test_a_seed_says_everything_about_what_comes():
    """Two runs with one seed ask the same at the same instants; another seed asks something else."""
    assert list(arrivals(5, 90, 10)) == list(arrivals(5, 90, 10))
    assert list(arrivals(5, 90, 10)) != list(arrivals(6, 90, 10))


def test_arrivals_come_in_order_and_within_their_span():
    """A life that goes on at 40 s begins with what comes at 40 s."""
    instants = [arrival.at_s for arrival in arrivals(1, 90, 50, from_s=40)]

    assert all(40 <= at_s < 50 for at_s in instants)
    assert all(earlier <= later for earlier, later in pairwise(instants))


@pytest.mark.parametrize("stream", STREAMS, ids=lambda stream: stream.name)
def test_each_stream_grows_as_it_says(stream: traffic.Stream):
    """Over ten runs the count of 90 s lies near the area under the line, and the end is busier than the beginning."""
    path = f"/{stream.name}"
    runs = [[one.at_s for one in arrivals(seed, 90, 90) if one.path == path] for seed in range(10)]
    expected = 10 * 90 * (stream.from_per_s + stream.to_per_s) / 2
    seen = sum(len(run) for run in runs)

    # Five standard deviations of a Poisson count: one seed in millions lies outside, and seeds are fixed.
    assert abs(seen - expected) < 5 * expected**0.5
    assert sum(at_s < 30 for run in runs for at_s in run) < sum(at_s >= 60 for run in runs for at_s in run)


def test_after_it_has_grown_a_stream_stays():
    """Between 200 s and 210 s of a growth of 90 s, each stream comes at its highest rate."""
    seen = Counter(one.path for one in arrivals(3, 90, 210, from_s=200))

    for stream in STREAMS:
        expected = stream.to_per_s * 10
        assert abs(seen[f"/{stream.name}"] - expected) < 5 * expected**0.5


def test_every_way_into_the_shop_is_used():
    """Checkout comes over HTTP, the rest in process, and acme orders about a third of all exports."""
    coming = list(arrivals(2, 90, 90))
    exports = [one.query for one in coming if one.path == "/exports"]

    assert {"/checkout"} == {one.path for one in coming if one.over_http}
    assert 0.2 < sum("tenant=acme" in query for query in exports) / len(exports) < 0.4


def test_an_arrival_does_not_wait_for_the_answer_to_another():
    """Open loop: 50 requests are under way at once at an application that never answers; then all are cancelled."""

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def run() -> tuple[int, int]:
        async with httpx.AsyncClient() as client:
            sending = Traffic(never, client, lambda: 1.0)
            most = 0

            def coming() -> Iterator[Arrival]:
                nonlocal most
                for _ in range(51):
                    most = max(most, sending.under_way)
                    yield Arrival(0.0, "GET", "/products", "", False)

            await sending.run(coming())
            return most, sending.under_way

    assert (50, 0) == asyncio.run(run())


def test_a_customer_above_the_bound_gives_up(monkeypatch: pytest.MonkeyPatch):
    """With room for 3 under way and 5 that come, 2 give up and are counted."""
    monkeypatch.setattr(traffic, "OUTSTANDING_MOST", 3)

    async def never(scope: Scope, receive: Receive, send: Send) -> None:
        await asyncio.Event().wait()

    async def run() -> int:
        async with httpx.AsyncClient() as client:
            sending = Traffic(never, client, lambda: 1.0)
            await sending.run(iter([Arrival(0.0, "GET", "/products", "", False)] * 5))
            return sending.gave_up

    assert 2 == asyncio.run(run())


def test_a_shop_that_is_not_there_is_an_answer_of_its_own():
    """A connection that fails is counted under status 0; the traffic goes on."""

    async def run() -> dict[tuple[str, int], int]:
        down = httpx.MockTransport(lambda request: (_ for _ in ()).throw(httpx.ConnectError("down")))
        async with httpx.AsyncClient(transport=down, base_url="http://shop") as client:
            sending = Traffic(_empty, client, lambda: 1.0)
            await sending._send(Arrival(0.0, "POST", "/checkout", "", True))
            return dict(sending.answers)

    assert {("/checkout", 0): 1} == asyncio.run(run())


def test_an_application_that_sends_nothing_has_status_0():
    """In process, too, no answer is not an answer."""
    assert 0 == asyncio.run(in_process(_empty, Arrival(0.0, "GET", "/", "", False)))


async def _empty(scope: Scope, receive: Receive, send: Send) -> None:
    await receive()
