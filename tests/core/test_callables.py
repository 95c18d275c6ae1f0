"""The limiter as decorator, scope and awaitable."""

from __future__ import annotations

import asyncio
import gc
import inspect
import weakref

import pytest

from headway import enforce
from headway._core import Permit, Ready, Refused, set_waiting
from tests.core.making import SECOND, rate, slots


def test_a_decorated_function_keeps_its_face_and_holds_a_slot_while_it_runs():
    """Name, doc, signature, arguments, errors: all as before."""
    pool = slots(1)

    @pool.limiter
    def divide(over: int, under: int = 2) -> float:
        """Divides."""
        assert 1.0 == pool.in_use
        return over / under

    assert (2.0, 4.0) == (divide(4), divide(over=4, under=1))
    assert ("divide", "Divides.") == (divide.__name__, divide.__doc__)
    assert ["over", "under"] == list(inspect.signature(divide).parameters)
    with pytest.raises(ZeroDivisionError):
        divide(1, under=0)
    assert 0.0 == pool.in_use


def test_a_decorated_method_is_still_a_method():
    """Bound to its instance, from the class a plain function."""
    pool = slots(1)

    class Shop:
        @pool.limiter
        def sell(self, what: str) -> str:
            return f"{type(self).__name__} sells {what}"

    assert "Shop sells tea" == Shop().sell("tea")
    assert "Shop sells tea" == Shop.sell(Shop(), "tea")


def test_a_decorated_function_takes_every_kind_of_argument():
    """By position, by name, starred, none: each arrives as it was given, and a wrong one is Python's own error."""
    pool = slots(1)

    @pool.limiter
    def told(*args: object, key: object = None, **rest: object) -> object:
        return args, key, rest

    assert ((), None, {}) == told()
    assert ((1, 2), "k", {"x": 3}) == told(1, 2, key="k", x=3)
    assert ((*range(300),), None, {}) == told(*range(300))
    with pytest.raises(TypeError, match="unexpected keyword"):
        pool.limiter(lambda: None)(nothing=1)
    assert 0.0 == pool.in_use


def test_a_decorated_function_that_is_refused_is_not_called():
    """It raises, holds nothing, and is called again once there is room."""
    pool = slots(1)
    called: list[int] = []
    guarded = pool.limiter(called.append)

    with pool.limiter.try_acquire(), pytest.raises(Refused):
        guarded(1)
    assert [] == called
    guarded(2)
    assert ([2], 0.0) == (called, pool.in_use)


def test_a_decorated_function_may_call_itself():
    pool = slots(3)

    @pool.limiter
    def down(depth: int) -> float:
        return down(depth - 1) if depth > 1 else pool.in_use

    assert 3.0 == down(3)
    with pytest.raises(Refused):
        down(4)
    assert 0.0 == pool.in_use


def test_a_decorated_function_in_a_cycle_is_collected():
    """A function that is an attribute of itself goes when nobody else has it; a weak reference tells."""
    guarded = slots(1).limiter(lambda: None)
    guarded.itself = guarded
    guarded.__wrapped__.outside = guarded
    told: list[str] = []
    gone = weakref.ref(guarded, lambda _: told.append("gone"))
    assert gone() is guarded

    del guarded
    gc.collect()

    assert ["gone"] == told


def test_a_decorated_function_has_attributes_like_any_other():
    guarded = slots(1).limiter(lambda: None)
    guarded.note = "kept"

    assert "kept" == guarded.note
    assert "kept" == vars(guarded)["note"]
    del guarded.note
    assert not hasattr(guarded, "note")
    with pytest.raises(TypeError):
        type(guarded)()


def test_a_decorated_coroutine_function_is_one():
    """It holds the slot over its awaits."""
    pool = slots(1)

    @pool.limiter
    async def fetch(what: str) -> str:
        await asyncio.sleep(0)
        return f"{what} {pool.in_use}"

    assert inspect.iscoroutinefunction(fetch)
    assert "tea 1.0" == asyncio.run(fetch("tea"))
    assert 0.0 == pool.in_use


def test_what_fits_now_is_awaited_without_waiting():
    """An awaitable that is done: awaited, iterated, wrapped in a task, it gives the permit each time."""
    api = rate(10)
    ready = api.limiter.acquire_async()

    async def use() -> list[object]:
        async def wrapped() -> Permit:
            return await ready

        return [
            await ready,
            await asyncio.create_task(wrapped()),
            await asyncio.ensure_future(api.limiter.acquire_async()),
        ]

    assert isinstance(ready, Ready)
    assert all(isinstance(permit, Permit) for permit in asyncio.run(use()))
    with pytest.raises(StopIteration) as done:
        next(iter(ready.__await__()))
    assert isinstance(done.value.value, Permit)
    with pytest.raises(TypeError):
        Ready()


def test_what_does_not_fit_is_raised_where_it_is_awaited():
    """Not at the call: `gather` gets one refusal beside nine permits."""
    api = rate(9)

    async def ask() -> list[object]:
        return await asyncio.gather(*(api.limiter.acquire_async() for _ in range(10)), return_exceptions=True)

    answers = asyncio.run(ask())

    assert 9 == sum(isinstance(answer, Permit) for answer in answers)
    assert isinstance(answers[9], Refused)


def test_an_async_scope_gives_back_whatever_happens_inside():
    """Also when the task is cancelled there, and when it waited for its slot."""
    pool = slots(1, path={"wait_ns": 60 * SECOND})
    assert enforce

    async def hold(begun: asyncio.Event, forever: bool) -> None:
        async with pool.limiter as permit:
            assert permit
            begun.set()
            if forever:
                await asyncio.Event().wait()

    async def run() -> float:
        first, second = asyncio.Event(), asyncio.Event()
        holder = asyncio.create_task(hold(first, True))
        await first.wait()
        waiter = asyncio.create_task(hold(second, False))
        await asyncio.sleep(0)
        held = pool.in_use
        holder.cancel()
        await waiter
        return held

    assert 1.0 == asyncio.run(run())
    assert 0.0 == pool.in_use
    assert 0 == pool.limiter.reading().dropped_unreleased


def test_the_first_way_of_waiting_that_was_told_stays():
    """`headway.enforce` told it at import; telling another changes nothing."""
    set_waiting(lambda *_: pytest.fail("a second way of waiting was used"))
    pool = slots(1, path={"wait_ns": SECOND})
    held = pool.limiter.try_acquire()

    async def wait() -> None:
        task = asyncio.ensure_future(pool.limiter.acquire_async(timeout=50))
        await asyncio.sleep(0)
        held.release()
        (await task).release()

    asyncio.run(wait())
    assert 0.0 == pool.in_use
