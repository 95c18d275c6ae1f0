"""How a ledger's file fails, and that it says which way: damaged, another program's, read-only, full."""

from __future__ import annotations

import os
import sqlite3
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from headway.errors import LedgerBroken, LedgerFailing, LedgerFull, LedgerReadOnly
from headway.ledger import Ledger, Move
from headway.ledger.faults import fault_of
from headway.ledger.sqlite import APPLICATION_ID, SqliteStore
from headway.ledger.store import HEAD
from headway.ledger.tables import metadata
from tests.ledger.ramps import Growth, applied, contract_of, event, filled, moved


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A ledger's file with five records in it, closed."""
    path = tmp_path / "ledger.db"
    ledger = Ledger.open(path)
    filled(ledger)
    ledger.close()
    return path


def test_migrations_make_the_tables_that_are_used(tmp_path: Path):
    """The schema that migrations build, and the one that SQLAlchemy is told, do not differ; the newest one is known."""
    Ledger.open(tmp_path / "ledger.db").close()
    store = SqliteStore.file(tmp_path / "ledger.db")

    with store.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    store.close()

    assert [] == differences
    folder = Path(__file__).parents[2] / "python" / "headway" / "ledger" / "migrations"
    assert HEAD == ScriptDirectory(str(folder)).get_current_head()


def test_a_commit_survives_a_power_cut(path: Path):
    """WAL with full synchronisation, foreign keys on: read back from the connection that writes."""
    store = SqliteStore.file(path)
    with store.write() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {one}").scalar()
            for one in ("journal_mode", "synchronous", "foreign_keys")
        ]
    store.close()

    assert ["wal", 2, 1] == found


def test_what_was_written_is_there_after_a_restart(path: Path):
    """Close, open, verify: five records."""
    ledger = Ledger.open(path)

    assert 5 == ledger.count()
    assert ledger.verify().ok
    ledger.close()


def test_a_ledger_is_read_beside_the_one_who_writes(path: Path):
    """`headway ledger tail` beside a running engine reads, and cannot write."""
    writing = Ledger.open(path)
    writing.begin("boot", 30_000, 30_000)
    reading = Ledger.open(path, read_only=True)

    writing.commit(applied(contract_of("other"), 30_000)[0])

    assert 6 == reading.count()
    assert reading.verify().ok
    with pytest.raises(LedgerReadOnly):
        reading.begin("boot", 31_000, 31_000)
    reading.close()
    writing.close()


def test_a_file_that_is_not_there_is_not_made_by_reading(tmp_path: Path):
    """Looking at a ledger leaves no file behind."""
    with pytest.raises(LedgerFailing, match="cannot be opened"):
        Ledger.open(tmp_path / "none.db", read_only=True)

    assert [] == list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "content",
    [b"", b"contract: api\n" * 100, b"\x00" * 4096, b"SQLite format 3\x00" + b"\xff" * 4080],
    ids=["empty", "text", "zeros", "header"],
)
def test_a_file_that_is_no_database_is_broken(tmp_path: Path, content: bytes):
    """Whatever lies there under our name is refused and left as it is; a file of no bytes, too: a ledger that was there
    is not forgotten silently.
    """
    path = tmp_path / "ledger.db"
    path.write_bytes(content)

    with pytest.raises(LedgerBroken):
        Ledger.open(path)

    assert content == path.read_bytes()


@pytest.mark.parametrize("log", ["-wal", "-journal"])
def test_a_ledger_whose_log_alone_is_left_is_broken(path: Path, log: str):
    """Somebody took `ledger.db` away after a crash: its log must not be read into a new one, and nothing starts anew."""
    path.unlink()
    path.with_name(path.name + log).write_bytes(b"what the log says")

    with pytest.raises(LedgerBroken, match="its file is gone"):
        Ledger.open(path)

    assert [f"ledger.db{log}"] == [one.name for one in path.parent.iterdir()]


def test_another_programs_database_is_not_touched(tmp_path: Path):
    """A good SQLite file without our mark is somebody's: no table of ours is put into it."""
    path = tmp_path / "ledger.db"
    with sqlite3.connect(path) as foreign:
        foreign.execute("CREATE TABLE orders (id INTEGER)")
    foreign.close()

    with pytest.raises(LedgerBroken, match="another program"):
        Ledger.open(path)

    check = sqlite3.connect(path)
    assert [("orders",)] == check.execute("SELECT name FROM sqlite_master").fetchall()
    check.close()


def test_a_newer_schema_is_refused(path: Path):
    """An older Headway must not write what it does not understand."""
    raw = sqlite3.connect(path)
    raw.execute("UPDATE alembic_version SET version_num = '9999'")
    raw.commit()
    raw.close()

    with pytest.raises(LedgerBroken, match="newer"):
        Ledger.open(path)


def test_a_truncated_file_is_broken(path: Path):
    """Half a file is no ledger."""
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(LedgerBroken) as raised:
        Ledger.open(path).load()
    assert "HW502" == raised.value.code


def test_a_flipped_bit_is_found_before_anything_moves(path: Path):
    """Every 97th byte of the file in turn: the start refuses, or the bit was in free space and all records are whole."""
    whole = path.read_bytes()
    ledger = Ledger.open(path)
    kept = [(record.entry, record.hash) for record in ledger.records()]
    ledger.close()
    refused = 0
    for position in range(100, len(whole), max(97, len(whole) // 400)):
        flipped = bytearray(whole)
        flipped[position] ^= 0x10
        path.write_bytes(flipped)
        for beside in path.parent.glob("ledger.db-*"):
            beside.unlink()
        try:
            ledger = Ledger.open(path)
            try:
                ledger.load()
                assert kept == [(record.entry, record.hash) for record in ledger.records()]
            finally:
                ledger.close()
        except LedgerBroken:
            refused += 1

    assert refused > 20


@pytest.mark.skipif(os.geteuid() == 0, reason="root writes what is read-only")
def test_a_file_that_may_not_be_written_is_read_only(path: Path):
    """The file's mode says so, and so does the error."""
    path.chmod(stat.S_IRUSR)

    with pytest.raises(LedgerReadOnly):
        Ledger.open(path).begin("boot", 1, 1)


def test_a_database_that_turned_read_only_says_so(path: Path):
    """The same by the database's own switch, which holds for root, too; reading goes on, and so does writing afterwards."""
    ledger = Ledger.open(path)
    ledger.begin("boot", 30_000, 30_000)
    with ledger._store.write() as connection:
        raw = connection.connection.dbapi_connection
    assert raw is not None
    raw.execute("PRAGMA query_only=ON")

    with pytest.raises(LedgerReadOnly) as raised:
        ledger.beat(31_000, 31_000)
    assert "HW503" == raised.value.code
    assert 5 == ledger.count()

    ledger.beat(32_000, 32_000)
    ledger.close()


def test_a_full_disk_says_so_and_loses_nothing(path: Path):
    """The database may not grow by a page: the move fails whole, and once there is room the same move is written."""
    ledger = Ledger.open(path)
    ledger.begin("boot", 30_000, 30_000)
    with ledger._store.write() as connection:
        raw = connection.connection.dbapi_connection
    assert raw is not None
    pages = raw.execute("PRAGMA page_count").fetchone()[0]
    raw.execute(f"PRAGMA max_page_count={pages}")
    move, _ = applied(contract_of("other"), 30_000)
    large = Move(entries=move.entries, states=move.states, versions=move.versions, calendars={"c": "x" * 100_000})

    with pytest.raises(LedgerFull) as raised:
        ledger.commit(large)
    assert "HW504" == raised.value.code
    assert ledger.verify().ok
    assert 5 == ledger.count()

    # A connection of its own for the next try: the bound went with the old one.
    assert (6,) == ledger.commit(large)
    assert ledger.verify().ok
    ledger.close()


LIMITED = """
import resource, sys
from pathlib import Path
from headway.errors import LedgerStopped
from headway.ledger import Ledger
from tests.ledger.ramps import applied, contract_of
ledger = Ledger.open(Path(sys.argv[1]))
ledger.begin("boot", 30_000, 30_000)
resource.setrlimit(resource.RLIMIT_FSIZE, (80_000, resource.RLIM_INFINITY))
written = 0
try:
    for number in range(200):
        ledger.commit(applied(contract_of(f"c{number}"), 30_000 + number)[0])
        written += 1
except LedgerStopped as stopped:
    print(stopped.code, written)
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(ledger.verify().ok, ledger.count())
ledger.commit(applied(contract_of("after"), 99_000)[0])
print(ledger.verify().ok, ledger.count())
"""


def test_a_file_that_may_not_grow_stops_moves_until_it_may(path: Path):
    """The kernel's own bound on file sizes, in a process of its own: what was acknowledged is there, and it goes on."""
    root = Path(__file__).parents[2]
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(path)],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": f"{root / 'python'}{os.pathsep}{root}"},
        check=True,
    )
    code, written, ok, count, ok_after, count_after = run.stdout.split()

    assert code in ("HW504", "HW505")
    assert int(written) > 0
    assert ("True", str(5 + int(written))) == (ok, count)
    assert ("True", str(6 + int(written))) == (ok_after, count_after)


def test_a_lock_of_another_program_is_waited_for_and_then_told(path: Path, monkeypatch: pytest.MonkeyPatch):
    """Somebody holds the file in a transaction: the write fails with the reason, and works once the other is done."""
    monkeypatch.setattr("headway.ledger.sqlite.BUSY_MS", 20)
    ledger = Ledger.open(path)
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")

    with pytest.raises(LedgerFailing, match="locked"):
        ledger.begin("boot", 30_000, 30_000)

    other.execute("ROLLBACK")
    other.close()
    assert 2 == ledger.begin("boot", 30_000, 30_000).run.id
    ledger.close()


def test_every_way_of_failing_has_its_own_code():
    """By the database's result code, not by its words."""

    def failure(code: int) -> str:
        error = sqlite3.OperationalError("words")
        error.sqlite_errorcode = code
        return fault_of(error, "here").code

    assert ["HW502", "HW502", "HW503", "HW504", "HW505", "HW505", "HW505"] == [
        failure(code)
        for code in (
            sqlite3.SQLITE_CORRUPT,
            sqlite3.SQLITE_NOTADB,
            sqlite3.SQLITE_READONLY | (3 << 8),
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR | (3 << 8),
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_CANTOPEN,
        )
    ]


def test_the_mark_of_our_files_is_hdwy():
    """Four letters in the header, so that `file` and people can tell."""
    assert b"HDWY" == APPLICATION_ID.to_bytes(4, "big")


def test_draws_are_written_by_the_thousand(path: Path):
    """A batch is one transaction and one statement; all of it is answered."""
    ledger = Ledger.open(path)
    ledger.begin("boot", 30_000, 30_000)
    ledger.commit(Move(targets={("calls", ""): 10}))

    answer = ledger.draw([Growth(1, "quota_draw", "calls", f"tenant-{number}", 10, 5) for number in range(1_000)])

    assert bytes([1]) * 1_000 == answer
    assert 1_000 == len(ledger.begin("boot", 31_000, 31_000).drawn)
    ledger.close()


def test_a_move_after_a_restart_continues_the_chain(path: Path):
    """The hash of the last record is read back, not remembered."""
    ledger = Ledger.open(path)
    ledger.begin("boot", 30_000, 30_000)
    loaded = ledger.load()

    move, _ = moved(loaded.contracts["api"], loaded.states["api"], 31_000, [event(31_000, "further", "2")])
    ledger.commit(move)

    assert ledger.verify().ok
    assert 6 == ledger.count()
    ledger.close()
