"""The tables people read, and the result file."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.provenance import commit_of_checkout, processor
from benches.python import exactness, ours
from benches.python.targets import Measured
from benches.target import Target, table_of

RESULTS = Path(__file__).parent.parent / "results"


def show(console: Console, measured: Measured, reached: Sequence[Target]) -> None:
    """Prints every case beside its peers, exactness, memory, and the targets."""
    call_ns = measured.costs[ours.FLOOR, "empty Python call"].cpu_ns
    table = Table(title="ns a call (median of the rounds)", title_justify="left")
    for heading in ("case", "who"):
        table.add_column(heading)
    for heading in ("CPU", "wall", "best CPU", "x empty call", "x headway"):
        table.add_column(heading, justify="right")
    cases = list(dict.fromkeys(case for _, case in measured.costs))
    for case in cases:
        ours_ns = measured.costs[ours.NAME, case].cpu_ns if (ours.NAME, case) in measured.costs else None
        for (who, of), cost in measured.costs.items():
            if of == case:
                beside = "" if ours_ns is None or who == ours.NAME else f"{cost.cpu_ns / ours_ns:.1f}"
                numbers = (cost.cpu_ns, cost.wall_ns, cost.best_cpu_ns)
                table.add_row(case, who, *(f"{n:,.1f}" for n in numbers), f"{cost.cpu_ns / call_ns:.1f}", beside)
    console.print(table)

    for who, result in measured.exact.items():
        verdict = "exact" if all(one == exactness.LIMIT for one in result) else "NOT exact"
        console.print(f"4 threads, limit {exactness.LIMIT:,}: {who} admitted {result}: {verdict}", highlight=False)
    for (who, count), (per_key, growth) in measured.memory.items():
        console.print(f"{count:,} keys: {who} {per_key:.1f} bytes a key, {growth / 2**20:,.0f} MiB", highlight=False)
    for who, tail in measured.tails.items():
        filling = f"{tail.filling_ns:,.0f} ns while they come"
        console.print(f"100,000 keys, p99.9 (wall): {who} {tail.known_ns:,.0f} ns, {filling}", highlight=False)

    console.print(table_of(reached))


def write(measured: Measured, reached: Sequence[Target], *, date: str, seed: int, rounds: int) -> Path:
    """Writes `python-DATE.json` with the commit it was measured at."""
    said = {
        "date": date,
        "commit": commit_of_checkout(),
        "seed": seed,
        "rounds": rounds,
        "machine": {"python": platform.python_version(), "processor": processor(), "system": platform.platform()},
        "ns": [{"who": who, "case": case, **asdict(cost)} for (who, case), cost in measured.costs.items()],
        "p999_wall_ns": {who: asdict(tail) for who, tail in measured.tails.items()},
        "memory": [
            {"who": who, "keys": keys, "bytes_per_key": per_key, "growth_bytes": growth}
            for (who, keys), (per_key, growth) in measured.memory.items()
        ],
        "admitted_of_20000_by_4_threads": measured.exact,
        "targets": [asdict(target) | {"reached": target.reached} for target in reached],
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"python-{date}.json"
    path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
