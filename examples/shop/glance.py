"""What can be seen of each contract at one instant: the one value that the screen shows and the plain log compares."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from examples.shop import clock
from examples.shop.count import Count
from headway import Headway
from headway._core import MeterReading
from headway.engine.timeline import Piece
from headway.engine.values import Running

MICRO = 1_000_000

COLUMNS = 20
"""Points of the small picture of a ramp."""

PERIODS = {1_000: "second", 60_000: "minute", 3_600_000: "hour"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """One condition of the next stage, in words."""

    kind: str
    what: str
    met: bool
    waits_for: str


@dataclass(frozen=True, slots=True)
class Glance:
    """One contract.

    Attributes:
        unit: In words, with its period where it has one: "requests a second".
        limit, use: In units; a rate's use is how fast it was admitted in about the last second, that of a contract with
            keys is its fullest key's.
        course: The limit from the first stage until now, oldest first, in units.
        stages: Name and limit of each stage, in units.
        upcoming: The next stage, empty where there is none; `waiting` is what it waits for.
        admitted, refused: Answers of this life as the shop counted them; refused by workload.
    """

    name: str
    unit: str
    limit: float
    use: float
    course: tuple[float, ...]
    stage: str
    stages: tuple[tuple[str, float], ...]
    climbing: bool
    completed: bool
    upcoming: str
    waiting: tuple[Waiting, ...]
    admitted: int
    refused: dict[str, int]


class Glancer:
    """Takes glances of an open Headway, a few times a second."""

    def __init__(self, hw: Headway, count: Count) -> None:
        self._hw = hw
        self._count = count
        self._paces: dict[str, Pace] = {}
        self._courses: dict[str, tuple[int, tuple[Piece, ...]]] = {}

    def take(self) -> list[Glance]:
        """All contracts by name, as they stand now; the limits that meters report go into the count."""
        self._count.clocks(clock.utc_ns())
        glances = [self._glance(running) for running in self._hw.engine.all()]
        for reading in self._readings().values():
            self._count.limit(reading.boot_ns, reading.meter, reading.limit_micro)
        return glances

    def _readings(self) -> dict[str, MeterReading]:
        return {reading.meter: reading for reading in self._hw.engine.meters.snapshot()}

    def _glance(self, running: Running) -> Glance:
        contract, state = running.contract, running.state
        name, constraint = contract.name, contract.constraint[""]
        reading = self._readings()[name]
        admitted, refused = answers(self._count, name)
        use = reading.use_micro / MICRO
        if isinstance(constraint.per, int) and contract.each is None:
            use = self._paces.setdefault(name, Pace()).of(admitted, reading.boot_ns) * constraint.per / 1000
        return Glance(
            name=name,
            unit=in_words(constraint.measure, constraint.unit, constraint.per),
            limit=reading.limit_micro / MICRO,
            use=use,
            course=course(self._pieces(running), reading.utc_ns // MICRO),
            stage=contract.ramp[state.stage].name,
            stages=tuple((stage.name, stage.limit_micro[""] / MICRO) for stage in contract.ramp),
            climbing=state.arrived_at_ms is None,
            completed=state.status == "completed",
            upcoming=running.waits[0].stage if running.waits else "",
            waiting=tuple(Waiting(one.kind, one.what, one.met, one.waits_for) for one in running.conditions),
            admitted=admitted,
            refused=refused,
        )

    def _pieces(self, running: Running) -> tuple[Piece, ...]:
        """The limit from the first stage on; asked for again only when there is another version of it."""
        name, version = running.contract.name, running.curve.version
        known = self._courses.get(name)
        if known is None or known[0] != version:
            timeline = self._hw.engine.timeline(name)
            known = self._courses[name] = (version, (*timeline.past, *timeline.ahead))
        return known[1]


class Pace:
    """Turns a growing count into units a second, over about the last second."""

    def __init__(self) -> None:
        self._seen: list[tuple[int, int]] = []

    def of(self, total: int, now_ns: int) -> float:
        """Since the newest look that is a second old, or the oldest there is; 0 on the first."""
        self._seen.append((now_ns, total))
        while len(self._seen) > 2 and self._seen[1][0] <= now_ns - 1_000_000_000:
            self._seen.pop(0)
        then_ns, before = self._seen[0]
        return 0.0 if then_ns == now_ns else (total - before) * 1e9 / (now_ns - then_ns)


def answers(count: Count, contract: str) -> tuple[int, dict[str, int]]:
    """(admitted, refused by workload) at one contract in this life."""
    admitted = 0
    refused: Counter[str] = Counter()
    for (name, workload), tally in count.tallies.items():
        if name == contract:
            admitted += tally.admitted
            refused[workload] += tally.refused
    return admitted, {workload: many for workload, many in refused.items() if many}


def in_words(measure: str, unit: str, per: int | str | None) -> str:
    """A contract's unit with its period: "requests a second", "lookups in 10 s", "workers at once"."""
    if measure == "concurrency":
        return f"{unit}s at once"
    if isinstance(per, int) and per not in PERIODS:
        return f"{unit}s in {per / 1000:g} s"
    return f"{unit}s a {PERIODS[per] if isinstance(per, int) else per}"


def course(pieces: Sequence[Piece], now_ms: int) -> tuple[float, ...]:
    """The limit at `COLUMNS` instants from the first piece's start to now, in units."""
    began_ms = pieces[0].start_ms
    instants = (began_ms + (now_ms - began_ms) * column // (COLUMNS - 1) for column in range(COLUMNS))
    return tuple(_level(pieces, at_ms) / MICRO for at_ms in instants)


def _level(pieces: Sequence[Piece], at_ms: int) -> float:
    piece = next((one for one in reversed(pieces) if one.start_ms <= at_ms), pieces[0])
    from_micro, to_micro = piece.from_micro, piece.to_micro
    if piece.end_ms is None or from_micro == to_micro or piece.end_ms <= piece.start_ms:
        return float(to_micro)
    share = min(1.0, max(0.0, (at_ms - piece.start_ms) / (piece.end_ms - piece.start_ms)))
    return from_micro + (to_micro - from_micro) * share
