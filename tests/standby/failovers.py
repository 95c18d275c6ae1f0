"""Failover after failover under load: the server that serves is killed, frozen and woken, stopped, or loses its database; what
the gates were given must still be within every limit, by instants that are certain.

    python -m tests.standby.failovers --failovers 60 --seed 1

Two servers share a PostgreSQL. Gates ask through a network that delays, stalls and cuts, and leads to whichever serves: a
stream to a server that is frozen stays open until that one wakes.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benches.provenance import commit_of_checkout
from examples.shop import clock
from examples.shop.count import Count, read_record
from tests.connect.asker import Gate
from tests.connect.faults import Faulty
from tests.connect.kills import ASKED, GATES, Found, Limits, judge
from tests.postgres import Cluster
from tests.standby.served import TOKEN, Server

LOAD_S = (0.5, 2.0)
"""How long a server serves before something becomes of it, and how long one that was frozen is looked at once it woke."""

LIMITS = Limits(pool=6, rate=80, mails=2_000)
"""So low that what the gates want is more."""

WAYS = ("killed", "frozen", "stopped", "database killed")
WEIGHTS = (4, 4, 1, 1)


@dataclass
class Failed(Found):
    """What a run saw, and how long each way of failing took until another served; of a database, until it was back."""

    failovers: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WAYS, 0))
    most_s: dict[str, float] = field(default_factory=lambda: dict.fromkeys(WAYS, 0.0))


class Pair:
    """A server that serves, and a standby; and what leads to the first."""

    def __init__(self, folder: Path, cluster: Cluster, seed: int) -> None:
        self._folder = folder
        self._cluster = cluster
        self._store = cluster.emptied()
        self._numbers = itertools.count(1)
        self.serving = self._start()
        self.network = Faulty(self._port, seed)
        self.standby = self._start("--standby")
        self.standby.wait_for("has the mandate")

    def fail(self, way: str) -> None:
        """Lets it fail in that way; returns once another serves, or the database is back and this one does."""
        if way == "database killed":
            self._cluster.kill()
            self._cluster.revive()
            while self.serving.read("/readyz").status_code != 200:
                time.sleep(0.01)
            return
        gone = self.serving
        gone.signal({"killed": signal.SIGKILL, "frozen": signal.SIGSTOP, "stopped": signal.SIGTERM}[way])
        self.serving = self.standby
        self.network.lead_to(self._port)
        if way == "frozen":
            gone.signal(signal.SIGCONT)
        gone.ended()
        gone.end()

    def renew(self) -> None:
        """A new standby, where the one before serves now."""
        if self.standby is self.serving:
            self.standby = self._start("--standby")
            self.standby.wait_for("has the mandate")

    def end(self) -> None:
        self.network.close()
        for server in {self.serving, self.standby}:
            server.end()

    @property
    def _port(self) -> int:
        return int(self.serving.plane.rpartition(":")[2])

    def _start(self, *more: str) -> Server:
        name = f"server-{next(self._numbers)}"
        return Server(self._folder, name, self._store, *more, contracts=LIMITS.contracts)


def run(failovers: int, seed: int, folder: Path, cluster: Cluster) -> Failed:
    """Fails over, and judges what was admitted."""
    chance, found = random.Random(seed), Failed(seed)
    (folder / "token").write_text(TOKEN)
    pair = Pair(folder, cluster, seed)
    count = Count(folder / "count.jsonl", clock.boot_ns)
    count.begin(1, seed, clock.utc_ns())
    gates = [
        Gate(pair.network.url, folder / "token", count, number, chance.randrange(1 << 30), ASKED)
        for number in range(1, GATES + 1)
    ]
    ups = [clock.boot_ns()]
    try:
        for _ in range(failovers):
            time.sleep(chance.uniform(*LOAD_S))
            (way,) = chance.choices(WAYS, WEIGHTS)
            began = clock.boot_ns()
            pair.fail(way)
            ups.append(clock.boot_ns())
            found.failovers[way] += 1
            found.most_s[way] = max(found.most_s[way], round((ups[-1] - began) / 1e9, 2))
            pair.renew()
        time.sleep(LOAD_S[1])
    finally:
        for gate in gates:
            gate.kill()
        pair.end()
        count.close()
    judge(found, read_record(count.path).admissions, ups, LIMITS)
    return found


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 iff nothing was certainly over, and every kind was admitted."""
    parser = argparse.ArgumentParser(prog="python -m tests.standby.failovers", description=__doc__)
    parser.add_argument("--failovers", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    said = parser.parse_args(arguments)
    commit, cluster = commit_of_checkout(), Cluster().make()
    try:
        with tempfile.TemporaryDirectory(prefix="headway-failovers-") as temporary:
            found = run(said.failovers, said.seed, Path(temporary), cluster)
    finally:
        cluster.remove()
    record = {"commit": commit, "cores": os.cpu_count(), **asdict(found)}
    Path(f"benches/results/failovers-{said.seed}.json").write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    return 0 if not found.wrong and set(found.admitted) == set(ASKED) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
