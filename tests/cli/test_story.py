"""What the lines of `explain` say where a value runs on while it is read."""

from __future__ import annotations

import pytest

from headway.cli.story import _evidence


@pytest.mark.parametrize(
    ("earned_ms", "for_ms", "words"),
    [
        (0, 600_000, "0s of 10min earned"),
        (999, 600_000, "0s of 10min earned"),
        (83_456, 600_000, "1min23s of 10min earned"),
        (1_500, 1_500, "1s500ms of 1s500ms earned"),
    ],
)
def test_earned_soak_is_said_in_whole_seconds_until_it_is_all_there(earned_ms: int, for_ms: int, words: str):
    """Rounded down: it never says that more was earned than was."""
    assert words == _evidence("soak", {"earned_ms": earned_ms, "for_ms": for_ms, "above_ppm": 600_000})
