"""`python -m benches.change`: eight gates, one keeper, and a limit that goes up and down.

Each override changes two limits, one of slots and one of a rate, and ends by itself: the one change comes as a surprise, the
other is known before. Of slots every gate stamps what it is admitted, and the judge (`judge`) looks at nothing else, beside
what the keeper says of itself (`headway_change_seconds`). A surprise counts from its being in force at the keeper, which is as
soon as the ledger has it. The result is `change-SEED.json`.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from array import array
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.console import Console

import headway
from benches.change.gate import boot_ns
from benches.change.judge import Change, Held, Met, Step, followed, quantile, steps, used
from benches.provenance import commit_of_checkout, processor
from benches.target import Target, table_of
from headway._core import LentReading, MeterReading, Spans
from headway.ramp.observations import VerbCall
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import RoutedPlane
from headway.server.listen import Address

ROOT = Path(__file__).parents[2]
GATES = 8
USUAL, LOW, HIGH = 40, 16, 80
RATES = {USUAL: 400, LOW: 160, HIGH: 800}
CONTRACTS = f"""\
contract: pool
owner: bench
constraint: {{measure: concurrency, unit: connection, max_hold: 4s}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {USUAL}}}]
---
contract: api
owner: bench
constraint: {{measure: rate, unit: request, per: 1s, burst: 500ms}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {RATES[USUAL]}}}]
"""
TOKEN = "a-gate's-token"
REACH_MS = 100.0
WARM_S = 3.0
LASTS_MS = (600, 1_100)
APART_S = (0.4, 0.9)


class Gates:
    """The processes that ask, from construction until `close`; then what they were admitted."""

    def __init__(self, port: int, folder: Path, chance: random.Random) -> None:
        self._files = [folder / f"gate-{number}" for number in range(GATES)]
        program = Path(__file__).with_name("gate.py")
        environment = {"PYTHONPATH": str(ROOT / "python")}
        self._all = []
        for file in self._files:
            words = [sys.executable, str(program), str(port), str(chance.randrange(1 << 30)), str(file)]
            gate = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
            self._all.append(gate)
            assert gate.stdin is not None and gate.stdout is not None
            print(TOKEN, file=gate.stdin, flush=True)
            assert gate.stdout.readline() == "warm\n"

    def close(self) -> None:
        for gate in self._all:
            gate.communicate(timeout=60)

    def held(self) -> list[Held]:
        """Every slot of every gate."""
        found = []
        for number, file in enumerate(self._files):
            stamps = array("q", file.read_bytes())
            each = zip(stamps[::3], stamps[1::3], stamps[2::3], strict=True)
            found += [Held(*three, gate=number) for three in each]
        return found

    def met(self) -> list[Met]:
        """From when the refusals of each were of which version."""
        found = []
        for number, file in enumerate(self._files):
            stamps = array("q", file.with_suffix(".met").read_bytes())
            found += [Met(at, number, version) for at, version in zip(stamps[::2], stamps[1::2], strict=True)]
        return found


def pool_of(hw: headway.Headway) -> MeterReading:
    return next(one for one in hw.engine.meters.snapshot() if one.meter == "pool")


def override(hw: headway.Headway, contract: str, limit: int, lasts_ms: int) -> int:
    """Changes a limit for so long; returns the UTC ms at which that ends."""
    now_ms = hw.engine.now_ms()
    until_ms, values = now_ms + lasts_ms, {"": limit * 1_000_000}
    call = VerbCall(now_ms, "override", "token:bench", "a change", values, until_ms, second="token:other")
    hw.engine.submit(contract, call)
    return until_ms


def change(hw: headway.Headway, changes: int, chance: random.Random) -> list[Change]:
    """Overrides the limits, and says when which limit of slots was in force."""
    done: list[Change] = []
    for number in range(changes // 2):
        to = LOW if number % 2 else HIGH
        lasts_ms = chance.randrange(*LASTS_MS)
        until_ms = override(hw, "pool", to, lasts_ms)
        reading = pool_of(hw)
        override(hw, "api", RATES[to], lasts_ms)
        at, ends = (
            utc_ns - reading.utc_ns + reading.boot_ns for utc_ns in (reading.published_ns, until_ms * 1_000_000)
        )
        time.sleep(max(0, ends - boot_ns()) / 1e9 + chance.uniform(*APART_S))
        done.append(Change(at, USUAL, to, planned=False, version=reading.version))
        done.append(Change(ends, to, USUAL, planned=True, version=pool_of(hw).version))
    return done


def run(changes: int, seed: int, folder: Path) -> tuple[list[Change], list[Held], list[Met], list[LentReading]]:
    """A keeper and its gates for as long as that takes."""
    chance = random.Random(seed)
    (folder / "contracts.yaml").write_text(CONTRACTS)
    credentials = [Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))]
    with (
        headway.open(folder / "contracts.yaml", data=folder / "data") as hw,
        closing(RoutedPlane(hw.engine, Address("127.0.0.1", 0), Access(credentials))) as plane,
    ):
        with closing(Gates(int(plane.address.rpartition(":")[2]), folder, chance)) as gates:
            time.sleep(WARM_S)
            done = change(hw, changes, chance)
            lent = list(plane.reading().lent)
        return done, gates.held(), gates.met(), lent


def rows_of(changes: Sequence[Change], admissions: Sequence[Step], met: Sequence[Met]) -> list[dict[str, Any]]:
    """Cuts and raises, surprises and planned ones: how long each kind took."""
    ends = [*(one.at for one in changes[1:]), changes[-1].at + int(1e9 * APART_S[0])]
    took = [followed(admissions, met, one, until, GATES) for one, until in zip(changes, ends, strict=True)]
    rows = []
    for kind in sorted({(one.is_cut, one.planned) for one in changes}):
        mine = [ns for one, ns in zip(changes, took, strict=True) if (one.is_cut, one.planned) == kind]
        reached = [ns / 1e6 for ns in mine if ns is not None]
        row: dict[str, Any] = {"change": "cut" if kind[0] else "raise", "planned": kind[1], "changes": len(mine)}
        row |= {"never": len(mine) - len(reached), "not_at_once": sum(ms > 0 for ms in reached)}
        row |= {f"p{share:g}_ms": quantile(reached, share / 100) for share in (50, 99, 100)}
        if not kind[0]:
            pairs = zip(changes, ends, strict=True)
            own = [(one, until) for one, until in pairs if (one.is_cut, one.planned) == kind]
            of_use = [ns / 1e6 for one, until in own if (ns := used(admissions, one, until)) is not None]
            row["of_use"] = {"never": len(own) - len(of_use)}
            row["of_use"] |= {f"p{share:g}_ms": quantile(of_use, share / 100) for share in (50, 99)}
        rows.append(row)
    return rows


def said_by_the_keeper(lent: Sequence[LentReading]) -> list[dict[str, Any]]:
    """What `/metrics` has of the same changes, rates among them."""

    def within(spans: Spans) -> dict[str, Any]:
        return {"changes": spans.total, "within_100_ms": dict(spans.within)[100_000], "sum_ms": spans.sum_us / 1_000}

    kinds = [(one.contract, kind, spans) for one in lent for kind, spans in (("cut", one.cuts), ("raise", one.raises))]
    return [{"contract": contract, "change": kind} | within(spans) for contract, kind, spans in kinds]


def targets_of(rows: Sequence[dict[str, Any]]) -> list[Target]:
    """The row of the design on changes of limit."""
    slowest = {name: max(row["p99_ms"] for row in rows if row["change"] == name) for name in ("cut", "raise")}
    found = [Target(f"a {name} is in force at every gate, ms, p99", ms, REACH_MS) for name, ms in slowest.items()]
    planned = sum(row["not_at_once"] for row in rows if row["planned"] and row["change"] == "cut")
    found.append(Target("planned cuts with an admission beyond them", planned, 0))
    return [*found, Target("changes that a gate never followed", sum(row["never"] for row in rows), 0)]


def main() -> int:
    """Runs, prints, and writes the result; exit code 0 iff all is reached."""
    parser = argparse.ArgumentParser(prog="python -m benches.change", description=__doc__)
    parser.add_argument("--changes", type=int, default=320, help="of the limit of slots; as many of the rate's")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--quick", action="store_true", help="without a result file")
    told = parser.parse_args()
    commit = commit_of_checkout()
    with tempfile.TemporaryDirectory(prefix="headway-change-") as folder:
        changes, held, met, lent = run(told.changes, told.seed, Path(folder))
    rows = rows_of(changes, list(steps(held)), met)
    targets = targets_of(rows)
    for row in rows:
        print(json.dumps(row))
    keeper = said_by_the_keeper(lent)
    for line in keeper:
        print(json.dumps(line))
    Console().print(table_of(targets))
    if not told.quick:
        record = {"date": datetime.now(UTC).date().isoformat(), "commit": commit, "processor": processor()}
        record |= {"run": vars(told), "gates": GATES, "admissions": len(held), "rows": rows, "keeper": keeper}
        path = ROOT / "benches" / "results" / f"change-{told.seed}.json"
        path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        print(f"written to {path}")
    return 0 if all(one.reached for one in targets) else 1


if __name__ == "__main__":
    sys.exit(main())
