"""What is to be reached: the design's section 10, rows two to five, as functions of what was measured.

Row one is a decision inside the core, without Python: `benches/core` measures it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from benches.python import exactness, ours
from benches.python.peers import NATIVE
from benches.python.timing import Cost, Tail
from benches.target import Target

Costs = Mapping[tuple[str, str], Cost]
"""By (who, case)."""


@dataclass(frozen=True)
class Measured:
    """A run's results. Memory in bytes; `exact` who -> admitted under each switch interval."""

    costs: Costs
    tails: Mapping[str, Tail]
    memory: Mapping[tuple[str, int], tuple[float, int]]
    exact: Mapping[str, Sequence[int | str]]


def targets(measured: Measured) -> list[Target]:
    """All bounds that this run can speak of."""
    costs = measured.costs
    call_ns = costs[ours.FLOOR, "empty Python call"].cpu_ns
    admitted_ns = _cpu(costs, "admitted")
    native_ns = min(costs[who, "admitted"].cpu_ns for who in NATIVE)
    return [
        Target("admitted / empty Python call", admitted_ns / call_ns, 2.5),
        Target("refused / empty Python call", _cpu(costs, "refused") / call_ns, 4),
        Target("fastest native limiter / admitted", native_ns / admitted_ns, 1.5, at_least=True),
        Target("limits / admitted", costs["limits", "admitted"].cpu_ns / admitted_ns, 40, at_least=True),
        Target("throttled-py / admitted", costs["throttled-py", "admitted"].cpu_ns / admitted_ns, 40, at_least=True),
        Target("admitted by 4 threads, off by", _off_by(measured.exact[ours.NAME]), 0),
        Target("hot key, ns", _cpu(costs, "key hot"), 100),
        Target("100,000 keys, ns", _cpu(costs, "100k keys"), 500),
        Target("100,000 keys, p99.9 ns (wall)", measured.tails[ours.NAME].known_ns, 2_000),
        *_memory(measured.memory),
        Target("four meters, ns", _cpu(costs, "four meters"), 150),
        Target("await acquire_async(), ns", _cpu(costs, "await acquire"), 100),
        Target("async with, ns", _cpu(costs, "async with"), 250),
        Target("decorated / bare call", _cpu(costs, "decorator") / call_ns, 4),
    ]


def _cpu(costs: Costs, case: str) -> float:
    return costs[ours.NAME, case].cpu_ns


def _off_by(results: Sequence[int | str]) -> float:
    return max(abs(result - exactness.LIMIT) if isinstance(result, int) else float("inf") for result in results)


def _memory(memory: Mapping[tuple[str, int], tuple[float, int]]) -> list[Target]:
    bounds = []
    for (who, count), (per_key, growth) in memory.items():
        if who == ours.NAME and count == 1_000_000:
            bounds.append(Target("bytes a key at 1 million", per_key, 48))
        if who == ours.NAME and count == 10_000_000:
            bounds.append(Target("GiB at 10 million keys", growth / 2**30, 1))
    return bounds
