"""`kill -9` of a keeper under load, hundreds of times, and of its gates; what the gates were given must still be within every
limit, by instants that are certain.

    python -m tests.connect.kills --kills 500 --seed 1

Gates stamp what they are told (`asker`). An admission lies somewhere between its asking and its answer, so a count is over only
where it is over wherever in between each one was.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benches.fleet.demand import most_over
from benches.provenance import commit_of_checkout
from examples.shop import clock
from examples.shop.count import Admission, Count, read_record
from tests.connect.asker import Gate


@dataclass(frozen=True)
class Limits:
    """Slots; requests a second and their burst; mails a month."""

    pool: int = 24
    rate: int = 600
    burst_ms: int = 100
    mails: int = 400_000

    @property
    def contracts(self) -> str:
        """As documents."""
        return f"""\
contract: pool
owner: team-db
constraint: {{measure: concurrency, unit: connection, max_hold: 3s}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {self.pool}}}]
---
contract: api
owner: team-web
constraint: {{measure: rate, unit: request, per: 1s, burst: {self.burst_ms}ms}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {self.rate}}}]
---
contract: mails
owner: team-web
constraint: {{measure: quota, unit: mail, per: month}}
workloads: {{other: {{}}}}
ramp: [{{stage: now, limit: {self.mails}}}]
"""


LIMITS = Limits()

GATES = 4
ASKED = ("pool", "pool", "api", "api", "api", "mails")

LAST_S = 2
"""The life at the end, in which everything comes back once more."""
LIFE_S = (0.3, 2.0)
"""How long a keeper lives after it is up."""

FROZEN_S = (0.1, 2.0)
"""How long a keeper or a gate is frozen now and then: less than `max_hold`, by which work has to end."""


@dataclass
class Found:
    """What a run saw."""

    seed: int
    kills: int = 0
    gate_kills: int = 0
    freezes: int = 0
    admitted: dict[str, int] = field(default_factory=dict)
    most_slots: int = 0
    most_over_rate: float = 0.0
    back_ms: dict[str, float] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


class Keeper:
    """`headway serve`, started again after every kill."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        (folder / "contracts.yaml").write_text(LIMITS.contracts)
        self._ports = [_free_port(), _free_port()]
        self._log = (folder / "keeper.log").open("wb")
        self.url = f"http://127.0.0.1:{self._ports[1]}"
        self.token_file = folder / "data" / "tokens" / "local"

    def start(self) -> None:
        """Returns once its data plane listens."""
        listen, data_plane = (f"127.0.0.1:{port}" for port in self._ports)
        command = [sys.executable, "-m", "headway.cli", "serve", str(self._folder / "contracts.yaml")]
        command += ["--data", str(self._folder / "data"), "--listen", listen, "--data-plane", data_plane]
        self.process = subprocess.Popen(command, stdout=self._log, stderr=subprocess.STDOUT)
        end = time.monotonic() + 30
        while True:
            with socket.socket() as dialled:
                if dialled.connect_ex(("127.0.0.1", self._ports[1])) == 0 and self.token_file.exists():
                    return
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((self._folder / "keeper.log").read_text()[-2_000:])
            time.sleep(0.01)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def freeze(self, seconds: float) -> None:
        self.process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
        self._log.close()


def run(kills: int, seed: int, folder: Path) -> Found:
    """Kills, and judges what is left."""
    chance, found = random.Random(seed), Found(seed)
    keeper, numbers = Keeper(folder), itertools.count(1)
    count = Count(folder / "count.jsonl", clock.boot_ns)
    count.begin(1, seed, clock.utc_ns())

    def begin() -> Gate:
        return Gate(keeper.url, keeper.token_file, count, next(numbers), chance.randrange(1 << 30), ASKED)

    keeper.start()
    gates, ups = [begin() for _ in range(GATES)], [clock.boot_ns()]
    try:
        for _ in range(kills):
            time.sleep(chance.uniform(*LIFE_S))
            if chance.random() < 0.2:
                at = chance.randrange(GATES)
                gates[at].kill()
                gates[at] = begin()
                found.gate_kills += 1
            if chance.random() < 0.2:
                chance.choice([keeper, *gates]).freeze(chance.uniform(*FROZEN_S))
                found.freezes += 1
            keeper.kill()
            found.kills += 1
            keeper.start()
            ups.append(clock.boot_ns())
        time.sleep(LAST_S)
    finally:
        for gate in gates:
            gate.kill()
        keeper.stop()
        count.close()
    judge(found, read_record(count.path).admissions, ups)
    return found


def judge(found: Found, admissions: Sequence[Admission], ups: Sequence[int], limits: Limits = LIMITS) -> None:
    """Whether anything was certainly over."""
    slots: list[tuple[int, int]] = []
    rates = [one for one in admissions if one.contract == "api"]
    found.admitted = dict(Counter(one.contract for one in admissions))
    for one in admissions:
        if one.contract == "pool" and one.freed is not None:
            slots += [(one.after_ns, 1), (one.freed[0], -1)]
    in_use = 0
    for _, change in sorted(slots):
        in_use += change
        found.most_slots = max(found.most_slots, in_use)
    got = sorted(one.after_ns for one in rates)
    found.most_over_rate = most_over([one.before_ns for one in rates], got, limits.rate, limits.burst_ms / 1e3)
    after = [bisect(got, up) for up in ups]
    back = sorted((got[at] - up) / 1e6 for at, up in zip(after, ups, strict=True) if at < len(got))
    found.back_ms = {"median": back[len(back) // 2], "most": back[-1]}
    if found.most_slots > limits.pool:
        found.wrong.append(f"{found.most_slots} slots of {limits.pool} at once")
    if found.most_over_rate > 0:
        found.wrong.append(f"{found.most_over_rate:.1f} requests over the burst and what the limit allowed")
    if found.admitted.get("mails", 0) > limits.mails:
        found.wrong.append(f"{found.admitted['mails']} mails of {limits.mails}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
        return port


def main(arguments: Sequence[str]) -> int:
    """Exit code 0 iff nothing was certainly over, and every kind was admitted."""
    parser = argparse.ArgumentParser(prog="python -m tests.connect.kills", description=__doc__)
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--result", type=Path)
    said = parser.parse_args(arguments)
    result: Path = said.result or Path(f"benches/results/keeper-kills-{said.seed}.json")
    commit = commit_of_checkout()
    with tempfile.TemporaryDirectory(prefix="headway-kills-") as temporary:
        found = run(said.kills, said.seed, Path(temporary))
    record = {"commit": commit, "cores": os.cpu_count(), **asdict(found)}
    result.parent.mkdir(parents=True, exist_ok=True)
    result.write_text(json.dumps(record, indent=2) + "\n")
    print(json.dumps(record, indent=2))
    return 0 if not found.wrong and set(found.admitted) == set(ASKED) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
