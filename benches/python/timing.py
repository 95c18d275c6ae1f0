"""Reads the clocks: the one module of the bench that does.

Rounds are interleaved: each round times every subject once, so that a neighbour on the machine slows all alike; the
median of the rounds is what counts. CPU is this thread's, wall is the monotonic clock; an empty loop is taken off both.
"""

from __future__ import annotations

import asyncio
import gc
import random
import statistics
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any

from benches.python.subject import KEYS, Subject

ROUND_NS = 20_000_000
"""What one timing should take: long beside the clock's grain, short beside a neighbour's burst."""

CALIBRATION_LOOPS = 2_000

_LOOP = """
{define} run(n, keys):
    for {each} in {source}:
        {statement}
"""


@dataclass(frozen=True)
class Cost:
    """Nanoseconds an iteration, medians over the rounds, and the best CPU round."""

    cpu_ns: float
    wall_ns: float
    best_cpu_ns: float
    rounds: int


@dataclass(frozen=True)
class _Loop:
    subject: Subject
    run: Callable[[int, Sequence[str]], Coroutine[Any, Any, None] | None]


def measure(subjects: Sequence[Subject], rounds: int, seed: int) -> list[Cost]:
    """Times all subjects, `rounds` times each (at least 7); the costs in the subjects' order."""
    if rounds < 7:
        raise ValueError("a median of fewer than 7 rounds says little")
    keys = key_names(KEYS)
    random.Random(seed).shuffle(keys)
    loops = [_compile(subject) for subject in subjects]
    empty = {awaits: _compile(Subject("floor", "empty", "pass", {}, awaits=awaits)) for awaits in (False, True)}
    empty_keyed = _compile(Subject("floor", "empty", "pass", {}, keyed=True))

    # One loop for all that waits: some peers' limiters belong to the loop that used them first.
    with asyncio.Runner() as runner:
        return _rounds(loops, empty, empty_keyed, keys, rounds, runner)


def _rounds(
    loops: Sequence[_Loop],
    empty: Mapping[bool, _Loop],
    empty_keyed: _Loop,
    keys: Sequence[str],
    rounds: int,
    runner: asyncio.Runner,
) -> list[Cost]:
    sizes = [_calibrate(loop, keys, runner) for loop in loops]
    cpu: list[list[float]] = [[] for _ in loops]
    wall: list[list[float]] = [[] for _ in loops]
    gc.collect()
    gc.disable()
    try:
        for _ in range(rounds):
            for position, (loop, size) in enumerate(zip(loops, sizes, strict=True)):
                if loop.subject.before is not None:
                    loop.subject.before()
                nothing = empty_keyed if loop.subject.keyed else empty[loop.subject.awaits]
                floor_cpu, floor_wall = _time(nothing, size, keys, runner)
                taken_cpu, taken_wall = _time(loop, size, keys, runner)
                cpu[position].append((taken_cpu - floor_cpu) / size)
                wall[position].append((taken_wall - floor_wall) / size)
    finally:
        gc.enable()
    return [
        Cost(statistics.median(cpus), statistics.median(walls), min(cpus), rounds)
        for cpus, walls in zip(cpu, wall, strict=True)
    ]


@dataclass(frozen=True)
class Tail:
    """Wall ns within which 99.9 % of single keyed calls end: while new keys come, and once all are known."""

    filling_ns: float
    known_ns: float


def tail(take: Callable[[str], object], seed: int) -> Tail:
    """Three passes over all keys, the cost of reading the clock taken off.

    The first pass is where a table grows; whatever of that is left over happens in the second, which does not count.
    """
    keys = key_names(KEYS)
    random.Random(seed).shuffle(keys)
    reading = statistics.median(_read_twice() for _ in range(10_000))
    filling, _, known = (_percentile(_lapses(take, keys)) - reading for _ in range(3))
    return Tail(filling, known)


def _lapses(take: Callable[[str], object], keys: Sequence[str]) -> list[int]:
    clock = time.perf_counter_ns
    lapses = []
    for key in keys:
        start = clock()
        take(key)
        lapses.append(clock() - start)
    return lapses


def _percentile(lapses: Sequence[int], share: float = 0.999) -> int:
    return sorted(lapses)[int(share * len(lapses))]


def key_names(count: int) -> list[str]:
    """Keys as services have them: short, distinct, each a string of its own."""
    return [f"user:{number:08d}" for number in range(count)]


def today() -> str:
    """The date, for the name of a result."""
    return time.strftime("%Y-%m-%d", time.gmtime())


def _read_twice() -> int:
    start = time.perf_counter_ns()
    return time.perf_counter_ns() - start


def _compile(subject: Subject) -> _Loop:
    text = _LOOP.format(
        define="async def" if subject.awaits else "def",
        each="key" if subject.keyed else "_",
        source="keys" if subject.keyed else "repeat(None, n)",
        statement=subject.statement,
    )
    # The statement's names are locals of nobody: looked up as a service's module would look them up.
    names: dict[str, Any] = {"repeat": repeat, **subject.names}
    exec(compile(text, f"<{subject.who}: {subject.case}>", "exec"), names)
    return _Loop(subject, names["run"])


def _calibrate(loop: _Loop, keys: Sequence[str], runner: asyncio.Runner) -> int:
    if loop.subject.keyed:
        _time(loop, len(keys), keys, runner)
        return len(keys)
    cpu_ns, wall_ns = _time(loop, CALIBRATION_LOOPS, keys, runner)
    return max(CALIBRATION_LOOPS, int(CALIBRATION_LOOPS * ROUND_NS / max(cpu_ns, wall_ns, 1)))


def _time(loop: _Loop, size: int, keys: Sequence[str], runner: asyncio.Runner) -> tuple[int, int]:
    """CPU and wall nanoseconds of one run."""
    if loop.subject.awaits:
        return runner.run(_time_awaiting(loop, size))
    cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
    loop.run(size, keys)
    return time.thread_time_ns() - cpu, time.perf_counter_ns() - wall


async def _time_awaiting(loop: _Loop, size: int) -> tuple[int, int]:
    coroutine = loop.run(size, ())
    assert coroutine is not None
    cpu, wall = time.thread_time_ns(), time.perf_counter_ns()
    await coroutine
    return time.thread_time_ns() - cpu, time.perf_counter_ns() - wall
