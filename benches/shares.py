"""`python -m benches.shares --cases 1000000 --seed 1`: random divisions of the allocator beside its exact twin.

The comparison itself is Rust (`benches/core/shares.rs`); here its result is put on record with the commit it speaks of, in
`benches/results/shares-SEED.json`. Exits 1 at the first difference. A million cases take about twenty seconds of one core.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from benches.provenance import commit_of_checkout

ROOT = Path(__file__).parents[1]
CARGO = ("cargo", "bench", "--quiet", "-p", "headway-core", "--bench", "shares", "--")


def main(arguments: list[str]) -> int:
    """Runs, writes the result, and says by its exit code whether allocator and twin agree."""
    parser = argparse.ArgumentParser(prog="python -m benches.shares", description=__doc__)
    parser.add_argument("--cases", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    told = parser.parse_args(arguments)
    # Its complaints go to the terminal; what it prints is one object.
    ran = subprocess.run([*CARGO, str(told.cases), str(told.seed)], stdout=subprocess.PIPE, text=True, cwd=ROOT)
    if not ran.stdout:
        return ran.returncode or 1
    said = json.loads(ran.stdout)
    date = datetime.now(UTC).isoformat(timespec="seconds")
    path = ROOT / "benches" / "results" / f"shares-{told.seed}.json"
    path.write_text(json.dumps({"commit": commit_of_checkout(), "date": date, **said}, indent=2) + "\n")
    print(f"{said['cases']:,} cases, {said['differences']} differences: {path}")
    return ran.returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
