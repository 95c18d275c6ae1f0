"""A scope that is ended ends its task's work as `asyncio.timeout` does: groups, nesting, and cancellations of others."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from typing import Any

import pytest

import headway
from headway.enforce import ending
from headway.enforce.ending import Ending
from tests.core.making import One
from tests.library.ending import WITHIN_NS, Cut, Work, ended, ending_pool, forever
from tests.library.ending import scopes as scopes
from tests.library.pool import settle_down, taken


def test_a_task_that_takes_no_notice_of_its_cancellation_goes_on_and_is_not_ended_twice(scopes: Ending) -> None:
    """Two units are asked back, one of a permit that cannot be ended: the scope is not ended for that one as well."""
    pool = ending_pool(2)
    permit = taken(pool.limiter)
    swallowed = []

    async def work() -> str:
        async with pool.limiter:
            try:
                await forever()
            except asyncio.CancelledError as error:
                swallowed.append(error)
            scopes.look(asyncio.get_running_loop())
            await settle_down()
        task = asyncio.current_task()
        assert task is not None
        assert 0 == task.cancelling(), "outside of the scope nothing of it is left"
        permit.release()
        return "finished"

    assert "finished" == ended(pool, scopes, work)
    assert 1 == len(swallowed)


def test_a_cancellation_from_outside_at_the_same_time_is_not_swallowed(scopes: Ending) -> None:
    """Both in one turn of the loop: what leaves the task is its cancellation."""
    pool = ending_pool(1)

    async def run() -> None:
        async def work() -> None:
            async with pool.limiter:
                await forever()

        task = asyncio.ensure_future(work())
        cut = Cut(pool, scopes)
        await cut.to(0)
        pool.clock.advance(WITHIN_NS)
        scopes.look(asyncio.get_running_loop())
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert task.cancelled()

    asyncio.run(run())
    assert 0 == pool.in_use


def test_an_error_of_the_work_itself_is_the_works(scopes: Ending) -> None:
    """Cleaning up after the cancellation fails: that is what is raised."""
    pool = ending_pool(1)

    async def work() -> None:
        async with pool.limiter:
            try:
                await forever()
            finally:
                raise LookupError("of mine")

    assert isinstance(ended(pool, scopes, work), LookupError)


def test_a_child_of_a_group_that_is_ended_ends_its_group_with_recalled(scopes: Ending) -> None:
    """`TaskGroup`: the child raises, its sibling is cancelled, the group says why."""
    pool = ending_pool(1)
    siblings = []

    async def child() -> None:
        async with pool.limiter:
            await forever()

    async def sibling() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            siblings.append("cancelled")
            raise

    async def work() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(child())
            group.create_task(sibling())

    result = ended(pool, scopes, work)

    assert isinstance(result, ExceptionGroup)
    assert ["cancelled"] == siblings
    assert [headway.Recalled] == [type(one) for one in result.exceptions]


def test_a_group_within_a_scope_is_ended_with_it(scopes: Ending) -> None:
    pool = ending_pool(1)
    children = []

    async def child() -> None:
        try:
            await forever()
        finally:
            children.append("cancelled")

    async def work() -> None:
        async with pool.limiter, asyncio.TaskGroup() as group:
            group.create_task(child())

    assert isinstance(ended(pool, scopes, work), headway.Recalled)
    assert ["cancelled"] == children


def test_of_nested_scopes_the_one_that_is_ended_raises(scopes: Ending) -> None:
    """A scope of another limit within: it sees a cancellation, and the outer one `Recalled`. Both ended: the outer one too."""
    inner = ending_pool(1, "inner")
    seen: list[type[BaseException]] = []

    for is_inner_cut in (False, True):
        outer = ending_pool(1)

        async def work(outer: One = outer) -> None:
            async with outer.limiter:
                try:
                    async with inner.limiter:
                        await forever()
                except BaseException as error:
                    seen.append(type(error))
                    raise

        async def run(outer: One = outer, is_inner_cut: bool = is_inner_cut, work: Work = work) -> object:
            task = asyncio.ensure_future(work())
            cuts = [Cut(outer, scopes), *[Cut(inner, scopes)] * is_inner_cut]
            for cut in cuts:
                await cut.to(0)
            for cut in cuts:
                cut.pool.clock.advance(WITHIN_NS)
            await cuts[0].look()
            (result,) = await asyncio.gather(task, return_exceptions=True)
            return result

        assert isinstance(asyncio.run(run()), headway.Recalled)
    assert [asyncio.CancelledError, asyncio.CancelledError] == seen
    assert 0 == inner.in_use


def test_an_inner_scope_that_is_ended_leaves_the_outer_one_alone(scopes: Ending) -> None:
    """The same limiter twice in one task, and a cut by one: `Recalled` comes out of the inner scope and may be caught."""
    pool = ending_pool(2)

    async def work() -> str:
        async with pool.limiter:
            with pytest.raises(headway.Recalled):
                async with pool.limiter:
                    await forever()
            await settle_down()
            return "went on"

    async def run() -> str:
        task = asyncio.ensure_future(work())
        cut = Cut(pool, scopes)
        await cut.to(1)
        await cut.drain()
        return await task

    assert "went on" == asyncio.run(run())


@pytest.fixture
def collector() -> Iterator[None]:
    """Collects only where a test says so."""
    gc.disable()
    yield
    gc.enable()


async def abandoned(pool: One) -> None:
    """A scope of a task that waits for what nobody else holds, and that nobody holds: only the collector finds it."""

    async def work() -> None:
        async with pool.limiter:
            await asyncio.get_running_loop().create_future()

    asyncio.get_running_loop().create_task(work())
    await settle_down()


@pytest.mark.parametrize("is_elsewhere", [False, True])
def test_a_task_that_is_collected_gives_its_own_slot_back_and_no_other(
    scopes: Ending, collector: None, is_elsewhere: bool
) -> None:
    """While another task is in its scope, in that one's thread or in another one: one slot comes back, not both."""
    pool = ending_pool(2)

    async def run() -> None:
        await abandoned(pool)
        async with pool.limiter:
            assert 2 == pool.in_use
            if is_elsewhere:
                await asyncio.to_thread(gc.collect)
            else:
                gc.collect()
            assert 1 == pool.in_use
        assert 0 == pool.in_use

    asyncio.run(run())
    reading = pool.limiter.reading()
    assert (0, 0, 1) == (len(scopes._forgotten), reading.double_released, reading.dropped_unreleased)


class Collecting:
    """The collector runs in the midst of leaving a scope, in the same thread, when that has looked so many times."""

    def __init__(self, at: int) -> None:
        self.looks, self._at, self._newest = 0, at, ending._newest

    def __call__(self, *args: Any, **options: Any) -> Any:
        found = self._newest(*args, **options)
        self.looks += 1
        if self.looks == self._at:
            gc.collect()
        return found


async def driven(pool: One) -> None:
    """A scope of the running task, of a coroutine that it has begun by hand and forgotten."""

    async def work(future: asyncio.Future[None]) -> None:
        async with pool.limiter:
            await future

    future = asyncio.get_running_loop().create_future()
    coroutine = work(future)
    coroutine.send(None)
    future.add_done_callback(lambda _: coroutine.close())


@pytest.mark.parametrize("at", [1, 2])
@pytest.mark.parametrize("forgotten", [abandoned, driven])
def test_what_is_collected_while_a_scope_is_left_stops_nobody(
    scopes: Ending,
    collector: None,
    monkeypatch: pytest.MonkeyPatch,
    forgotten: Callable[[One], Awaitable[None]],
    at: int,
) -> None:
    """What the collector closes leaves its scope there and then."""
    pool = ending_pool(2)
    collecting = Collecting(at)

    async def run() -> None:
        async with pool.limiter:
            await forgotten(pool)
            assert 2 == pool.in_use
            monkeypatch.setattr(ending, "_newest", collecting)
        assert 0 == pool.in_use

    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    assert at <= collecting.looks
    assert 0 == pool.in_use
    assert 0 == pool.limiter.reading().double_released


def test_a_generator_that_is_closed_leaves_its_own_scope(scopes: Ending) -> None:
    """`aclose` in the task that entered it: the slot is back at once."""
    pool = ending_pool(1)

    async def rows() -> AsyncGenerator[int, None]:
        async with pool.limiter:
            yield 1

    async def run() -> None:
        generator = rows()
        await anext(generator)
        assert 1 == pool.in_use
        await generator.aclose()
        assert 0 == pool.in_use

    asyncio.run(run())
    assert 0 == pool.limiter.reading().double_released
