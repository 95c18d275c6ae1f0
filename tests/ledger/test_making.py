"""A ledger is made whole, or not at all: whatever ends its making, the next start begins anew, and nothing is left over."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from headway.errors import LedgerStopped
from headway.ledger import Ledger
from tests.ledger.ramps import filled


@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
@pytest.mark.parametrize(
    "killed_in", ["headway.ledger.store._upgrade", "headway.ledger.sqlite._sync", "headway.ledger.sqlite.Path.replace"]
)
def test_a_start_after_a_kill_while_the_ledger_was_made_starts_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, killed_in: str
):
    """`kill -9` before its tables, before its bytes are on the disk, before its name: no file has the name yet, so the
    next start makes it, and nothing of the first try is left.
    """
    path = tmp_path / "ledger.db"
    child = os.fork()
    if child == 0:
        monkeypatch.setattr(killed_in, lambda *_: os.kill(os.getpid(), signal.SIGKILL))
        Ledger.open(path)
        os._exit(1)
    assert signal.SIGKILL == os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) * -1
    assert not path.exists()

    ledger = Ledger.open(path)
    filled(ledger)
    assert ledger.verify().ok
    ledger.close()
    assert ["ledger.db"] == [one.name for one in tmp_path.iterdir()]


def test_what_a_kill_left_half_written_is_made_anew(tmp_path: Path):
    """Half a page, and a journal that would be rolled back into it."""
    (tmp_path / "ledger.db.new").write_bytes(b"SQLite format 3\x00 and no more")
    (tmp_path / "ledger.db.new-journal").write_bytes(b"\xd9\xd5\x05\xf9 and no more")

    Ledger.open(tmp_path / "ledger.db").close()

    assert ["ledger.db"] == [one.name for one in tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("number", "code"), [(errno.ENOSPC, "HW504"), (errno.EROFS, "HW503"), (errno.EACCES, "HW503"), (errno.EIO, "HW505")]
)
def test_a_disk_that_fails_while_the_ledger_is_made_says_which_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, code: str
):
    """The rename fails with the system's own error: it is the ledger's, by its kind, and no ledger is there."""

    def fail(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("headway.ledger.sqlite.Path.replace", fail)

    with pytest.raises(LedgerStopped) as raised:
        Ledger.open(tmp_path / "ledger.db")
    assert code == raised.value.code
    assert not (tmp_path / "ledger.db").exists()
