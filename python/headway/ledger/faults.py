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
        mend="keep the file, restore the last good copy, and check it: headway ledger verify",
        where=where,
    )


def fault_of(error: BaseException | None, where: str) -> LedgerStopped:
    """The kind of one database error. What has no kind of its own is `LedgerFailing`, with the database's words."""
    code = _code_of(error)
    words = str(error)
    if code in _BROKEN:
        return broken(where, words)
    if code in _READ_ONLY:
        return LedgerReadOnly(
            "the ledger may not be written",
            because=words,
            mend="give the user that runs Headway write access to the file and its folder",
            where=where,
        )
    if code == sqlite3.SQLITE_FULL:
        return LedgerFull(
            "there is no room for another entry in the ledger",
            because=words,
            mend="free space on its disk; Headway goes on by itself",
            where=where,
        )
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


def _code_of(error: BaseException | None) -> int:
    if isinstance(error, OSError):
        return _OF_ERRNO.get(error.errno or 0, sqlite3.SQLITE_IOERR)
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    return code & 0xFF
