"""What a database error means for the ledger: which of the ways of failing it was, and how to mend it."""

from __future__ import annotations

import errno
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy.exc import DBAPIError

from headway.errors import LedgerBroken, LedgerFailing, LedgerFull, LedgerReadOnly, LedgerStopped

# Our statements are right: one that SQLite cannot make sense of stands on a damaged schema.
_BROKEN = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_FORMAT, sqlite3.SQLITE_ERROR}
_READ_ONLY = {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_PERM, sqlite3.SQLITE_AUTH}
_OF_ERRNO = {
    errno.EACCES: sqlite3.SQLITE_PERM,
    errno.EPERM: sqlite3.SQLITE_PERM,
    errno.EROFS: sqlite3.SQLITE_READONLY,
    errno.ENOSPC: sqlite3.SQLITE_FULL,
    errno.EDQUOT: sqlite3.SQLITE_FULL,
}

_READ_ONLY_STATES = {"25006", "42501"}
_FULL_STATES = {"53100"}
_AWAY = {"08", "28", "3D", "57"}
"""Classes of SQLSTATE: connection, its authorization, the database's name, an operator's intervention."""


@contextmanager
def told(where: str) -> Iterator[None]:
    """Turns the database's errors, and those of its files, into ours. Every path into the database goes through here.

    Raises:
        LedgerStopped: One of its kinds, by the database's result code.
    """
    try:
        yield
    except DBAPIError as error:
        raise fault_of(error.orig, where) from error
    except (sqlite3.Error, OSError) as error:
        raise fault_of(error, where) from error


def broken(where: str, because: str) -> LedgerBroken:
    """The error for a ledger that contradicts itself."""
    return LedgerBroken(
        "the ledger is damaged",
        because=because,
        mend="keep what is there, restore the last good copy, and check it: headway ledger verify",
        where=where,
    )


def fault_of(error: BaseException | None, where: str) -> LedgerStopped:
    """The kind of one database error. What has no kind of its own is `LedgerFailing`, with the database's words."""
    words = str(error)
    if hasattr(error, "sqlstate"):
        state: str | None = getattr(error, "sqlstate", None)
        return _fault_of_state(state, " ".join(words.split()), where)
    code = _code_of(error)
    if code in _BROKEN:
        return broken(where, words)
    if code in _READ_ONLY:
        return _read_only(where, words, "give the user that runs Headway write access to the file and its folder")
    if code == sqlite3.SQLITE_FULL:
        return _full(where, words)
    if code == sqlite3.SQLITE_CANTOPEN:
        return LedgerFailing(
            "the ledger cannot be opened",
            because=words,
            mend="check that its folder exists and may be read and written",
            where=where,
        )
    if code == sqlite3.SQLITE_BUSY:
        return LedgerFailing(
            "another program keeps the ledger locked",
            because=words,
            mend="close the program that has the file open for writing",
            where=where,
        )
    return LedgerFailing(
        "the ledger cannot be written or read",
        because=words,
        mend="check the disk and its quotas; Headway goes on by itself once it answers",
        where=where,
    )


def _fault_of_state(state: str | None, words: str, where: str) -> LedgerStopped:
    """The same by PostgreSQL's SQLSTATE; None where the server was not reached, or went away."""
    if state is None or state[:2] in _AWAY:
        return LedgerFailing(
            "the ledger's database cannot be reached",
            because=words,
            mend="check that PostgreSQL runs and takes connections; Headway goes on by itself once it answers",
            where=where,
        )
    if state[:2] in ("42", "XX") and state not in _READ_ONLY_STATES:
        return broken(where, words)
    if state in _READ_ONLY_STATES:
        return _read_only(where, words, "give the user that Headway connects as the right to write, on the primary")
    if state in _FULL_STATES:
        return _full(where, words)
    return LedgerFailing(
        "the ledger cannot be written or read",
        because=f"{words} ({state})",
        mend="look into PostgreSQL's log; Headway goes on by itself once it answers",
        where=where,
    )


def _read_only(where: str, words: str, mend: str) -> LedgerReadOnly:
    return LedgerReadOnly("the ledger may not be written", because=words, mend=mend, where=where)


def _full(where: str, words: str) -> LedgerFull:
    mend = "free space on its disk; Headway goes on by itself"
    return LedgerFull("there is no room for another entry in the ledger", because=words, mend=mend, where=where)


def _code_of(error: BaseException | None) -> int:
    if isinstance(error, OSError):
        return _OF_ERRNO.get(error.errno or 0, sqlite3.SQLITE_IOERR)
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
