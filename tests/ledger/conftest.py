"""One suite, every store: tests that take `ledger` run on a file and in memory alike."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from headway.ledger import Ledger


@pytest.fixture(params=["file", "memory"])
def ledger(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Ledger]:
    """A new ledger."""
    one = Ledger.open(tmp_path / "ledger.db") if request.param == "file" else Ledger.memory()
    yield one
    one.close()
