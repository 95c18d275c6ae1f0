"""The data folder: one engine each.

Its lock is the kernel's (`flock`), so it ends with the process, however that ends.
"""

from __future__ import annotations

import fcntl
import os
import stat
from pathlib import Path

from headway.errors import Busy, DataFolder

LEDGER = "ledger.db"
LOCK = "lock"
NAME = ".headway"

_MEND = "open a data folder of its own here, or run `headway serve` once and call it over HTTP"


class Folder:
    """A locked data folder. `close` lets go of it."""

    def __init__(self, path: Path, lock: int) -> None:
        self.path = path
        self._lock: int | None = lock

    @classmethod
    def locked(cls, path: Path) -> Folder:
        """Makes the folder where it is absent (0700), and locks it.

        Raises:
            Busy: Another engine holds it, in this process or another one.
            DataFolder: It cannot be made, is no folder, or may not be written.
        """
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Never through a link: what it leads to would be written over.
            lock = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK, 0o600)
        except OSError as error:
            raise DataFolder(
                "the data folder cannot be used",
                because=f"{error.strerror}: {error.filename}",
                mend="name a folder that you may write, with `data=` or --data",
                where=str(path),
            ) from error
        if not stat.S_ISREG(os.fstat(lock).st_mode):
            os.close(lock)
            raise DataFolder(
                "the data folder cannot be used",
                because=f"its `{LOCK}` is no file",
                mend="take it away, or name another folder with `data=` or --data",
                where=str(path),
            )
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            holder = os.pread(lock, 64, 0).decode("ascii", "replace").strip()
            os.close(lock)
            raise busy(str(path), f"process {holder or 'unknown'} has it open") from error
        os.ftruncate(lock, 0)
        os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
        return cls(path, lock)

    @property
    def ledger(self) -> Path:
        """Where the ledger lies."""
        return self.path / LEDGER

    def close(self) -> None:
        """Unlocks. A second time does nothing."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def forked(self) -> None:
        """In a forked child: lets go of the copy. The lock is the parent's until the parent lets go."""
        self.close()


def busy(where: str, because: str) -> Busy:
    """HW501, with its mend."""
    return Busy("one data folder has one engine", because=because, mend=_MEND, where=where)


def beside(paths: list[Path]) -> Path:
    """Where data lies that nobody named: `.headway` beside the first path, in the working directory where there is
    none.

    Beside a folder that holds the working directory would be outside of the project: there, too, it is the working
    directory's own.
    """
    here = Path.cwd()
    if not paths:
        return here / NAME
    first = paths[0].absolute()
    return here / NAME if here == first or first in here.parents else first.parent / NAME
