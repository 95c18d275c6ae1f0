"""A process that asks a keeper through a faulty network, and stamps every answer in the shop's kind of count.

python -m tests.connect.asker URL TOKEN_FILE COUNT FIRST SEED
"""

from __future__ import annotations

import random
import sys
import time
from pathlib import Path

import headway
from examples.shop import clock
from examples.shop.count import Count
from headway import Refusal

HOLD_S = 0.2
"""The longest that a slot is held."""


def ask(url: str, token_file: str, path: str, first: int, seed: int) -> None:
    """Asks by turns, until it is killed."""
    chance = random.Random(seed)
    count = Count(Path(path), clock.boot_ns, first=first)
    gate = headway.connect(url, token_file=token_file)
    limiters = [gate.limiter("pool"), gate.limiter("pool", "reports"), gate.limiter("api"), gate.limiter("api")]
    while True:
        answer = count.decide(chance.choice(limiters))
        if isinstance(answer, Refusal):
            time.sleep(0.05 if answer.why == "cut_off" else 0.01)
            continue
        if chance.random() < 0.7:
            time.sleep(chance.random() * HOLD_S)
        answer.release()


if __name__ == "__main__":
    ask(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]), int(sys.argv[5]))
