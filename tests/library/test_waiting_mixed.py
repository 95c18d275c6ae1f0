"""Waiting without a leak: however it is cancelled, and with threads and loops mixed."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hypothesis import given
from hypothesis import strategies as st

import headway
from headway import Permit, Refused
from tests.library.pool import PATIENT_S, assert_nothing_leaked, permit_of, settle_down, slots, taken

# --- cancellation -------------------------------------------------------------------------------------------------


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
        task = asyncio.ensure_future(permit_of(limiter.acquire_async(timeout=PATIENT_S)))
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
    sleeper = dead.create_task(permit_of(limiter.acquire_async(timeout=PATIENT_S)))
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
