"""`python -m benches.store --seconds 20 --seed 1`: durable growth a second, SQLite and PostgreSQL in turns.

Bookings of 10,000 holders and draws of 10,000 keys go to the ledger as its writer sends them: a batch of what has come in
since the last, a thousand at most, one transaction, answered when it is on the disk. First at a rate that is offered (open
loop: a slow answer makes the next wait, and the wait counts), then as fast as it goes. The PostgreSQL is one of its own, with
`fsync` and `synchronous_commit` on, on a socket of this machine. `benches/results/store-SEED.json` keeps the figures; exits 1
where PostgreSQL grew slower than 5,000 a second, or the slowest of a hundred waited for more than 50 ms.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from statistics import median

from benches.provenance import commit_of_checkout, processor
from headway.ledger import Database, Ledger, Move
from headway.ledger.writer import TAKE_MOST
from tests.postgres import Cluster

ROOT = Path(__file__).parents[1]
OFFERED_PER_S = 5_000
ROUNDS = 5
HOLDERS = KEYS = 10_000
P99_MS_MOST = 50.0
PER_S_LEAST = 5_000


@dataclass(frozen=True, slots=True)
class Growth:
    """A draw, as the core says it."""

    kind: str
    meter: str
    key: str
    by_micro: int
    window_start_ns: int = 5


@dataclass(slots=True)
class Seen:
    """Of one store: waits at the offered rate, and growth a second as fast as it goes, a round each."""

    waits_ms: list[float] = field(default_factory=list)
    per_s: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)

    def told(self) -> dict[str, float]:
        """In figures: of waits those of all rounds, of rates the median round."""
        ordered = sorted(self.waits_ms)
        of = {f"wait_ms_p{part}": round(ordered[int(len(ordered) * part / 100)], 2) for part in (50, 99)}
        of["wait_ms_most"] = round(ordered[-1], 2)
        return of | {"growth_per_s": round(median(self.per_s)), "cpu_us_each": round(median(self.cpu_us), 1)}


def growths(dice: Random) -> Iterator[Growth]:
    """Without end: every second one a booking."""
    while True:
        yield Growth("booking", "pool", f"other\n{dice.randrange(HOLDERS):032x}\n", 1_000_000)
        yield Growth("quota_draw", "calls", f"tenant-{dice.randrange(KEYS)}", 1)


def offered(ledger: Ledger, source: Iterator[Growth], seconds: float) -> list[float]:
    """Waits, in ms, from when each one came to its answer."""
    waits, sent = [], 0
    began = time.monotonic()
    while (now := time.monotonic() - began) < seconds:
        due = min(int(now * OFFERED_PER_S) - sent, TAKE_MOST)
        if due == 0:
            time.sleep(1 / OFFERED_PER_S)
            continue
        answer = ledger.draw([next(source) for _ in range(due)])
        assert answer == bytes([1]) * due
        done = time.monotonic() - began
        waits += [1_000 * (done - (sent + place + 1) / OFFERED_PER_S) for place in range(due)]
        sent += due
    return waits


def fastest(ledger: Ledger, source: Iterator[Growth], seconds: float) -> tuple[float, float]:
    """Growth a second, and what each costs this process in µs of CPU."""
    batches = [[next(source) for _ in range(TAKE_MOST)] for _ in range(50)]
    began, cpu, sent = time.monotonic(), time.process_time(), 0
    while (lasted := time.monotonic() - began) < seconds:
        ledger.draw(batches[sent // TAKE_MOST % len(batches)])
        sent += TAKE_MOST
    return sent / lasted, 1e6 * (time.process_time() - cpu) / sent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of each store, in all")
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    cluster = Cluster(settings={"fsync": "on"}).make()
    seen = {"sqlite": Seen(), "postgresql": Seen()}
    try:
        with tempfile.TemporaryDirectory(dir=cluster.folder) as folder:
            ledgers = {
                "sqlite": Ledger.open(Path(folder) / "ledger.db"),
                "postgresql": Ledger.shared(Database.of(cluster.emptied())),
            }
            with closing(ledgers["sqlite"]), closing(ledgers["postgresql"]):
                for ledger in ledgers.values():
                    ledger.begin("bench", 1, 1)
                    ledger.commit(Move(targets={("calls", ""): 1 << 40}))
                source, part_s = growths(Random(asked.seed)), asked.seconds / ROUNDS / 2
                for _ in range(ROUNDS):
                    for name, ledger in ledgers.items():
                        seen[name].waits_ms += offered(ledger, source, part_s)
                        per_s, cpu_us = fastest(ledger, source, part_s)
                        seen[name].per_s.append(per_s)
                        seen[name].cpu_us.append(cpu_us)
    finally:
        cluster.remove()
    figures = {name: one.told() for name, one in seen.items()}
    result = {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit_of_checkout(),
        "processor": processor(),
        "load_before": os.getloadavg()[0],
        "seed": asked.seed,
        "seconds": asked.seconds,
        "offered_per_s": OFFERED_PER_S,
        "batch_most": TAKE_MOST,
        "postgresql_version": cluster.version,
        "stores": figures,
    }
    path = ROOT / "benches" / "results" / f"store-{asked.seed}.json"
    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(figures, indent=1))
    own = figures["postgresql"]
    return int(own["growth_per_s"] < PER_S_LEAST or own["wait_ms_p99"] > P99_MS_MOST)


if __name__ == "__main__":
    sys.exit(main())
