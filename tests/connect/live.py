"""Eight gates on a faulty network, killed and frozen, under a limit that changes a thousand times: nothing may be over.

    python -m tests.connect.live --minutes 30 --seed 1

Each gate asks through a proxy of its own that delays, stalls, cuts and half opens. The keeper's limits are overridden
again and again; each override ends by itself. Every admission is stamped on both sides by the gate; the judgement is the
shop's own (`examples.shop.verdict`): a violation is one whatever happened between the stamps.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import headway
from benches.provenance import commit_of_checkout
from examples.shop import clock, verdict
from examples.shop.count import Count, read_record
from examples.shop.published import Publications
from headway.ramp.observations import VerbCall
from headway.server.access import Access, Credential, sha256_of
from headway.server.dataplane import RoutedPlane
from headway.server.listen import Address
from tests.connect.asker import Gate
from tests.connect.faults import Faulty

CONTRACTS = """\
contract: cpu
owner: team-db
constraint: {measure: concurrency, unit: worker, max_hold: 4s}
workloads: {other: {}}
ramp: [{stage: now, limit: 60}]
enforce: {drain_within: 1s}
---
contract: pool
owner: team-db
constraint: {measure: concurrency, unit: connection, max_hold: 4s}
workloads: {other: {}, reports: {cost: 2}}
upstream: [{contract: cpu, spends: 1}]
ramp: [{stage: now, limit: 50}]
enforce: {drain_within: 1s}
---
contract: api
owner: team-web
constraint: {measure: rate, unit: request, per: 1s, burst: 200ms}
workloads: {other: {}}
ramp: [{stage: now, limit: 600}]
enforce: {drain_within: 1s}
"""
LIMITS = {"pool": 50, "api": 600}
GATES = 8
ASKED = ("pool", "pool/reports", "api", "api")
TOKEN = "a-gate's-token"
FROZEN_S = (0.1, 2.5)
"""Less than `max_hold`, by which work has to end whatever happens to its gate."""


@dataclass
class Seen:
    """What was done to them, and what came of it."""

    seed: int
    minutes: float
    overrides: int = 0
    changes: int = 0
    kills: int = 0
    freezes: int = 0
    faults: dict[str, int] = field(default_factory=dict)
    certain_violations: int = 0
    contracts: dict[str, Any] = field(default_factory=dict)


class Asker:
    """One gate behind a network of its own, started again when it is killed."""

    def __init__(self, place: int, port: int, folder: Path, count: Count, seed: int) -> None:
        self._network = Faulty(port, seed)
        self._folder = folder
        self._count = count
        self._next = (place + 1) * 1_000
        self._start(seed)

    @property
    def faults(self) -> dict[str, int]:
        return self._network.faults

    def _start(self, seed: int) -> None:
        token_file = self._folder / "token"
        self._gate = Gate(self._network.url, token_file, self._count, self._next, seed, ASKED)
        self._next += 1

    def again(self, seed: int) -> None:
        self._gate.kill()
        self._start(seed)

    def freeze(self, seconds: float) -> None:
        self._gate.freeze(seconds)

    def close(self) -> None:
        self._gate.kill()
        self._network.close()


def run(minutes: float, seed: int, folder: Path) -> Seen:
    """Runs for so long, then judges."""
    chance, seen = random.Random(seed), Seen(seed, minutes)
    (folder / "contracts.yaml").write_text(CONTRACTS)
    (folder / "token").write_text(TOKEN)
    credentials = [Credential("gate", sha256_of(TOKEN), frozenset({"gate"}))]
    with headway.open(folder / "contracts.yaml", data=folder / "data") as hw:
        plane = RoutedPlane(hw.engine, Address("127.0.0.1", 0), Access(credentials))
        port = int(plane.address.rpartition(":")[2])
        count = Count(folder / "count.jsonl", clock.boot_ns)
        count.begin(1, seed, clock.utc_ns())
        with closing(plane), closing(Publications(hw, count)):
            with ExitStack() as stack:
                askers = []
                for place in range(GATES):
                    askers.append(Asker(place, port, folder, count, chance.randrange(1 << 30)))
                    stack.callback(askers[-1].close)
                _disturb(hw, askers, count, chance, seen)
            for asker in askers:
                for kind, times in asker.faults.items():
                    seen.faults[kind] = seen.faults.get(kind, 0) + times
        count.close()
        _judge(hw, count.path, seen)
    return seen


def _disturb(hw: headway.Headway, askers: Sequence[Asker], count: Count, chance: random.Random, seen: Seen) -> None:
    """Changes limits, kills and freezes, for as long as the run lasts."""
    until = time.monotonic() + 60 * seen.minutes
    while time.monotonic() < until:
        _change(hw, chance, seen)
        count.clocks(clock.utc_ns())
        if chance.random() < 0.05:
            chance.choice(askers).again(chance.randrange(1 << 30))
            seen.kills += 1
        if chance.random() < 0.05:
            chance.choice(askers).freeze(chance.uniform(*FROZEN_S))
            seen.freezes += 1
        time.sleep(chance.uniform(0.2, 3.0))


def _change(hw: headway.Headway, chance: random.Random, seen: Seen) -> None:
    """Takes a limit down for some seconds; its end is another change."""
    name = chance.choice(list(LIMITS))
    value = chance.randrange(LIMITS[name] + 1) * 1_000_000
    now_ms = hw.engine.now_ms()
    until_ms = now_ms + chance.randrange(500, 4_000)
    call = VerbCall(now_ms, "override", "token:test", "a change", {"": value}, until_ms, second="token:other")
    hw.engine.submit(name, call)
    seen.overrides += 1


def _judge(hw: headway.Headway, path: Path, seen: Seen) -> None:
    contracts = {one.contract.name: one.contract for one in hw.engine.all()}
    pasts = {name: hw.engine.timeline(name, most=100_000).past for name in contracts}
    seen.changes = sum(len(past) - 1 for past in pasts.values())
    judged = verdict.judge(read_record(path), contracts, pasts, lent=True)
    seen.contracts = verdict.as_json(judged)
    seen.certain_violations = sum(one.certain for one in judged.values())


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 iff nothing was certainly over and everybody was admitted something."""
    parser = argparse.ArgumentParser(prog="python -m tests.connect.live", description=__doc__)
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path)
    said = parser.parse_args(arguments)
    result: Path = said.result or Path(f"benches/results/gates-live-{said.seed}.json")
    commit = commit_of_checkout()
    with tempfile.TemporaryDirectory(prefix="headway-live-") as temporary:
        seen = run(said.minutes, said.seed, Path(temporary))
    record = {"commit": commit, **asdict(seen)}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    return 0 if not seen.certain_violations and all(seen.contracts[name]["admitted"] for name in LIMITS) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
