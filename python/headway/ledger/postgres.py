"""A ledger in PostgreSQL: several machines may reach it, one of them at a time has its mandate.

A commit is acknowledged when it is on the server's disk (`synchronous_commit=on`). A commit whose answer was lost is looked
up by its transaction's number before anything else is written. What is waited for has an end: a connection, a lock, a
statement, an idle transaction of a client that is frozen.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from sqlalchemy import Connection, create_engine, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.pool import NullPool

from headway.contract.addresses import store_of
from headway.errors import Fenced, LedgerFailing, LedgerReadOnly, LedgerStopped
from headway.ledger.faults import broken
from headway.ledger.store import Store

CONNECT_S = 3
"""How long a connection may take."""

LOCK_MS = 2_000
"""How long a statement waits for a lock of another program before it is `LedgerFailing`."""

STATEMENT_MS = 30_000
"""How long one statement may take."""

IDLE_MS = 5_000
"""How long a transaction may stand still; a client that is frozen in one loses it, and its locks with it."""

READERS = 4
"""Connections for readers, kept open; more readers wait."""

LOOKS, LOOK_S = 60, 0.1
"""How often the fate of a commit is looked for before it is left open until the next write, and the pause between: longer
than `IDLE_MS`, so that a transaction whose client is gone is gone as well.
"""

SILENT_MS = 5_000
"""How long a server may leave what was sent unacknowledged, on the network's level."""

_UNDER_WAY = "in progress"

TABLES_KEY = 0x48445759
"""Of the advisory lock under which tables are made: two servers may start at once."""

_SETTINGS = {
    "synchronous_commit": "on",
    "statement_timeout": STATEMENT_MS,
    "lock_timeout": LOCK_MS,
    "idle_in_transaction_session_timeout": IDLE_MS,
    "client_encoding": "UTF8",
    "TimeZone": "UTC",
}

OLDEST = 13
"""The first PostgreSQL that tells the fate of a transaction by a number that never comes again."""

_PLACE = """
SELECT current_setting('server_version_num')::int / 10000, pg_is_in_recovery(), (SELECT system_identifier FROM pg_control_system()),
       CASE WHEN pg_is_in_recovery() THEN '' ELSE substr(pg_walfile_name(pg_current_wal_insert_lsn()), 1, 8) END
"""
"""Its version, whether it is a standby, which cluster it is, and its timeline: another one than before, and it is a copy
that was promoted.
"""


@dataclass(frozen=True, slots=True)
class Database:
    """Where a ledger's database is. Its `repr` holds no secret: a password is read where a connection is made.

    Attributes:
        where: The address, without password and options.
        user, host, port, name: As written; empty or None where libpq's own defaults stand.
        options: Of libpq, the password's place among them.
    """

    where: str
    user: str
    host: str
    port: int | None
    name: str
    options: tuple[tuple[str, str], ...] = field(repr=False)

    @classmethod
    def of(cls, text: str) -> Database:
        """Takes `postgresql://…` apart. Mistake where it is none; see `store_of`."""
        url = urlsplit(store_of(text))
        user, name = unquote(url.username or ""), unquote(url.path[1:])
        where = f"postgresql://{url.netloc}/{url.path[1:]}"
        return cls(where, user, url.hostname or "", url.port, name, tuple(parse_qsl(url.query)))

    def connecting(self) -> dict[str, Any]:
        """What the driver is told, the password included, read now.

        Raises:
            LedgerFailing: The place of the password holds none.
        """
        told = dict(self.options)
        if "password" in told:
            told["password"] = _secret(told["password"], self.where)
        known = {"user": self.user, "host": self.host, "port": self.port, "dbname": self.name}
        return {name: value for name, value in known.items() if value} | told


def _secret(place: str, where: str) -> str:
    kind, _, name = place.partition(":")
    try:
        text = os.environ.get(name, "") if kind == "env" else Path(name).read_text(encoding="utf-8").rstrip("\r\n")
    except (OSError, UnicodeDecodeError):
        text = ""
    if not text:
        raise LedgerFailing(
            "the store's password is not where it should be",
            because=f"{place} is empty, or cannot be read",
            mend="set it, or say with `?password=` where it is",
            where=where,
        )
    return text


class PostgresStore(Store):
    """A database of a PostgreSQL server."""

    READ = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
    WRITE = "BEGIN"
    MAKING = f"SELECT pg_advisory_xact_lock({TABLES_KEY})"

    def __init__(self, database: Database) -> None:
        readers = {"pool_size": READERS, "max_overflow": 0, "pool_timeout": CONNECT_S, "pool_pre_ping": True}
        super().__init__(_engine(database, **readers), database.where)
        # Readers must not keep the writer, nor the mandate's renewal, waiting for a connection.
        self._apart = _engine(database, poolclass=NullPool)
        self._follow(self._apart)
        self._place: str | None = None
        self._asked = ""

    @classmethod
    def open(cls, database: Database, *, read_only: bool = False) -> PostgresStore:
        """Connects; makes the tables where there are none, unless `read_only`.

        Raises:
            LedgerBroken: Its schema is newer, damaged, or another program's; or there is none, and `read_only`.
            LedgerReadOnly: It is a standby, or the user may not write.
            LedgerFailing: It cannot be reached, or says no; with its own words.
        """
        store = cls(database)
        try:
            with store.read() as connection:
                tables = set(inspect(connection).get_table_names())
            if tables and "alembic_version" not in tables:
                raise broken(store.where, "its tables are another program's: give the ledger a database of its own")
            if read_only and not tables:
                raise broken(store.where, "it is empty: there is no ledger in it")
            if not read_only:
                store._migrate()
        except BaseException:
            store.close()
            raise
        return store

    @property
    def place(self) -> str:
        """The cluster and its timeline."""
        if self._place is None:
            with self.read():
                pass
        return self._place or ""

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """As every store's; where the answer to its commit is lost, its fate is looked up.

        Raises:
            Fenced: An earlier write turned out to be in the ledger, of which this process was told that it is not.
        """
        self._settle()
        number = ""
        try:
            with super().write() as connection:
                asked = connection.exec_driver_sql("SELECT pg_current_xact_id()::text").scalar_one()
                yield connection
                number = asked
        except LedgerStopped:
            if not number:
                raise
            # The error came from the commit itself, or from the way back.
            self._asked = number
            if not self._is_committed(number):
                self._asked = ""
                raise
            self._asked = ""

    def close(self) -> None:
        """Ends all connections."""
        super().close()
        self._apart.dispose()

    def _writing(self) -> Connection:
        return self._apart.connect().execution_options(headway_begin=self.WRITE)

    def _settle(self) -> None:
        """What became of a commit that was left open."""
        if self._asked and self._is_committed(self._asked):
            raise Fenced(
                "this run may not write the ledger any more",
                because="a move of which it was told that it failed is in the ledger after all",
                mend="start this process again; it goes on from the ledger",
                where=self.where,
            )
        self._asked = ""

    def _is_committed(self, number: str) -> bool:
        """Whether a transaction was committed, asked for as long as it may still be under way.

        Raises:
            LedgerStopped: It cannot be known now.
        """
        status: str | None = _UNDER_WAY
        for look in range(LOOKS):
            try:
                with self.aside() as connection:
                    query = "SELECT pg_xact_status(%s::text::xid8)"
                    status = connection.exec_driver_sql(query, (number,)).scalar()
            except LedgerFailing:
                if look == LOOKS - 1:
                    raise
            if status != _UNDER_WAY:
                return bool(status == "committed")
            time.sleep(LOOK_S)
        raise LedgerFailing(
            "what became of the last move is not known yet",
            because="the database still has it under way",
            mend="nothing: it is asked again before anything else is written",
            where=self.where,
        )

    def _on_connect(self, raw: Any, _record: Any) -> None:
        """Looks where this is. Fenced where it is another copy than before: it may lack what was committed there."""
        version, is_standby, cluster, timeline = raw.execute(_PLACE).fetchone()
        if version < OLDEST:
            raise LedgerFailing(
                "this PostgreSQL is too old",
                because=f"it is version {version}",
                mend=f"use version {OLDEST} or newer",
                where=self.where,
            )
        if is_standby:
            raise LedgerReadOnly(
                "the ledger may not be written",
                because="this PostgreSQL is a standby",
                mend="name the primary, or promote this one",
                where=self.where,
            )
        place = f"{cluster}/{timeline}"
        if self._place not in (None, place):
            raise Fenced(
                "this run may not write the ledger any more",
                because=f"the database is another copy: {place}, and was {self._place}",
                mend="start this process again; it goes on from what this copy has",
                where=self.where,
            )
        self._place = place


def _engine(database: Database, **pool: Any) -> Engine:
    """Connections are made by us, so that no address with a password is kept anywhere."""
    try:
        import psycopg
    except ImportError as error:
        raise LedgerFailing(
            "PostgreSQL cannot be spoken to",
            because="the package psycopg is not installed",
            mend="pip install 'headway[postgres]'",
            where=database.where,
        ) from error

    def connect() -> Any:
        return psycopg.connect(
            **database.connecting(),
            autocommit=True,
            connect_timeout=CONNECT_S,
            application_name="headway",
            options=" ".join(f"-c {name}={value}" for name, value in _SETTINGS.items()),
            tcp_user_timeout=SILENT_MS,
            keepalives_idle=1,
            keepalives_interval=1,
            keepalives_count=SILENT_MS // 1_000,
        )

    return create_engine("postgresql+psycopg://", creator=connect, **pool)
