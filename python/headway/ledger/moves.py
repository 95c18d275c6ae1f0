"""What the engine hands to the ledger, as one value a transaction: written whole, or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from headway.ramp.entries import Entry
from headway.ramp.state import RampState


@dataclass(frozen=True, slots=True)
class NewVersion:
    """A version of a contract that an `applied` entry of the same move puts in force."""

    name: str
    version: int
    digest: str
    terms_digest: str
    document: str


@dataclass(frozen=True, slots=True)
class Event:
    """An event's identity, remembered so that it counts once."""

    source: str
    id: str
    at_ms: int


@dataclass(frozen=True, slots=True)
class Move:
    """One transaction of the engine.

    Attributes:
        entries: In order; `at_ms` never decreases. Each one's contract is in `states`, or empty.
        states: The states after the entries, of every contract that moved.
        versions: Documents that are new.
        calendars: Calendar documents as JSON, by name: new ones, or ones that replace.
        events: Those to remember.
        targets: (meter, key) -> the most it may have drawn in one window from now on.
        closed: Meter -> UTC ns: draws of windows that started before are not needed any more.
    """

    entries: tuple[Entry, ...] = ()
    states: Mapping[str, RampState] = field(default_factory=dict)
    versions: tuple[NewVersion, ...] = ()
    calendars: Mapping[str, str] = field(default_factory=dict)
    events: tuple[Event, ...] = ()
    targets: Mapping[tuple[str, str], int] = field(default_factory=dict)
    closed: Mapping[str, int] = field(default_factory=dict)


class Draw(Protocol):
    """One durable draw, as the compiled core's `Growth` says it."""

    @property
    def kind(self) -> str: ...
    @property
    def meter(self) -> str: ...
    @property
    def key(self) -> str: ...
    @property
    def by_micro(self) -> int: ...
    @property
    def window_start_ns(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Run:
    """One start of the engine; its `id` is the epoch of its mandate."""

    id: int
    boot_id: str
    started_ms: int
    seen_ms: int
    seen_boot_ms: int
    stopped_ms: int | None


@dataclass(frozen=True, slots=True)
class AtGates:
    """What gates had when a run ended, and may have still.

    Attributes:
        booked: (contract, workload, holder, key, units_micro) of slots asked for one by one.
        lent: (contract, workload, holder, units_micro) of slots that are lent.
        ceilings: (contract, workload, units_micro) of rates: what may be on loan.
    """

    booked: tuple[tuple[str, str, str, str, int], ...] = ()
    lent: tuple[tuple[str, str, str, int], ...] = ()
    ceilings: tuple[tuple[str, str, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Begun:
    """What a new run takes over.

    Attributes:
        run: The new run.
        before: The one before; None for a fresh ledger. Without `stopped_ms` it crashed.
        marks: The meters as saved by a clean stop; gone from the ledger with this.
        drawn: (meter, key, window_start_ns, drawn_micro); of rate marks (meter, "", 0, utc_ns).
        at_gates: What gates have.
        may_lack: The database is another copy than the run before wrote: what that one wrote last may be missing.
    """

    run: Run
    before: Run | None
    marks: bytes | None
    drawn: tuple[tuple[str, str, int, int], ...]
    at_gates: AtGates = field(default_factory=AtGates)
    may_lack: bool = False
