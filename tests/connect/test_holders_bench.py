"""What the bench of ten thousand holders measures, in small."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from benches.holders.__main__ import targets
from benches.holders.growth import Arriving, grown
from headway.ledger import Ledger


def test_all_growth_that_arrives_is_durable_and_none_waits_less_than_nothing(tmp_path: Path) -> None:
    """Two thousand rows of as many holders in a tenth of a second."""
    waited = grown(tmp_path, per_s=20_000, seconds=0.1)

    assert 2_000 == waited.rows
    assert 0 <= waited.p50_ms <= waited.p99_ms <= waited.most_ms
    ledger = Ledger.open(tmp_path / "ledger.db")
    assert 2_000 == len(ledger.begin("boot", 1, 1).at_gates.lent)
    ledger.close()


def test_what_the_ledger_did_not_take_is_no_growth() -> None:
    """A row that was refused must not count as one that was fast."""
    queue = Arriving(per_s=1_000_000, seconds=0.001)
    while not (batch := queue.take()):
        pass

    with pytest.raises(AssertionError):
        queue.answer(batch[0].batch_id, b"\x00" * len(batch))


def test_a_renewal_that_came_too_late_or_wrote_a_row_misses_the_target() -> None:
    """One of each, and nothing else."""
    parts: dict[str, Any] = {
        "core": {"rows": [{"steady_writes": 0}]},
        "steady": {"holders": 10_000, "lapses": 1, "rows_written": 1},
        "growth_alone": {"per_s": 50_000.0},
        "growth_beside_a_check": {"p99_ms": 49.0},
    }

    missed = [one.what for one in targets(parts) if not one.reached]

    assert ["renewals that came too late", "rows written by steady renewals"] == missed
