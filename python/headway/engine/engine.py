"""The engine: one data folder, its ledger, its meters, and the one loop that moves contracts.

A start goes in this order: lock the folder, check the ledger, judge the clock, take the mandate, fold, publish without
rises, evaluate once, then rise. Decisions on demands never come here: they are the core's.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from threading import Event, Lock, Thread
from typing import Any, TypeVar
from weakref import WeakSet

from headway._core import Limiter, Matches, Meters
from headway.contract.faults import Unreadable
from headway.contract.model import Contract, Document
from headway.contract.read import Reading
from headway.engine import acts, applying, explain, looking
from headway.engine.attributed import KnownMatches
from headway.engine.board import Place
from headway.engine.clock import MachineClock
from headway.engine.drift import Files, drift_of, newcomers
from headway.engine.folder import Folder, beside, busy
from headway.engine.mandate import Mandate
from headway.engine.mover import Mover
from headway.engine.opening import open_ledger
from headway.engine.ports import WallClock
from headway.engine.specs import path_of, workload_of
from headway.engine.starting import Started, declare_new, start
from headway.engine.subscribe import Bus, Change, Subscription
from headway.engine.suspicion import ClockStatus
from headway.engine.timeline import Timeline, timeline_of
from headway.engine.use import by_meter
from headway.engine.values import Drift, Outcome, Preview, Running
from headway.errors import Closed, HeadwayError, UnknownRef
from headway.ledger import AtGates, Database, Ledger, Record
from headway.ledger.reading import MOST
from headway.ramp.observations import EventSeen

__all__ = ["Change", "ClockStatus", "Drift", "Engine", "Outcome", "Preview", "Running", "Subscription", "Timeline"]

T = TypeVar("T")

log = logging.getLogger("headway.engine")

AGAIN_MS = 1_000
"""Until the loop goes on after a mistake of ours."""

_engines: WeakSet[Engine] = WeakSet()


class Engine:
    """One data folder's engine. Thread-safe. After a fork the child's copy is unusable (HW501).

    The parent's goes on.
    """

    def __init__(self, started: Started, folder: Folder | None, files: Files, *, watch: bool) -> None:
        self._started = started
        self._mover: Mover = started.mover
        self._bus: Bus = started.bus
        self._folder = folder
        self._files = files
        self._watch = watch
        self._limiters: dict[tuple[str, str], Limiter] = {}
        self._matches = KnownMatches()
        self._wake = Event()
        self._closing = Lock()
        self._closed = False
        self._is_child = False
        self._thread: Thread | None = None
        _engines.add(self)

    @classmethod
    def open(
        cls,
        path: Path | Sequence[Path] | None,
        *,
        data: Path | None = None,
        clock: WallClock | None = None,
        meters: Meters | None = None,
        watch: bool = False,
        answered: frozenset[str] = frozenset(),
        store: Database | None = None,
        standby: bool = False,
        say: Callable[[str], None] = log.warning,
    ) -> Engine:
        """Opens a data folder and runs its contracts in a thread.

        Args:
            path: Contract files or folders. Applied once, while the ledger is empty; later only compared.
            data: The data folder; without it `.headway` beside the first path.
            clock: The wall clock; the machine's unless told.
            meters: Where curves are enforced; new ones unless told.
            watch: Whether contracts that appear in the files are applied at once.
            answered: Kinds of bindings that the caller answers, `rls` with a data plane; others cannot run.
            store: The database that the ledger is in; a file in the data folder unless told.
            standby: Whether to wait where another server has the store's mandate.
            say: Told for whom this waits.

        Raises:
            Unreadable: The ledger is empty and a document is not valid, or uses what cannot run yet.
            Busy, DataFolder: The folder is held by another engine, or cannot be used; or the store's mandate is another's.
            LedgerStopped: The ledger is damaged, read-only, full or failing; the class says which.
            OverPromised: First stages would together exceed what an upstream guarantees.
        """
        paths = [path] if isinstance(path, Path) else [Path(one) for one in path or ()]
        folder = Folder.locked(data if data is not None else beside(paths))
        meters = meters or Meters()
        try:
            ledger, mandate = open_ledger(folder, store, meters, standby=standby, say=say)
            try:
                files = Files(paths)
                started = start(
                    ledger,
                    clock or MachineClock(),
                    meters,
                    files.read,
                    threads=True,
                    answered=answered,
                    mandate=mandate,
                )
            except BaseException:
                if mandate is not None:
                    mandate.stop()
                ledger.close()
                raise
        except BaseException:
            folder.close()
            raise
        engine = cls(started, folder, files, watch=watch)
        engine._thread = Thread(target=engine._run, name="headway-engine", daemon=True)
        engine._thread.start()
        return engine

    @classmethod
    def memory(
        cls, reading: Reading | None, *, clock: WallClock, meters: Meters, ledger: Ledger | None = None
    ) -> Engine:
        """An engine without files and threads, for tests and simulations: it moves when `turn` is called.

        Args:
            reading: Applied, if the ledger is empty.
            clock: Usually a `ManualClock`.
            meters: Usually on a manual clock, too.
            ledger: Any; one in memory unless told. It is closed with the engine.
        """
        started = start(ledger or Ledger.memory(), clock, meters, lambda: reading, threads=False)
        return cls(started, None, Files([]), watch=False)

    @property
    def at_gates(self) -> AtGates:
        """What gates had when the run before this one ended."""
        return self._started.at_gates

    @property
    def run(self) -> int:
        """The number of this run over its ledger, above those of all before."""
        return self._started.run

    @property
    def mandate(self) -> Mandate | None:
        """Of a store that others can reach; None where the data folder's lock is proof enough."""
        return self._started.mandate

    def close(self) -> None:
        """A clean stop: demands are refused as `closed`, the marks are kept for the next start.

        A second time does nothing.
        """
        if self._is_child:
            # Whoever held the lock at the fork is not in this process.
            return
        with self._closing:
            if self._closed:
                return
            self._closed = True
            self._wake.set()
            if self._thread is not None:
                self._thread.join()
            self._started.stop()
            self._bus.close()
            if self._folder is not None:
                self._folder.close()

    # -- reads

    @property
    def meters(self) -> Meters:
        """The meters: snapshots, counts, stories of refusals."""
        return self._started.meters

    @property
    def data(self) -> Path:
        """The data folder. Closed, where the engine has none."""
        if self._folder is None:
            raise Closed("this engine has no data folder", because="it lives in memory", mend="open it over a folder")
        return self._folder.path

    def now_ms(self) -> int:
        """The engine's UTC."""
        return self._mover.now_ms()

    def names(self) -> list[str]:
        """All contracts, sorted."""
        return sorted(self._mover.board.places)

    def contract(self, name: str) -> Running:
        """One contract. UnknownContract, with the nearest names, where there is none."""
        self._usable()
        return self._running(self._mover.board.place(name))

    def all(self) -> list[Running]:
        """All contracts, by name."""
        self._usable()
        return [self._running(self._mover.board.places[name]) for name in self.names()]

    def agreed(self) -> list[Document]:
        """What runs, as documents that new ones may link to."""
        board = self._mover.board
        return [*board.contracts.values(), *board.calendars.values()]

    def limiter(self, contract: str, workload: str | None = None) -> Limiter:
        """A contract's limit as one workload meets it; the same object for the same names.

        Raises:
            UnknownContract, UnknownWorkload: With the nearest names.
        """
        self._usable()
        place = self._mover.board.place(contract)
        named = workload_of(place.contract, workload)
        with self._closing:
            found = self._limiters.get((contract, named))
            if found is None:
                found = self.meters.limiter(path_of(place.contract, named, self._mover.board.contracts))
                self._limiters[contract, named] = found
            return found

    def matches(self, contract: str) -> Matches | None:
        """How what is said of whoever asks tells a contract's workloads apart; None where none of them has a `match`.

        Raises:
            UnknownContract: With the nearest names.
        """
        self._usable()
        return self._matches.of(self._mover.board.place(contract).contract)

    def timeline(self, name: str, *, from_ms: int | None = None, to_ms: int | None = None, most: int = 500) -> Timeline:
        """A contract's limit over time: past from the ledger, ahead from its curve and what it waits for."""
        running = self.contract(name)
        return timeline_of(
            running.contract,
            self._records(name),
            running.waits,
            now_ms=self.now_ms(),
            published_ms=running.published_ms,
            from_ms=from_ms,
            to_ms=to_ms,
            most=most,
        )

    def explain(self, name: str) -> dict[str, Any]:
        """Why the limit is what it is, since when and by whom, and what it waits for."""
        self._usable()
        board, now_ms = self._mover.board, self.now_ms()
        place = board.place(name)
        spent = dict.fromkeys(spend.contract for spend in place.contract.upstream if spend.contract in board.places)
        return explain.explain(
            place,
            board.causes[name],
            looking.waits(board, place, now_ms, self.clock_status()),
            now_ms=now_ms,
            boot_ms=self._mover.boot_ms(),
            readings=by_meter(self.meters.snapshot()),
            paths=self.meters.paths(),
            upstreams={one: board.places[one] for one in spent},
            drift=[one for one in self.drift() if one.contract == name],
            unguaranteed=[one for one in self._records(name) if one.entry.kind == "unguaranteed"],
            clock=self.clock_status(),
        )

    def explain_ref(self, ref: str) -> dict[str, Any]:
        """The story of a refusal. UnknownRef where it is not, or no longer, known."""
        self._usable()
        story = self.meters.story(ref)
        if story is None:
            raise UnknownRef(
                f"no refusal `{ref[:40]}` is known",
                because="this process keeps the last 4,096 refusals whose ref was read",
                mend="take the ref of a newer refusal, or ask for the contract: headway explain NAME",
            )
        board, now_ms = self._mover.board, self.now_ms()
        place = board.place(str(story["contract"]))
        waits = looking.waits(board, place, now_ms, self.clock_status())
        return explain.explain_ref(story, place, waits, now_ms=now_ms, boot_ms=self._mover.boot_ms())

    def drift(self) -> list[Drift]:
        """Where files and what runs part. Files are read again only where they changed."""
        return drift_of(self._files.read(), self._mover.board.states)

    def clock_status(self) -> ClockStatus:
        """Whether the clock is believed."""
        return self._mover.clock_status

    def ledger(self) -> Ledger:
        """The ledger, to be read: `verify`, `tail`, `records`, `count`."""
        self._usable()
        return self._started.ledger

    def unready(self) -> str:
        """Why nothing moves now; empty where all is well."""
        if self._closed:
            return "the engine was closed"
        if self._mover.stopped is not None:
            return self._mover.stopped.problem
        return "" if self.mandate is None else self.mandate.unready()

    # -- writes

    def submit(self, contract: str, observation: acts.Act) -> Outcome:
        """Carries out an approval or a verb; see `acts.submit`."""
        self._usable()
        return self._moved(acts.submit(self._mover, contract, observation))

    def preview(self, contract: str, observation: acts.Act) -> Preview:
        """What `submit` would do now. Raises what it would."""
        self._usable()
        return acts.preview(self._mover, contract, observation)

    def receive(self, event: EventSeen) -> list[Outcome]:
        """Hands an event to the contracts that ask for it, once; see `acts.receive`."""
        self._usable()
        return self._moved(acts.receive(self._mover, self._started.ledger, event))

    def apply(self, documents: Reading, *, actor: str, reason: str = "", expect: str | None = None) -> Outcome:
        """Puts first versions of contracts in force; see `applying.apply`."""
        self._usable()
        outcome = applying.apply(self._mover, documents, self._declare, actor=actor, reason=reason, expect=expect)
        return self._moved(outcome)

    def note_unguaranteed(self, contract: str, workload: str, token: str, demands: int) -> None:
        """Writes down that gates admitted demands that nobody guaranteed: cut off, under a contract that is open then.

        Args:
            contract: Whose limit it was.
            workload: As which the demands came.
            token: The name of the token that the gate came with.
            demands: How many.

        Raises:
            LedgerStopped: The ledger cannot be written; tell it again later.
        """
        self._usable()
        reason = f"a gate of {token} was cut off and admitted {demands} demands: `when_cut_off: open`"
        evidence = {"workload": workload, "token": token, "demands": demands}
        self._mover.note("unguaranteed", contract, reason, evidence)

    def confirm_clock(self, actor: str, reason: str) -> None:
        """A person says that the clock is right: what waited for it goes on."""
        self._usable()
        self._mover.confirm_clock(actor, reason)
        self._wake.set()

    def subscribe(self, after: int | None = None) -> Subscription:
        """Changes from now on; or from behind the change `after`, of which the last 10,000 are kept."""
        self._usable()
        return self._bus.subscribe(after)

    def turn(self) -> int:
        """Does what is due. For an engine without threads.

        Returns how many ms nothing more will be, at most a second.
        """
        self._usable()
        return self._mover.turn()

    # -- within

    def _run(self) -> None:
        """The loop's thread: sleeps until the next instant that matters, or a signal."""
        while not self._closed:
            try:
                pause_ms = self._mover.turn()
                self._apply_newcomers()
            except Exception:
                # A mistake of ours in one turn must not end enforcement: it is logged, and tried again.
                log.exception("a turn of the engine failed")
                pause_ms = AGAIN_MS
            self._wake.wait(pause_ms / 1000)
            self._wake.clear()

    def _apply_newcomers(self) -> None:
        if not self._watch or not self._files.changed():
            return
        reading = self._files.read()
        if reading is None:
            return
        board = self._mover.board
        try:
            fresh = newcomers(reading, board.states)
            if fresh.contracts or any(board.calendars.get(name) != one for name, one in fresh.calendars.items()):
                outcome = applying.apply(self._mover, fresh, self._declare, actor="headway", reason="its file appeared")
                log.warning("%s", outcome.said)
        except Unreadable as unreadable:
            log.error("a watched file is not valid, what runs goes on:\n%s", unreadable)
        except HeadwayError as error:
            log.error("a watched file was not applied:\n%s", error)
        for one in drift_of(reading, board.states):
            if one.kind != "unreadable":
                log.warning("drift: %s", one.said)

    def _declare(self, contracts: Sequence[Contract]) -> None:
        declare_new(self.meters, contracts)

    def _running(self, place: Place) -> Running:
        state = place.state
        look = partial(looking.waits, self._mover.board, place, self.now_ms(), self.clock_status())
        return Running(
            contract=place.contract,
            state=state,
            curve=place.curve,
            in_force_micro=place.in_force_micro(self._mover.boot_ms()),
            digest=state.digest,
            version=state.version,
            published=place.published,
            published_ms=place.published_ms,
            look=look,
        )

    def _records(self, name: str) -> list[Record]:
        records: list[Record] = []
        while page := self._started.ledger.records(records[-1].seq if records else 0, MOST, name):
            records += page
        return records

    def _moved(self, outcome: T) -> T:
        self._wake.set()
        return outcome

    def _usable(self) -> None:
        if self._is_child:
            where = str(self._folder.path) if self._folder else ""
            raise busy(where, f"process {os.getpid()} was forked from the one that has it open")
        if self._closed:
            raise Closed("the engine was closed", because="nothing is decided after `close`", mend="open it again")

    def _forked(self) -> None:
        """In a forked child. Only flags are set: whoever held a lock at the fork is not there to release it."""
        self._is_child = True
        self.meters.mark_forked()
        if self._folder is not None:
            self._folder.forked()
        # The child must not close the parent's database: it keeps it open, unused, until it ends.
        _kept_by_children.append(self)


_kept_by_children: list[Engine] = []


def _after_fork() -> None:
    for engine in list(_engines):
        engine._forked()


os.register_at_fork(after_in_child=_after_fork)
