"""`python -m benches.meters --decisions 10000000 --seed 1`: random histories until so many decisions were compared.

Prints as it goes, writes `benches/results/meters-SEED.json`, and exits 1 at the first difference, with the seed and the
decision at which core and twin part. One core, about 80 microseconds a decision, so ten million take a quarter of an hour.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benches.provenance import commit_of_checkout
from tests.model.histories import Difference, Tally, play

TURNS = 1_000
RESULTS = Path(__file__).parent.parent / "results"


def run(decisions: int, seed: int) -> tuple[Tally, list[Difference]]:
    """Plays histories of `TURNS` decisions, from seed `seed * 10^9` up, until `decisions` were compared or ten parted."""
    tally, differences = Tally(), list[Difference]()
    history = 0
    while tally.decisions < decisions and len(differences) < 10:
        difference = play(seed * 1_000_000_000 + history, TURNS, tally)
        if difference is not None:
            differences.append(difference)
            print(difference, flush=True)
        history += 1
        if history % 500 == 0:
            print(f"{tally.decisions:,} decisions, {len(differences)} differences", flush=True)
    return tally, differences


def main(arguments: list[str]) -> int:
    """Runs, writes the result, and says by its exit code whether core and twin agree."""
    parser = argparse.ArgumentParser(prog="python -m benches.meters", description=__doc__)
    parser.add_argument("--decisions", type=int, default=10_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--result", type=Path, help="where the result goes; by default benches/results/meters-SEED.json"
    )
    told = parser.parse_args(arguments)
    tally, differences = run(told.decisions, told.seed)
    result = {
        "seed": told.seed,
        "commit": commit_of_checkout(),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **asdict(tally),
        "differences": [asdict(difference) for difference in differences],
    }
    path = told.result or RESULTS / f"meters-{told.seed}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(result, indent=2) + "\n")
    print(f"{tally.decisions:,} decisions, {len(differences)} differences: {path}")
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
