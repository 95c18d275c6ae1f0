"""`python -m benches.descriptors --seed 1`: ten million distinct keys offered to a limit of each of a million.

They are offered to the limiter that the rate-limit service and the check decide by, in process: through a socket it would
take an hour and say the same of the table. Each run is a process of its own, so that its memory is its own. Writes
`benches/results/descriptors-SEED.json`; exit code 1 where a bound is not kept. About two minutes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from benches.provenance import commit_of_checkout, processor
from benches.target import Target, table_of
from headway._core import Clock, Curve, Limiter, Meters, MeterSpec, PathSpec, Segment

RESULTS = Path(__file__).parent / "results"
MICRO, HOUR = 1_000_000, 3_600 * 1_000_000_000
OFFERED = 10_000_000
CASES = {"at the ceiling": 1_000_000, "with room for all": OFFERED}
"""Case -> keys that may live."""

MIB = 1 << 20


def measured(most: int, seed: int) -> dict[str, object]:
    """Offers the keys one after the other; whoever came first comes again at the end."""
    limiter = _limiter(most)
    before, began = _resident("VmRSS"), time.process_time()
    answers: Counter[str] = Counter()
    for number in range(OFFERED):
        answer = limiter.try_acquire(1, f"{seed}:{number}")
        answers["admitted" if answer else _why(answer)] += 1
    spent = time.process_time() - began
    again = limiter.try_acquire(1, f"{seed}:0")
    return {
        "keys_max": most,
        "offered": OFFERED,
        "answers": dict(answers),
        "the_first_again": "admitted" if again else _why(again),
        "mib": (_resident("VmHWM") - before) / MIB,
        "us_each": spent / OFFERED * 1e6,
    }


def targets(of: Mapping[str, Mapping[str, object]]) -> list[Target]:
    """What the two runs are held to: one unit an hour each, so that no key is forgotten meanwhile."""
    ceiling, room = of["at the ceiling"], of["with room for all"]
    refused = {"admitted": CASES["at the ceiling"], "too_many_keys": OFFERED - CASES["at the ceiling"]}
    return [
        Target("MiB of 10 million keys offered to 1 million", float(str(ceiling["mib"])), 128),
        Target("the others are refused (1: so it is)", float(ceiling["answers"] == refused), 1, at_least=True),
        Target("who was there stays counted", float(ceiling["the_first_again"] == "full"), 1, at_least=True),
        Target("MiB of 10 million keys", float(str(room["mib"])), 1_024),
        Target("all of them admitted", float(room["answers"] == {"admitted": OFFERED}), 1, at_least=True),
    ]


def main() -> int:
    """Runs both, writes the result, and says by its exit code whether every bound was kept."""
    parser = argparse.ArgumentParser(prog="python -m benches.descriptors", description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--case", choices=CASES, help="one alone, in this process; its result goes to the output")
    told = parser.parse_args()
    if told.case is not None:
        print(json.dumps(measured(CASES[told.case], told.seed)))
        return 0
    of = {case: _apart(case, told.seed) for case in CASES}
    reached = targets(of)
    result = {
        "seed": told.seed,
        "commit": commit_of_checkout(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": processor(),
        "cases": of,
        "targets": [{"what": one.what, "measured": one.measured, "bound": one.bound} for one in reached],
    }
    path = RESULTS / f"descriptors-{told.seed}.json"
    path.write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    Console(width=100).print(table_of(reached))
    print(f"written to {path}")
    return 0 if all(one.reached for one in reached) else 1


def _apart(case: str, seed: int) -> dict[str, object]:
    command = [sys.executable, "-m", "benches.descriptors", "--case", case, "--seed", str(seed)]
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1])
    found: dict[str, object] = json.loads(said.stdout)
    return found


def _limiter(most: int) -> Limiter:
    meters = Meters(Clock.manual())
    meters.declare([MeterSpec("each", "rate", ceiling_micro=MICRO, per_ns=HOUR, unit="request", keys_max=most)])
    curve = Curve("rate", 1, "now", [Segment(0, None, MICRO, MICRO)], per_ns=HOUR, burst_ns=HOUR)
    meters.publish([("each", curve)], 0)
    return meters.limiter(PathSpec("each", "other", [("each", MICRO, True)]))


def _why(answer: object) -> str:
    return str(getattr(answer, "why", "admitted"))


def _resident(field: str) -> int:
    """Bytes of this process, as the kernel counts them."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1_024
    raise RuntimeError(f"the kernel says no {field}")


if __name__ == "__main__":
    sys.exit(main())
