"""What the bench of gates makes of what a gate said."""

from __future__ import annotations

import pytest

from benches.gates.__main__ import Round, median_of, round_of


def test_a_round_is_per_demand_and_its_times_are_those_of_the_slowest() -> None:
    """100 demands in half a second, 2 ms of CPU here and 1 ms at the keeper; one in a hundred took a millisecond."""
    said: dict[str, object] = {
        "demands": 100,
        "seconds": 0.5,
        "cpu_ns": 2_000_000,
        "sorted_ns": [50_000] * 98 + [1_000_000] * 2,
    }

    assert Round(200.0, keeper_us=10.0, gate_us=20.0, p50_us=50.0, p99_us=1_000.0) == round_of(said, 1_000_000)


def test_what_is_no_answer_of_a_gate_is_no_round() -> None:
    """A gate that said something else ended in an error."""
    with pytest.raises((KeyError, AssertionError)):
        round_of({"demands": "100"}, 1)


def test_a_median_is_taken_field_by_field() -> None:
    """Three rounds of which another one is in the middle in each field."""
    rounds = [Round(1, 3, 2, 1, 3), Round(2, 1, 3, 2, 1), Round(3, 2, 1, 3, 2)]

    assert Round(2, 2, 2, 2, 2) == median_of(rounds)
