"""The shop's two worker processes, of which one is killed once, to see that what it held comes back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from examples.shop.count import Count

WORKERS = 2

KILL_AT = 0.6
"""When one is killed, as a share of the run."""

BACK_WITHIN_S = 5.0
"""What a killed process held is free again within that, on Headway's own machine."""

ENDS_WITHIN_S = 3.0
"""How long a worker may take to end when told to."""

APART = 10**9
"""Admissions of one process: each has so many numbers of the count for itself."""

PER_LIFE = 10
"""Processes that one life of the demo may start."""


class Workers:
    """Two processes, from construction until `close`.

    Args:
        url: Where Headway answers them.
        token_file: What they show.
        count: The shop's; they write into its file.
        life: Of the demo: no two processes of a count share numbers.
        seconds: How long the run is, for `KILL_AT`.
        holders: How many processes Headway knows of.
    """

    def __init__(
        self, url: str, token_file: Path, count: Count, life: int, seconds: float, holders: Callable[[], int]
    ) -> None:
        self.back_s: float | None = None
        """How long after the kill what the killed one held was free again; None: not yet."""
        self._url, self._token_file = url, token_file
        self._count, self._life, self._holders = count, life, holders
        self._kill_at_s = KILL_AT * seconds
        self._killed_at_s: float | None = None
        self._started = 0
        self._running = [self._start() for _ in range(WORKERS)]

    def turn(self, at_s: float) -> str | None:
        """Does what is due `at_s` seconds into the run; returns what happened, in words, or None.

        Raises RuntimeError where a worker ended that nobody killed.
        """
        for _, process in self._running:
            if process.poll() is not None:
                raise RuntimeError(f"worker {process.pid} ended by itself, with exit code {process.returncode}")
        if self._killed_at_s is None:
            if at_s < self._kill_at_s or self._holders() < WORKERS:
                return None
            self._killed_at_s = at_s
            return self._kill()
        if self.back_s is None and self._holders() < WORKERS:
            self.back_s = at_s - self._killed_at_s
            self._running.append(self._start())
            return f"mail-relay: what the killed worker held is free after {self.back_s:.2f} s; another one starts"
        return None

    def missing(self) -> list[str]:
        """What should have been seen and was not, in words."""
        if self.back_s is None:
            return ["no killed worker's connections came back"]
        if self.back_s > BACK_WITHIN_S:
            return [f"a killed worker's connections came back after {self.back_s:.1f} s, not {BACK_WITHIN_S:g}"]
        return []

    def close(self) -> None:
        """Tells them to end, and waits for that; one that does not is killed."""
        for _, process in self._running:
            process.terminate()
        for first, process in self._running:
            try:
                process.wait(ENDS_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._end(first, process)
        self._running.clear()

    def _start(self) -> tuple[int, subprocess.Popen[bytes]]:
        first = (self._life * PER_LIFE + self._started) * APART
        self._started += 1
        said = [self._url, self._token_file, self._count.path, first, self._started, os.getpid()]
        # Newsletters are in no hurry: on a busy machine the shop itself goes first.
        command = ["nice", "-n", "5", sys.executable, "-m", "examples.shop.worker", *map(str, said)]
        # Ctrl-C is the demo's: it ends them.
        return first, subprocess.Popen(command, start_new_session=True)

    def _kill(self) -> str:
        first, process = self._running.pop(0)
        held = self._end(first, process)
        return f"mail-relay: worker {process.pid} is killed while it holds {held}"

    def _end(self, first: int, process: subprocess.Popen[bytes]) -> int:
        """Kills one; what it held was held until now, and is not any more. Returns how much that was."""
        before = self._count.now_ns()
        process.kill()
        process.wait()
        after = self._count.now_ns()
        held = _held(self._count.path, first)
        for number in held:
            self._count.write("freed", number, before, after)
        return len(held)


def _held(count: Path, first: int) -> set[int]:
    """Admissions of the process whose numbers begin at `first` that it did not free."""
    held: set[int] = set()
    with count.open("rb") as lines:
        for line in lines:
            if line.startswith((b'["admitted",', b'["freed",')):
                kind, number, *_ = json.loads(line)
                if first <= number < first + APART:
                    (held.add if kind == "admitted" else held.discard)(number)
    return held
