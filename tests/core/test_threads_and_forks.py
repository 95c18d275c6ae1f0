"""Many threads meet one limit exactly; a forked child meets none."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable

import pytest

from headway._core import Clock, Curve, Forked, Limiter, Meters, MeterSpec, Segment
from tests.core.making import MICRO, SECOND, UTC, limiter_of, slots

LIMIT = 20_000


def exhausted(limiter: Limiter, ask: Callable[[int], bool]) -> list[int]:
    """Admissions of four threads that each ask as often as the limit is high."""
    admitted = [0] * 4
    begun = threading.Barrier(4)

    def work(index: int) -> None:
        begun.wait()
        admitted[index] = sum(ask(index) for _ in range(LIMIT))

    threads = [threading.Thread(target=work, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return admitted


@pytest.fixture(params=[1e-6, 0.005], ids=["switching-always", "switching-seldom"])
def switching(request: pytest.FixtureRequest):
    """Both ways in which threads may be switched: as often as can be, and as Python does."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(request.param)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("switching")
@pytest.mark.parametrize("measure", ["rate", "concurrency", "quota"])
@pytest.mark.parametrize("keyed", [False, True])
def test_four_threads_are_admitted_exactly_the_limit(measure: str, keyed: bool):
    """20,000, not one more or less, on a clock that stands still; on one key as without."""
    meters = Meters(Clock.manual(SECOND))
    per_ns = SECOND if measure == "rate" else 0
    meters.declare([MeterSpec("m", measure, ceiling_micro=LIMIT * MICRO, per_ns=per_ns, keys_max=9 if keyed else None)])
    window = (UTC,) if measure == "quota" else ()
    flat = [Segment(0, None, LIMIT * MICRO, LIMIT * MICRO)]
    meters.publish([("m", Curve(measure, 1, "now", flat, per_ns=per_ns, burst_ns=per_ns, window=window))], UTC)
    limiter = limiter_of(meters, "m", keyed=keyed)
    held: list[object] = []

    def ask(_: int) -> bool:
        permit = limiter.try_acquire(1, "ana") if keyed else limiter.try_acquire()
        held.append(permit)
        return bool(permit)

    assert LIMIT == sum(exhausted(limiter, ask))
    assert LIMIT == limiter.reading().admitted
    assert 3 * LIMIT == limiter.reading().refused
    held.clear()


@pytest.mark.usefixtures("switching")
def test_threads_that_hold_slots_while_the_limit_flaps_leave_none():
    """Publishing 1, 2, 3, 1, … beside them: afterwards nothing is in flight."""
    pool = slots(3)
    ended = threading.Event()

    def flap() -> None:
        version = 2
        while not ended.is_set():
            level = (1 + version % 3) * MICRO
            curve = Curve("concurrency", version, "now", [Segment(0, None, level, level)])
            pool.meters.publish([("m", curve)], UTC)
            version += 1

    flapper = threading.Thread(target=flap)
    flapper.start()

    def ask(_: int) -> bool:
        permit = pool.limiter.try_acquire()
        if permit:
            permit.release()
        return bool(permit)

    admitted = sum(exhausted(pool.limiter, ask))
    ended.set()
    flapper.join()

    assert 0.0 == pool.in_use
    assert admitted == pool.limiter.reading().admitted > 0


def test_a_forked_child_decides_nothing_and_gives_nothing_back():
    """Every way of asking raises HW501 there; the parent's slots stay held and its limiter goes on."""
    pool = slots(2)
    held = pool.limiter.try_acquire()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        pool.meters.mark_forked()
        codes = []
        for ask in (
            pool.limiter.try_acquire,
            pool.limiter.probe,
            pool.limiter.acquire,
            pool.limiter.ticket,
            pool.limiter.__enter__,
            pool.limiter.acquire_async,
            lambda: pool.limiter.reserve(1),
        ):
            try:
                ask()
            except Forked as error:
                codes.append(error.code)
        held.release()
        os.write(tell, f"{sorted(set(codes))} {len(codes)} {pool.in_use}".encode())
        os._exit(0)
    os.waitpid(child, 0)

    assert "['HW501'] 7 1.0" == os.read(told, 1_000).decode()
    assert 1.0 == pool.in_use
    assert pool.limiter.try_acquire()
    held.release()
