"""What fifty gates are asked: arrivals of twice the limit, steady, spiking, or moving from gate to gate; and what the
one ideal bucket of that limit would let in of them."""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Sequence

GATES = 50
LIMIT = 1_000
"""Requests a second, all gates together."""
BURST_S = 0.25
OVER = 2
"""Demand beside the limit."""
SHAPES = ("steady", "spiking", "moving")


def arrivals(shape: str, seconds: float, seed: int) -> list[list[float]]:
    """When each gate is asked, in seconds from the start, in order."""
    chance = random.Random(f"{shape} {seed}")
    most = 10 * OVER * LIMIT / GATES
    asked: list[list[float]] = []
    for gate in range(GATES):
        at, instants = 0.0, []
        while (at := at + chance.expovariate(most)) < seconds:
            if chance.random() * most < OVER * LIMIT / GATES * _weight(shape, gate, at):
                instants.append(at)
        asked.append(instants)
    return asked


def _weight(shape: str, gate: int, at: float) -> float:
    """A gate's part of the demand at an instant, 1 on average over all gates and times."""
    match shape:
        case "steady":
            return 1.0
        case "spiking":
            # A tenth of them ask for fourteen times as much as the others, and which tenth changes every second.
            return 6.04 if (gate + int(at)) % 10 == 0 else 0.44
        case "moving":
            # Half of the gates have all of the demand, and which half changes every two seconds.
            return 2.0 if (gate + int(at / 2) * GATES // 4) % GATES < GATES // 2 else 0.0
        case _:
            raise ValueError(shape)


def ideal(asked: Iterable[Sequence[float]]) -> int:
    """How many one bucket that all share would let in, full at the start."""
    tokens, before, admitted = LIMIT * BURST_S, 0.0, 0
    for at in heapq.merge(*asked):
        tokens = min(LIMIT * BURST_S, tokens + (at - before) * LIMIT)
        before = at
        if tokens >= 1:
            tokens -= 1
            admitted += 1
    return admitted


def most_over(asked_ns: Sequence[int], got_ns: Sequence[int], limit: float = LIMIT, burst_s: float = BURST_S) -> float:
    """By how many the worst window is over `burst + limit x length`, whatever happened between asking and answer; below
    zero where none is.

    In `[a, b]` lie at least as many as were answered by `b`, less those asked before `a`.
    """
    instants = sorted([(at, 0) for at in asked_ns] + [(at, 1) for at in got_ns])
    per_ns = limit / 1e9
    begun = ended = 0
    least, worst = float("inf"), float("-inf")
    for at, is_answer in instants:
        if is_answer:
            ended += 1
            worst = max(worst, ended - per_ns * at - least)
        else:
            least = min(least, begun - per_ns * at)
            begun += 1
    return worst - limit * burst_s
