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
from headway.ledger import mandate, reading, statements, tables, writing
from headway.ledger.chain import Record
from headway.ledger.faults import broken
from headway.ledger.long import kept_as
from headway.ledger.mandate import Held
from headway.ledger.moves import Begun, Draw, Move, Run
from headway.ledger.postgres import Database, PostgresStore
from headway.ledger.reading import Verdict
from headway.ledger.sqlite import SqliteStore
from headway.ledger.store import Store
from headway.ramp.entries import Entry
from headway.ramp.state import RampState

EVENTS_KEPT_MS = 30 * 86_400_000
"""How long an event is remembered; one that comes again after that counts again."""

EVENTS_MOST = 1_000_000
"""How many are remembered; more push out the oldest."""

DRAWS_KEPT_NS = 40 * 86_400_000_000_000
"""Draws of windows that began before that are dropped at a start: no window is longer than a month."""

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
    """One ledger. `take`, or else `begin`, takes the mandate; before it only reads are possible."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._epoch: int | None = None
        self._is_taken = False
        """Whether `take` is how this one comes to the mandate."""
        self._taken_from = ""
        self._events = 0

    @classmethod
    def open(cls, path: Path, *, read_only: bool = False) -> Ledger:
        """Opens, or makes, a ledger's file. `read_only` beside a running engine is fine.

        Raises:
            LedgerStopped: Damaged, another program's, read-only, no room, or failing: the class says which.
        """
        return cls(SqliteStore.file(path, read_only=read_only))

    @classmethod
    def shared(cls, database: Database, *, read_only: bool = False) -> Ledger:
        """Opens a ledger in PostgreSQL, and makes its tables where there are none. Who writes it says `take`.

        Raises:
            LedgerStopped: As `open`.
        """
        return cls(PostgresStore.open(database, read_only=read_only))

    @classmethod
    def memory(cls) -> Ledger:
        """A ledger that ends with the process."""
        return cls(SqliteStore.memory())

    @property
    def where(self) -> str:
        """The file, the database's address, or `memory`."""
        return self._store.where

    def close(self) -> None:
        """Lets go of the database. Says nothing about a clean stop; `finish` does."""
        self._store.close()

    # -- the mandate

    def held(self) -> Held:
        """Who has the mandate, as it stands in the ledger now."""
        with self._store.read() as connection:
            return mandate.held(connection)

    def take(self, seen: Held, holder: str, term_ms: int) -> bool:
        """Takes the mandate from whoever had it as `seen`, and is gone. False where anything was written since.

        Args:
            seen: As `held` said.
            holder: What a second one is told of who has it.
            term_ms: How long it lasts from when a renewal was sent; whoever takes it next without a word waits as long.
        """
        with self._store.write() as connection:
            epoch = mandate.take(connection, holder, term_ms, seen.place or self._store.place, seen)
        if epoch is None:
            return False
        self._epoch, self._is_taken, self._taken_from = epoch, True, seen.place
        return True

    def renew(self, *, settled: bool = True) -> None:
        """Says that this run goes on; beside the writer, from any thread.

        Args:
            settled: Nothing is left of what a copy of the database may lack, so that later runs need not wait for it.

        Raises:
            Fenced: A later run has the mandate.
            LedgerStopped: It could not be said.
        """
        with self._store.aside() as connection:
            if self._epoch is None or not mandate.renew(
                connection, self._epoch, self._store.place if settled else None
            ):
                raise self._fenced(mandate.held(connection))

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
            return writing.last_run(connection)

    def begin(self, boot_id: str, utc_ms: int, boot_ms: int) -> Begun:
        """Begins the run, and takes up, in the same transaction, what a clean stop left.

        Without any `take` before it takes the mandate, too, from whoever had it: whoever calls then has proof that nobody
        else goes on, as the data folder's lock. With it the run begins under the mandate that was taken, once, or not at
        all: whoever was frozen after `take` may find that another one decides.

        Raises:
            Fenced: A later run has the mandate that was taken.
            ValueError: The run of that mandate has begun already.
        """
        with self._store.write() as connection:
            before = writing.last_run(connection)
            epoch, taken_from = self._epoch, self._taken_from
            if not self._is_taken:
                taken_from = mandate.held(connection).place
                epoch = mandate.take(connection, "", 0, self._store.place)
            epoch = self._vet_mandate(connection, epoch)
            if before is not None and before.id == epoch:
                raise ValueError(f"run {epoch} has begun already")
            marks = connection.execute(select(tables.saved_marks.c.marks)).scalar_one_or_none()
            connection.execute(tables.saved_marks.delete())
            oldest_ns = utc_ms * 1_000_000 - DRAWS_KEPT_NS
            connection.execute(tables.draw.delete().where(tables.draw.c.window_start_ns < oldest_ns))
            texts = writing.long_texts(connection)
            drawn = [
                (row.meter, texts.get(row.key) or row.key, row.window_start_ns, row.drawn_micro)
                for row in connection.execute(select(tables.draw))
            ]
            at_gates = writing.at_gates(connection, texts)
            drawn += [(row.meter, "", 0, row.utc_ns) for row in connection.execute(select(tables.mark))]
            row = {"boot_id": boot_id, "started_ms": utc_ms, "seen_ms": utc_ms, "seen_boot_ms": boot_ms}
            connection.execute(tables.run.insert().values(id=epoch, **row))
            self._events = connection.execute(select(func.count()).select_from(tables.event_seen)).scalar_one()
        self._epoch = epoch
        run = Run(epoch, boot_id, utc_ms, utc_ms, boot_ms, None)
        may_lack = bool(taken_from) and taken_from != self._store.place
        return Begun(run, before, marks, tuple(drawn), at_gates, may_lack)

    def beat(self, utc_ms: int, boot_ms: int) -> None:
        """Notes that the run is alive: a later start compares the clocks with it.

        Also the probe whether writing works.
        """
        with self._store.write() as connection:
            run = self._vet_mandate(connection)
            connection.execute(
                tables.run.update().where(tables.run.c.id == run).values(seen_ms=utc_ms, seen_boot_ms=boot_ms)
            )

    def finish(self, utc_ms: int, boot_ms: int, marks: bytes | None) -> None:
        """A clean stop: the meters' marks, if there are any, wait for the next start, and nobody waits for the mandate."""
        with self._store.write() as connection:
            run = self._vet_mandate(connection)
            mandate.let_go(connection)
            if marks is not None:
                connection.execute(tables.saved_marks.insert().values(id=1, at_ms=utc_ms, marks=marks))
            row = {"seen_ms": utc_ms, "seen_boot_ms": boot_ms, "stopped_ms": utc_ms}
            connection.execute(tables.run.update().where(tables.run.c.id == run).values(**row))
        self._epoch = None

    # -- writes: the one writer's

    def commit(self, move: Move) -> tuple[int, ...]:
        """Writes a move, whole. Returns the entries' places in the chain.

        Raises:
            LedgerStopped: It could not be written; nothing of it was.
            Fenced: A later run has the mandate.
            ValueError: An entry lies before the chain's last instant, or its contract's state is not in the move.
        """
        with self._store.write() as connection:
            self._vet_mandate(connection)
            for new in move.versions:
                row = {"name": new.name, "version": new.version, "digest": new.digest}
                row |= {"terms_digest": new.terms_digest, "document": new.document}
                connection.execute(tables.contract_version.insert().values(**row))
            seqs = writing.append(connection, move)
            writing.keep_states(connection, move)
            writing.keep_beside(connection, move)
            self._remember_events(connection, move)
        return seqs

    def draw(self, batch: Sequence[Draw]) -> bytes:
        """Books a batch of durable draws in one transaction. One byte an item: `GRANTED`, or `NO_ROOM` above its
        target.

        The usual case, all granted, is one `executemany`; only where something did not fit is it done again one by one.
        """
        rows, texts = statements.rows_of(batch)
        with self._store.write() as connection:
            self._vet_mandate(connection)
            writing.keep_texts(connection, texts)
            for kind, statement in statements.BOOKED.items():
                if rows[kind]:
                    statement.run(connection, rows[kind])
            draws = rows["quota_draw"]
            if not draws:
                return bytes([GRANTED]) * len(batch)
            attempt = connection.begin_nested()
            if statements.DRAW.run(connection, draws) == len(draws):
                attempt.commit()
                return bytes([GRANTED]) * len(batch)
            attempt.rollback()
            granted = iter([statements.DRAW.run(connection, [one]) == 1 for one in draws])
            return bytes(GRANTED if one.kind != "quota_draw" or next(granted) else NO_ROOM for one in batch)

    # -- reads

    def seen_ms(self, source: str, id: str) -> int | None:
        """When an event was taken already; None: it was not, or so long ago that it is forgotten."""
        event = tables.event_seen.c
        with self._store.read() as connection:
            query = select(event.at_ms).where(event.source == kept_as(source), event.id == kept_as(id))
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

    def _vet_mandate(self, connection: Connection, epoch: int | None = None) -> int:
        """The epoch of a run that may write; until the transaction ends nobody takes the mandate from it."""
        mine, held = epoch or self._epoch, mandate.held(connection, keep=True)
        if mine is None or held.epoch != mine:
            raise self._fenced(held)
        return mine

    def _fenced(self, held: Held) -> Fenced:
        by = f" ({held.holder})" if held.holder else ""
        return Fenced(
            "this run may not write the ledger any more",
            because=f"run {held.epoch}{by} took it over" if self._epoch else "it did not take the mandate",
            mend="stop this process; the one that took over goes on",
            where=self.where,
        )

    def _remember_events(self, connection: Connection, move: Move) -> None:
        for one in move.events:
            row = {"source": kept_as(one.source), "id": kept_as(one.id), "at_ms": one.at_ms}
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
