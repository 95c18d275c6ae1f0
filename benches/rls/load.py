"""h2load: as fast as answers come, or at a pace, and what it says of that."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benches.rls.asks import framed, message_of
from benches.rls.server import Server
from tests.dataplane.envoy import SHOULD_RATE_LIMIT

CLIENTS, STREAMS = 4, 16
"""As a proxy asks: a connection a worker, each with some requests under way."""

PACED_STREAMS = 1_000
"""Requests under way on a connection when they are sent at a pace: none waits for the answer to another."""

ANSWER_LEAST = 7
"""Bytes of the shortest answer there is, framed: a code. A failed call has none."""

_RATE = re.compile(r"finished in [^,]+, ([\d.]+) req/s")
_COUNTS = re.compile(r"requests: (\d+) total, \d+ started, \d+ done, (\d+) succeeded")
_DATA = re.compile(r"traffic: .*\((\d+)\) data")


class Unfit(Exception):
    """A run that says nothing: requests failed, or were answered by a failure."""


@dataclass(frozen=True)
class Served:
    """What one run did; `answer_bytes` is the mean of an answer's body, framed."""

    answers: int
    per_s: float
    answer_bytes: float


@dataclass(frozen=True)
class Log:
    """What became of requests sent at a pace: µs until the end of each answer, -1 where none came."""

    lapses_us: Sequence[int]
    sent_per_s: float


@dataclass(frozen=True)
class Core:
    """The core that h2load runs on, and where it writes."""

    core: int
    folder: Path

    def flood(self, server: Server, case: str, requests: int) -> Served:
        """So many requests, each sent as soon as one before it is answered. Unfit where one failed."""
        return served(self._run(server, case, requests, STREAMS))

    def pace(self, server: Server, case: str, per_s: int, seconds: float) -> Log:
        """Requests at so many a second, whatever the answers do.

        h2load looks at its clock every 10 ms, so they come in bursts of so much.
        """
        each = max(1, per_s // CLIENTS)
        log = self.folder / "paced.log"
        log.unlink(missing_ok=True)
        requests = int(each * CLIENTS * seconds)
        self._run(server, case, requests, PACED_STREAMS, f"--rps={each}", f"--log-file={log}")
        return log_of(log.read_text().splitlines(), requests)

    def _run(self, server: Server, case: str, requests: int, streams: int, *more: str) -> str:
        body = self.folder / f"{case}.grpc"
        body.write_bytes(framed(message_of(case)))
        headers = {
            "content-type": "application/grpc",
            "te": "trailers",
            "authorization": f"Bearer {server.token}",
        }
        command: list[str] = [
            "taskset",
            "--cpu-list",
            str(self.core),
            "h2load",
            f"--requests={requests}",
            f"--clients={CLIENTS}",
            f"--max-concurrent-streams={streams}",
            f"--data={body}",
            *(f"--header={name}: {value}" for name, value in headers.items()),
            *more,
            f"http://127.0.0.1:{server.port}{SHOULD_RATE_LIMIT}",
        ]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def served(said: str) -> Served:
    """What h2load printed of a run. Unfit where a request failed, or was answered by less than a decision."""
    rate, counts, sizes = _RATE.search(said), _COUNTS.search(said), _DATA.search(said)
    if rate is None or counts is None or sizes is None:
        raise Unfit(f"h2load said something else: {said[-500:]}")
    total, succeeded, size = int(counts[1]), int(counts[2]), int(sizes[1])
    if succeeded < total:
        raise Unfit(f"{total - succeeded} of {total} requests failed")
    if size < total * ANSWER_LEAST:
        raise Unfit(f"{total} answers had {size} bytes: not all were decisions")
    return Served(total, float(rate[1]), size / total)


def log_of(lines: Iterable[str], requests: int) -> Log:
    """h2load's log of so many requests: start, status, µs. One that is not in it, or is not a 200, was not answered."""
    rows = [line.split("\t") for line in lines]
    starts = [int(row[0]) for row in rows]
    lapses = [int(row[2]) if row[1] == "200" else -1 for row in rows]
    span_us = max(starts) - min(starts) if len(starts) > 1 else 0
    sent_per_s = 1_000_000 * (len(starts) - 1) / span_us if span_us else 0.0
    return Log(lapses + [-1] * (requests - len(lapses)), sent_per_s)
