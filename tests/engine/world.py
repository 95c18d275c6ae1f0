"""A world for one engine: a manual clock under everything, a ledger on a file, no threads. Days pass in milliseconds.

`run` lets time pass the way the loop would: from one instant that matters to the next, with load on limiters in between.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from headway._core import Clock, Limiter, MeterReading, Meters
from headway.contract.read import Reading, read_text
from headway.engine.clock import ManualClock
from headway.engine.engine import Engine
from headway.ledger import Ledger
from headway.ramp.observations import Approval, EventSeen, Verb, VerbCall

START_MS = 1_764_547_200_000
"""2025-12-01T00:00:00Z, a Monday."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def reading_of(text: str) -> Reading:
    """Documents of a text; the test is wrong where they are."""
    reading = read_text(text, "contracts.yaml")
    assert reading.ok, reading.findings
    return reading


class World:
    """One data folder over any number of lives of an engine."""

    def __init__(self, folder: Path, text: str = "", *, at_ms: int = START_MS) -> None:
        self.path = folder / "ledger.db"
        self.reading = reading_of(text) if text else None
        self.core = Clock.manual(1_000_000_000)
        self.clock = ManualClock(self.core, at_ms)
        self.start()

    def start(self) -> None:
        """A life begins."""
        self.meters = Meters(self.core)
        self.engine = Engine.memory(self.reading, clock=self.clock, meters=self.meters, ledger=Ledger.open(self.path))

    def crash(self, away_ms: int = 0) -> None:
        """The life ends without a word, and another begins."""
        self.clock.advance(away_ms)
        self.start()

    def restart(self, away_ms: int = 0) -> None:
        """A clean stop, and another life."""
        self.engine.close()
        self.crash(away_ms)

    def run(self, for_ms: int, load: Mapping[str, float] | None = None) -> int:
        """Lets time pass; `load`: contract -> its demand as a share of its limit. Returns how many turns it took."""
        end_ms = self.clock.boot_ms() + for_ms
        turns = 0
        while True:
            pause_ms = self.engine.turn()
            turns += 1
            left_ms = end_ms - self.clock.boot_ms()
            if left_ms <= 0:
                return turns
            pause_ms = max(1, min(pause_ms, left_ms))
            for name, share in (load or {}).items():
                self.ask(self.engine.limiter(name), share, pause_ms)
            self.clock.advance(pause_ms)

    def ask(self, limiter: Limiter, share: float, for_ms: int) -> None:
        """Demand on a rate of 100 a second, as a share of it, for a while."""
        whole = int(share * self.limit(limiter.contract) * for_ms / 1_000)
        for _ in range(whole):
            limiter.try_acquire()

    def reading_now(self, meter: str) -> MeterReading:
        """What a meter says."""
        return next(one for one in self.meters.snapshot() if one.meter == meter)

    def limit(self, meter: str) -> float:
        """The limit that a meter enforces now, in units."""
        return self.reading_now(meter).limit_micro / 1_000_000

    def stage(self, name: str) -> str:
        """The stage a contract is in."""
        running = self.engine.contract(name)
        return running.contract.ramp[running.state.stage].name

    def kinds(self, contract: str | None = None) -> list[str]:
        """Kinds of the ledger's entries."""
        return [record.entry.kind for record in self.engine.ledger().records(0, 10_000, contract)]

    def event(self, type: str, id: str = "1", source: str = "ci") -> EventSeen:
        """An event of now."""
        return EventSeen(self.clock.utc_ms(), id, source, type, "event:ci")

    def approval(self, name: str, stage: str, group: str = "dba", actor: str = "user:bo") -> Approval:
        """A yes to what is in force."""
        terms = self.engine.contract(name).state.terms_digest
        return Approval(self.clock.utc_ms(), stage, group, actor, terms)

    def verb(self, verb: Verb, reason: str = "to see") -> VerbCall:
        """A person's verb."""
        return VerbCall(self.clock.utc_ms(), verb, "user:ana", reason)

    def override(self, value: int, until_ms: int, *, second: str | None = None) -> VerbCall:
        """A person's limit, in units."""
        level = {"": value * 1_000_000}
        return VerbCall(self.clock.utc_ms(), "override", "user:ana", "an incident", level, until_ms, second)
