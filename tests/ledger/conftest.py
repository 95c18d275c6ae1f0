"""One suite, every store: tests that take `ledger` run on a file, in memory and on PostgreSQL alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.ledger import Database, Ledger
from tests.postgres import Cluster


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A PostgreSQL for all tests."""
    one = Cluster().make()
    yield one
    one.remove()


@pytest.fixture
def database(cluster: Cluster) -> Database:
    """An empty ledger's, in PostgreSQL."""
    return Database.of(cluster.emptied())


@pytest.fixture(params=["file", "memory", "postgres"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger."""
    if request.param == "postgres":
        one = Ledger.shared(request.getfixturevalue("database"))
    else:
        one = Ledger.open(tmp_path / "ledger.db") if request.param == "file" else Ledger.memory()
    yield one
    one.close()
