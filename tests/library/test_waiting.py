"""How coroutines wait: in turn, for as long as they were told, and not past the end of what they wait for."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import headway
from headway import Permit, Refused, _core
from headway.enforce.limit import limiter_of, read
from tests.library.pool import PATIENT_S, assert_nothing_leaked, permit_of, settle_down, slots, taken

SECOND_NS = 1_000_000_000


# --- in turn ------------------------------------------------------------------------------------------------------


def test_what_fits_now_is_there_without_a_loop() -> None:
    """An admitted demand's awaitable is already done: it can be driven by hand, no event loop in sight."""
    awaitable = headway.limit("5/s").acquire_async().__await__()

    with pytest.raises(StopIteration) as done:
        next(awaitable)

    assert isinstance(done.value.value, Permit)


def test_coroutines_are_served_in_the_order_they_came() -> None:
    """One slot, 1,000 waiters: each is served once, first come, first served."""
    limiter = slots(1)
    order: list[int] = []

    async def wait(number: int) -> None:
        permit = await limiter.acquire_async(timeout=PATIENT_S)
        order.append(number)
        permit.release()

    async def run() -> None:
        held = taken(limiter)
        tasks = [asyncio.ensure_future(wait(number)) for number in range(1000)]
        await settle_down()
        assert 1000 == limiter.reading().waiting
        held.release()
        await asyncio.gather(*tasks)

    asyncio.run(run())

    assert list(range(1000)) == order
    assert_nothing_leaked(limiter, 1)


def test_a_newcomer_does_not_overtake_who_waits() -> None:
    """While a demand of 3 waits for 3 slots, a later one for 1 queues behind it although 2 are free."""
    limiter = slots(3)

    async def run() -> list[str]:
        order: list[str] = []

        async def wait(units: int, name: str) -> None:
            permit = await limiter.acquire_async(units, timeout=PATIENT_S)
            order.append(name)
            permit.release()

        held = taken(limiter)
        large = asyncio.ensure_future(wait(3, "large"))
        await settle_down()
        small = asyncio.ensure_future(wait(1, "small"))
        await settle_down()
        assert [] == order
        held.release()
        await asyncio.gather(large, small)
        return order

    assert ["large", "small"] == asyncio.run(run())
    assert_nothing_leaked(limiter, 3)


def test_with_and_decorators_wait_as_long_as_the_limit_says() -> None:
    """With a wait of its own, `async with` and a decorated coroutine queue instead of being refused."""
    limiter = slots(1, wait=PATIENT_S)

    @limiter
    async def decorated(number: int) -> int:
        await asyncio.sleep(0)
        return number

    async def entered(number: int) -> int:
        async with limiter:
            await asyncio.sleep(0)
            return number

    async def run() -> list[int]:
        return await asyncio.gather(*(f(n) for n in range(50) for f in (decorated, entered)))

    assert sorted([*range(50), *range(50)]) == sorted(asyncio.run(run()))
    assert_nothing_leaked(limiter, 1)


def test_without_a_wait_the_refusal_comes_at_once() -> None:
    """`enforce.wait` of 0: `async with` raises Refused, full, with what the refusal of `try_acquire` says."""
    limiter = slots(1)

    async def run() -> headway.Refusal:
        async with limiter:
            with pytest.raises(Refused) as caught:
                await limiter.acquire_async()
            return caught.value.refusal

    assert "full" == asyncio.run(run()).why
    assert_nothing_leaked(limiter, 1)


# --- time ---------------------------------------------------------------------------------------------------------


def test_a_waiter_of_a_rate_is_served_at_the_earliest_instant_and_not_before() -> None:
    """1 a minute: one nanosecond before the minute is over the waiter still waits, at the minute it is served."""
    clock = _core.Clock.manual()
    meters = _core.Meters(clock)
    limiter = limiter_of(read("1/minute"), meters, name="mails")
    limiter.try_acquire()

    async def run() -> list[bool]:
        task = asyncio.ensure_future(limiter.acquire_async(timeout=90.0))
        await settle_down()
        done = [task.done()]
        for by_ns in (60 * SECOND_NS - 1, 1):
            clock.advance(by_ns)
            await settle_down()
            done.append(task.done())
        return done

    assert [False, False, True] == asyncio.run(run())


def test_patience_ends_when_it_was_said_to() -> None:
    """A waiter with 30 seconds is refused as `timeout` at 30 seconds, and its place is free."""
    clock = _core.Clock.manual()
    meters = _core.Meters(clock)
    limiter = limiter_of(read("1 concurrent"), meters, name="pool")
    held = taken(limiter)

    async def run() -> headway.Refusal:
        task = asyncio.ensure_future(limiter.acquire_async(timeout=30.0))
        await settle_down()
        clock.advance(30 * SECOND_NS - 1)
        await settle_down()
        assert not task.done()
        clock.advance(1)
        with pytest.raises(Refused) as caught:
            await task
        return caught.value.refusal

    refusal = asyncio.run(run())

    assert ("timeout", "pool") == (refusal.why, refusal.contract)
    held.release()
    assert_nothing_leaked(limiter, 1)


def test_on_the_machines_clock_a_timer_serves_the_head() -> None:
    """Nobody gives anything back to a rate: what wakes its waiters is time alone, on the loop's own timer."""
    limiter = headway.limit("200/s")
    while limiter.try_acquire():
        pass

    async def run() -> list[Permit]:
        return await asyncio.gather(*(limiter.acquire_async(timeout=PATIENT_S) for _ in range(5)))

    assert 5 == len(asyncio.run(run()))


def test_a_waiter_that_was_served_early_leaves_no_timer() -> None:
    """A thousand waits of an hour that end at once do not fill the loop with timers for an hour."""
    limiter = slots(1)
    timers: list[asyncio.TimerHandle] = []

    async def run() -> None:
        loop = asyncio.get_running_loop()
        call_later = loop.call_later

        def recorded(delay: float, callback: Callable[..., object], *arguments: Any) -> asyncio.TimerHandle:
            timers.append(call_later(delay, callback, *arguments))
            return timers[-1]

        loop.call_later = recorded  # type: ignore[method-assign, assignment]
        held = taken(limiter)
        task = asyncio.ensure_future(permit_of(limiter.acquire_async(timeout=3600.0)))
        await settle_down()
        held.release()
        (await task).release()

    asyncio.run(run())

    assert timers
    assert all(timer.cancelled() for timer in timers)


def test_an_endless_timeout_is_a_long_one() -> None:
    """Infinity is accepted and waits; NaN is a ValueError, and neither leaves anybody in the queue."""
    limiter = slots(1)

    async def run() -> None:
        held = taken(limiter)
        task = asyncio.ensure_future(permit_of(limiter.acquire_async(timeout=float("inf"))))
        await settle_down()
        with pytest.raises(ValueError, match=r"NaN|nan|number"):
            await limiter.acquire_async(timeout=float("nan"))
        held.release()
        (await task).release()

    asyncio.run(run())
    assert_nothing_leaked(limiter, 1)


def test_the_queue_has_an_end() -> None:
    """10,000 may wait; one more is refused as `queue_full` at the door, at once."""
    limiter = slots(1)

    async def run() -> str:
        held = taken(limiter)
        tasks = [asyncio.ensure_future(permit_of(limiter.acquire_async(timeout=PATIENT_S))) for _ in range(10_000)]
        await settle_down()
        with pytest.raises(Refused) as caught:
            await limiter.acquire_async(timeout=PATIENT_S)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        held.release()
        return caught.value.refusal.why

    assert "queue_full" == asyncio.run(run())
    assert_nothing_leaked(limiter, 1)


def test_closing_wakes_who_waits() -> None:
    """When the meters close, waiters are refused as `closed` instead of sleeping until their patience ends."""
    meters = _core.Meters()
    meters.declare([_core.MeterSpec("pool", "concurrency", ceiling_micro=1_000_000)])
    meters.publish([("pool", _core.Curve("concurrency", 1, "", [_core.Segment(0, None, 1_000_000, 1_000_000)]))], 0)
    limiter = meters.limiter(_core.PathSpec("pool", "other", [("pool", 1_000_000, False)]))
    held = taken(limiter)

    async def run() -> str:
        task = asyncio.ensure_future(limiter.acquire_async(timeout=PATIENT_S))
        await settle_down()
        meters.close()
        with pytest.raises(Refused) as caught:
            await task
        return caught.value.refusal.why

    assert "closed" == asyncio.run(run())
    held.release()


def test_a_raise_wakes_who_waits() -> None:
    """A limit that is published from 1 to 2 lets the waiter in although nobody left."""
    meters = _core.Meters()
    meters.declare([_core.MeterSpec("pool", "concurrency", ceiling_micro=2_000_000)])

    def publish(version: int, level: int) -> None:
        curve = _core.Curve("concurrency", version, "", [_core.Segment(0, None, level, level)])
        meters.publish([("pool", curve)], 0)

    publish(1, 1_000_000)
    limiter = meters.limiter(_core.PathSpec("pool", "other", [("pool", 1_000_000, False)]))
    held = taken(limiter)

    async def run() -> Permit:
        task = asyncio.ensure_future(permit_of(limiter.acquire_async(timeout=PATIENT_S)))
        await settle_down()
        publish(2, 2_000_000)
        return await task

    asyncio.run(run()).release()
    held.release()
    assert_nothing_leaked(limiter, 2)
