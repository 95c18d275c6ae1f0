"""The unattended demo, whole, with ten seeds in a row.

python -m tests.demo.seeds                       benches/results/demo-seeds.json
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benches.provenance import commit_of_checkout
from examples.shop import clock

FIRST_SEED, SEEDS = 101, 10


def run(seed: int, seconds: float, folder: Path) -> dict[str, Any]:
    """One run in a process of its own; its result, with its exit code."""
    result = folder / f"{seed}.json"
    command = [sys.executable, "-m", "examples.shop", "--auto", "--seed", str(seed), "--seconds", str(seconds)]
    ended = subprocess.run([*command, "--result", str(result)], check=False)
    counted: dict[str, Any] = json.loads(result.read_text()) if result.exists() else {"seed": seed}
    return counted | {"exit_code": ended.returncode}


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 iff every run ended with 0."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo.seeds", description=__doc__)
    parser.add_argument("--first", type=int, default=FIRST_SEED)
    parser.add_argument("--seeds", type=int, default=SEEDS)
    parser.add_argument("--seconds", type=float, default=90.0)
    parser.add_argument("--result", type=Path, default=Path("benches/results/demo-seeds.json"))
    said = parser.parse_args(arguments)
    # Asked before anything runs: what is checked out at the end may be something else.
    commit = commit_of_checkout()
    with tempfile.TemporaryDirectory(prefix="headway-seeds-") as folder:
        runs = [run(said.first + number, said.seconds, Path(folder)) for number in range(said.seeds)]
    said.result.parent.mkdir(parents=True, exist_ok=True)
    said.result.write_text(json.dumps({"commit": commit, "utc_ns": clock.utc_ns(), "runs": runs}, indent=2) + "\n")
    for one in runs:
        print(f"seed {one['seed']}: exit {one['exit_code']}, {one.get('certain_violations', 'no')} certain violations")
    return 0 if all(one["exit_code"] == 0 for one in runs) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
