"""`gate.py PORT SEED FILE`: a busy process that asks a keeper for more than there is, and stamps what it is admitted.

The token is the first line of its standard input; it says "warm", asks until that input ends, and then writes to FILE, as
64-bit integers of this machine, when each slot was asked for, admitted and given back; to
FILE with `.met` behind it from when its refusals were of which version.
"""

from __future__ import annotations

import heapq
import random
import sys
import threading
import time
from array import array
from pathlib import Path

import headway
from headway import Permit

MOST = 14
"""Slots held at once: all gates together would use half as much again as the highest limit."""
HOLD_NS = (5_000_000, 30_000_000)
BREATH_S = 0.001
RATE_EACH = 4
"""Of so many breaths one asks the rate as well."""


def boot_ns() -> int:
    return time.clock_gettime_ns(time.CLOCK_BOOTTIME)


def main() -> None:
    port, seed, path = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    chance, ends = random.Random(seed), threading.Event()
    stamps, met, version = array("q"), array("q"), 0
    held: list[tuple[int, int, int, Permit]] = []

    def give_back() -> None:
        _, asked, admitted, permit = heapq.heappop(held)
        stamps.extend((asked, admitted, boot_ns()))
        permit.release()

    with headway.connect(f"http://127.0.0.1:{port}", token=sys.stdin.readline().strip()) as hw:
        pool, api = hw.limiter("pool"), hw.limiter("api")
        threading.Thread(target=lambda: (sys.stdin.read(), ends.set()), daemon=True).start()
        print("warm", flush=True)
        for breath in range(1 << 62):
            while held and held[0][0] <= boot_ns():
                give_back()
            while len(held) < MOST:
                asked, permit, admitted = boot_ns(), pool.try_acquire(), boot_ns()
                if not isinstance(permit, Permit):
                    if permit.version > version:
                        version = permit.version
                        met.extend((admitted, version))
                    break
                heapq.heappush(held, (admitted + chance.randrange(*HOLD_NS), asked, admitted, permit))
            if breath % RATE_EACH == 0:
                api.try_acquire()
            if ends.is_set():
                break
            time.sleep(BREATH_S)
        while held:
            give_back()
    path.write_bytes(stamps.tobytes())
    path.with_suffix(".met").write_bytes(met.tobytes())


if __name__ == "__main__":
    main()
