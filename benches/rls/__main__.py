"""`python -m benches.rls`: measures, prints, writes the result, and exits 1 where a target is not reached.

Servers share one core and h2load has another, so that what a decision costs does not depend on who else is awake.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.console import Console

from benches.rls import ours, report
from benches.rls.load import CLIENTS, STREAMS, Core
from benches.rls.measure import costs, paced
from benches.rls.peers import envoyproxy, grpcio, limitador
from benches.rls.server import Runner, Server, Unavailable, runner
from benches.rls.targets import targets

Starting = Callable[[Runner], Server]

STARTING: dict[str, Starting] = {
    ours.NAME: ours.started,
    **{who: partial(grpcio.started, who=who) for who in grpcio.NAMES},
    envoyproxy.NAME: envoyproxy.started,
    **{who: partial(limitador.started, who=who) for who in limitador.NAMES},
}


def main() -> int:
    """Runs the bench. Exit code 0: all targets reached, by all there are."""
    arguments = _arguments()
    console = Console(width=120 if not sys.stdout.isatty() else None)
    serving, loading = sorted(os.sched_getaffinity(0))[:2]
    with tempfile.TemporaryDirectory() as folder, runner(Path(folder), serving) as run:
        servers, absent = _servers(run)
        load = Core(loading, Path(folder))
        measured = costs(servers, load, arguments.rounds, arguments.seconds)
        most = {cost.who: cost.per_s for cost in measured if cost.case == "admitted"}
        answered = [paced(server, load, most[server.who], arguments.paced_seconds) for server in servers]
    reached = targets(measured, answered)
    report.show(console, measured, answered, reached, absent)
    if not arguments.quick:
        told = vars(arguments) | {"clients": CLIENTS, "streams": STREAMS, "core_of_servers": serving}
        path = report.write(servers, measured, answered, reached, absent=absent, run=told)
        console.print(f"written to {path}", highlight=False, soft_wrap=True)
    return 0 if not absent and all(target.reached for target in reached) else 1


def _servers(run: Runner) -> tuple[list[Server], dict[str, str]]:
    """All that can be started here, and why the others cannot."""
    servers, absent = [], {}
    for who, starting in STARTING.items():
        try:
            servers.append(starting(run))
        except Unavailable as why:
            absent[who] = str(why)
    return servers, absent


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benches.rls", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7, help="runs a server and case, at least 3; the median counts")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each run, about")
    parser.add_argument("--paced-seconds", type=float, default=20.0, help="of the run at 0.8 of the maximum")
    parser.add_argument("--quick", action="store_true", help="without a result file")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
