"""A process that asks a keeper again and again, and stamps every answer in the shop's kind of count, until it is killed.

    python -m tests.connect.asker URL TOKEN_FILE COUNT FIRST SEED LIMITER...

A LIMITER is CONTRACT or CONTRACT/WORKLOAD. `Gate` starts such a process and kills it.
"""

from __future__ import annotations

import heapq
import itertools
import json
import random
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import headway
from examples.shop import clock
from examples.shop.count import Count, Held
from headway import Refusal

HOLD_S = 0.1
"""The longest that a slot is held."""

HELD_MOST = 12
"""At once, by one process."""

APART = 10**9
"""Admissions of one process: each process has so many numbers of the count for itself."""


class Gate:
    """A process that asks, from construction until it is killed.

    Args:
        url: Where, perhaps through a network that misbehaves.
        token_file: What it shows.
        count: Where it stamps its answers, beside others.
        number: Whose numbers it uses; no other process of this count may.
        seed: Of what it asks for and how long it holds.
        limiters: What it asks.
    """

    def __init__(
        self, url: str, token_file: Path, count: Count, number: int, seed: int, limiters: Sequence[str]
    ) -> None:
        self._count = count
        self._first = number * APART
        arguments = [url, str(token_file), str(count.path), str(self._first), str(seed), *limiters]
        self._process = subprocess.Popen([sys.executable, "-m", "tests.connect.asker", *arguments])

    def kill(self) -> None:
        """What it held was held until now, and is not any more."""
        before = clock.boot_ns()
        self._process.kill()
        self._process.wait()
        after = clock.boot_ns()
        for number in self._open():
            self._count.write("freed", number, before, after)

    def freeze(self, seconds: float) -> None:
        """Stops it for so long."""
        self._process.send_signal(signal.SIGSTOP)
        time.sleep(seconds)
        self._process.send_signal(signal.SIGCONT)

    def _open(self) -> set[int]:
        """Its admissions that were not freed."""
        admitted: set[int] = set()
        for line in self._count.path.read_bytes().split(b"\n"):
            if line.startswith((b'["admitted",', b'["freed",')):
                kind, number, *_ = json.loads(line)
                if self._first <= number < self._first + APART:
                    (admitted.add if kind == "admitted" else admitted.discard)(number)
        return admitted


def ask(url: str, token_file: str, path: str, first: int, seed: int, names: Sequence[str]) -> None:
    """Asks by turns, until it is killed."""
    chance = random.Random(seed)
    count = Count(Path(path), clock.boot_ns, first=first)
    gate = headway.connect(url, token_file=token_file)
    limiters = [gate.limiter(contract, workload or None) for contract, _, workload in (n.partition("/") for n in names)]
    held: list[tuple[float, int, Held]] = []
    for turn in itertools.count():
        while held and (len(held) > HELD_MOST or held[0][0] <= time.monotonic()):
            heapq.heappop(held)[2].release()
        answer = count.decide(chance.choice(limiters))
        if isinstance(answer, Refusal):
            time.sleep(0.02 if answer.why == "cut_off" else 0.002)
        else:
            heapq.heappush(held, (time.monotonic() + chance.random() * HOLD_S, turn, answer))
            time.sleep(chance.random() * 0.002)


if __name__ == "__main__":
    ask(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]), sys.argv[6:])
