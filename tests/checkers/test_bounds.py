"""The checker of stamped events: no choice of instants explains what it calls certain, and each explains the rest."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from headway.enforce import bounds
from headway.enforce.bounds import InForce, Stamped
from tests.checkers.exact import concurrency_over_by, quota_over_by, rate_over_by
from tests.model.curves import MICRO, Piece, Plan, Seg, joined

PER = 1_000
FLAT_10 = InForce(0, 0, ((0, None, 10 * MICRO, 10 * MICRO),), burst_ns=PER)


def random_history(dice: Random) -> list[InForce]:
    """Up to four curves, each in force from an instant known to within 0 to 300 ns; every change on an even ns."""
    history: list[InForce] = []
    earliest_ns = 0
    for _ in range(dice.randrange(1, 5)):
        latest_ns = earliest_ns + dice.choice((0, 0, dice.randrange(0, 300, 2)))
        start_ns = earliest_ns - dice.randrange(0, 200, 2)
        segments: list[tuple[int, int | None, int, int]] = []
        for _ in range(dice.randrange(3)):
            end_ns = start_ns + dice.randrange(2, 900, 2)
            level, to = dice.randrange(20) * MICRO, dice.randrange(20) * MICRO
            segments.append((start_ns, end_ns, level, dice.choice((level, to))))
            start_ns = end_ns
        level = dice.randrange(20) * MICRO
        segments.append((start_ns, None, level, level))
        history.append(InForce(earliest_ns, latest_ns, tuple(segments), dice.choice((0, PER // 3, PER))))
        earliest_ns = latest_ns + dice.randrange(2, 2_000, 2)
    return history


def chosen_course(dice: Random, history: list[InForce]) -> list[Piece]:
    """The course of one choice of change instants."""
    course: list[Piece] = []
    for version, curve in enumerate(history):
        at_ns = dice.randint(curve.earliest_ns, curve.latest_ns)
        plan = Plan(version, tuple(Seg(*segment) for segment in curve.segments), curve.burst_ns)
        course = joined(course, plan, 0, at_ns if version else -1)
    return course


def random_events(dice: Random, width_ns: int) -> list[Stamped]:
    """Demands of 1 to 3 units, each known to within `width_ns`, some still held; every stamp on an odd ns."""
    events = []
    for _ in range(dice.randrange(1, 30)):
        before_ns = dice.randrange(1, 6_000, 2)
        after_ns = before_ns + dice.randrange(0, width_ns + 1, 2)
        release_ns = after_ns + dice.randrange(0, 800, 2)
        releases = (
            (None, None) if dice.random() < 0.1 else (release_ns, release_ns + dice.randrange(0, width_ns + 1, 2))
        )
        events.append(Stamped(before_ns, after_ns, dice.randrange(1, 4) * MICRO, *releases))
    return events


def worst_of_a_choice(dice: Random, measure: str, events: list[Stamped], history: list[InForce]) -> Fraction:
    """How far over one choice of instants inside all stamps goes, by the exact checkers."""
    course = chosen_course(dice, history)
    instants = [(dice.randint(event.before_ns, event.after_ns), event) for event in events]
    if measure == "rate":
        chosen = sorted((at_ns, Fraction(event.units_micro, MICRO)) for at_ns, event in instants)
        return rate_over_by(chosen, course, PER)
    if measure == "quota":
        return quota_over_by([(at_ns, event.units_micro) for at_ns, event in instants], course, WINDOWS)
    held = []
    for at_ns, event in instants:
        released = event.release_before_ns
        if released is not None and event.release_after_ns is not None:
            released = dice.randint(released, event.release_after_ns)
        held.append((at_ns, released, event.units_micro))
    return concurrency_over_by(held, course)


WINDOWS = (0, 1_500, 4_000)


def certain(measure: str, events: list[Stamped], history: list[InForce]) -> list[bounds.Violation]:
    if measure == "rate":
        return bounds.certain_rate_violations(events, history, per_ns=PER, grain_micro=0)
    if measure == "quota":
        return bounds.certain_quota_violations(events, history, WINDOWS)
    return bounds.certain_concurrency_violations(events, history)


def possible(measure: str, events: list[Stamped], history: list[InForce]) -> list[bounds.Violation]:
    if measure == "rate":
        return bounds.possible_rate_violations(events, history, per_ns=PER, grain_micro=0)
    if measure == "quota":
        return bounds.possible_quota_violations(events, history, WINDOWS)
    return bounds.possible_concurrency_violations(events, history)


@pytest.mark.parametrize("measure", ["rate", "concurrency", "quota"])
def test_no_choice_of_instants_explains_a_certain_violation(measure: str) -> None:
    """Whenever something is called certain, ten random choices inside all stamps are over the limit, each of them."""
    found = 0
    for seed in range(400):
        dice = Random(seed)
        history, events = random_history(dice), random_events(dice, dice.choice((0, 5, 100, 1_000)))
        if certain(measure, events, history):
            found += 1
            assert all(worst_of_a_choice(dice, measure, events, history) > 0 for _ in range(10)), seed
    assert found > 50


@pytest.mark.parametrize("measure", ["rate", "concurrency", "quota"])
def test_what_is_not_called_possible_holds_for_every_choice(measure: str) -> None:
    """Whenever nothing is possible, ten random choices are within the limit; and certain is always possible too."""
    silent = 0
    for seed in range(600):
        dice = Random(seed)
        history, events = random_history(dice), random_events(dice, dice.choice((0, 5, 100, 1_000)))
        events = events[: dice.randrange(1, 8)]
        if certain(measure, events, history):
            assert possible(measure, events, history), seed
        if not possible(measure, events, history):
            silent += 1
            assert all(worst_of_a_choice(dice, measure, events, history) <= 0 for _ in range(10)), seed
    assert silent > 50


@pytest.mark.parametrize("measure", ["rate", "concurrency", "quota"])
def test_with_exact_stamps_certain_is_what_the_exact_checker_says(measure: str) -> None:
    """Stamps without width leave no choice: what is found is a violation, and one of more than a nanosecond's worth is
    found (at a change of burst the checker allows the nanosecond to either side).
    """
    a_nanosecond = Fraction(20, PER) if measure == "rate" else Fraction(0)
    verdicts = set()
    for seed in range(400):
        dice = Random(seed)
        history = [InForce(c.earliest_ns, c.earliest_ns, c.segments, c.burst_ns) for c in random_history(dice)]
        events = random_events(dice, 0)[: dice.randrange(1, 12)]
        over_by = worst_of_a_choice(dice, measure, events, history)
        found = bool(certain(measure, events, history))
        verdicts.add(found)

        assert over_by > 0 if found else over_by <= a_nanosecond, seed
    assert verdicts == {True, False}


def test_a_violation_names_its_window_and_both_numbers() -> None:
    """10 a microsecond with a burst of 10: 25 units inside one microsecond are 5 over the 20 it may hold."""
    events = [Stamped(1_000, 1_010, 10 * MICRO), Stamped(1_900, 2_000, 15 * MICRO)]

    found = bounds.certain_rate_violations(events, [FLAT_10], per_ns=PER)

    assert [bounds.Violation(1_000, 2_000, 25 * MICRO, 20 * MICRO)] == found
    assert [] == bounds.certain_rate_violations(events[:1], [FLAT_10], per_ns=PER)


def test_two_that_overlap_in_one_slot_are_certain_whichever_came_first() -> None:
    """A limit of 1, two demands with the same stamps, both held long after: one of them was the second."""
    one = [InForce(0, 0, ((0, None, MICRO, MICRO),))]
    events = [Stamped(10, 20, MICRO, 900, 910), Stamped(10, 20, MICRO, 900, 910)]

    assert [bounds.Violation(10, 20, 2 * MICRO, MICRO)] == bounds.certain_concurrency_violations(events, one)


def test_a_cut_accuses_nobody_who_may_have_come_before_it() -> None:
    """10 in flight, a cut to 4 known to within 50..60: what was stamped 40..55 may have come before, 61..70 did not."""
    ten = ((0, None, 10 * MICRO, 10 * MICRO),)
    four = ((0, None, 4 * MICRO, 4 * MICRO),)
    history = [InForce(0, 0, ten), InForce(50, 60, four)]
    before = [Stamped(40, 55, MICRO) for _ in range(10)]

    assert [] == bounds.certain_concurrency_violations(before, history)
    assert bounds.possible_concurrency_violations(before, history)
    assert bounds.certain_concurrency_violations([*before, Stamped(61, 70, MICRO)], history)


def test_a_history_without_a_curve_or_out_of_order_is_an_error() -> None:
    """Nothing to judge by is not the same as nothing wrong."""
    with pytest.raises(ValueError, match="without a curve"):
        bounds.certain_rate_violations([], [], per_ns=PER)
    with pytest.raises(ValueError, match="one after the other"):
        bounds.certain_concurrency_violations([], [FLAT_10, InForce(-5, -1, FLAT_10.segments)])


def test_nothing_let_in_violates_nothing() -> None:
    """No events: no findings, of any kind."""
    for measure in ("rate", "concurrency", "quota"):
        assert [] == certain(measure, [], [FLAT_10])
        assert [] == possible(measure, [], [FLAT_10])
