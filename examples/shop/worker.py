"""A worker process: writes newsletters over the mail relay that it shares with the shop and with other workers.

    python -m examples.shop.worker URL TOKEN_FILE COUNT FIRST SEED PARENT

It asks the shop's Headway over `headway.connect`, and stamps every answer into the shop's count. It ends when it is told
to (SIGTERM), after the mail it is writing, and dies with the process that started it.
"""

from __future__ import annotations

import ctypes
import os
import random
import signal
import sys
import threading
from pathlib import Path

import headway
from examples.shop import clock
from examples.shop.app import RELAY
from examples.shop.count import Count
from headway import Refusal

MAIL_S = 0.25
"""How long a newsletter keeps its connection, on average and at most four times as long."""

AGAIN_S = 0.1
"""How long it leaves the relay alone after a refusal."""

PR_SET_PDEATHSIG = 1
"""Source: prctl(2)."""


def work(url: str, token_file: Path, count: Count, seed: int, over: threading.Event) -> None:
    """Writes one newsletter after the other until it is over."""
    chance = random.Random(seed)
    with headway.connect(url, token_file=token_file) as hw:
        relay = hw.limiter(RELAY, "newsletter")
        while not over.is_set():
            answer = count.decide(relay)
            if isinstance(answer, Refusal):
                over.wait(AGAIN_S)
                continue
            with answer:
                over.wait(min(4.0, chance.expovariate(1.0)) * MAIL_S)


def die_with(parent: int) -> None:
    """Whatever ends the parent ends this process at once: what it was writing nobody would count any more."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL) != 0:
        raise OSError(ctypes.get_errno(), "prctl")
    if os.getppid() != parent:
        sys.exit("the shop has ended")


def main(url: str, token_file: str, path: str, first: str, seed: str, parent: str) -> None:
    over = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: over.set())
    die_with(int(parent))
    work(url, Path(token_file), Count(Path(path), clock.boot_ns, first=int(first)), int(seed), over)


if __name__ == "__main__":
    main(*sys.argv[1:])
