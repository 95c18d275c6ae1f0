"""How coroutines wait: in turn, beside threads and other loops, and without a leak however they are cancelled."""

import asyncio
import gc
import threading
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import headway
from headway import Limiter, Permit, Refused, _core
from headway.enforce.limit import limiter_of, read

SECOND_NS = 1_000_000_000
PATIENT_S = 300.0
"""Longer than any test: whoever waits this long is served, or the test hangs and fails."""


def slots(count: int, wait: float = 0.0) -> Limiter:
    return headway.limit(f"{count} concurrent", name="pool", wait=wait)


def free(limiter: Limiter) -> int:
    """How many more are admitted now; gives them back."""
    taken = []
    while permit := limiter.try_acquire():
        assert isinstance(permit, Permit)
        taken.append(permit)
    for permit in taken:
        permit.release()
    return len(taken)


def assert_nothing_leaked(limiter: Limiter, count: int) -> None:
    gc.collect()
    assert count == free(limiter)
    reading = limiter.reading()
    assert (0, 0) == (reading.waiting, reading.double_released)


def taken(limiter: Limiter) -> Permit:
    permit = limiter.try_acquire()
    assert isinstance(permit, Permit)
    return permit


async def settle_down() -> None:
    """Lets every coroutine run as far as it comes, and wake-ups from `call_soon_threadsafe` arrive."""
    for _ in range(6):
        await asyncio.sleep(0)


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
        task = asyncio.ensure_future(_permit(limiter.acquire_async(timeout=3600.0)))
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
        task = asyncio.ensure_future(_permit(limiter.acquire_async(timeout=float("inf"))))
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
        tasks = [asyncio.ensure_future(_permit(limiter.acquire_async(timeout=PATIENT_S))) for _ in range(10_000)]
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
        task = asyncio.ensure_future(_permit(limiter.acquire_async(timeout=PATIENT_S)))
        await settle_down()
        publish(2, 2_000_000)
        return await task

    asyncio.run(run()).release()
    held.release()
    assert_nothing_leaked(limiter, 2)


# --- cancellation -------------------------------------------------------------------------------------------------


async def _permit(awaitable: Awaitable[Permit]) -> Permit:
    return await awaitable


ACTION = st.one_of(
    st.tuples(st.just("ask"), st.integers(1, 3)),
    st.tuples(st.just("cancel"), st.integers(0, 30)),
    st.tuples(st.just("leave"), st.integers(0, 30)),
    st.tuples(st.just("step"), st.integers(0, 3)),
)


@given(st.integers(1, 3), st.lists(ACTION, max_size=60))
def test_no_cancellation_at_any_await_leaks_a_slot(count: int, actions: list[tuple[str, int]]) -> None:
    """Coroutines ask, hold, leave and are cancelled in any order, with any number of loop steps in between: never are
    more in than the limit, and when all are gone every slot is free and nobody is in the queue.
    """
    limiter = slots(count)
    inside = 0

    async def work(units: int, leave: asyncio.Event) -> None:
        nonlocal inside
        permit = await limiter.acquire_async(min(units, count), timeout=PATIENT_S)
        with permit:
            inside += min(units, count)
            assert inside <= count
            try:
                await leave.wait()
            finally:
                inside -= min(units, count)

    async def run() -> None:
        tasks: list[tuple[asyncio.Task[None], asyncio.Event]] = []
        for action, number in actions:
            if action == "ask":
                leave = asyncio.Event()
                tasks.append((asyncio.ensure_future(work(number, leave)), leave))
            elif action == "step":
                for _ in range(number):
                    await asyncio.sleep(0)
            elif tasks:
                task, leave = tasks[number % len(tasks)]
                if action == "cancel":
                    task.cancel()
                else:
                    leave.set()
        for _, leave in tasks:
            leave.set()
        ended = await asyncio.gather(*(task for task, _ in tasks), return_exceptions=True)
        assert [] == [error for error in ended if error is not None and not isinstance(error, asyncio.CancelledError)]

    asyncio.run(run())

    assert 0 == inside
    assert_nothing_leaked(limiter, count)


def test_a_permit_that_was_got_and_not_delivered_comes_back() -> None:
    """Cancelled in the very step in which it was served, or abandoned by `wait_for`: the slot is free again."""
    limiter = slots(1)

    async def run(steps: int) -> None:
        held = taken(limiter)
        task = asyncio.ensure_future(_permit(limiter.acquire_async(timeout=PATIENT_S)))
        await settle_down()
        held.release()
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        del task

    for steps in range(5):
        asyncio.run(run(steps))
        assert_nothing_leaked(limiter, 1)


def test_a_loop_that_was_closed_over_its_sleepers_blocks_nobody() -> None:
    """A loop dies with a waiter at the head: when the slot comes back it goes to the next, in a thread elsewhere."""
    limiter = slots(1)
    held = taken(limiter)
    dead = asyncio.new_event_loop()
    sleeper = dead.create_task(_permit(limiter.acquire_async(timeout=PATIENT_S)))
    dead.run_until_complete(settle_down())
    dead.close()

    with ThreadPoolExecutor(1) as pool:
        next_one = pool.submit(limiter.acquire, 1, None, PATIENT_S)
        held.release()
        next_one.result(timeout=PATIENT_S).release()

    assert not sleeper.done()
    sleeper._log_destroy_pending = False  # type: ignore[attr-defined]
    assert_nothing_leaked(limiter, 1)


# --- threads and loops mixed --------------------------------------------------------------------------------------


class Room:
    """Counts who is inside, and remembers the most there ever were."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self.most = 0
        self.visits = 0

    def __enter__(self) -> None:
        with self._lock:
            self._inside += 1
            self.visits += 1
            self.most = max(self.most, self._inside)

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._inside -= 1


def test_threads_and_loops_share_one_queue() -> None:
    """Three loops of 100 coroutines and four threads go through 5 slots: never more than 5 at once, and all get in."""
    limiter, room = slots(5), Room()

    async def visits(times: int) -> None:
        for _ in range(times):
            with await limiter.acquire_async(timeout=PATIENT_S), room:
                await asyncio.sleep(0)

    def in_a_loop() -> None:
        async def run() -> None:
            await asyncio.gather(*(visits(10) for _ in range(100)))

        asyncio.run(run())

    def in_a_thread() -> None:
        for _ in range(250):
            with limiter.acquire(timeout=PATIENT_S), room:
                pass

    with ThreadPoolExecutor(7) as pool:
        ends = [pool.submit(run) for run in [in_a_loop] * 3 + [in_a_thread] * 4]
        for end in ends:
            end.result(timeout=PATIENT_S)

    assert 3 * 1000 + 4 * 250 == room.visits
    assert room.most <= 5
    assert_nothing_leaked(limiter, 5)


def test_after_a_million_acquisitions_nothing_is_in_flight() -> None:
    """Four threads and a loop, every way to hold a slot, failures and refusals included: in flight returns to 0."""
    limiter = slots(3)
    share = 200_000

    def trying() -> int:
        return sum(_hold_if(limiter.try_acquire()) for _ in range(share))

    def failing() -> int:
        failed = 0
        for _ in range(share):
            try:
                with limiter:
                    failed += 1
                    raise LookupError
            except (LookupError, Refused):
                pass
        return failed

    def decorated() -> int:
        @limiter
        def work() -> int:
            return 1

        return sum(_count(work) for _ in range(share))

    def awaiting() -> int:
        async def run() -> int:
            got = 0
            for _ in range(share):
                try:
                    async with limiter:
                        got += 1
                except Refused:
                    pass
            return got

        return asyncio.run(run())

    with ThreadPoolExecutor(5) as pool:
        ends = [pool.submit(run) for run in (trying, trying, failing, decorated, awaiting)]
        admitted = sum(end.result(timeout=PATIENT_S) for end in ends)

    reading = limiter.reading()
    assert 5 * share == reading.admitted + reading.refused
    assert admitted == reading.admitted
    assert_nothing_leaked(limiter, 3)


def _hold_if(answer: headway.Permit | headway.Refusal) -> int:
    if isinstance(answer, Permit):
        with answer:
            return 1
    return 0


def _count(work: Callable[[], int]) -> int:
    try:
        return work()
    except Refused:
        return 0
