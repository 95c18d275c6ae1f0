"""`python -m benches.holders --seed 1`: ten thousand holders on one keeper. About two minutes.

Three parts: the keeper's machine alone (CPU a renewal), `headway serve` with ten thousand streams on loopback (CPU, renewals
that came too late, rows that were written), and the ledger's writer as leases grow, alone and beside a `headway check` of
ten thousand contracts. Writes `benches/results/holders-SEED.json`; exit code 1 where a target is not reached.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from benches.holders.growth import grown
from benches.provenance import commit_of_checkout, processor
from benches.rls import ours
from benches.rls.server import Runner, Server, first_line, runner
from benches.target import Target, table_of
from tests.attach.fronts import ROOT

HOLDERS = 10_000
GROWING = 1_000
"""Of the holders, where leases grow over the streams: each wants one slot more as soon as it has the last."""
GROWTH_PER_S = 50_000
CONTRACTS = """\
contract: pool
owner: bench
constraint: {measure: concurrency, unit: connection}
workloads: {other: {}}
ramp: [{stage: now, limit: 40000000}]
"""


def core(seed: int) -> dict[str, Any]:
    """What a renewal costs the keeper's machine."""
    command = ["cargo", "bench", "--quiet", "-p", "headway-core", "--bench", "holders", "--", str(seed)]
    said: dict[str, Any] = json.loads(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)
    return said


def rows_of(store: Path) -> list[tuple[object, ...]]:
    """What the ledger has of holders."""
    with closing(sqlite3.connect(f"file:{next(store.glob('*.db'))}?mode=ro", uri=True)) as ledger:
        return ledger.execute("SELECT * FROM lent_slots ORDER BY 1, 2, 3").fetchall()


def live(server: Server, store: Path, clients: Runner, growing: int, seconds: int) -> dict[str, Any]:
    """Ten thousand streams to a server."""
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    words = [str(server.port), "pool", str(HOLDERS), str(growing), str(seconds)]
    client = clients.start([target / "release" / "examples" / "streams", *words], says=server.token)
    assert client.stdin is not None
    assert first_line(client) == "warm"
    rows, before = rows_of(store), server.cpu_ns()[server.who]
    print(file=client.stdin, flush=True)
    said: dict[str, Any] = json.loads(first_line(client))
    said["keeper_cores"] = (server.cpu_ns()[server.who] - before) / said["seconds"] / 1e9
    said["rows_written"] = sum(one != other for one, other in zip(rows, rows_of(store), strict=True))
    client.kill()
    return said


@contextmanager
def checked(folder: Path) -> Iterator[None]:
    """Checks ten thousand contracts over and over meanwhile."""
    for part in range(10):
        names = range(part * 1_000, part * 1_000 + 1_000)
        text = "---\n".join(CONTRACTS.replace("pool", f"pool-{number}") for number in names)
        (folder / f"{part}.yaml").write_text(text)
    check = f"while '{sys.executable}' -m headway.cli check '{folder}'; do :; done"
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "python")}
    process = subprocess.Popen(
        ["bash", "-c", check], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, process_group=0
    )
    try:
        yield
        if process.poll() is not None:
            assert process.stderr is not None
            raise RuntimeError(process.stderr.read().decode())
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 9)
        process.wait()


def measured(folder: Path, seed: int, seconds: int) -> dict[str, Any]:
    """All three parts."""
    parts: dict[str, Any] = {"core": core(seed)}
    keeping, asking = sorted(os.sched_getaffinity(0))[:2]
    for name, growing in (("steady", 0), ("growing", GROWING)):
        (served := folder / name).mkdir()
        (asked := served / "clients").mkdir()
        with runner(served, keeping) as keeper, runner(asked, asking) as clients:
            parts[name] = live(ours.started(keeper, CONTRACTS), served / "store", clients, growing, seconds)
    for name in ("alone", "beside", "contracts"):
        (folder / name).mkdir()
    parts["growth_alone"] = asdict(grown(folder / "alone", GROWTH_PER_S, seconds))
    with checked(folder / "contracts"):
        parts["growth_beside_a_check"] = asdict(grown(folder / "beside", GROWTH_PER_S, seconds))
    return parts


def targets(parts: dict[str, Any]) -> list[Target]:
    """The row of the design on leases."""
    steady = parts["steady"]
    return [
        Target("rows written by steady renewals, machine alone", parts["core"]["rows"][-1]["steady_writes"], 0),
        Target(f"holders of {HOLDERS:,} that hold", steady["holders"], HOLDERS, at_least=True),
        Target("renewals that came too late", steady["lapses"], 0),
        Target("rows written by steady renewals", steady["rows_written"], 0),
        Target("growth a second, alone", parts["growth_alone"]["per_s"], 0.99 * GROWTH_PER_S, at_least=True),
        Target("ms to be durable beside a check, p99", parts["growth_beside_a_check"]["p99_ms"], 50),
    ]


def main() -> int:
    """Runs all, writes the result, and says by its exit code whether every target was reached."""
    parser = argparse.ArgumentParser(prog="python -m benches.holders", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=15, help="of each run with streams or a ledger")
    parser.add_argument("--folder", type=Path, default=ROOT / "target", help="on a disk, for ledgers that are measured")
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=told.folder) as folder:
        parts = measured(Path(folder), told.seed, told.seconds)
    reached = targets(parts)
    result = {
        "seed": told.seed,
        "commit": commit_of_checkout(),
        "processor": processor(),
        **parts,
        "targets": [{"what": one.what, "measured": one.measured, "bound": one.bound} for one in reached],
    }
    path = ROOT / "benches" / "results" / f"holders-{told.seed}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    Console(width=100).print(table_of(reached))
    return 0 if all(one.reached for one in reached) else 1


if __name__ == "__main__":
    sys.exit(main())
