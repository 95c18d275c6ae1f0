"""The one who moves contracts: what is due or observed -> settled together -> one transaction -> published -> told.

Single-threaded by its lock; every method may be called from any thread. Nothing takes effect before the ledger has it.
While the
ledger cannot be written nothing moves: the curves that were published stay enforced, and what was due is taken up again
when writing works.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from threading import RLock
from types import MappingProxyType

from headway._core import MeterReading
from headway.contract.model import Contract
from headway.engine.board import Board
from headway.engine.handover import Handover
from headway.engine.ports import Publisher, Store, WallClock
from headway.engine.publish import targets_of
from headway.engine.subscribe import Bus
from headway.engine.suspicion import ClockStatus, Suspicion
from headway.engine.use import by_meter, of_contract, use_between
from headway.errors import Fenced, LedgerBroken, LedgerStopped
from headway.ledger.moves import Move
from headway.ledger.reading import moves_limit
from headway.ramp.curve import curve_of
from headway.ramp.decisions import Decisions, Need
from headway.ramp.entries import Entry, EntryKind
from headway.ramp.observations import ClockSuspect, Observation
from headway.ramp.settle import settle
from headway.ramp.state import RampState

log = logging.getLogger("headway.engine")

DUE_MOST = 256
"""Contracts a transaction; more are due in the next one, at once."""

BEAT_MS = 60_000
"""Between two signs of life in the ledger."""

RETRY_MS = 1_000
"""Between two tries to write a ledger that could not be written."""

LOOK_MS = 1_000
"""The longest sleep: the clocks are compared at least that often."""

AGAIN_MS = 250
"""Until a contract is looked at again that wanted it at once, though nothing had changed."""

NOTHING_BESIDE = Move()

New = Callable[[], None]

READ_TOGETHER_MS = 100
"""Readings of use that are due within that are taken together."""


class Mover:
    """Moves contracts. The engine's thread calls `turn`; people's wishes come through `move`.

    `fenced` is told when this run may not write any more.
    """

    def __init__(
        self,
        board: Board,
        store: Store,
        publisher: Publisher,
        clock: WallClock,
        suspicion: Suspicion,
        bus: Bus,
        fenced: Callable[[LedgerStopped], None] | None = None,
    ) -> None:
        self.lock = RLock()
        self.board = board
        self.stopped: LedgerStopped | None = None
        self._store = store
        self._publisher = publisher
        self._clock = clock
        self._suspicion = suspicion
        self._bus = bus
        self._fenced = fenced
        self._handover = Handover(board, publisher, clock, suspicion)
        self._beat_at_ms = clock.boot_ms() + BEAT_MS
        self._retry_at_ms = 0
        self._read_at_ms: dict[str, int] = {}
        self._last_read: dict[str, tuple[int, Mapping[str, MeterReading]]] = {}
        self._suspected, self._jumps = suspicion.status.suspect, suspicion.jumps

    # -- time

    def now_ms(self) -> int:
        """The engine's UTC."""
        return max(self._suspicion.utc_ms, self._clock.utc_ms())

    def look(self) -> int:
        """The engine's UTC after a look at both clocks. What a change of the verdict brings is done here."""
        with self.lock:
            status = self._suspicion.look(self._clock.utc_ms(), self._clock.boot_ms())
            now_ms = self._suspicion.utc_ms
            jumped, self._jumps = self._suspicion.jumps != self._jumps, self._suspicion.jumps
            if status.suspect is not self._suspected:
                self._suspected = status.suspect
                self._verdict_changed(status, now_ms)
            elif jumped:
                # The ledger knows that the clock is suspect; a clock that keeps jumping is not worth an entry each time.
                log.warning("clock suspected: %s", status.reason)
                self._handover.narrow(now_ms)
            return now_ms

    @property
    def clock_status(self) -> ClockStatus:
        """The verdict on the clock, at the last look."""
        return self._suspicion.status

    @property
    def believed_ms(self) -> int:
        """The UTC that what is published now is published for; see `Suspicion.believed_ms`."""
        return self._suspicion.believed_ms

    def boot_ms(self) -> int:
        """The clock that never jumps, which meters go by."""
        return self._clock.boot_ms()

    def confirm_clock(self, actor: str, reason: str) -> None:
        """A person says that the clock is right. Recorded first. Does nothing where it is trusted."""
        with self.lock:
            now_ms = self.look()
            if not self.clock_status.suspect:
                return
            self.move({}, now_ms, Move(entries=(_note("clock_trusted", now_ms, actor, reason),)))
            self._suspicion.confirm()
            self._suspected = False
            self._trusted(now_ms)

    def note(self, kind: EntryKind, contract: str, reason: str, evidence: Mapping[str, object]) -> None:
        """Writes down what happened beside a contract's ramp: nothing moves by it.

        Raises:
            LedgerStopped: The ledger cannot be written; nothing is noted.
        """
        with self.lock:
            now_ms = self.look()
            entry = Entry(kind, contract, now_ms, "headway", reason, evidence)
            self.move({}, now_ms, Move(entries=(entry,), states={contract: self.board.states[contract]}))

    # -- the loop's body

    def turn(self) -> int:
        """Does what is due. Returns how long nothing more will be, in ms, at most `LOOK_MS`."""
        with self.lock:
            now_ms = self.look()
            if not self._writable():
                return min(LOOK_MS, RETRY_MS)
            try:
                self._handover.publish_left(now_ms)
                self._beat()
                self._open_windows(now_ms)
                observed: dict[str, Sequence[Observation]] = dict(self._read_use(now_ms))
                for name in self.board.due(now_ms, DUE_MOST):
                    observed.setdefault(name, ())
                if observed:
                    self._carry_out(self.decide(observed, now_ms), now_ms)
            except LedgerStopped as stopped:
                self.stop(stopped)
                return RETRY_MS
            return self._pause_ms(now_ms)

    def stop(self, stopped: LedgerStopped) -> None:
        """Stops moving until the ledger takes entries again. What is published stays enforced."""
        with self.lock:
            if self.stopped is None:
                log.error("stopped moving: %s", stopped)
                self._publisher.growth.close(stopped.problem)
                said = {"code": stopped.code, "problem": stopped.problem}
                self._bus.tell("", "stopped", self._suspicion.utc_ms, said)
            self.stopped = stopped
            if self._fenced is not None and isinstance(stopped, Fenced):
                self._fenced(stopped)
            self._retry_at_ms = self._clock.boot_ms() + RETRY_MS

    # -- deciding and carrying out

    def decide(self, observed: Mapping[str, Sequence[Observation]], now_ms: int) -> dict[str, Decisions]:
        """What would follow from what was observed. Changes nothing."""
        status = self.clock_status
        clock = ClockSuspect(now_ms, True, status.reason, self.believed_ms) if status.suspect else None
        board = self.board
        return settle(
            board.contracts,
            board.states,
            now_ms,
            observed,
            calendars=board.calendars,
            clock=clock,
            links=board.links,
        )

    def move(self, decided: Mapping[str, Decisions], now_ms: int, beside: Move = NOTHING_BESIDE) -> tuple[int, ...]:
        """Carries decisions out, with whatever else belongs into their transaction. Returns their places in the ledger.

        Raises:
            LedgerStopped: The ledger cannot be written; nothing changed, and nothing moves until it can.
        """
        with self.lock:
            if self.stopped is not None:
                raise copy(self.stopped)
            try:
                return self._carry_out(decided, now_ms, beside)
            except LedgerStopped as stopped:
                self.stop(stopped)
                raise

    def begin(
        self, contracts: Mapping[str, Contract], decided: Mapping[str, Decisions], now_ms: int, new: New, beside: Move
    ) -> tuple[int, ...]:
        """The same for contracts that are new: `new` declares their meters once the ledger has them."""
        with self.lock:
            if self.stopped is not None:
                raise copy(self.stopped)
            try:
                return self._carry_out(decided, now_ms, beside, contracts, new)
            except LedgerStopped as stopped:
                self.stop(stopped)
                raise

    def take_up(self, contracts: Mapping[str, Contract], states: Mapping[str, RampState], now_ms: int) -> None:
        """Contracts that the ledger held at a start: on the board, their curves published.

        Their meters are declared by now.
        """
        with self.lock:
            self.board.take_up(contracts, states)
            self._handover.publish(
                {name: curve_of(contracts[name], states[name], now_ms) for name in contracts}, now_ms
            )
            for name in contracts:
                self.board.wake(name, now_ms)

    def _carry_out(
        self,
        decided: Mapping[str, Decisions],
        now_ms: int,
        beside: Move = NOTHING_BESIDE,
        contracts: Mapping[str, Contract] = MappingProxyType({}),
        new: New | None = None,
    ) -> tuple[int, ...]:
        board = self.board
        entries = tuple(entry for one in decided.values() for entry in one.entries)
        curves = {name: one.curve for name, one in decided.items() if one.curve is not None}
        targets: dict[tuple[str, str], int] = {}
        for name, curve in curves.items():
            targets |= targets_of(contracts.get(name) or board.contracts[name], curve, now_ms)
        move = replace(
            beside,
            entries=(*beside.entries, *entries),
            states={**beside.states, **{name: one.state for name, one in decided.items() if one.entries}},
            targets={**beside.targets, **targets},
        )
        seqs: tuple[int, ...] = ()
        try:
            if move != NOTHING_BESIDE:
                seqs = self._store.commit(move)
        except LedgerStopped:
            # Not done is still due.
            for name in decided.keys() - contracts.keys():
                board.wake(name, now_ms)
            raise
        if new is not None:
            new()
            board.take_up(contracts, {name: decided[name].state for name in contracts})
        for name, one in decided.items():
            self._take(name, one, now_ms)
        self._handover.publish(curves, now_ms)
        for seq, entry in zip(seqs, move.entries, strict=True):
            if moves_limit(entry):
                board.causes[entry.contract] = (seq, entry)
            self._bus.tell(entry.contract, entry.kind, entry.at_ms, _told(seq, entry))
        return seqs

    def _take(self, name: str, decided: Decisions, now_ms: int) -> None:
        """What one contract's decision means for the board."""
        board = self.board
        board.states[name] = decided.state
        place = board.places.get(name)
        if place is not None:
            board.places[name] = replace(place, state=decided.state)
        wake_ms = decided.wake_at_ms
        if wake_ms is not None and wake_ms <= now_ms and not decided.entries:
            # The same evaluation would change nothing again.
            wake_ms = now_ms + AGAIN_MS
        board.wake(name, wake_ms)
        board.needs[name] = decided.needs
        if not _every_ms(decided.needs):
            self._read_at_ms.pop(name, None)
            self._last_read.pop(name, None)
        elif name not in self._read_at_ms:
            self._read_at_ms[name] = now_ms

    # -- windows, the clock, the ledger's health, use

    def _open_windows(self, now_ms: int) -> None:
        """Decides the next windows of quotas whose window has ended, and forgets draws of older ones."""
        due = self._handover.windows_due(now_ms)
        if due:
            self._store.commit(Move(closed=self._handover.closed_by(due, now_ms)))
            self._handover.republish(due, now_ms)

    def _verdict_changed(self, status: ClockStatus, now_ms: int) -> None:
        kind: EntryKind = "clock_suspected" if status.suspect else "clock_trusted"
        reason = status.reason or "it has run evenly for five minutes"
        log.warning("%s: %s", kind.replace("_", " "), reason)
        if self.stopped is None:
            try:
                self._store.commit(Move(entries=(_note(kind, now_ms, "headway", reason),)))
            except LedgerStopped as stopped:
                self.stop(stopped)
        self._bus.tell("", kind, now_ms, {"reason": reason})
        if status.suspect:
            self._handover.narrow(now_ms)
        else:
            self._trusted(now_ms)

    def _trusted(self, now_ms: int) -> None:
        """Whatever waited for the clock is due."""
        self._handover.trust(now_ms)
        for name in self.board.places:
            self.board.wake(name, now_ms)

    def _writable(self) -> bool:
        """Whether moves can be made; tries again where the ledger may have recovered."""
        if self.stopped is None:
            return True
        boot_ms = self._clock.boot_ms()
        if isinstance(self.stopped, Fenced | LedgerBroken) or boot_ms < self._retry_at_ms:
            return False
        try:
            self._store.beat(self.believed_ms, boot_ms)
        except LedgerStopped as stopped:
            self.stop(stopped)
            return False
        log.warning("the ledger takes entries again: moving on")
        self.stopped = None
        self._publisher.growth.reopen()
        self._bus.tell("", "moving", self._suspicion.utc_ms, {})
        return True

    def _beat(self) -> None:
        boot_ms = self._clock.boot_ms()
        if boot_ms >= self._beat_at_ms:
            self._store.beat(self.believed_ms, boot_ms)
            self._beat_at_ms = boot_ms + BEAT_MS

    def _read_use(self, now_ms: int) -> dict[str, list[Observation]]:
        """Readings of use for contracts whose next stage asks, when they are due. The first one is only a beginning."""
        observed: dict[str, list[Observation]] = {}
        if not self._read_at_ms or min(self._read_at_ms.values()) > now_ms:
            return observed
        readings = by_meter(self._publisher.snapshot())
        for name, at_ms in self._read_at_ms.items():
            if at_ms > now_ms + READ_TOGETHER_MS:
                continue
            contract, every_ms = self.board.contracts[name], _every_ms(self.board.needs[name])
            last = self._last_read.get(name)
            # Over a gap the mean says nothing about how long the use was high: it earns nothing.
            if last is not None and now_ms - last[0] <= 2 * every_ms + LOOK_MS:
                observed[name] = [use_between(contract, last[1], readings, last[0], now_ms)]
            self._last_read[name] = (now_ms, of_contract(contract, readings))
            self._read_at_ms[name] = now_ms + every_ms
        return observed

    def _pause_ms(self, now_ms: int) -> int:
        instants = [now_ms + LOOK_MS]
        wake_ms = self.board.next_ms()
        if wake_ms is not None:
            instants.append(wake_ms)
        if self._read_at_ms:
            instants.append(min(self._read_at_ms.values()))
        if (windows_ms := self._handover.windows_at_ms()) is not None:
            instants.append(windows_ms)
        return max(0, min(instants) - now_ms)


def _every_ms(needs: Sequence[Need]) -> int:
    """The period of the readings of use that are wanted; 0 for none."""
    return min((need.every_ms for need in needs if need.what == "use"), default=0)


def _note(kind: EntryKind, at_ms: int, actor: str, reason: str) -> Entry:
    """An entry about the engine itself."""
    return Entry(kind=kind, contract="", at_ms=at_ms, actor=actor, reason=reason)


def _told(seq: int, entry: Entry) -> Mapping[str, object]:
    return {"seq": seq, "actor": entry.actor, "reason": entry.reason, "body": dict(entry.body)}
