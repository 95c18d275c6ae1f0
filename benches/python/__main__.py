"""`python -m benches.python`: measures, prints, writes the result, and exits 1 where a target is not reached."""

from __future__ import annotations

import argparse
import sys

from rich.console import Console

from benches.python import exactness, memory, ours, report
from benches.python.peers import PEERS
from benches.python.targets import Measured, targets
from benches.python.timing import Tail, measure, tail, today

MILLION = 1_000_000


def main() -> int:
    """Runs the bench. Exit code 0: all targets reached."""
    arguments = _arguments()
    console = Console(width=120 if not sys.stdout.isatty() else None)
    subjects = [*ours.floor(), *ours.subjects(), *(subject for peer in PEERS for subject in peer.subjects())]
    costs = measure(subjects, arguments.rounds, arguments.seed)

    takers = {ours.NAME: ours.taker} | {peer.name: peer.taker for peer in PEERS if peer.taker is not None}
    counts = [(who, MILLION) for who in memory.fillers()] + [(ours.NAME, 10 * MILLION)]
    measured = Measured(
        costs={(subject.who, subject.case): cost for subject, cost in zip(subjects, costs, strict=True)},
        tails=_tails(arguments.seed),
        memory={} if arguments.quick else {asked: memory.bytes_per_key(*asked) for asked in counts},
        exact={who: exactness.admitted(taker) for who, taker in takers.items()},
    )
    reached = targets(measured)
    report.show(console, measured, reached)
    if not arguments.quick:
        path = report.write(measured, reached, date=today(), seed=arguments.seed, rounds=arguments.rounds)
        console.print(f"written to {path}", highlight=False, soft_wrap=True)
    return 0 if all(target.reached for target in reached) else 1


def _tails(seed: int) -> dict[str, Tail]:
    chosen = {who: filler for who, filler in memory.fillers().items() if who in (ours.NAME, "floodgate-rs", "limits")}
    return {who: tail(filler(), seed) for who, filler in chosen.items()}


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.python", description=__doc__)
    parser.add_argument("--rounds", type=int, default=9, help="timings a case, at least 7; the median counts")
    parser.add_argument("--seed", type=int, default=1, help="order of the random keys")
    parser.add_argument("--quick", action="store_true", help="without memory and result file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
