"""The promise of priorities in virtual time: a critical workload does not feel a background one that spikes twelvefold."""

from __future__ import annotations

import pytest

from benches.priority import SETTINGS, faults, played


@pytest.mark.parametrize("name", ["rate, burst of 100 ms", "concurrency"])
def test_critical_keeps_its_demand_while_background_spikes(name: str) -> None:
    """At least 99.9 % in each phase; the limit holds; what critical leaves is used, not kept idle."""
    assert [] == faults(SETTINGS[name], 7)


def test_without_priorities_the_same_arrivals_take_most_of_it_away() -> None:
    """Else the test above would show nothing: first come, first served leaves critical its share of all demand."""
    phases, _ = played(SETTINGS["concurrency"], 7, priorities=False)

    assert phases["critical"][1].kept_ppm < 500_000
