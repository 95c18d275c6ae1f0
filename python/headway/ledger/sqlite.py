"""A ledger's SQLite file: how it is made, opened, and secured against crashes.

WAL, `synchronous=FULL`: a commit that returned survives a power cut. Writes are `BEGIN IMMEDIATE`. A new one is made under
another name and renamed when it is whole: a file under its own name that is no ledger was one, or is somebody else's, and
is never taken for a fresh start.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import create_engine, inspect
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool, StaticPool

from headway.ledger.faults import broken, fault_of, told
from headway.ledger.store import Store

APPLICATION_ID = 0x48445759
"""`HDWY` in the file's header: a file that is another program's is not touched."""

BUSY_MS = 2_000
"""How long a write waits for a lock of another program before it is `LedgerFailing`."""

NEW = ".new"
"""What a ledger's name ends with until it is whole. One that was left behind by a kill holds nothing yet."""


class SqliteStore(Store):
    """A file, or memory. One machine: whoever writes has the data folder's lock."""

    READ = "BEGIN"
    WRITE = "BEGIN IMMEDIATE"
    MAKING = f"PRAGMA application_id = {APPLICATION_ID}"

    @classmethod
    def file(cls, path: Path, *, read_only: bool = False) -> SqliteStore:
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
    def _over(cls, path: Path, mode: str, where: str) -> SqliteStore:
        """SQLite's own `mode`: ro, rw, or rwc, which makes the file."""
        url = URL.create("sqlite", database=path.absolute().as_uri(), query={"mode": mode, "uri": "true"})
        engine = create_engine(url, poolclass=NullPool, connect_args={"timeout": BUSY_MS / 1000})
        return cls(engine, where)

    @classmethod
    def memory(cls) -> SqliteStore:
        """A ledger that ends with the process: tests, simulations, `headway.testing`."""
        engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        store = cls(engine, "memory", shared=True)
        store._migrate()
        return store

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

    def _on_connect(self, raw: Any, _record: Any) -> None:
        # The driver's own transaction handling would begin late and deferred; ours is explicit.
        raw.isolation_level = None
        for pragma in ("foreign_keys=ON", "synchronous=FULL", f"busy_timeout={BUSY_MS}"):
            raw.execute(f"PRAGMA {pragma}")


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
        store = SqliteStore._over(new, "rwc", where)
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
