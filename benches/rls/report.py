"""The tables people read, and the result file."""

from __future__ import annotations

import json
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from benches.provenance import commit_of_checkout, processor
from benches.rls import ours
from benches.rls.measure import Cost, Paced
from benches.rls.server import Server
from benches.target import Target, table_of

RESULTS = Path(__file__).parents[1] / "results"


def show(
    console: Console,
    costs: Sequence[Cost],
    paced: Sequence[Paced],
    reached: Sequence[Target],
    absent: Mapping[str, str],
) -> None:
    """Prints every server in every case, what it does at a pace, and the targets."""
    table = Table(title="CPU of the server's processes a decision (median of the rounds)", title_justify="left")
    for heading in ("case", "who"):
        table.add_column(heading)
    for heading in ("µs", "least", "most", "x headway", "answers/s", "bytes", "of it"):
        table.add_column(heading, justify="right")
    by_case = {cost.case: cost.cpu_us for cost in costs if cost.who == ours.NAME}
    for cost in costs:
        parts = ", ".join(f"{name} {us:.1f}" for name, us in cost.by_process_us.items() if len(cost.by_process_us) > 1)
        ends = (f"{cost.cpu_us:.1f}", f"{min(cost.rounds_us):.1f}", f"{max(cost.rounds_us):.1f}")
        beside = "" if cost.who == ours.NAME else f"{cost.cpu_us / by_case[cost.case]:.2f}"
        table.add_row(cost.case, cost.who, *ends, beside, f"{cost.per_s:,.0f}", f"{cost.answer_bytes:.0f}", parts)
    console.print(table)
    for one in paced:
        missed = f"{one.late} late, {one.unanswered} unanswered, {one.sheds} shed of {one.asked:,}"
        times = f"p50 {one.p50_us / 1_000:.2f} ms, p99.9 {one.p999_us / 1_000:.2f} ms"
        pace = f"{one.who} at {one.sent_per_s:,.0f}/s of {one.per_s:,}"
        console.print(f"{pace}: {missed}; {times}", highlight=False)
    for who, why in absent.items():
        console.print(f"{who} is not there: {why}", highlight=False)

    console.print(table_of(reached))


def write(
    servers: Sequence[Server],
    costs: Sequence[Cost],
    paced: Sequence[Paced],
    reached: Sequence[Target],
    *,
    absent: Mapping[str, str],
    run: Mapping[str, object],
) -> Path:
    """Writes `rls-DATE.json` with the commit it was measured at, every version, and why a peer is absent."""
    date = datetime.now(UTC).date().isoformat()
    said = {
        "date": date,
        "commit": commit_of_checkout(),
        "run": run,
        "machine": {
            "python": platform.python_version(),
            "processor": processor(),
            "system": platform.platform(),
        },
        "versions": {server.who: server.version for server in servers},
        "absent": absent,
        "cpu_us": [asdict(cost) for cost in costs],
        "paced": [asdict(one) | {"within_share": one.within_share} for one in paced],
        "targets": [asdict(target) | {"reached": target.reached} for target in reached],
    }
    path = RESULTS / f"rls-{date}.json"
    path.write_text(json.dumps(said, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path
