"""A server under measurement: its processes, on one core, and the CPU they have used."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benches.rls.asks import CASES

STOP_WITHIN_S = 10.0


@dataclass(frozen=True)
class Server:
    """One that answers on a port of loopback.

    processes: Name -> process id of all that takes part in a decision; what they use is summed.
    version: What was measured, as its makers name it.
    sheds: Demands that it refused because it was too slow, since its start; None where it never does.
    cases: What it can be asked.
    """

    who: str
    port: int
    processes: Mapping[str, int]
    version: str
    token: str = "no token"
    sheds: Callable[[], int] | None = None
    cases: Sequence[str] = tuple(CASES)

    def cpu_ns(self) -> dict[str, int]:
        """CPU that each of its processes has used so far, all threads, user and system."""
        return {name: time.clock_gettime_ns(_cpu_clock(pid)) for name, pid in self.processes.items()}


class Unavailable(Exception):
    """A peer that cannot be had on this machine; says why."""


@dataclass
class Runner:
    """Starts processes on the core that serves, in a folder of its own."""

    folder: Path
    core: int
    started: list[subprocess.Popen[str]] = field(default_factory=list)

    def start(
        self, command: Sequence[str | Path], environment: Mapping[str, str] | None = None, says: str = ""
    ) -> subprocess.Popen[str]:
        """Starts a program; what it says on standard error goes to a file in the folder. `says` is its first line in."""
        log = (self.folder / f"{len(self.started)}-{Path(command[0]).name}.log").open("w")
        with log:
            process = subprocess.Popen(
                ["taskset", "--cpu-list", str(self.core), *command],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if says else log,
                stderr=log,
                env=environment,
                text=True,
            )
        self.started.append(process)
        if says:
            assert process.stdin is not None
            process.stdin.write(says + "\n")
            process.stdin.flush()
        return process

    def stop(self) -> None:
        """Ends what was started, the last first."""
        for process in reversed(self.started):
            process.terminate()
        for process in self.started:
            process.communicate(timeout=STOP_WITHIN_S)


@contextmanager
def runner(folder: Path, core: int) -> Iterator[Runner]:
    """A runner that leaves nothing running."""
    one = Runner(folder, core)
    try:
        yield one
    finally:
        one.stop()


def first_line(process: subprocess.Popen[str]) -> str:
    """What a program says first. RuntimeError where it ended instead."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        raise RuntimeError(f"{process.args!r} ended before it said anything")
    return line


def _cpu_clock(pid: int) -> int:
    # Source: Linux, include/linux/posix-timers.h: the clock of another process, CPUCLOCK_SCHED, counted in ns.
    return ~pid << 3 | 2
