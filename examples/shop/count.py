"""The shop's own count: what it asked, what it was told, and when, written down by itself.

Nothing here believes Headway. Each decision is stamped just before and just after on the clock that decisions read, so
the true instant lies between the stamps. Every record is appended to a file at once: a killed shop loses at most the
answer it was just being given, never one it acted on. `verdict` reads the file back and judges.
"""

from __future__ import annotations

import itertools
import json
import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from headway import Limiter, Permit, Refusal

SENTENCES = 50
"""Refusal sentences kept for the screen; older ones are forgotten."""

LINE_BYTES = 4096
"""No record is longer; keys are bounded far below."""


@dataclass(slots=True)
class Tally:
    """Answers to one workload at one contract in this life."""

    admitted: int = 0
    refused: int = 0
    why: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class Said:
    """One refusal as the shop was told of it. `boot_ns`: the stamp just after."""

    boot_ns: int
    contract: str
    workload: str
    sentence: str


class Held:
    """An admission that holds something until released; both ends of the release are stamped, once."""

    def __init__(self, count: Count, number: int, permit: Permit) -> None:
        self._count = count
        self._number: int | None = number
        self._permit = permit

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.release()

    def release(self) -> None:
        """Gives the slot back; a second call does nothing."""
        if self._number is None:
            return
        before = self._count.now_ns()
        self._permit.release()
        self._count.write("freed", self._number, before, self._count.now_ns())
        self._number = None


class Count:
    """Appends to `path` and keeps tallies of this life.

    Decisions are counted from one thread; `write` and what only writes may be called from any.

    Args:
        path: The file; made 0600 if absent, appended to if present. OSError if it cannot be written.
        now_ns: The clock of the stamps, nanoseconds; the gate's.
        first: The number of its first admission; processes that write one file number apart.
    """

    def __init__(self, path: Path, now_ns: Callable[[], int], *, first: int = 1) -> None:
        self.path = path
        self.now_ns = now_ns
        self.tallies: dict[tuple[str, str], Tally] = {}
        self.said: deque[Said] = deque(maxlen=SENTENCES)
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._numbers = itertools.count(first)

    def write(self, kind: str, *values: object) -> None:
        """Appends one record in one call to the kernel, so that no kill leaves half of it behind a whole one."""
        line = json.dumps([kind, *values], separators=(",", ":")).encode() + b"\n"
        if len(line) > LINE_BYTES:
            raise ValueError(f"a record of {len(line)} bytes; the longest allowed is {LINE_BYTES}")
        if os.write(self._file, line) != len(line):
            raise OSError(f"{self.path}: the disk took only part of a record; the count would no longer be true")

    def begin(self, life: int, seed: int, utc_ns: int) -> None:
        """Marks a new life. The newline before it ends whatever a killed life may have left unfinished."""
        os.write(self._file, b"\n")
        self.write("life", life, os.getpid(), seed, self.now_ns(), utc_ns)

    def decide(self, limiter: Limiter, units: int = 1, key: str | None = None) -> Held | Refusal:
        """Asks now, stamped on both sides."""
        before = self.now_ns()
        answer = limiter.try_acquire(units, key)
        after = self.now_ns()
        if isinstance(answer, Refusal):
            self.refused(limiter.contract, limiter.workload, key, units, before, after, answer.why, str(answer))
            return answer
        return Held(self, self.admitted(limiter.contract, limiter.workload, key, units, before, after), answer)

    def admitted(self, contract: str, workload: str, key: str | None, units: int, before: int, after: int) -> int:
        """Records an admission; returns its number within this life."""
        number = next(self._numbers)
        self.write("admitted", number, contract, workload, key, units, before, after)
        self._tally(contract, workload).admitted += 1
        return number

    def refused(
        self,
        contract: str,
        workload: str,
        key: str | None,
        units: int,
        before: int,
        after: int,
        why: str,
        sentence: str,
    ) -> None:
        """Records a refusal, and keeps its sentence for the screen."""
        self.write("refused", contract, workload, key, units, before, after, why)
        tally = self._tally(contract, workload)
        tally.refused += 1
        tally.why[why] += 1
        self.said.append(Said(after, contract, workload, sentence))

    def clocks(self, utc_ns: int) -> None:
        """Records one instant on both clocks: what the timeline says in UTC is laid beside stamps by it."""
        self.write("clocks", self.now_ns(), utc_ns)

    def limit(self, boot_ns: int, meter: str, limit_micro: int) -> None:
        """Records what a meter said its limit is."""
        self.write("limit", boot_ns, meter, limit_micro)

    def published(self, contract: str, version: int) -> None:
        """Records that by now a version of a contract's curve is in force."""
        self.write("published", contract, version, self.now_ns())

    def acted(self, act: str, contract: str, stage: str) -> None:
        """Records that Headway acknowledged what a person did; after this it must never be forgotten."""
        self.write("acted", act, contract, stage, self.now_ns())

    def close(self) -> None:
        """Marks a clean end and closes the file."""
        self.write("end", self.now_ns())
        os.close(self._file)

    def _tally(self, contract: str, workload: str) -> Tally:
        return self.tallies.setdefault((contract, workload), Tally())


# --- reading it back ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Life:
    """From one start to its end or kill. `last_ns`: the last stamp it is known to have been alive at."""

    number: int
    pid: int
    seed: int
    born_ns: int
    utc_ns: int
    last_ns: int
    clean: bool


@dataclass(frozen=True, slots=True)
class Admission:
    """`freed` are the stamps around its release; None where it was never released in its life."""

    life: int
    contract: str
    workload: str
    key: str | None
    units: int
    before_ns: int
    after_ns: int
    freed: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Reading:
    """A limit as a running meter reported it."""

    life: int
    boot_ns: int
    meter: str
    limit_micro: int


@dataclass(frozen=True, slots=True)
class Act:
    """What Headway acknowledged: `event` or `approval`."""

    life: int
    act: str
    contract: str
    stage: str
    boot_ns: int


@dataclass(frozen=True, slots=True)
class Record:
    """A whole history over all lives, in order."""

    lives: tuple[Life, ...]
    admissions: tuple[Admission, ...]
    refusals: dict[tuple[str, str], int]
    clocks: tuple[tuple[int, int], ...]
    """(boot, UTC) in nanoseconds, the same instant on both clocks."""
    readings: tuple[Reading, ...]
    published: dict[str, list[tuple[int, int]]]
    """Contract -> (version, boot_ns): by then that version was in force."""
    acts: tuple[Act, ...]


class Torn(ValueError):
    """A record that is neither whole nor the last of a killed life."""


def read_record(path: Path) -> Record:
    """Reads a count back, whole. Raises `Torn` where a line inside a life cannot be read."""
    lives: list[Life] = []
    admissions: list[Admission] = []
    refusals: Counter[tuple[str, str]] = Counter()
    clocks: list[tuple[int, int]] = []
    readings: list[Reading] = []
    published: dict[str, list[tuple[int, int]]] = {}
    acts: list[Act] = []
    for number, lines in enumerate(_lives(path.read_bytes()), start=1):
        head = lines[0]
        freed = {line[1]: (line[2], line[3]) for line in lines if line[0] == "freed"}
        last_ns = head[4]
        for line in lines[1:]:
            match line:
                case ["admitted", count, contract, workload, key, units, before, after]:
                    admissions.append(
                        Admission(number, contract, workload, key, units, before, after, freed.get(count))
                    )
                    last_ns = max(last_ns, after)
                case ["freed", _, _, after]:
                    last_ns = max(last_ns, after)
                case ["refused", contract, workload, _, _, _, after, _]:
                    refusals[contract, workload] += 1
                    last_ns = max(last_ns, after)
                case ["limit", boot_ns, meter, limit_micro]:
                    readings.append(Reading(number, boot_ns, meter, limit_micro))
                case ["clocks", boot_ns, utc_ns]:
                    clocks.append((boot_ns, utc_ns))
                    last_ns = max(last_ns, boot_ns)
                case ["published", contract, version, boot_ns]:
                    published.setdefault(contract, []).append((version, boot_ns))
                case ["acted", act, contract, stage, boot_ns]:
                    acts.append(Act(number, act, contract, stage, boot_ns))
                    last_ns = max(last_ns, boot_ns)
                case ["end", boot_ns]:
                    last_ns = max(last_ns, boot_ns)
                case _:
                    raise Torn(f"{path}: life {number} holds a record of no known kind: {line!r}")
        clean = lines[-1][0] == "end"
        lives.append(Life(head[1], head[2], head[3], head[4], head[5], last_ns, clean))
        clocks.append((head[4], head[5]))
    return Record(
        tuple(lives), tuple(admissions), dict(refusals), tuple(clocks), tuple(readings), published, tuple(acts)
    )


def lives_so_far(path: Path) -> list[tuple[int, int]]:
    """(number, born on the boot clock) of each life in a count; empty where there is no file yet."""
    if not path.exists():
        return []
    with path.open("rb") as lines:
        heads = [json.loads(line) for line in lines if line.startswith(b'["life",')]
    return [(head[1], head[4]) for head in heads]


def _lives(text: bytes) -> Iterator[list[Any]]:
    """Lines of each life, parsed. A life begins with an empty line, so only the line before one may be torn."""
    for chunk in text.split(b'\n["life",')[1:]:
        lines = (b'["life",' + chunk).split(b"\n")
        yield list(_whole(lines))


def _whole(lines: Iterable[bytes]) -> Iterator[Any]:
    waiting = [line for line in lines if line]
    for place, line in enumerate(waiting, start=1):
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            # A kill in the middle of a write leaves an unfinished line at the end of a life: an answer nobody acted on.
            if place < len(waiting):
                raise Torn(f"a record in the middle of a life cannot be read: {line[:80]!r}") from None
