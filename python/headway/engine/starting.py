"""How an engine starts and stops: from a ledger to published curves, and back to a clean stop."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from headway._core import Meters
from headway.contract.model import Contract
from headway.contract.read import Reading
from headway.engine import applying
from headway.engine.board import Board
from headway.engine.mandate import Mandate, longest_ms
from headway.engine.mover import Mover
from headway.engine.ports import Store, WallClock
from headway.engine.specs import meters_of
from headway.engine.subscribe import Bus
from headway.engine.suspicion import Remembered, Suspicion
from headway.errors import LedgerStopped
from headway.ledger import AtGates, Begun, Ledger, Loaded, Move, Writer
from headway.ramp.entries import Entry

log = logging.getLogger("headway.engine")


@dataclass(frozen=True)
class Started:
    """A running engine's parts."""

    ledger: Ledger
    meters: Meters
    mover: Mover
    bus: Bus
    clock: WallClock
    writer: Writer | None
    run: int
    """The number of this run: the epoch of its mandate."""
    at_gates: AtGates
    mandate: Mandate | None = None
    """Where the ledger is one that others can reach."""

    def stop(self) -> None:
        """Refuses demands, writes what waits, keeps the marks. Where the ledger cannot be written the marks are lost:
        the next start is one as after a crash, which hands out nothing twice.
        """
        self.meters.close()
        if self.writer is not None:
            self.writer.stop()
        if self.mandate is not None:
            self.mandate.stop()
        try:
            if self.mover.stopped is None and (self.mandate is None or self.mandate.lost is None):
                self.mover.look()
                self.ledger.finish(self.mover.believed_ms, self.clock.boot_ms(), self.meters.save())
        except LedgerStopped as stopped:
            log.error("the marks of this run are lost: %s", stopped)
        self.ledger.close()


def start(
    ledger: Ledger,
    clock: WallClock,
    meters: Meters,
    read: Callable[[], Reading | None],
    *,
    threads: bool,
    answered: frozenset[str] = frozenset(),
    mandate: Mandate | None = None,
) -> Started:
    """Takes a ledger up.

    Args:
        ledger: Open; closed by whoever opened it, if this raises.
        clock: The machine's, or a test's.
        meters: New ones.
        read: Reads the documents; only called while the ledger is empty.
        answered: Kinds of bindings that are answered here.
        mandate: Of the ledger, where that is one that others can reach; held, and renewed by its own thread.
        threads: Whether the ledger is written by a thread of its own, and the growth of durable meters is booked.

    Raises:
        LedgerStopped: Checked first: a ledger that is damaged or cannot be written refuses the start.
        Unreadable, OverPromised, VerbRefused: Of the documents, which were not applied.
    """
    loaded = ledger.load()
    reading = None if loaded.contracts else read()
    if reading is not None:
        applying.runnable(reading, answered)
    for name, kind in _unanswered(loaded.contracts.values(), answered):
        log.warning("%s is bound to %s, which nothing answers here: run it with `headway serve`", name, kind)
    suspicion = _judge(ledger, loaded, clock)
    begun = ledger.begin(clock.boot_id(), suspicion.believed_ms, clock.boot_ms())
    if mandate is not None:
        if begun.may_lack:
            log.warning("the database is another copy than before, and may lack what was last written there")
        mandate.begun(longest_ms(loaded.contracts.values()) if begun.may_lack else 0)
    board, bus = Board(answered=answered), Bus()
    board.calendars |= loaded.calendars
    board.causes |= loaded.causes

    writer: Writer | None = None
    movers: list[Mover] = []
    if threads:
        # The mover is told of draws that could not be booked; there are none before it is there.
        writer = Writer(ledger, meters.growth, lambda stopped: movers[0].stop(stopped))
    store: Store = writer or ledger
    mover = Mover(board, store, meters, clock, suspicion, bus, None if mandate is None else mandate.end)
    movers.append(mover)
    if writer is not None:
        writer.start()
    try:
        # Marks are of a machine's clocks: where another one may have written them, rates start empty.
        is_own = mandate is None or (begun.before is not None and begun.before.boot_id == begun.run.boot_id)
        _take_up(mover, meters, loaded, begun if is_own else replace(begun, marks=None))
        if reading is not None:
            declare = partial(declare_new, meters)
            applying.apply(mover, reading, declare, actor="headway", reason="applied at the first start")
        mover.turn()
    except BaseException:
        meters.close()
        if writer is not None:
            writer.stop()
        raise
    return Started(ledger, meters, mover, bus, clock, writer, begun.run.id, begun.at_gates, mandate)


def _unanswered(contracts: Iterable[Contract], answered: frozenset[str]) -> Iterator[tuple[str, str]]:
    """(contract, kind) of bindings that run already and that this process does not answer."""
    for one in contracts:
        for bind in one.enforce.bind:
            if bind.kind not in answered:
                yield one.name, bind.kind


def _judge(ledger: Ledger, loaded: Loaded, clock: WallClock) -> Suspicion:
    """Whether the clock is believed at a start."""
    before = ledger.last_run()
    return Suspicion(
        clock.utc_ms(),
        clock.boot_ms(),
        boot_id=clock.boot_id(),
        synchronised=clock.synchronised(),
        last_ms=max(loaded.last_ms, before.seen_ms if before else 0),
        before=Remembered(before.seen_ms, before.seen_boot_ms, before.boot_id) if before else None,
    )


def _take_up(mover: Mover, meters: Meters, loaded: Loaded, begun: Begun) -> None:
    """Declares and publishes what the ledger holds, without rises; marks are taken up or, after a crash, born empty."""
    now_ms = mover.look()
    specs = [spec for one in loaded.contracts.values() for spec in meters_of(one, born="empty")]
    meters.declare(specs)
    taken_up = _restore(meters, begun)
    notes = [] if taken_up else _unguaranteed(loaded, now_ms)
    if mover.clock_status.suspect:
        reason = mover.clock_status.reason
        notes.append(Entry(kind="clock_suspected", contract="", at_ms=now_ms, actor="headway", reason=reason))
    if notes:
        states = {note.contract: loaded.states[note.contract] for note in notes if note.contract}
        mover.move({}, now_ms, Move(entries=tuple(notes), states=states))
    mover.take_up(loaded.contracts, loaded.states, now_ms)


def _restore(meters: Meters, begun: Begun) -> bool:
    """Marks of a clean stop, if there are any, and the durable counts. Returns whether marks were taken up.

    Beside marks the counts only say how much is drawn; without, all that was drawn counts as used.
    """
    taken_up = False
    if begun.marks is not None:
        try:
            meters.restore(begun.marks)
            taken_up = True
        except ValueError as error:
            log.warning("the marks of the last stop cannot be taken up, so rates start empty: %s", error)
    meters.restore_drawn(begun.drawn)
    return taken_up


def _unguaranteed(loaded: Loaded, now_ms: int) -> list[Entry]:
    """Contracts that hand out a burst again after a crash, because they ask to: recorded, each time."""
    notes = []
    for name, contract in loaded.contracts.items():
        dimensions = [
            dimension
            for dimension, constraint in contract.constraint.items()
            if constraint.measure == "rate" and constraint.after_crash == "full"
        ]
        if dimensions:
            reason = "after a crash its burst is handed out again: `after_crash: full`"
            evidence = {"dimensions": dimensions}
            notes.append(Entry("unguaranteed", name, now_ms, "headway", reason, evidence))
    return notes


def declare_new(meters: Meters, contracts: Sequence[Contract]) -> None:
    """Declares the meters of contracts that were never in use: they start full."""
    meters.declare([spec for contract in contracts for spec in meters_of(contract, born="full")])
