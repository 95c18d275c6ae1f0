"""When the bench of changes says that a limit is in force: judged from admissions alone."""

from __future__ import annotations

import pytest

from benches.change.judge import Change, Held, Met, Step, followed, quantile, steps, used
from benches.target import Target

MS = 1_000_000
CUT = Change(100 * MS, before=4, after=2, planned=False, version=7)
RAISE = Change(100 * MS, before=4, after=8, planned=False, version=7)


def at(ms: int, gate: int, *, own: int, all: int, asked_ms: int | None = None) -> Step:
    return Step((ms if asked_ms is None else asked_ms) * MS, ms * MS, gate, own, all)


def test_what_is_in_use_is_counted_at_each_admission() -> None:
    """Gate 0 gives back at 5 what gate 1 is admitted at 5: never more than two at once."""
    held = [Held(0, 1, 5, gate=0), Held(1, 2, 9, gate=0), Held(4, 5, 7, gate=1), Held(7, 8, 20, gate=1)]

    assert [Step(0, 1, 0, 1, 1), Step(1, 2, 0, 2, 2), Step(4, 5, 1, 1, 2), Step(7, 8, 1, 1, 2)] == list(steps(held))


def test_a_cut_is_in_force_after_the_last_admission_beyond_it() -> None:
    """Three are in use at 103 ms and at 107; what was admitted within the limit at 120 is no sign of anything."""
    admissions = [at(99, 0, own=4, all=4), at(103, 0, own=1, all=3), at(107, 1, own=2, all=3), at(120, 1, own=1, all=2)]

    assert 7 * MS == followed(admissions, [], CUT, 500 * MS, gates=2)
    assert 3 * MS == followed(admissions, [], CUT, 107 * MS, gates=2), "what came after the next change is that one's"


def test_a_cut_that_nothing_was_admitted_beyond_took_no_time() -> None:
    """One was asked for before the change and may have been decided before as well."""
    admissions = [at(101, 0, own=1, all=2), at(101, 0, own=2, all=3, asked_ms=99)]

    assert 0 == followed(admissions, [], CUT, 500 * MS, gates=2)


def test_a_raise_is_in_force_once_every_gate_has_more_than_its_part_was() -> None:
    """Two gates had two each of four: the second has a third one 40 ms after the change."""
    admissions = [
        at(104, 0, own=3, all=5),
        at(130, 1, own=2, all=7),
        at(140, 1, own=3, all=8),
        at(150, 1, own=4, all=8),
    ]

    assert 40 * MS == followed(admissions, [], RAISE, 500 * MS, gates=2)


def test_a_raise_that_one_gate_never_used_is_not_in_force() -> None:
    """It was refused meanwhile, but under an older limit, or before the change, or after the next one."""
    met = [Met(110 * MS, 1, version=6), Met(99 * MS, 1, version=7), Met(500 * MS, 1, version=8)]

    assert None is followed([at(104, 0, own=4, all=6)], met, RAISE, 500 * MS, gates=2)


def test_a_raise_is_in_force_at_a_gate_that_is_refused_under_it() -> None:
    """The others have it all."""
    admissions, met = [at(104, 0, own=8, all=8)], [Met(112 * MS, 1, version=7), Met(120 * MS, 1, version=8)]

    assert 12 * MS == followed(admissions, met, RAISE, 500 * MS, gates=2)


def test_a_raise_is_of_use_once_nine_tenths_of_it_are_in_use() -> None:
    """Of four more that is all four: seven and a half are never."""
    admissions = [at(103, 0, own=4, all=7), at(110, 1, own=4, all=8), at(120, 1, own=4, all=8)]

    assert (10 * MS, None) == (used(admissions, RAISE, 500 * MS), used(admissions[:1], RAISE, 500 * MS))


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (1.0, 100), (0.991, 100)])
def test_a_quantile_is_a_value_that_was_seen(share: float, value: int) -> None:
    assert value == quantile(list(range(100, 0, -1)), share)
    assert 7 == quantile([7], share)


def test_a_target_of_none_is_reached_by_none_alone() -> None:
    """Planned cuts: not one admission beyond them."""
    assert [True, False] == [Target("planned cuts", count, 0).reached for count in (0, 1)]
