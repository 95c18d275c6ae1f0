"""`recall: end`: scopes of coroutines that are above a cut are ended after `drain_within`; which, and when."""

from __future__ import annotations

import asyncio
import gc
import inspect

import pytest

import headway
from headway._core import PathSpec
from headway.enforce.ending import Ending
from tests.core.making import MICRO, One, slots
from tests.library.ending import WITHIN_NS, Cut, ending_pool, forever
from tests.library.ending import scopes as scopes
from tests.library.pool import settle_down


def test_the_newest_scopes_above_a_cut_are_ended_when_drain_within_has_passed_and_not_before(scopes: Ending) -> None:
    """Three scopes and a cut to one: the last two raise `Recalled`, which was a cancellation; the first goes on."""
    pool = ending_pool(3)
    cut = Cut(pool, scopes)

    @pool.limiter
    async def work() -> None:
        await forever()

    async def run() -> None:
        tasks = []
        for _ in range(3):
            tasks.append(asyncio.ensure_future(work()))
            await settle_down()
        await cut.to(1)
        await cut.drain(WITHIN_NS - 1)
        assert [False, False, False] == [task.done() for task in tasks]

        await cut.drain(1)

        assert [False, True, True] == [task.done() for task in tasks]
        error = tasks[2].exception()
        assert isinstance(error, headway.Recalled)
        assert isinstance(error.__cause__, asyncio.CancelledError)
        assert ("HW533", "api") == (error.code, error.where)
        assert "`headway explain api`" in (error.mend or "")
        assert 1 == pool.in_use
        tasks[0].cancel()
        await settle_down()
        assert tasks[0].cancelled()
        assert 0 == pool.in_use

    asyncio.run(run())


def test_what_came_back_meanwhile_spares_the_rest_and_a_raise_spares_all(scopes: Ending) -> None:
    """A cut by two, one scope ends by itself, and the limit rises by one: nothing is above it any more."""
    pool = ending_pool(3)
    cut = Cut(pool, scopes)

    async def run() -> None:
        first_may = asyncio.Event()

        async def work(until: asyncio.Event) -> None:
            async with pool.limiter:
                await until.wait()

        tasks = [asyncio.ensure_future(work(event)) for event in (first_may, asyncio.Event(), asyncio.Event())]
        await settle_down()
        await cut.to(1)
        first_may.set()
        await settle_down()
        await cut.to(2)
        await cut.drain()
        await cut.drain()

        assert [True, False, False] == [task.done() for task in tasks]
        await cut.to(1)
        await cut.drain(WITHIN_NS - 1)
        assert not tasks[2].done(), "the span begins anew where it is asked anew"
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_two_workloads_are_ended_for_what_is_above_once(scopes: Ending) -> None:
    """Each limiter says all that is above: two scopes of two workloads, a cut by one, and the newer one is ended alone."""
    pool = ending_pool(2)
    spec = PathSpec("api", "b", [("m", MICRO, False)], recall="end", ends_within_ns=WITHIN_NS)
    other = pool.meters.limiter(spec)

    async def work(limiter: headway.Limiter) -> None:
        async with limiter:
            await forever()

    async def run() -> None:
        tasks = [asyncio.ensure_future(work(limiter)) for limiter in (pool.limiter, other)]
        cut = Cut(pool, scopes)
        await settle_down()
        await cut.to(1)
        await cut.drain()
        assert [False, True] == [task.done() for task in tasks]
        tasks[0].cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(run())


def test_scopes_of_threads_and_permits_are_asked_and_not_ended(scopes: Ending) -> None:
    pool = ending_pool(2)

    async def run() -> None:
        with pool.limiter, await pool.limiter.acquire_async() as permit:
            cut = Cut(pool, scopes)
            await cut.to(0)
            await cut.drain()
            assert (2, True) == (pool.limiter.recalled, permit.recalled)

    asyncio.run(run())
    assert 0 == pool.in_use


def test_a_scope_that_is_left_in_another_task_gives_its_slot_back_once(scopes: Ending) -> None:
    """As fixtures of test frameworks do: entered in one task and left in another, ended meanwhile or not."""
    for is_ended in (False, True):
        pool = ending_pool(1)

        async def run(pool: One = pool, is_ended: bool = is_ended) -> None:
            async def enter() -> None:
                await pool.limiter.__aenter__()

            task = asyncio.ensure_future(enter())
            await task
            cut = Cut(pool, scopes)
            if is_ended:
                await cut.to(0)
                await cut.drain()
            await pool.limiter.__aexit__(None, None, None)

        asyncio.run(run())
        gc.collect()
        reading = pool.limiter.reading()
        assert (0, 0, 0) == (pool.in_use, reading.double_released, reading.dropped_unreleased)


def test_what_is_refused_opens_no_scope(scopes: Ending) -> None:
    pool = ending_pool(1)

    async def run() -> None:
        async with pool.limiter:
            with pytest.raises(headway.Refused):
                async with pool.limiter:
                    pytest.fail("there is one slot")

    asyncio.run(run())
    assert 0 == pool.in_use


@pytest.mark.parametrize("recall", ["wait", "ask", "idle"])
def test_under_any_other_recall_nothing_is_kept_and_nothing_is_ended(scopes: Ending, recall: str) -> None:
    pool = slots(1, path={"recall": recall, "ends_within_ns": 0})

    async def run() -> None:
        async with pool.limiter:
            assert 0 == len(scopes._scopes)
            cut = Cut(pool, scopes)
            await cut.to(0)
            await cut.drain()
            await settle_down()

    asyncio.run(run())
    assert (recall, None, 0) == (pool.limiter.recall, pool.limiter.ends_within_s, pool.in_use)


def test_where_a_limit_is_only_looked_at_nothing_is_ended(scopes: Ending) -> None:
    pool = ending_pool(1, mode="observe")

    async def run() -> None:
        async with pool.limiter, pool.limiter:
            cut = Cut(pool, scopes)
            await cut.to(0)
            await cut.drain()

    asyncio.run(run())
    assert (0, 0) == (pool.in_use, pool.limiter.reading().double_released)


def test_a_decorated_coroutine_function_is_one_still(scopes: Ending) -> None:
    assert inspect.iscoroutinefunction(ending_pool(1).limiter(forever))


def test_a_path_has_one_of_four_recalls() -> None:
    with pytest.raises(ValueError, match='"now" is no recall: wait, ask, idle or end'):
        slots(1, path={"recall": "now"})
    with pytest.raises(OverflowError):
        slots(1, path={"recall": "end", "ends_within_ns": -1})
