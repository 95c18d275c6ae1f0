"""The judge of the clock itself, reading by reading; and the curves that meters get while it is not believed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.engine.publish import cautious
from headway.engine.suspicion import PARTED_MS, STABLE_MS, Remembered, Suspicion
from headway.ramp.curve import Curve, Segment
from tests.engine.world import DAY, HOUR, START_MS


def judge(**told: object) -> Suspicion:
    fields: dict[str, object] = {"boot_id": "b", "synchronised": True}
    return Suspicion(START_MS, 1_000, **{**fields, **told})  # type: ignore[arg-type]


def test_small_steps_are_believed_until_they_sum_up():
    """Nine tenths of a second pass; the same again is a part of 1.8 s in sum, and is not believed."""
    one = judge()
    assert not one.look(START_MS + 900 + 10, 1_010).suspect
    assert one.look(START_MS + 1_800 + 20, 1_020).suspect


def test_the_bound_is_exact():
    """A second is believed, a millisecond more is not; ahead and back alike."""
    for sign in (1, -1):
        assert not judge().look(START_MS + sign * PARTED_MS, 1_000).suspect
        assert judge().look(START_MS + sign * (PARTED_MS + 1), 1_000).suspect


def test_a_second_jump_starts_the_five_minutes_anew():
    """Trusted five minutes after the last jump, not after the first; `since` stays with the first."""
    one = judge()
    one.look(START_MS + 60_000, 1_000)
    first = one.status.since_ms
    later = 1_000 + STABLE_MS - 1
    assert one.look(START_MS + 120_000 + STABLE_MS - 1, later).suspect
    assert one.look(START_MS + 120_000 + STABLE_MS, later + 1).suspect
    assert first == one.status.since_ms
    end = later + STABLE_MS
    assert not one.look(START_MS + 120_000 + end - 1_000, end).suspect


def test_utc_never_runs_back():
    """Back by an hour: it stands still until the wall has caught up."""
    one = judge()
    one.look(START_MS + 10_000, 11_000)
    one.look(START_MS - 3_600_000, 12_000)
    assert START_MS + 10_000 == one.utc_ms
    one.look(START_MS + 20_000, 4_000_000)
    assert START_MS + 20_000 == one.utc_ms


def test_suspend_does_not_part_the_clocks():
    """Both run through eight hours of sleep."""
    assert not judge().look(START_MS + 8 * HOUR, 1_000 + 8 * HOUR).suspect


@pytest.mark.parametrize(
    ("told", "suspect"),
    [
        ({}, False),
        ({"synchronised": False}, False),
        ({"last_ms": START_MS + 900}, False),
        ({"last_ms": START_MS + 1_001}, True),
        ({"before": Remembered(START_MS - 500, 500, "b")}, False),
        ({"before": Remembered(START_MS - 500, 500, "b"), "synchronised": False}, False),
        ({"before": Remembered(START_MS - 60_000, 500, "b")}, True),
        ({"before": Remembered(START_MS + 60_000, 500, "b")}, True),
        ({"before": Remembered(START_MS - DAY, 9_999_999, "a")}, False),
        ({"before": Remembered(START_MS - DAY, 9_999_999, "a"), "synchronised": False}, True),
    ],
)
def test_what_a_start_believes(told: dict[str, object], suspect: bool):
    """A fresh ledger; a ledger from the future; the same boot with clocks that agree or not; another boot, synchronised or not."""
    assert suspect is judge(**told).status.suspect


@given(
    levels=st.lists(st.integers(0, 1_000), min_size=2, max_size=6),
    steps=st.lists(st.tuples(st.integers(1, 500), st.booleans()), min_size=1, max_size=5),
    believed_ms=st.integers(-100, 2_500),
    ahead_ms=st.integers(0, 1_500),
)
def test_a_cautious_curve_is_never_above_either_clocks(
    levels: list[int], steps: list[tuple[int, bool]], believed_ms: int, ahead_ms: int
):
    """For any course of climbs, falls and steps: at every instant from what is believed on it says no more than the curve
    says then, nor than it says by the clock that is ahead; and no less than the lower of both anywhere beside.
    """
    segments, at_ms = [], 0
    for number, (length_ms, flat) in enumerate(steps):
        first, last = levels[number % len(levels)], levels[(number + 1) % len(levels)]
        segments.append(Segment(at_ms, at_ms + length_ms, first, first if flat else last))
        at_ms += length_ms
    segments.append(Segment(at_ms, None, levels[-1], levels[-1]))
    curve = Curve(1, "now", {"": tuple(segments)})

    careful = cautious(curve, believed_ms + ahead_ms, believed_ms)

    for instant in range(believed_ms, at_ms + 10, 7):
        level = careful.level_micro("", instant)
        assert level <= min(curve.level_micro("", instant), curve.level_micro("", instant + ahead_ms))
        assert level >= min(levels)
    if ahead_ms == 0:
        assert curve == careful


def test_a_cautious_curve_takes_nothing_from_a_climb_that_goes_on():
    """From 100 to 200 in 100 ms, believed at 10, told 60: it says what the meters said without the jump."""
    curve = Curve(1, "now", {"": (Segment(0, 100, 100, 200), Segment(100, None, 200, 200))})

    careful = cautious(curve, 60, 10)

    assert [110, 150, 199, 200] == [careful.level_micro("", at_ms) for at_ms in (10, 50, 99, 150)]


def test_what_is_believed_goes_on_with_the_boot_clock():
    """Until the jump it is UTC; from there on only what the boot clock counts, until the clock is trusted again."""
    one = judge()
    one.look(START_MS + 10_000, 11_000)
    assert START_MS + 10_000 == one.believed_ms
    one.look(START_MS + 100_000, 12_000)
    assert (START_MS + 100_000, START_MS + 11_000) == (one.utc_ms, one.believed_ms)

    one.look(START_MS + 88_000 + STABLE_MS + 12_000, 12_000 + STABLE_MS)
    assert not one.status.suspect
    assert one.utc_ms == one.believed_ms


@pytest.mark.parametrize(("boot_id", "believed_ms"), [("b", START_MS - 59_500), ("a", START_MS - 60_000)])
def test_a_start_believes_what_was_seen_last(boot_id: str, believed_ms: int):
    """On the same boot the half second since then as well; on another one nobody knows how long it was."""
    one = judge(before=Remembered(START_MS - 60_000, 500, boot_id), synchronised=False)

    assert one.status.suspect
    assert believed_ms == one.believed_ms
