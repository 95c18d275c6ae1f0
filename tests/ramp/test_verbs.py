"""What people do to a ramp: hold, resume, advance, step back, override, abort, retire, and what cannot be done."""

from dataclasses import replace

import pytest

from headway.ramp.conditions import Surroundings
from headway.ramp.decisions import Rejected
from headway.ramp.observations import VerbCall
from headway.ramp.vet import vet
from tests.ramp.ramps import (
    DAY,
    FIRST,
    HOUR,
    MINUTE,
    SECOND,
    T0,
    UNIT,
    Ramp,
    contract,
    instant,
    override,
    second,
    verb_call,
)

CLIMB = contract(FIRST, second(climb="2h", not_before=instant(HOUR)))
"""From 100 to 200 between the first and the third hour."""


def rejected(ramp: Ramp, call: VerbCall) -> Rejected:
    with pytest.raises(Rejected) as caught:
        vet(ramp.contract, ramp.state, call, ramp.now_ms)
    return caught.value


def test_a_climb_rises_in_a_line_and_arrives_at_its_end() -> None:
    """Half-way at the second hour; arrived at the third, which also completes the ramp."""
    ramp = Ramp(CLIMB).at(HOUR)

    assert (100, 150, 200) == (ramp.level(HOUR), ramp.level(2 * HOUR), ramp.level(3 * HOUR))
    assert (None, T0 + 3 * HOUR) == (ramp.state.arrived_at_ms, ramp.last.wake_at_ms)
    assert ["arrived", "completed"] == ramp.at(3 * HOUR).kinds
    assert T0 + 3 * HOUR == ramp.state.arrived_at_ms


def test_a_late_evaluation_says_when_the_climb_really_ended() -> None:
    ramp = Ramp(CLIMB).at(HOUR).at(DAY)

    assert T0 + 3 * HOUR == ramp.state.arrived_at_ms


def test_a_hold_stops_a_climb_at_its_instant_and_resume_goes_on_with_the_time_left() -> None:
    """Held at 150 for a day: it stays 150; resumed, it takes the hour that was left."""
    ramp = Ramp(CLIMB).at(HOUR).call(2 * HOUR, "hold")

    assert 150 == ramp.at(DAY).level() == ramp.level(2 * DAY)
    ramp.call(2 * DAY, "resume")
    assert (150, 175, 200) == tuple(ramp.level(2 * DAY + part) for part in (0, 30 * MINUTE, HOUR))
    assert "completed" == ramp.at(2 * DAY + HOUR).state.status


def test_held_blocks_every_entry_until_resumed() -> None:
    ramp = Ramp(CLIMB).call(MINUTE, "hold")

    assert "one" == ramp.at(DAY).stage
    assert "two" == ramp.call(DAY, "resume").stage


def test_a_hold_at_the_end_of_a_climb_finds_it_arrived() -> None:
    """Held at the very instant the climb ends: it has arrived, there is nothing to stop."""
    ramp = Ramp(CLIMB).at(HOUR).call(3 * HOUR, "hold")

    assert (200, T0 + 3 * HOUR) == (ramp.level(), ramp.state.arrived_at_ms)


def test_advance_skips_the_soak_and_nothing_else() -> None:
    """Soak and a date: the soak is skipped, the date is waited for."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "1d", "above": "50%"}, not_before=instant(HOUR))))

    assert "one" == ramp.call(MINUTE, "advance").stage
    assert "two" == ramp.at(HOUR).stage


def test_advance_counts_for_the_next_stage_once() -> None:
    three = {"stage": "three", "limit": "300", "when": {"soak": {"for": "1d", "above": "50%"}}}
    ramp = Ramp(contract(FIRST, second(soak={"for": "1d", "above": "50%"}), three))

    assert "two" == ramp.call(MINUTE, "advance").stage
    assert "two" == ramp.at(HOUR).stage
    assert ramp.state.advanced_by is None


def test_a_step_back_wants_approvals_again_starts_the_soak_anew_and_keeps_events() -> None:
    """Back from two: bob must approve again, two minutes of soak are earned again, the event stays."""
    when = {"soak": {"for": "2m", "above": "0%"}, "event": "ready", "approval": "dba"}
    ramp = Ramp(contract(FIRST, second(**when)))
    ramp.event(1).approve(2).soak(2, 2 * MINUTE + 2, 0.5)
    assert "two" == ramp.stage

    ramp.call(HOUR, "step_back")

    assert ("one", 100) == (ramp.stage, ramp.level())
    assert ((), (), 1, None) == (ramp.state.approvals, ramp.state.soaked_ms, len(ramp.state.events), ramp.state.held)
    assert "one" == ramp.soak(HOUR, HOUR + 2 * MINUTE, 0.5).stage
    assert "two" == ramp.approve(HOUR + 3 * MINUTE).stage
    first, latest = ramp.state.visits[1].first_ms, ramp.state.visits[1].latest_ms
    assert (T0 + 2 * MINUTE + 2, T0 + HOUR + 3 * MINUTE) == (first, latest)


def test_a_step_back_that_would_be_undone_at_once_holds() -> None:
    """Stage two waits for a date that has passed: nothing would keep it from coming straight back."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(HOUR)))).at(HOUR).call(2 * HOUR, "step_back")

    assert "one" == ramp.at(DAY).stage
    assert ramp.state.held is not None and "step_back" == ramp.state.held.cause


def test_a_step_back_in_the_first_stage_goes_to_the_floor_and_calls_a_person() -> None:
    """Down to 10, held; a resume brings it back to 100, and only the evaluation after that on to 200, whose date has come."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY)), enforce={"floor": "10"})).call(MINUTE, "step_back")

    assert (10, True) == (ramp.level(), ramp.state.floored)
    assert 10 == ramp.at(2 * DAY).level()
    assert (100, False) == (ramp.call(2 * DAY, "resume").level(), ramp.state.floored)
    assert (T0 + 2 * DAY, 200) == (ramp.last.wake_at_ms, ramp.at(2 * DAY).level())


def test_a_step_back_in_the_first_stage_without_floor_holds_and_calls_a_person() -> None:
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY)))).call(MINUTE, "step_back")

    assert 100 == ramp.level()
    assert ramp.state.held is not None and "step_back" == ramp.state.held.cause
    assert "one" == ramp.at(2 * DAY).stage


def test_a_step_back_never_raises_a_ramp_that_goes_down() -> None:
    """From 100 to 50: stepping back to stage one keeps 50, because only entering raises."""
    ramp = Ramp(contract(FIRST, second(limit="50", event="ready"))).event(1)

    assert (50, "one") == (ramp.call(2, "step_back").level(), ramp.stage)


def test_an_override_below_holds_until_its_end_and_then_is_gone() -> None:
    """30 instead of 100 for an hour."""
    ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, 30, HOUR))

    assert (30, T0 + HOUR) == (ramp.level(), ramp.last.wake_at_ms)
    assert 30 == ramp.at(HOUR - 1).level()
    assert 100 == ramp.at(HOUR).level()
    assert ramp.state.overridden is None


def test_the_end_of_an_override_that_lowers_is_not_on_the_curve_ahead() -> None:
    """A raise is not decided before its time: the curve stays at 30 until it is."""
    ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, 30, HOUR))

    assert 30 == ramp.level(DAY)


def test_an_override_that_raises_wants_a_second_person_and_its_end_is_on_the_curve() -> None:
    """150 for an hour: Ann alone cannot; with Bob she can, and the curve ahead falls back to 100 at the hour."""
    ramp = Ramp(contract(FIRST))

    assert "HW514" == rejected(ramp, override(MINUTE, 150, HOUR)).code
    assert "HW514" == rejected(ramp, override(MINUTE, 150, HOUR, second="user:ann")).code
    ramp.at(MINUTE, override(MINUTE, 150, HOUR, second="user:bob"))
    assert (150, 150, 100) == (ramp.level(), ramp.level(HOUR - 1), ramp.level(HOUR))
    assert ["override_ended"] == ramp.at(HOUR).kinds


def test_one_person_on_both_loopback_tokens_may_override_upward() -> None:
    ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, 150, HOUR, single_user=True))

    assert 150 == ramp.level()
    assert ramp.entries[-1].body["single_user"]


def test_a_lower_override_is_not_loosened_by_one_person() -> None:
    """From 10 to 30 under a stage of 100 is a raise too."""
    ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, 10, HOUR))

    assert "HW514" == rejected(ramp, override(2 * MINUTE, 30, HOUR)).code


def test_resume_ends_an_override_that_lowers_with_a_second_person() -> None:
    """From 10 back to the 100 of its stage, half an hour early: a raise, and who asks for it is not who agrees."""
    ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, 10, HOUR))
    assert "HW514" == rejected(ramp, verb_call(30 * MINUTE, "resume")).code
    assert "HW514" == rejected(ramp, verb_call(30 * MINUTE, "resume", second="user:ann")).code

    ramp.at(30 * MINUTE, verb_call(30 * MINUTE, "resume", second="user:bob"))

    assert (100, None) == (ramp.level(), ramp.state.overridden)
    ended = ramp.entries[-1]
    assert ("override_ended", "user:ann", "user:bob") == (ended.kind, ended.actor, ended.body["second"])
    assert [] == ramp.at(HOUR).kinds, "it ended already"


def test_resume_ends_an_override_that_raises_and_one_person_is_enough() -> None:
    """From 150 back to 100 is a cut; nothing is left to resume then."""
    ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, 150, HOUR, second="user:bob"))

    assert 100 == ramp.call(2 * MINUTE, "resume").level()
    assert "HW516" == rejected(ramp, verb_call(3 * MINUTE, "resume")).code


def test_an_override_that_ends_early_in_a_climb_leaves_the_climb_as_it_is() -> None:
    """120 over a climb that is at 125 and goes on to 200: one person may not end it; 190 over it: one may."""
    for level, code in ((120, "HW514"), (190, "")):
        ramp = Ramp(CLIMB).at(HOUR).at(HOUR + 1, override(HOUR + 1, level, 3 * HOUR, second="user:bob"))
        ramp.at(HOUR + 30 * MINUTE)
        call = verb_call(HOUR + 30 * MINUTE, "resume")
        if code:
            assert code == rejected(ramp, call).code
        second = replace(call, second="user:bob")

        assert (125, 200) == (ramp.at(HOUR + 30 * MINUTE, second).level(), ramp.level(3 * HOUR))


def test_resume_ends_a_hold_first_and_the_override_only_then() -> None:
    """Overridden to 150 and held: the first resume lifts the hold, the second one ends the override."""
    ramp = Ramp(contract(FIRST)).at(1, override(1, 150, DAY, second="user:bob")).call(2, "hold")

    assert (150, None) == (ramp.call(3, "resume").level(), ramp.state.held)
    assert (100, None) == (ramp.call(4, "resume").level(), ramp.state.overridden)


def test_an_override_that_lowers_is_not_ended_early_on_a_clock_that_is_suspect_or_an_upstream_that_is_full() -> None:
    """Both would raise; one that raises is ended all the same."""
    for around in (Surroundings({}, suspect="it jumped", believed_ms=T0 + MINUTE), Surroundings({}, full="db is full")):
        for level, code in ((10, "HW518"), (150, "")):
            ramp = Ramp(contract(FIRST)).at(MINUTE, override(MINUTE, level, HOUR, second="user:bob"))
            call = verb_call(2 * MINUTE, "resume", second="user:bob")
            try:
                vet(ramp.contract, ramp.state, call, T0 + 2 * MINUTE, around)
                found = ""
            except Rejected as rejection:
                found = rejection.code
            assert code == found


def test_no_stage_is_entered_and_no_soak_earned_while_an_override_lowers() -> None:
    """Load on 30 says nothing about 100; and 200 would follow 30 at once."""
    ramp = Ramp(contract(FIRST, second(soak={"for": "2m", "above": "0%"})))
    ramp.at(MINUTE, override(MINUTE, 30, HOUR)).soak(MINUTE, 30 * MINUTE, 0.9)

    assert ("one", ()) == (ramp.stage, ramp.state.soaked_ms)
    assert "two" == ramp.at(HOUR).soak(HOUR, HOUR + 2 * MINUTE, 0.9).stage


def test_the_end_of_an_override_waits_while_held_if_it_raises() -> None:
    """Held: nothing rises, not even back to where it was. Resumed, it does."""
    ramp = Ramp(contract(FIRST)).at(1, override(1, 30, HOUR)).call(2, "hold")

    assert 30 == ramp.at(DAY).level()
    assert 100 == ramp.call(DAY, "resume").level()


def test_an_override_over_a_climb_caps_it_where_they_meet() -> None:
    """Overridden to 150 from the start of a climb from 100 to 200: once the override has ended it goes on as if never pressed."""
    ramp = Ramp(CLIMB).at(HOUR).at(HOUR + 1, override(HOUR + 1, 120, 2 * HOUR, second="user:bob"))

    assert (120, 120, 120) == (ramp.level(HOUR + 1), ramp.level(2 * HOUR), ramp.level(3 * HOUR))
    ramp.at(2 * HOUR)
    assert (150, 200) == (ramp.level(2 * HOUR), ramp.level(3 * HOUR))


def test_bad_overrides_are_rejected() -> None:
    """No limit, an unknown dimension, a negative one, one beyond every meter, no end, an end in the past, an end in years."""
    ramp = Ramp(contract(FIRST)).at(HOUR)
    good = {"value_micro": {"": UNIT}, "until_ms": T0 + DAY}
    for bad in (
        {"value_micro": {}},
        {"value_micro": {"tokens": UNIT}},
        {"value_micro": {"": -1}},
        {"value_micro": {"": 1 << 63}},
        {"until_ms": None},
        {"until_ms": T0 + HOUR},
        {"until_ms": T0 + 400 * DAY},
    ):
        assert "HW517" == rejected(ramp, verb_call(HOUR, "override", **{**good, **bad})).code, bad


def test_abort_goes_to_the_floor_and_ends_the_ramp() -> None:
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY)), enforce={"floor": "10"})).call(1, "abort")

    assert (10, "aborted", None) == (ramp.level(), ramp.state.status, ramp.last.wake_at_ms)
    assert 10 == ramp.at(2 * DAY).level()


def test_abort_without_floor_goes_to_the_first_stage() -> None:
    ramp = Ramp(contract(FIRST, second(event="ready"))).event(1).call(2, "abort")

    assert (100, "one", "aborted") == (ramp.level(), ramp.stage, ramp.state.status)


def test_abort_never_raises_what_an_override_lowered() -> None:
    """Overridden to 5, then aborted to a floor of 10: it stays 5."""
    ramp = Ramp(contract(FIRST, enforce={"floor": "10"})).at(1, override(1, 5, DAY)).call(2, "abort")

    assert 5 == ramp.at(2 * DAY).level()


def test_retire_ends_a_ramp_where_it_stands_also_an_aborted_one() -> None:
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY)))).call(1, "abort").call(2, "retire")

    assert ("retired", None) == (ramp.state.status, ramp.last.wake_at_ms)
    before = ramp.state
    assert before is ramp.at(2 * DAY, verb_call(2 * DAY, "hold")).state


def test_verbs_do_nothing_on_a_ramp_that_is_over() -> None:
    """Every verb but retire is rejected on an aborted ramp; on a retired one, every verb is."""
    ramp = Ramp(contract(FIRST)).call(1, "abort")
    others = ("hold", "resume", "advance", "step_back", "override", "abort")

    assert {"HW510"} == {rejected(ramp, verb_call(2, verb)).code for verb in others}
    ramp.call(3, "retire")
    assert {"HW510"} == {rejected(ramp, verb_call(4, verb)).code for verb in (*others, "retire")}


def test_what_has_nothing_to_do_is_rejected() -> None:
    """Holding twice, resuming what is not held, advancing without soak, twice, or at the last stage, below the floor."""
    held = Ramp(contract(FIRST, second(not_before=instant(DAY)))).call(1, "hold")
    assert "HW516" == rejected(held, verb_call(2, "hold")).code
    assert "HW516" == rejected(held, verb_call(2, "advance")).code
    last = Ramp(contract(FIRST))
    assert "HW516" == rejected(last, verb_call(2, "resume")).code
    assert "HW516" == rejected(last, verb_call(2, "advance")).code
    advanced = Ramp(contract(FIRST, second(soak={"for": "1d", "above": "0%"}, event="e"))).call(1, "advance")
    assert "HW516" == rejected(advanced, verb_call(2, "advance")).code
    floored = Ramp(contract(FIRST, enforce={"floor": "10"})).call(1, "step_back")
    assert "HW516" == rejected(floored, verb_call(2, "step_back")).code


def test_every_verb_wants_a_reason() -> None:
    assert "HW519" == rejected(Ramp(contract(FIRST)), verb_call(1, "hold", reason="  ")).code


def test_what_step_cannot_do_is_remembered_and_changes_nothing_else() -> None:
    """A resume of what is not held: one `refused` entry, however often it is asked."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY))))
    ramp.call(1, "resume").call(2, "resume").call(3, "resume")

    assert 1 == len(ramp.state.not_counted)
    assert ["applied", "refused"] == [entry.kind for entry in ramp.entries]


def test_not_counted_keeps_the_last_twenty() -> None:
    ramp = Ramp(contract(FIRST))
    for number in range(30):
        ramp.call(number + 1, "resume", f"user:{number}")

    assert [f"user:{number}" for number in range(10, 30)] == [seen.actor for seen in ramp.state.not_counted]


def test_while_the_clock_is_suspect_cuts_proceed_and_raises_wait() -> None:
    """The date has come, an override ends, a resume is asked, an override upward: all wait. A cut is in force at once."""
    ramp = Ramp(contract(FIRST, second(climb="2h", not_before=instant(HOUR)))).stands(None, suspect=True)

    assert "one" == ramp.at(HOUR).stage
    assert 30 == ramp.at(HOUR + 1, override(HOUR + 1, 30, 2 * HOUR)).level()
    assert 30 == ramp.at(3 * HOUR).level()
    ramp.at(3 * HOUR + 1, override(3 * HOUR, 80, DAY, second="user:bob"))
    assert (30, "HW518") == (ramp.level(), ramp.state.not_counted[-1].why[:5])
    ramp.stands(None).at(4 * HOUR)
    assert "two" == ramp.stage
    ramp.stands(None, suspect=True).call(5 * HOUR, "hold").call(5 * HOUR + SECOND, "resume")
    assert 150 == ramp.level(DAY)
    assert 200 == ramp.stands(None).call(6 * HOUR, "resume").level(7 * HOUR)


def test_no_soak_is_earned_while_the_clock_is_suspect() -> None:
    ramp = Ramp(contract(FIRST, second(soak={"for": "2m", "above": "0%"}))).stands(None, suspect=True)

    assert () == ramp.soak(0, HOUR, 0.9).state.soaked_ms
