"""Weighed workloads from real threads of one program: whoever goes first, never more than the limit, and no count is lost."""

from __future__ import annotations

import threading

import pytest

from headway._core import Clock, Curve, Limiter, Measure, Meters, MeterSpec, PathSpec, Permit, Segment, ShareSpec
from tests.core.making import MICRO, SECOND

LIMIT = 50
WEIGHTS = {"web": 3, "reports": 1, "mails": 1}


def limiters(measure: Measure, level: int) -> tuple[Meters, dict[str, Limiter]]:
    """Of a contract whose workloads weigh, on the machine's clock; a quota's window is an hour."""
    meters = Meters(Clock())
    shares = [ShareSpec(name, weight=weight) for name, weight in WEIGHTS.items()]
    meters.declare([MeterSpec("db", measure, ceiling_micro=level * MICRO, shares=shares)])
    window = [0, 3_600 * SECOND] if measure == "quota" else []
    curve = Curve(measure, 1, "now", [Segment(0, None, level * MICRO, level * MICRO)], window=window)
    meters.publish([("db", curve)], 0)
    return meters, {name: meters.limiter(PathSpec("db", name, [("db", MICRO, False)])) for name in WEIGHTS}


def test_threads_never_hold_more_slots_than_there_are_and_leave_all_of_them_free() -> None:
    """Six threads take up to 30 slots each, hold them over a few others' turns, and give them back, two hundred times."""
    meters, paths = limiters("concurrency", LIMIT)
    lock, in_use, most = threading.Lock(), 0, 0

    def works(limiter: Limiter, number: int) -> None:
        nonlocal in_use, most
        for turn in range(200):
            held = []
            for _ in range(1 + (7 * turn + number) % 30):
                answer = limiter.try_acquire()
                if isinstance(answer, Permit):
                    # Counted after the take and before the release: less than what is in use, never more.
                    held.append(answer)
                    with lock:
                        in_use += 1
                        most = max(most, in_use)
            for permit in held:
                with lock:
                    in_use -= 1
                permit.release()

    threads = [threading.Thread(target=works, args=(paths[name], at)) for at, name in enumerate([*WEIGHTS] * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 30 <= most <= LIMIT
    assert 0 == meters.snapshot()[0].use_micro


@pytest.mark.parametrize("level", [1, 997, 20_000])
def test_threads_never_use_more_than_the_window(level: int) -> None:
    """Six threads ask 5,000 times each."""
    meters, paths = limiters("quota", level)
    used = [0] * 6

    def works(limiter: Limiter, at: int) -> None:
        used[at] = sum(isinstance(limiter.try_acquire(), Permit) for _ in range(5_000))

    threads = [threading.Thread(target=works, args=(paths[name], at)) for at, name in enumerate([*WEIGHTS] * 2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 1 <= sum(used) <= level
    assert sum(used) * MICRO == meters.snapshot()[0].use_micro
