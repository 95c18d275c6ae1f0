"""A process that asks a keeper again and again, and writes down what it was given, until it is killed.

    python -m tests.connect.worker URL TOKEN_FILE JOURNAL SEED

Each line of the journal is one admission, written before anything is done with it: its kind, and instants of the machine's
clock that runs through suspend: when it was asked for, and when the answer was there.
"""

from __future__ import annotations

import os
import random
import sys
import time

import headway

HOLD_S = 0.02
"""The longest that a slot is held."""


def now_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def work(url: str, token_file: str, journal: str, seed: int) -> None:
    """Asks for slots, tokens and mails by turns; whatever is refused is asked again, a little later."""
    chance = random.Random(seed)
    gate = headway.connect(url, token_file=token_file)
    pool, api, mails = gate.limiter("pool"), gate.limiter("api"), gate.limiter("mails")
    lines = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    number = 0
    while True:
        asked = now_ns()
        kind = chance.choice("SSRRRQ")
        answer = {"S": pool, "R": api, "Q": mails}[kind].try_acquire()
        got = now_ns()
        if not answer:
            time.sleep(0.0005 if answer.why != "cut_off" else 0.01)  # type: ignore[union-attr]
            continue
        number += 1
        os.write(lines, f"{kind} {number} {asked} {got}\n".encode())
        if kind == "S":
            time.sleep(chance.random() * HOLD_S)
            os.write(lines, f"F {number} {now_ns()} 0\n".encode())
            answer.release()  # type: ignore[union-attr]


if __name__ == "__main__":
    work(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
