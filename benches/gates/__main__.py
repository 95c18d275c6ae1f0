"""`python -m benches.gates`: round trips a second, and the CPU of a demand at the keeper and at the gate.

The keeper has one core and the gate another. A rate's demand is decided and gone; a slot's is booked at the server and
given back, two messages. The result is `gates-DATE.json`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

from benches.provenance import commit_of_checkout, processor
from benches.rls import ours
from benches.rls.server import Runner, Server, first_line, runner
from tests.attach.fronts import ROOT

CONTRACTS = """\
contract: rate
owner: bench
constraint: {measure: rate, unit: request, per: 1s}
workloads: {other: {}}
ramp: [{stage: now, limit: 100000000}]
---
contract: slots
owner: bench
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 1000}]
"""
CASES = ("rate", "slots")
THREADS = (1, 8, 32)
"""Demands of one process at once, on its one stream."""


@dataclass(frozen=True)
class Round:
    """One gate's run. CPU in µs a demand."""

    per_s: float
    keeper_us: float
    gate_us: float
    p50_us: float
    p99_us: float


def run(server: Server, gates: Runner, contract: str, threads: int, demands: int) -> Round:
    """Starts a gate, lets it ask, and ends it."""
    program = ROOT / "benches" / "gates" / "gate.py"
    words = [str(server.port), contract, str(threads), str(demands)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    gate = gates.start([sys.executable, program, *words], environment, says=server.token)
    assert gate.stdin is not None
    assert first_line(gate) == "warm"
    before = server.cpu_ns()[server.who]
    print(file=gate.stdin, flush=True)
    said = json.loads(first_line(gate))
    keeper_ns = server.cpu_ns()[server.who] - before
    print(file=gate.stdin, flush=True)
    gate.wait()
    return round_of(said, keeper_ns)


def round_of(said: dict[str, object], keeper_ns: int) -> Round:
    """What a gate said, beside what its keeper used meanwhile."""
    demands, seconds, cpu_ns, lapses = said["demands"], said["seconds"], said["cpu_ns"], said["sorted_ns"]
    assert isinstance(demands, int) and isinstance(seconds, float) and isinstance(cpu_ns, int)
    assert isinstance(lapses, list)
    p50, p99 = (lapses[int(share * (len(lapses) - 1))] / 1_000 for share in (0.5, 0.99))
    return Round(demands / seconds, keeper_ns / demands / 1_000, cpu_ns / demands / 1_000, p50, p99)


def median_of(rounds: Sequence[Round]) -> Round:
    """Field by field."""
    fields = [asdict(one) for one in rounds]
    return Round(**{name: statistics.median(each[name] for each in fields) for name in fields[0]})


def main() -> int:
    """Runs every case, each in each round, and writes the result."""
    parser = argparse.ArgumentParser(prog="python -m benches.gates", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="the median counts")
    parser.add_argument("--demands", type=int, default=20_000, help="of each run")
    parser.add_argument("--quick", action="store_true", help="without a result file")
    told = parser.parse_args()
    keeping, asking = sorted(os.sched_getaffinity(0))[:2]
    subjects = [(contract, threads) for contract in CASES for threads in THREADS]
    rounds: dict[tuple[str, int], list[Round]] = {subject: [] for subject in subjects}
    with tempfile.TemporaryDirectory() as folder:
        (gate_folder := Path(folder, "gates")).mkdir()
        with runner(Path(folder), keeping) as keeper, runner(gate_folder, asking) as gates:
            server = ours.started(keeper, CONTRACTS)
            for _ in range(told.rounds):
                for contract, threads in subjects:
                    rounds[contract, threads].append(run(server, gates, contract, threads, told.demands))
    rows = []
    for (contract, threads), each in rounds.items():
        row = median_of(each)
        rows.append({"contract": contract, "threads": threads} | asdict(row))
        cpu = f"keeper {row.keeper_us:.1f} µs, gate {row.gate_us:.1f} µs of CPU"
        print(
            f"{contract}, {threads} at once: {row.per_s:,.0f}/s; {cpu}; p50 {row.p50_us:.0f}, p99 {row.p99_us:.0f} µs"
        )
    if not told.quick:
        date = datetime.now(UTC).date().isoformat()
        said = {"date": date, "commit": commit_of_checkout(), "processor": processor(), "run": vars(told), "rows": rows}
        path = ROOT / "benches" / "results" / f"gates-{date}.json"
        path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
