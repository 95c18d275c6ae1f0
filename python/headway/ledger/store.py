"""The database under a ledger: one writer, readers beside it, and a schema that is brought to the present one.

Which database it is says a subclass: `sqlite` on one machine, `postgres` where several share it. What is written in it is
the same for both, and stands in `ledger`.
"""

from __future__ import annotations

import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from threading import RLock
from typing import Any, ClassVar

from sqlalchemy import Connection, event, inspect
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

from headway.ledger.faults import broken, told

HEAD = "0004"
"""The newest migration; a test holds it against the folder."""


class Store(ABC):
    """One database. `read`, `write` and `aside` are the only ways in; all turn the database's errors into ours."""

    READ: ClassVar[str]
    """How a transaction that only reads begins: it sees one snapshot."""

    WRITE: ClassVar[str]
    """How one that writes does."""

    MAKING: ClassVar[str]
    """What goes before tables are made: it keeps others from it, or says whose they are."""

    def __init__(self, engine: Engine, where: str, *, shared: bool = False) -> None:
        self._engine = engine
        self.where = where
        # In memory all threads share one connection: one at a time, so that no read sees half a transaction.
        self._turn = RLock() if shared else None
        self._writer: Connection | None = None
        self._follow(engine)

    @property
    def place(self) -> str:
        """Which copy of the database this is; empty where there are no copies that could lag behind."""
        return ""

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
            writer = self._writer or self._writing()
            self._writer = writer
            try:
                with writer.begin():
                    yield writer
            except (DBAPIError, sqlite3.Error):
                self._release()
                raise

    @contextmanager
    def aside(self) -> Iterator[Connection]:
        """One transaction beside the writer's, from any thread."""
        with self._turn or nullcontext(), told(self.where), self._writing() as connection, connection.begin():
            yield connection

    def close(self) -> None:
        """Ends all connections. The store is not used afterwards."""
        with self._turn or nullcontext():
            self._release()
            self._engine.dispose()

    def _follow(self, engine: Engine) -> None:
        event.listen(engine, "connect", self._on_connect)
        event.listen(engine, "begin", self._on_begin)

    def _writing(self) -> Connection:
        return self._engine.connect().execution_options(headway_begin=self.WRITE)

    def _release(self) -> None:
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.close()

    def _migrate(self) -> None:
        """Makes the tables, or brings them to the present schema. LedgerBroken where it is newer than this Headway."""
        with self.write() as connection:
            if _schema(connection) == HEAD:
                return
            connection.exec_driver_sql(self.MAKING)
            # Somebody else may have made them while this waited.
            present = _schema(connection)
            if present is not None and present > HEAD:
                raise broken(self.where, f"its schema {present} is newer than this Headway knows ({HEAD})")
            if present != HEAD:
                _upgrade(connection, self.where)

    @abstractmethod
    def _on_connect(self, raw: Any, _record: Any) -> None:
        """Makes a new connection of the driver what this store needs."""

    def _on_begin(self, connection: Connection) -> None:
        connection.exec_driver_sql(connection.get_execution_options().get("headway_begin", self.READ))


def _schema(connection: Connection) -> str | None:
    """The migration that a database is at; None where there are no tables."""
    if "alembic_version" not in inspect(connection).get_table_names():
        return None
    return connection.exec_driver_sql("SELECT version_num FROM alembic_version").scalar()


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
