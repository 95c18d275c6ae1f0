"""A PostgreSQL with an empty ledger, and servers on it that are gone when a test ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.postgres import Cluster
from tests.standby.served import Server

Serve = Callable[..., Server]


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """For all tests of this folder."""
    one = Cluster().make()
    yield one
    one.remove()


@pytest.fixture
def serve(cluster: Cluster, tmp_path: Path) -> Iterator[Serve]:
    """Starts a server on the same empty ledger each time."""
    store, servers = cluster.emptied(), []

    def start(name: str, *more: str, by: str = store) -> Server:
        servers.append(Server(tmp_path, name, by, *more))
        return servers[-1]

    yield start
    for server in servers:
        server.end()
