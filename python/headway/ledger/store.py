"""The SQLite database under a ledger: how it is made, opened, secured against crashes, and brought to the present schema.

WAL, `synchronous=FULL`: a commit that returned survives a power cut. Writes are `BEGIN IMMEDIATE`, reads see one
snapshot. A new one is made under another name and renamed when it is whole: a file under its own name that is no ledger
was one, or is somebody else's, and is never taken for a fresh start.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import RLock
from typing import Any

from sqlalchemy import Connection, create_engine, event, inspect
from sqlalchemy.engine import URL, Engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool, StaticPool

from headway.ledger.faults import broken, fault_of, told

APPLICATION_ID = 0x48445759
"""`HDWY` in the file's header: a file that is another program's is not touched."""

HEAD = "0003"
"""The newest migration; a test holds it against the folder."""

BUSY_MS = 2_000
"""How long a write waits for a lock of another program before it is `LedgerFailing`."""

NEW = ".new"
"""What a ledger's name ends with until it is whole. One that was left behind by a kill holds nothing yet."""


class Store:
    """One database. `read` and `write` are the only ways in; both turn the database's errors into ours."""

    def __init__(self, engine: Engine, where: str, *, shared: bool) -> None:
        self._engine = engine
        self.where = where
        # In memory all threads share one connection: one at a time, so that no read sees half a transaction.
        self._turn = RLock() if shared else None
        self._writer: Connection | None = None
        event.listen(engine, "connect", _on_connect)
        event.listen(engine, "begin", _on_begin)

    @classmethod
    def file(cls, path: Path, *, read_only: bool = False) -> Store:
        """Opens, or makes, a ledger's file.

        Raises:
            LedgerBroken: It is damaged, empty, cut short, or another program's; or its file is gone and its log is not.
            LedgerReadOnly: It may not be written (unless `read_only`).
            LedgerFull, LedgerFailing: No room; or the disk's own words.
        """
        where = str(path)
        if not os.path.lexists(path):
            if read_only:
                raise fault_of(_cannot_open(where), where)
            _make(path, where)
        store = cls._over(path, "ro" if read_only else "rw", where)
        store._check()
        if not read_only:
            store._keep_a_log()
            store._migrate()
        return store

    @classmethod
    def _over(cls, path: Path, mode: str, where: str) -> Store:
        """SQLite's own `mode`: ro, rw, or rwc, which makes the file."""
        url = URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": mode, "uri": "true"})
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_MS / 1000})
        return cls(engine, where, shared=False)

    @classmethod
    def memory(cls) -> Store:
        """A ledger that ends with the process: tests, simulations, `headway.testing`."""
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        store = cls(engine, "memory", shared=True)
        store._migrate()
        return store

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """One consistent snapshot."""
        with self._turn or nullcontext(), told(self.where), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed at the end; nothing of it remains where an error leaves the block.

        The connection is kept from one write to the next, and given up after an error: only the one writer calls this.
        """
        with self._turn or nullcontext(), told(self.where):
            writer = self._writer or self._engine.connect().execution_options(headway_begin="BEGIN IMMEDIATE")
            self._writer = writer
            try:
                with writer.begin():
                    yield writer
            except (DBAPIError, sqlite3.Error):
                self._release()
                raise

    def close(self) -> None:
        """Ends all connections. The store is not used afterwards."""
        with self._turn or nullcontext():
            self._release()
            self._engine.dispose()

    def _release(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _check(self) -> None:
        """That a file is a ledger, and whole."""
        with self.read() as connection:
            known = connection.exec_driver_sql("PRAGMA application_id").scalar_one()
            tables = set(inspect(connection).get_table_names())
            damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar_one()
        if damage != "ok":
            raise broken(self.where, str(damage))
        if known != APPLICATION_ID and (tables or known):
            raise broken(self.where, "it is a database of another program")
        if "alembic_version" not in tables:
            raise broken(self.where, "it is empty: there is no ledger in it")

    def _keep_a_log(self) -> None:
        """WAL is the file's own property and cannot change inside a transaction."""
        with told(self.where), self._engine.connect() as connection:
            raw = connection.connection.dbapi_connection
            assert raw is not None
            raw.execute("PRAGMA journal_mode=WAL")

    def _migrate(self) -> None:
        with self.write() as connection:
            present = None
            if "alembic_version" in inspect(connection).get_table_names():
                present = connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()
            if present == HEAD:
                return
            if present is not None and present > HEAD:
                raise broken(self.where, f"its schema {present} is newer than this Headway knows ({HEAD})")
            _upgrade(connection, self.where)
            connection.exec_driver_sql(f"PRAGMA application_id = {APPLICATION_ID}")


def _upgrade(connection: Connection, where: str) -> None:
    # Only a new or older ledger pays for loading Alembic.
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "headway.ledger:migrations")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise broken(where, f"its schema is none that this Headway knows: {error}") from error


def _make(path: Path, where: str) -> None:
    """A new ledger, whole or not there at all: a kill on the way leaves `.new` files, which the next start makes anew.

    In the folder of the one to come, so that the rename is one step; both are on the disk before this returns. Whoever
    calls holds the data folder's lock: nobody else makes one here.
    """
    for log in (Path(f"{path}-wal"), Path(f"{path}-journal")):
        if os.path.lexists(log):
            # SQLite would read it into whatever file comes under this name.
            raise broken(where, f"its file is gone, and its log {log.name} is there")
    new = path.with_name(path.name + NEW)
    with told(where):
        for left in (new, Path(f"{new}-journal")):
            left.unlink(missing_ok=True)
        store = Store._over(new, "rwc", where)
        try:
            store._migrate()
        finally:
            store.close()
        _sync(new, os.O_RDWR)
        new.replace(path)
        _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _sync(path: Path, flags: int) -> None:
    descriptor = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _cannot_open(where: str) -> sqlite3.Error:
    error = sqlite3.OperationalError(f"no such file: {where}")
    error.sqlite_errorcode = sqlite3.SQLITE_CANTOPEN
    return error


def _on_connect(raw: Any, _record: Any) -> None:
    # The driver's own transaction handling would begin late and deferred; ours is explicit.
    raw.isolation_level = None
    for pragma in ("foreign_keys=ON", "synchronous=FULL", f"busy_timeout={BUSY_MS}"):
        raw.execute(f"PRAGMA {pragma}")


def _on_begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get("headway_begin", "BEGIN"))
