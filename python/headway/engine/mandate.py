"""The mandate of a server whose ledger others can reach: waited for, taken, renewed, and lost.

While it lasts this process decides, and nobody else; what it lends and assigns is its own. It counts from *before* a renewal
was sent. Whoever takes it over without a word from the one before watches that one's row for a whole term in which it does
not change, on its own clock, and only then writes: so nothing is cut, lent or admitted under two mandates, whatever the two
clocks say. A server that was frozen finds its mandate over when it wakes, before it has asked anybody.

Source: docs/leases.md, *Keepers*; docs/operate.md.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from threading import Event, Thread
from typing import Protocol

from headway.contract.model import Contract
from headway.errors import Busy, Fenced, LedgerFailing, LedgerStopped
from headway.ledger import Held, Ledger

log = logging.getLogger("headway.engine")

TERM_MS = 5_000
"""How long a mandate lasts. A server that dies is missed for a little longer; one that cannot reach its database goes on for
as long.
"""

EPS_PPM = 1_000
"""How far clocks that count durations are off, at most."""

PPM = 1_000_000
MS = 1_000_000
"""Nanoseconds."""

LOOKS = 10
"""A term, by how often who waits looks at it; and by how soon a renewal that failed is tried again."""


class Decides(Protocol):
    """Where demands are decided: the core's `Meters`."""

    def decide_until(self, boot_ns: int, /) -> None: ...


class Boot(Protocol):
    """The clock that the meters go by."""

    def boot_ns(self) -> int: ...


def longest_ms(contracts: Iterable[Contract]) -> int:
    """After so long nothing is left of what any of them had lent: each lease has ended, and what was in flight with it."""
    return max(
        (
            one.enforce.drain_within_ms
            + max((held.max_hold_ms for held in one.constraint.values() if held.measure == "concurrency"), default=0)
            for one in contracts
        ),
        default=0,
    )


class Mandate:
    """A ledger's mandate, from when it is waited for.

    Args:
        ledger: In a database that others may reach.
        meters: They decide while the mandate lasts; not before, either.
        clock: The meters'.
        holder: What a second server is told of who has it.
        term_ms: How long it lasts.
        pause: Waits so many seconds, or until the event is set.
    """

    def __init__(
        self,
        ledger: Ledger,
        meters: Decides,
        clock: Boot,
        holder: str,
        *,
        term_ms: int = TERM_MS,
        pause: Callable[[Event, float], bool] = Event.wait,
    ) -> None:
        self._ledger = ledger
        self._meters = meters
        self._clock = clock
        self._holder = holder
        self._term_ms = term_ms
        self._pause = pause
        self._stopping = Event()
        self._until_ns = 0
        self._quiet_until_ns: int | None = None
        self._renewed_ns = 0
        self._failing = False
        self._thread: Thread | None = None
        self.lost: LedgerStopped | None = None
        """Why it is gone for good, once it is."""
        self._told: Callable[[], None] | None = None
        meters.decide_until(0)

    # -- waiting for it

    def acquire(self, *, standby: bool, say: Callable[[str], None]) -> None:
        """Takes it once nobody has it.

        Args:
            standby: Waits while another server lives; without, that one is named in the error.
            say: Told, once, for whom this waits.

        Raises:
            Busy: Another server lives, and this is no standby.
            LedgerStopped: The database cannot be reached; a standby waits for it, too.
        """
        watched: Held | None = None
        since_ns, waits = 0, False
        while True:
            try:
                held = self._ledger.held()
                # After the answer: the renewal that it shows was sent before.
                now_ns = self._clock.boot_ns()
                if watched is not None and held != watched and held.term_ms and not standby:
                    raise self._busy(held)
                if held != watched:
                    watched, since_ns = held, now_ns
                if now_ns - since_ns >= held.term_ms * MS * (PPM + EPS_PPM) // PPM:
                    self._renewed_ns = self._clock.boot_ns()
                    if self._ledger.take(held, self._holder, self._term_ms):
                        return
                    watched = None
            except LedgerFailing as failing:
                if not standby:
                    raise
                log.warning("standby: %s", failing)
                # What was not seen may have changed.
                watched = None
            if watched is not None and watched.term_ms and not waits:
                waits = True
                say(f"{watched.holder} has the mandate of {self._ledger.where}: waiting until it ends")
            self._pause(self._stopping, self._term_ms / LOOKS / 1000)

    def _busy(self, held: Held) -> Busy:
        return Busy(
            "one server at a time writes this store",
            because=f"{held.holder} has its mandate, and renews it",
            mend="stop that one first, or start this one with --standby: it takes over when that one ends",
            where=self._ledger.where,
        )

    # -- keeping it

    def start(self) -> None:
        """Renews it from now on. The meters decide once the run has begun."""
        self._renewed(self._renewed_ns)
        self._thread = Thread(target=self._run, name="headway-mandate", daemon=True)
        self._thread.start()

    def begun(self, quiet_ms: int = 0) -> None:
        """The run has begun: demands are decided from now on, or after so long, where what was lent before may not be known and
        has to end by itself.
        """
        now_ns = self._clock.boot_ns()
        self._quiet_until_ns = now_ns + quiet_ms * MS * (PPM + EPS_PPM) // PPM
        if self._quiet_until_ns <= now_ns and self.lost is None:
            self._meters.decide_until(self._until_ns)

    def stop(self) -> None:
        """Renews no more. What remains of it may be let go of in the ledger."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def unready(self) -> str:
        """Why nothing is decided now; empty where it is."""
        now_ns = self._clock.boot_ns()
        if self.lost is not None:
            return self.lost.problem
        if self._quiet_until_ns is None or now_ns < self._quiet_until_ns:
            return "the database is another copy than before: what was lent under the one before has to end first"
        return "" if now_ns < self._until_ns else "the mandate could not be renewed in time"

    def end(self, stopped: LedgerStopped) -> None:
        """It is lost for good: nothing is decided from now on."""
        if self.lost is None:
            self.lost = stopped
            self._stopping.set()
            self._meters.decide_until(0)
            log.error("this server has lost its mandate: %s", stopped)
            if self._told is not None:
                self._told()

    def tell_lost(self, told: Callable[[], None]) -> None:
        """Calls `told`, in whatever thread, once it is lost for good; at once where it is."""
        self._told = told
        if self.lost is not None:
            told()

    def renew(self) -> float:
        """Renews it once. Returns after how many seconds that is to be done again."""
        sent_ns = self._clock.boot_ns()
        try:
            self._ledger.renew(settled=self._is_settled(sent_ns))
        except Fenced as fenced:
            self.end(fenced)
            return 0.0
        except LedgerStopped as stopped:
            if not self._failing:
                log.warning("the mandate could not be renewed: %s", stopped)
            self._failing = True
            return self._term_ms / LOOKS / 1000
        if self._failing:
            log.warning("the mandate is renewed again")
        self._failing = False
        self._renewed(sent_ns)
        return self._term_ms / 3 / 1000

    def _renewed(self, sent_ns: int) -> None:
        self._until_ns = sent_ns + self._term_ms * MS * PPM // (PPM + EPS_PPM)
        if self._is_settled(sent_ns) and self.lost is None:
            self._meters.decide_until(self._until_ns)

    def _is_settled(self, now_ns: int) -> bool:
        return self._quiet_until_ns is not None and now_ns >= self._quiet_until_ns

    def _run(self) -> None:
        pause_s = self._term_ms / 3 / 1000
        while not self._pause(self._stopping, pause_s):
            pause_s = self.renew()
