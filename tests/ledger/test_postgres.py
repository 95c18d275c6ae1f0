"""A ledger in PostgreSQL: what becomes of a commit whose answer is lost, of a server that is killed, of a copy that was
promoted; and that no password is shown.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from headway.contract.mistake import Mistake
from headway.errors import Fenced, LedgerBroken, LedgerFailing, LedgerReadOnly, LedgerStopped
from headway.ledger import Database, Ledger, Move
from headway.ledger.postgres import PostgresStore
from headway.ledger.tables import metadata
from tests.ledger.ramps import Growth, applied, contract_of, filled
from tests.postgres import Cluster


@pytest.fixture
def shared(database: Database) -> Iterator[Ledger]:
    """An empty ledger in PostgreSQL, its mandate taken, with room for a million calls."""
    one = Ledger.shared(database)
    one.begin("boot", 1_000, 1_000)
    one.commit(Move(targets={("calls", ""): 1_000_000}))
    yield one
    one.close()


@pytest.fixture
def own() -> Iterator[Cluster]:
    """A server that may be killed and promoted."""
    one = Cluster().make()
    yield one
    one.remove()


def raw_of(ledger: Ledger) -> Any:
    """The writer's connection, as the driver knows it."""
    with ledger._store.write() as connection:
        return connection.connection.dbapi_connection


def commits(ledger: Ledger, monkeypatch: pytest.MonkeyPatch, commit: Callable[[Any], None]) -> Any:
    """From now on the writer's connection commits in that way."""
    raw = raw_of(ledger)
    monkeypatch.setattr(raw, "commit", lambda: commit(raw))
    return raw


def drawn(ledger: Ledger) -> int:
    """What was drawn in all, as a next run takes it over."""
    return sum(row[3] for row in ledger.begin("check", 1, 1).drawn)


ONE = [Growth(1, "quota_draw", "calls", "", 1, 5)]


def test_migrations_make_the_tables_that_are_used(database: Database):
    """The schema in PostgreSQL, and the one that SQLAlchemy is told, do not differ."""
    store = PostgresStore.open(database)
    with store.read() as connection:
        differences = compare_metadata(MigrationContext.configure(connection), metadata)
    store.close()

    assert [] == differences


def test_a_commit_is_on_the_disk_when_it_returns_and_nothing_is_waited_for_without_end(shared: Ledger):
    """Read back from the connection that writes."""
    with shared._store.write() as connection:
        names = ("synchronous_commit", "lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
        found = [connection.exec_driver_sql(f"SHOW {name}").scalar() for name in names]

    assert ["on", "2s", "30s", "5s"] == found


def test_a_commit_whose_answer_was_lost_is_looked_up_and_counts_once(shared: Ledger, monkeypatch: pytest.MonkeyPatch):
    """The database has committed, and the connection breaks on the way back: the draw is granted, and drawn once."""

    def lose(raw: Any) -> None:
        psycopg.Connection.commit(raw)
        raw.close()
        raise psycopg.OperationalError("the connection is lost")

    commits(shared, monkeypatch, lose)

    assert bytes([1]) == shared.draw(ONE)
    assert bytes([1]) == shared.draw(ONE)
    assert 2 == drawn(shared)


def test_a_commit_that_never_arrived_is_known_to_have_failed(shared: Ledger, monkeypatch: pytest.MonkeyPatch):
    """The connection breaks on the way there: nothing is drawn, the caller hears that it failed, and the next one works."""

    def lose(raw: Any) -> None:
        raw.close()
        raise psycopg.OperationalError("the connection is lost")

    commits(shared, monkeypatch, lose)

    with pytest.raises(LedgerFailing):
        shared.draw(ONE)
    assert bytes([1]) == shared.draw(ONE)
    assert 1 == drawn(shared)


def test_a_transaction_that_its_client_left_open_ends_before_its_fate_is_told(
    shared: Ledger, monkeypatch: pytest.MonkeyPatch
):
    """The commit is stuck on the network: it is under way until the database gives the idle transaction up."""
    raw = commits(shared, monkeypatch, lambda raw: (_ for _ in ()).throw(psycopg.OperationalError("stuck")))
    raw.execute("SET idle_in_transaction_session_timeout = 300")
    monkeypatch.setattr(PostgresStore, "_release", lambda store: setattr(store, "_writer", None))

    with pytest.raises(LedgerFailing):
        shared.draw(ONE)
    assert 0 == drawn(shared)


def test_a_move_that_turns_out_to_be_there_after_all_fences_this_run(shared: Ledger, monkeypatch: pytest.MonkeyPatch):
    """It could not be known for too long, so the engine was told that it failed; later it is there. What the engine knows is
    then not what the ledger says, and this run writes no more.
    """
    monkeypatch.setattr("headway.ledger.postgres.LOOKS", 2)
    raw = commits(shared, monkeypatch, lambda raw: (_ for _ in ()).throw(psycopg.OperationalError("stuck")))
    monkeypatch.setattr(PostgresStore, "_release", lambda store: setattr(store, "_writer", None))
    with pytest.raises(LedgerFailing, match="not known yet"):
        shared.draw(ONE)

    psycopg.Connection.commit(raw)

    for _ in range(2):
        with pytest.raises(Fenced, match="may not write") as raised:
            shared.beat(2_000, 2_000)
    assert "after all" in raised.value.because


def test_a_database_that_is_killed_loses_nothing_that_was_acknowledged(own: Cluster):
    """`kill -9` of the whole server between and in commits, ten times: what was granted is drawn, and at most the one draw
    that was under way more; the same ledger goes on writing once it is back.
    """
    randomness = random.Random(20261125)
    ledger = Ledger.shared(Database.of(own.emptied()))
    ledger.begin("boot", 1_000, 1_000)
    ledger.commit(Move(targets={("calls", ""): 1_000_000}))
    acknowledged = unsure = 0
    for _ in range(10):
        for _ in range(randomness.randrange(5, 30)):
            acknowledged += ledger.draw(ONE) == bytes([1])
        own.kill()
        try:
            acknowledged += ledger.draw(ONE) == bytes([1])
        except LedgerStopped:
            unsure += 1
        own.revive()
        for _ in range(100):
            try:
                ledger.beat(2_000, 2_000)
                break
            except LedgerFailing:
                continue

    found = drawn(ledger)
    ledger.close()

    assert acknowledged <= found <= acknowledged + unsure


def test_a_copy_that_was_promoted_is_another_place(own: Cluster):
    """The run that wrote to the one before is fenced; the next run is told that the copy may lack something, and the one
    after that is not.
    """
    database = Database.of(own.emptied())
    before = Ledger.shared(database)
    before.begin("boot", 1_000, 1_000)
    own.promote()

    with pytest.raises(Fenced, match="may not write") as raised:
        _until_it_answers(lambda: before.beat(2_000, 2_000))
    assert "another copy" in raised.value.because
    before.close()

    after = Ledger.shared(database)
    assert after.begin("boot", 3_000, 3_000).may_lack
    assert not after.begin("boot", 4_000, 4_000).may_lack
    after.close()


def test_a_standby_is_not_written(own: Cluster):
    """It can be read, and says what to name instead."""
    database = Database.of(own.emptied())
    own.follow_nobody()

    with pytest.raises(LedgerReadOnly) as raised:
        _until_it_answers(lambda: Ledger.shared(database))
    assert "standby" in raised.value.because


def _until_it_answers(act: Callable[[], object]) -> None:
    for _ in range(50):
        try:
            act()
        except LedgerFailing:
            continue


def test_a_user_who_may_not_write_is_told_so(cluster: Cluster, database: Database):
    """PostgreSQL's own words, under our code."""
    with cluster.connect() as connection:
        connection.execute("DROP ROLE IF EXISTS reader")
        connection.execute("CREATE ROLE reader LOGIN")

    with pytest.raises(LedgerReadOnly, match="may not be written"):
        Ledger.shared(replace(database, user="reader")).begin("boot", 1, 1)


def test_a_postgresql_that_is_too_old_is_named(database: Database, monkeypatch: pytest.MonkeyPatch):
    """Before anything is written: it would not know what became of a commit."""
    monkeypatch.setattr("headway.ledger.postgres.OLDEST", 99)

    with pytest.raises(LedgerFailing, match="too old"):
        Ledger.shared(database)


def test_another_programs_database_is_not_touched(cluster: Cluster):
    """No table of ours is put beside somebody's orders; a database that is not there, or not reached, says so."""
    with cluster.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS shop")
        connection.execute("CREATE DATABASE shop")
    with cluster.connect("shop") as connection:
        connection.execute("CREATE TABLE orders (id integer)")

    with pytest.raises(LedgerBroken, match="another program"):
        Ledger.shared(Database.of(cluster.url("shop")))
    with pytest.raises(LedgerFailing, match="cannot be reached"):
        Ledger.shared(Database.of(cluster.url("nowhere")))
    with pytest.raises(LedgerFailing, match="cannot be reached"):
        Ledger.shared(Database.of("postgresql://127.0.0.1:1/ledger"))


def test_a_database_without_a_ledger_is_not_made_one_by_reading(cluster: Cluster):
    """Looking leaves no tables behind."""
    with cluster.connect() as connection:
        connection.execute("DROP DATABASE IF EXISTS empty")
        connection.execute("CREATE DATABASE empty")

    with pytest.raises(LedgerBroken, match="empty"):
        Ledger.shared(Database.of(cluster.url("empty")), read_only=True)
    with cluster.connect("empty") as connection:
        assert [] == connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'").fetchall()


def test_a_newer_schema_is_refused(cluster: Cluster, database: Database):
    """An older Headway must not write what it does not understand."""
    with cluster.connect("ledger") as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    try:
        with pytest.raises(LedgerBroken, match="newer"):
            Ledger.shared(database)
    finally:
        with cluster.connect("ledger") as connection:
            connection.execute("UPDATE alembic_version SET version_num = '0004'")


def test_a_damaged_schema_is_broken(cluster: Cluster, database: Database):
    """A table that is gone is no reason to go on."""
    ledger = Ledger.shared(database)
    filled(ledger)
    with cluster.connect("ledger") as connection:
        connection.execute("ALTER TABLE head RENAME TO heads")
    try:
        with pytest.raises(LedgerBroken) as raised:
            ledger.commit(applied(contract_of("other"), 30_000)[0])
        assert "HW502" == raised.value.code
    finally:
        with cluster.connect("ledger") as connection:
            connection.execute("ALTER TABLE heads RENAME TO head")
    ledger.close()


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://ana:hunter2@db.example/headway",
        "postgresql://ana@db.example/headway?password=hunter2",
        "postgresql://ana@db.example/headway?options=-c%20fsync%3Dhunter2",
        "postgresql://ana@db.example/?password=env:hunter2",
        "postgresql://ana@/headway?sslmode=hunter2",
        "postgresql://ana@db.example:hunter2/headway",
        "mysql://ana:hunter2@db.example/headway",
    ],
)
def test_an_address_that_cannot_be_used_is_refused_and_not_repeated(url: str):
    """It may hold a secret anywhere: the words say what is wrong, and nothing of what was written."""
    with pytest.raises(Mistake) as raised:
        Database.of(url)

    assert "hunter2" not in f"{raised.value.problem} {raised.value.mend}"


def test_a_password_is_read_where_it_stands_and_is_in_no_repr(tmp_path: Any, monkeypatch: pytest.MonkeyPatch):
    """From the environment or a file, when a connection is made; one that is missing is said by its place."""
    monkeypatch.setenv("HEADWAY_DB", "hunter2")
    (tmp_path / "password").write_text("hunter3\n")
    by_env = Database.of("postgresql://ana@db.example:5433/headway?password=env:HEADWAY_DB&sslmode=require")
    by_file = Database.of(f"postgresql://ana@db.example/headway?password=file:{tmp_path}/password")

    assert {
        "user": "ana",
        "host": "db.example",
        "port": 5433,
        "dbname": "headway",
        "password": "hunter2",
        "sslmode": "require",
    } == by_env.connecting()
    assert "hunter3" == by_file.connecting()["password"]
    assert "postgresql://ana@db.example:5433/headway" == by_env.where
    assert "hunter" not in f"{by_env!r} {by_file!r}"

    monkeypatch.delenv("HEADWAY_DB")
    with pytest.raises(LedgerFailing, match="password is not where"):
        by_env.connecting()
