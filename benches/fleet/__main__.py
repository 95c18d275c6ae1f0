"""`python -m benches.fleet`: fifty gates, one limit, twice the demand: what is let in beside one ideal bucket.

Five processes with ten gates each ask by the same arrivals: of leases, of a counter in the middle (the same server, asked
demand by demand), of an even static split, and of a script in Redis for each decision. The result is `fleet-SEED.json`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benches.fleet.demand import BURST_S, GATES, LIMIT, SHAPES, arrivals, ideal, most_over
from benches.provenance import commit_of_checkout, processor
from headway.engine.engine import Engine
from headway.ledger import Ledger
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import ANSWERED, RoutedPlane
from headway.server.listen import Address

ROOT = Path(__file__).parents[2]
PROCESSES = 5
WAYS = ("leases", "central", "split", "redis")
TOKEN = "a-fleet's-token"
WARM_S = 3.0
"""Of each run, in which gates find out what they are asked; not counted."""

CONTRACTS = f"""\
contract: api
owner: bench
constraint: {{measure: rate, unit: request, per: 1s, burst: {int(BURST_S * 1000)}ms}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {LIMIT}}}]
---
contract: central
owner: bench
constraint: {{measure: rate, unit: request, per: 1s, burst: {int(BURST_S * 1000)}ms}}
each: {{key: all, count: 10}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {LIMIT}}}]
"""


@contextmanager
def served(folder: Path) -> Iterator[tuple[int, Callable[[], int]]]:
    """A server of ours: its port, and how often it has written to its ledger for gates."""
    writes = 0
    draw = Ledger.draw

    def counted(ledger: Ledger, batch: Sequence[Any]) -> bytes:
        nonlocal writes
        writes += 1
        return draw(ledger, batch)

    (folder / "contracts.yaml").write_text(CONTRACTS)
    Ledger.draw = counted  # type: ignore[method-assign]
    try:
        engine = Engine.open(folder / "contracts.yaml", data=folder / "data", answered=ANSWERED)
        access = Access([Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))])
        with closing(engine), closing(RoutedPlane(engine, Address("127.0.0.1", 0), access)) as plane:
            yield int(plane.address.rpartition(":")[2]), lambda: writes
    finally:
        Ledger.draw = draw  # type: ignore[method-assign]


@contextmanager
def redis(folder: Path) -> Iterator[int]:
    """A Redis on a free port, in memory alone; 0 where there is none on this machine."""
    program = shutil.which("redis-server")
    if program is None:
        yield 0
        return
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", str(folder)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.terminate()
        process.wait()


def run(by: str, port: int, asked: Sequence[Sequence[float]]) -> dict[str, Any]:
    """Lets all gates ask, and adds up what they say."""
    per = GATES // PROCESSES
    processes = []
    for place in range(PROCESSES):
        process = subprocess.Popen(
            [sys.executable, "-m", "benches.fleet.gates"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
        )
        task = {"by": by, "port": port, "token": TOKEN, "gates": asked[place * per : (place + 1) * per]}
        _say(process, json.dumps(task))
        processes.append(process)
    for process in processes:
        assert _line(process) == "ready"
    start = time.monotonic_ns() + 300_000_000
    for process in processes:
        _say(process, str(start))
    said = [json.loads(_line(process)) for process in processes]
    for process in processes:
        _say(process, "")
        process.wait()
    counted = start + int(WARM_S * 1e9)
    all_got = sorted(at for one in said for at in one["got"])
    return {
        "admitted": sum(at >= counted for at in all_got),
        "most_over": most_over([at for one in said for at in one["asked"]], all_got),
        "late": sum(one["late"] for one in said),
        "gates_cpu_s": sum(one["cpu_s"] for one in said),
    }


def _say(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    print(line, file=process.stdin, flush=True)


def _line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def counted_ideal(asked: Sequence[Sequence[float]]) -> int:
    """What the ideal bucket lets in after the gates are warm."""
    return ideal(asked) - ideal([[at for at in gate if at < WARM_S] for gate in asked])


def main() -> int:
    """Runs every way under every shape, one after the other. Exit code 1 where leases were over."""
    parser = argparse.ArgumentParser(prog="python -m benches.fleet", description=__doc__)
    parser.add_argument("--seconds", type=float, default=15.0, help="of each run")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="without a result file")
    told = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, redis(Path(name)) as redis_port, served(Path(name)) as (port, writes):
        for shape in SHAPES:
            asked = arrivals(shape, told.seconds, told.seed)
            best, demands = counted_ideal(asked), sum(map(len, asked))
            for by in WAYS:
                if by == "redis" and not redis_port:
                    continue
                before, cpu = writes(), time.process_time()
                found = run(by, redis_port if by == "redis" else port, asked)
                found |= {"of_ideal": found["admitted"] / best, "server_cpu_s": time.process_time() - cpu}
                operations = demands if by == "redis" else writes() - before
                found["store_operations"] = None if by == "split" else operations
                rows.append({"shape": shape, "by": by, "demands": demands} | found)
                print(
                    f"{shape:9} {by:8} {found['of_ideal']:7.2%} of ideal, most over {found['most_over']:8.1f}, "
                    f"{operations:,} store operations for {demands:,} demands, {found['late']} late",
                    flush=True,
                )
    if not told.quick:
        said = {"commit": commit_of_checkout(), "processor": processor(), "run": vars(told), "rows": rows}
        path = ROOT / "benches" / "results" / f"fleet-{told.seed}.json"
        path.write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return int(any(row["by"] == "leases" and row["most_over"] > 0 for row in rows))


if __name__ == "__main__":
    sys.exit(main())
