"""Four threads on one limit of 20,000: does exactly 20,000 pass, however often the interpreter switches threads?"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable

LIMIT = 20_000
THREADS = 4
ATTEMPTS = 8_000
"""Attempts a thread: 32,000 in all, so that the limit is reached while all of them run."""

SWITCHES_S = (0.005, 0.000_01)
"""The interpreter's default switch interval, and one that switches in the middle of nearly every call."""


def admitted(taker: Callable[[int], Callable[[], bool]]) -> list[int | str]:
    """How many passed under each switch interval, or the name of the error that a thread raised."""
    before = sys.getswitchinterval()
    results: list[int | str] = []
    try:
        for interval_s in SWITCHES_S:
            sys.setswitchinterval(interval_s)
            results.append(_race(taker(LIMIT)))
    finally:
        sys.setswitchinterval(before)
    return results


def _race(take: Callable[[], bool]) -> int | str:
    passed = [0] * THREADS
    errors: list[str] = []
    start = threading.Barrier(THREADS)

    def attempt(position: int) -> None:
        start.wait()
        count = 0
        try:
            for _ in range(ATTEMPTS):
                count += take()
        except Exception as error:  # A peer's own: shown in the table, and the run goes on.
            errors.append(type(error).__name__)
        passed[position] = count

    threads = [threading.Thread(target=attempt, args=(position,)) for position in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return errors[0] if errors else sum(passed)
