"""The compiled meters against their twins: some 200,000 random decisions, and threads on the machine's clock.

`python -m benches.meters` plays the same histories for as long as one likes. A history that once parted stands here
under a name.
"""

from __future__ import annotations

import threading
from dataclasses import asdict

import pytest

from headway import _core
from headway.enforce.bounds import (
    InForce,
    Stamped,
    certain_concurrency_violations,
    certain_quota_violations,
    certain_rate_violations,
)
from tests.model.curves import MICRO
from tests.model.histories import SECOND, Tally, play

HISTORIES = 25
TURNS = 400


@pytest.mark.parametrize("chunk", range(20))
def test_core_and_twin_answer_alike_to_the_last_grain(chunk: int) -> None:
    """Every decision, the meter that refused, why, and the earliest instant to the nanosecond."""
    tally = Tally()
    for seed in range(chunk * HISTORIES, (chunk + 1) * HISTORIES):
        assert play(seed, TURNS, tally) is None
    assert tally.decisions == HISTORIES * TURNS


def test_the_histories_hold_everything_they_should() -> None:
    """A generator that stopped restarting, stepping back or refusing would prove less than it says."""
    tally = Tally()
    for seed in range(60):
        play(seed, TURNS, tally)
    assert all(count > 20 for count in asdict(tally).values()), tally


def curve(measure: _core.Measure, version: int, level: int, utc_ns: int) -> _core.Curve:
    """A flat limit from now on, with a burst of a hundredth of a second for a rate."""
    segments = [_core.Segment(utc_ns, None, level * MICRO, level * MICRO)]
    if measure == "rate":
        return _core.Curve(measure, version, "s", segments, per_ns=SECOND, burst_ns=SECOND // 100)
    window = (utc_ns - SECOND, utc_ns + 3_600 * SECOND, utc_ns + 7_200 * SECOND) if measure == "quota" else ()
    return _core.Curve(measure, version, "s", segments, window=window)


@pytest.mark.parametrize("measure", ["rate", "concurrency", "quota"])
def test_threads_on_the_machines_clock_stay_within_the_bound(measure: _core.Measure) -> None:
    """Four threads take and give back as fast as they can while the limit flaps: no stamped window is certainly over,
    and the limit is really met, so that the check is not passed by refusing.
    """
    meters = _core.Meters()
    clock = meters.clock
    meters.declare(
        [_core.MeterSpec("m", measure, ceiling_micro=40_000 * MICRO, per_ns=SECOND if measure == "rate" else 0)]
    )
    utc_ns = 1_800_000_000 * SECOND
    levels = {"rate": (2_000, 40_000, 500), "concurrency": (3, 2, 1), "quota": (900, 2_000, 1_500)}[measure]
    history: list[InForce] = []

    def publish(version: int, level: int) -> None:
        earliest_ns = clock.boot_ns()
        meters.publish([("m", curve(measure, version, level, utc_ns))], utc_ns)
        micro = level * MICRO
        history.append(InForce(earliest_ns, clock.boot_ns(), ((earliest_ns, None, micro, micro),), SECOND // 100))

    publish(1, levels[0])
    limiter = meters.limiter(_core.PathSpec("c", "w", [("m", MICRO, False)]))
    begun = threading.Barrier(5)
    stamped: list[list[Stamped]] = [[] for _ in range(4)]
    refused = [0] * 4

    def ask(index: int) -> None:
        begun.wait()
        for _ in range(2_500):
            before_ns = clock.boot_ns()
            permit = limiter.try_acquire()
            after_ns = clock.boot_ns()
            if not permit:
                refused[index] += 1
                continue
            release_before_ns = clock.boot_ns()
            permit.release()
            stamped[index].append(Stamped(before_ns, after_ns, MICRO, release_before_ns, clock.boot_ns()))

    threads = [threading.Thread(target=ask, args=(index,)) for index in range(4)]
    for thread in threads:
        thread.start()
    begun.wait()
    for version in range(2, 60):
        publish(version, levels[version % 3])
    for thread in threads:
        thread.join()

    events = [event for own in stamped for event in own]
    if measure == "rate":
        found = certain_rate_violations(events, history, per_ns=SECOND)
    elif measure == "concurrency":
        found = certain_concurrency_violations(events, history)
    else:
        found = certain_quota_violations(events, history, [history[0].earliest_ns - SECOND])
    assert [] == found
    assert len(events) + sum(refused) == 10_000
    if measure == "quota":
        assert len(events) <= 2_000
        assert sum(refused) > 0
    assert events
