"""The ledger: what happened, before it takes effect, and what must survive beside it.

Entries form a chain (`chain`); states are a cache of their fold; draws, marks and events seen are bookings, not links.
Every write is one transaction on the condition that this run still holds the mandate. Reads come from any thread.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from headway.contract.model import Calendar, Contract
from headway.errors import Fenced
from headway.ledger import reading, tables
from headway.ledger.chain import GENESIS, Record, canonical_json, link
from headway.ledger.faults import broken
from headway.ledger.moves import AtGates, Begun, Draw, Move, Run
from headway.ledger.reading import Verdict
from headway.ledger.store import Store
from headway.ramp.entries import Entry
from headway.ramp.state import RampState

EVENTS_KEPT_MS = 30 * 86_400_000
"""How long an event is remembered; one that comes again after that counts again."""

EVENTS_MOST = 1_000_000
"""How many are remembered; more push out the oldest."""

DRAWS_KEPT_NS = 40 * 86_400_000_000_000
"""Draws of windows that began before that are dropped at a start: no window is longer than a month."""

_DRAW = """
INSERT INTO draw (meter, key, window_start_ns, drawn_micro)
SELECT ?1, ?2, ?3, MAX(0, ?4)
 WHERE ?4 <= (SELECT target_micro FROM target WHERE meter = ?1 AND key IN (?2, '') ORDER BY key DESC LIMIT 1)
    ON CONFLICT (meter, key, window_start_ns) DO UPDATE SET drawn_micro = MAX(0, drawn_micro + ?4)
 WHERE ?4 <= 0
    OR drawn_micro + ?4 <= (SELECT target_micro FROM target WHERE meter = ?1 AND key IN (?2, '') ORDER BY key DESC LIMIT
    1)
"""
"""A draw, if there is room; a row count of 0 says that there was none. `key DESC`.

A key's own target goes before ''.
"""

_MARK = """
INSERT INTO mark (meter, utc_ns) VALUES (?1, ?2)
    ON CONFLICT (meter) DO UPDATE SET utc_ns = MAX(utc_ns, ?2)
"""

_BOOK = """
INSERT INTO booking (contract, workload, holder, key, units_micro) VALUES (?1, ?2, ?3, ?4, MAX(0, ?5))
    ON CONFLICT (contract, workload, holder, key) DO UPDATE SET units_micro = MAX(0, units_micro + ?5)
"""

_LEND = """
INSERT INTO lent_slots (contract, workload, holder, units_micro) VALUES (?1, ?2, ?3, MAX(0, ?4))
    ON CONFLICT (contract, workload, holder) DO UPDATE SET units_micro = MAX(0, units_micro + ?4)
"""

_CEILING = """
INSERT INTO loan_ceiling (contract, workload, units_micro) VALUES (?1, ?2, ?3)
    ON CONFLICT (contract, workload) DO UPDATE SET units_micro = ?3
"""

GRANTED, NO_ROOM = 1, 0


@dataclass(frozen=True, slots=True)
class Loaded:
    """The ledger's word on everything, at a start. `causes`: the last entry of each contract that changed its limit."""

    contracts: dict[str, Contract]
    states: dict[str, RampState]
    calendars: dict[str, Calendar]
    causes: dict[str, tuple[int, Entry]]
    last_ms: int
    last_seq: int


class Ledger:
    """One ledger. `begin` takes the mandate; before it only reads are possible."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._run: int | None = None
        self._events = 0

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Ledger:
        """Opens, or makes, a ledger's file. `read_only` beside a running engine is fine.

        Raises:
            LedgerStopped: Damaged, another program's, read-only, no room, or failing: the class says which.
        """
        return cls(Store.file(path, read_only=read_only))

    @classmethod
    def memory(cls) -> Ledger:
        """A ledger that ends with the process."""
        return cls(Store.memory())

    @property
    def where(self) -> str:
        """The file, or `memory`."""
        return self._store.where

    def close(self) -> None:
        """Lets go of the file. Says nothing about a clean stop; `finish` does."""
        self._store.close()

    # -- the start and the end of a run

    def load(self) -> Loaded:
        """Verifies and folds the whole chain.

        Raises:
            LedgerBroken: Something in it is wrong; the message says what, and the first bad record.
        """
        with self._store.read() as connection:
            walk = reading.replay(connection)
            calendars = {row.name: row.document for row in connection.execute(select(tables.calendar))}
        if not walk.verdict.ok:
            raise broken(self.where, walk.verdict.problem)
        documents = {name: Calendar.model_validate_json(text) for name, text in calendars.items()}
        return Loaded(walk.contracts, walk.states, documents, walk.causes, walk.at_ms, walk.seq)

    def last_run(self) -> Run | None:
        """The latest run, whoever's."""
        with self._store.read() as connection:
            return _last_run(connection)

    def begin(self, boot_id: str, utc_ms: int, boot_ms: int) -> Begun:
        """Takes the mandate from whoever had it, and with it, in the same transaction, what a clean stop left."""
        with self._store.write() as connection:
            before = _last_run(connection)
            marks = connection.execute(select(tables.saved_marks.c.marks)).scalar_one_or_none()
            connection.execute(tables.saved_marks.delete())
            oldest_ns = utc_ms * 1_000_000 - DRAWS_KEPT_NS
            connection.execute(tables.draw.delete().where(tables.draw.c.window_start_ns < oldest_ns))
            drawn = [tuple(row) for row in connection.execute(select(tables.draw))]
            at_gates = _at_gates(connection)
            drawn += [(row.meter, "", 0, row.utc_ns) for row in connection.execute(select(tables.mark))]
            row = {"boot_id": boot_id, "started_ms": utc_ms, "seen_ms": utc_ms, "seen_boot_ms": boot_ms}
            run = connection.execute(tables.run.insert().values(**row)).inserted_primary_key
            assert run is not None
            self._events = connection.execute(select(func.count()).select_from(tables.event_seen)).scalar_one()
        self._run = run[0]
        return Begun(Run(run[0], boot_id, utc_ms, utc_ms, boot_ms, None), before, marks, tuple(drawn), at_gates)

    def beat(self, utc_ms: int, boot_ms: int) -> None:
        """Notes that the run is alive: a later start compares the clocks with it.

        Also the probe whether writing works.
        """
        with self._store.write() as connection:
            run = self._mandate(connection)
            connection.execute(
                tables.run.update().where(tables.run.c.id == run).values(seen_ms=utc_ms, seen_boot_ms=boot_ms)
            )

    def finish(self, utc_ms: int, boot_ms: int, marks: bytes | None) -> None:
        """A clean stop: the meters' marks, if there are any, wait for the next start."""
        with self._store.write() as connection:
            run = self._mandate(connection)
            if marks is not None:
                connection.execute(tables.saved_marks.insert().values(id=1, at_ms=utc_ms, marks=marks))
            row = {"seen_ms": utc_ms, "seen_boot_ms": boot_ms, "stopped_ms": utc_ms}
            connection.execute(tables.run.update().where(tables.run.c.id == run).values(**row))
        self._run = None

    # -- writes: the one writer's

    def commit(self, move: Move) -> tuple[int, ...]:
        """Writes a move, whole. Returns the entries' places in the chain.

        Raises:
            LedgerStopped: It could not be written; nothing of it was.
            Fenced: A later run has the mandate.
            ValueError: An entry lies before the chain's last instant, or its contract's state is not in the move.
        """
        with self._store.write() as connection:
            self._mandate(connection)
            for new in move.versions:
                row = {"name": new.name, "version": new.version, "digest": new.digest}
                row |= {"terms_digest": new.terms_digest, "document": new.document}
                connection.execute(tables.contract_version.insert().values(**row))
            seqs = _append(connection, move)
            _keep_states(connection, move)
            _keep_beside(connection, move)
            self._remember_events(connection, move)
        return seqs

    def draw(self, batch: Sequence[Draw]) -> bytes:
        """Books a batch of durable draws in one transaction. One byte an item: `GRANTED`, or `NO_ROOM` above its
        target.

        The usual case, all granted, is one `executemany`; only where something did not fit is it done again one by one.
        """
        draws = [(one.meter, one.key, one.window_start_ns, one.by_micro) for one in batch if one.kind == "quota_draw"]
        marks = [(one.meter, one.by_micro) for one in batch if one.kind == "rate_mark"]
        booked = [(one.meter, *one.key.split("\n", 2), one.by_micro) for one in batch if one.kind == "booking"]
        lent = [(one.meter, *one.key.split("\n"), one.by_micro) for one in batch if one.kind == "lent_slots"]
        ceilings = [(one.meter, one.key, one.by_micro) for one in batch if one.kind == "loan_ceiling"]
        with self._store.write() as connection:
            self._mandate(connection)
            if marks:
                connection.exec_driver_sql(_MARK, marks)
            if booked:
                connection.exec_driver_sql(_BOOK, booked)
            if lent:
                connection.exec_driver_sql(_LEND, lent)
            if ceilings:
                connection.exec_driver_sql(_CEILING, ceilings)
            if not draws:
                return bytes([GRANTED]) * len(batch)
            attempt = connection.begin_nested()
            if connection.exec_driver_sql(_DRAW, draws).rowcount == len(draws):
                attempt.commit()
                return bytes([GRANTED]) * len(batch)
            attempt.rollback()
            granted = iter([connection.exec_driver_sql(_DRAW, one).rowcount == 1 for one in draws])
            return bytes(GRANTED if one.kind != "quota_draw" or next(granted) else NO_ROOM for one in batch)

    # -- reads

    def seen_ms(self, source: str, id: str) -> int | None:
        """When an event was taken already; None: it was not, or so long ago that it is forgotten."""
        event = tables.event_seen.c
        with self._store.read() as connection:
            query = select(event.at_ms).where(event.source == source, event.id == id)
            return connection.execute(query).scalar()

    def count(self) -> int:
        """How many entries there are."""
        with self._store.read() as connection:
            return connection.execute(select(tables.head.c.seq)).scalar() or 0

    def verify(self) -> Verdict:
        """Reads everything: hashes, gaps, order, documents, and states against the fold."""
        with self._store.read() as connection:
            return reading.replay(connection).verdict

    def replay(self) -> dict[str, RampState]:
        """The states that the entries lead to. LedgerBroken where they lead nowhere."""
        return self.load().states

    def records(self, after_seq: int = 0, most: int = 500, contract: str | None = None) -> list[Record]:
        """Records behind a place in the chain, oldest first."""
        with self._store.read() as connection:
            return reading.records(connection, after_seq, most, contract)

    def tail(self, most: int = 20, contract: str | None = None) -> list[Record]:
        """The last records, oldest first."""
        with self._store.read() as connection:
            return reading.tail(connection, most, contract)

    def _mandate(self, connection: Connection) -> int:
        latest = connection.execute(select(func.max(tables.run.c.id))).scalar()
        if self._run is None or latest != self._run:
            raise Fenced(
                "this run may not write the ledger any more",
                because=f"run {latest} took it over" if self._run else "it did not take the mandate",
                mend="stop this process; the one that took over goes on",
                where=self.where,
            )
        return self._run

    def _remember_events(self, connection: Connection, move: Move) -> None:
        for one in move.events:
            row = {"source": one.source, "id": one.id, "at_ms": one.at_ms}
            connection.execute(tables.event_seen.insert().values(**row))
        if not move.events:
            return
        seen = tables.event_seen
        old = seen.c.at_ms < max(one.at_ms for one in move.events) - EVENTS_KEPT_MS
        gone = connection.execute(seen.delete().where(old)).rowcount
        over = self._events + len(move.events) - gone - EVENTS_MOST
        if over > 0:
            oldest = select(seen.c.at_ms).order_by(seen.c.at_ms).offset(over - 1).limit(1).scalar_subquery()
            gone += connection.execute(seen.delete().where(seen.c.at_ms <= oldest)).rowcount
        self._events += len(move.events) - gone


def _at_gates(connection: Connection) -> AtGates:
    """What gates have; rows of those who have nothing any more go."""
    found = []
    for table in (tables.booking, tables.lent_slots, tables.loan_ceiling):
        connection.execute(table.delete().where(table.c.units_micro == 0))
        found.append(tuple(tuple(row) for row in connection.execute(select(table))))
    return AtGates(*found)


def _last_run(connection: Connection) -> Run | None:
    row = connection.execute(select(tables.run).order_by(tables.run.c.id.desc()).limit(1)).one_or_none()
    return Run(*row) if row else None


def _append(connection: Connection, move: Move) -> tuple[int, ...]:
    """Entries to the chain's end."""
    if not move.entries:
        return ()
    head = connection.execute(select(tables.head)).one_or_none()
    seq, at_ms, previous = (head.seq, head.at_ms, head.hash) if head else (0, 0, GENESIS)
    rows = []
    for entry in move.entries:
        if entry.at_ms < at_ms:
            raise ValueError(f"an entry of {entry.at_ms} after one of {at_ms}: the ledger's time never runs back")
        if entry.contract and entry.contract not in move.states:
            raise ValueError(f"an entry of {entry.contract} without its state")
        state = move.states[entry.contract] if entry.contract else None
        version, digest = (state.version, state.digest) if state else (0, "")
        seq, at_ms, previous = seq + 1, entry.at_ms, link(previous, seq + 1, entry, version, digest)
        rows.append(
            {
                "seq": seq,
                "at_ms": at_ms,
                "contract": entry.contract,
                "kind": entry.kind,
                "actor": entry.actor,
                "reason": entry.reason,
                "evidence": canonical_json(dict(entry.evidence)),
                "body": canonical_json(dict(entry.body)),
                "version": version,
                "digest": digest,
                "hash": previous,
            }
        )
    connection.execute(tables.entry.insert(), rows)
    values = {"seq": seq, "at_ms": at_ms, "hash": previous}
    if head:
        connection.execute(tables.head.update().values(**values))
    else:
        connection.execute(tables.head.insert().values(id=1, **values))
    return tuple(row["seq"] for row in rows)  # type: ignore[misc]


def _keep_states(connection: Connection, move: Move) -> None:
    rows = [(name, state.version, state.as_json()) for name, state in move.states.items()]
    if rows:
        connection.exec_driver_sql(
            "INSERT INTO contract (name, version, state) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (name) DO UPDATE SET version = ?2, state = ?3",
            rows,
        )


def _keep_beside(connection: Connection, move: Move) -> None:
    """Calendars, targets, and windows that are over."""
    if move.calendars:
        connection.exec_driver_sql(
            "INSERT INTO calendar (name, document) VALUES (?1, ?2) ON CONFLICT (name) DO UPDATE SET document = ?2",
            list(move.calendars.items()),
        )
    if move.targets:
        connection.exec_driver_sql(
            "INSERT INTO target (meter, key, target_micro) VALUES (?1, ?2, ?3)"
            " ON CONFLICT (meter, key) DO UPDATE SET target_micro = ?3",
            [(meter, key, most) for (meter, key), most in move.targets.items()],
        )
    if move.closed:
        connection.exec_driver_sql(
            "DELETE FROM draw WHERE meter = ?1 AND window_start_ns < ?2", list(move.closed.items())
        )
