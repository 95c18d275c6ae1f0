"""How long the reader takes for 10,000 contracts, in one process: the smallest legal ones, and a realistic mixture.

    python benches/reader_bench.py [ROUNDS]

The mixture: half smallest, 9 in 20 of a dozen lines with an upstream and two stages, 1 in 20 with every section. Processor
time, the median of the rounds; the bound is 3 s. Prints one JSON object.
"""

from __future__ import annotations

import json
import resource
import statistics
import sys
import time
from pathlib import Path

from headway.contract.read import read_text

GOOD = Path(__file__).parents[1] / "tests" / "contracts" / "good"
CONTRACTS = 10_000
BOUND_S = 3.0

USUAL = """\
contract: api
owner: team-platform
about: Holds what this service may take of the cluster.
labels: {service: orders, tier: 2}
constraint: {measure: concurrency, unit: connection, max_hold: 30s, capacity: 200}
workloads:
  web: {priority: critical}
  other: {}
upstream:
  - {contract: cluster-cpu, spends: 0.001}
ramp:
  - {stage: launch, limit: 20}
  - {stage: target, limit: 80, when: {soak: {for: 24h, above: 60%}, approval: dba}}
"""


def documents(mixed: bool) -> bytes:
    """10,000 contracts, with the documents that they name."""
    smallest = (GOOD / "smallest.yaml").read_text(encoding="utf-8")
    full, *named = (GOOD / "full.yaml").read_text(encoding="utf-8").split("---\n")
    parts = []
    for number in range(CONTRACTS):
        kind = smallest if not mixed or number % 2 == 0 else full if number % 20 == 1 else USUAL
        name = next(line for line in kind.splitlines() if line.startswith("contract: "))
        parts.append(kind.replace(name, f"contract: c{number}").replace("owner: team-web", "owner: team-platform"))
    return "---\n".join([*parts, *(named if mixed else [])]).encode()


def measured(text: bytes, rounds: int) -> float:
    """Median seconds of processor time; every contract is valid."""
    took = []
    for _ in range(rounds):
        began = time.process_time()
        reading = read_text(text)
        took.append(time.process_time() - began)
        assert len(reading.require().contracts) >= CONTRACTS
        del reading
    return round(statistics.median(took), 2)


def main(rounds: int) -> int:
    seconds = {name: measured(documents(mixed), rounds) for name, mixed in (("smallest", False), ("mixed", True))}
    rss_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    ok = max(seconds.values()) <= BOUND_S
    print(json.dumps({"what": "reader", "contracts": CONTRACTS, "cpu_s": seconds, "rss_mib": rss_mib, "ok": ok}))
    return 0 if ok else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))
