"""What lowers a limit by itself: exceptions, and requirements that no longer stand."""

from headway.ramp.curve import HORIZON_MS
from tests.ramp.ramps import DAY, FIRST, HOUR, MINUTE, SECOND, T0, Ramp, contract, instant, override, second, upstream


def lowered(
    limit: str = "40", start: int = 3 * DAY, end: int = 3 * DAY + 2 * HOUR, **more: object
) -> dict[str, object]:
    during = f"{instant(start)}/{instant(end)}"
    return {"during": during, "limit": limit, "reason": "disks move", **more}


def test_an_exception_is_planned_a_day_ahead_and_stands_on_the_curve() -> None:
    """Not 24 h and a millisecond before; then its fall is decided, and no engine needs to be awake for it."""
    ramp = Ramp(contract(FIRST, exceptions=[lowered()])).at(MINUTE)

    assert T0 + 3 * DAY - HORIZON_MS == ramp.last.wake_at_ms
    assert 100 == ramp.at(2 * DAY - 1).level(3 * DAY)
    assert ["exception_planned"] == ramp.at(2 * DAY).kinds
    assert (100, 40) == (ramp.level(3 * DAY - 1), ramp.level(3 * DAY))


def test_the_end_of_an_exception_is_a_raise_that_is_decided_when_it_comes() -> None:
    """Until then the curve ahead stays at 40."""
    ramp = Ramp(contract(FIRST, exceptions=[lowered()])).at(2 * DAY).at(3 * DAY)

    assert (["exception_began"], 40, 40) == (ramp.kinds, ramp.level(), ramp.level(4 * DAY))
    assert T0 + 3 * DAY + 2 * HOUR == ramp.last.wake_at_ms
    assert 100 == ramp.at(3 * DAY + 2 * HOUR).level()
    assert () == ramp.state.exceptions


def test_the_end_of_an_exception_waits_while_the_clock_is_suspect_or_it_is_held() -> None:
    ramp = Ramp(contract(FIRST, exceptions=[lowered()])).at(3 * DAY)

    assert 40 == ramp.stands(None, suspect=True).at(4 * DAY).level()
    assert 40 == ramp.stands(None).call(4 * DAY + 1, "hold").level()
    assert 100 == ramp.call(4 * DAY + 2, "resume").level()


def test_an_exception_lowers_also_after_an_engine_that_slept_over_its_beginning() -> None:
    """No plan was recorded; at the first evaluation inside it begins. One slept over whole leaves no trace."""
    ramp = Ramp(contract(FIRST, exceptions=[lowered()])).at(MINUTE)

    assert 40 == ramp.at(3 * DAY + HOUR).level()
    late = Ramp(contract(FIRST, exceptions=[lowered()])).at(MINUTE)
    before = late.state
    assert before is late.at(9 * DAY).state


def test_a_contract_applied_within_an_exception_begins_lowered() -> None:
    ramp = Ramp(contract(FIRST, exceptions=[lowered(start=-HOUR, end=HOUR)]))

    assert 40 == ramp.level()


def test_a_stage_entered_within_an_exception_does_not_break_through_it() -> None:
    """The exception of 150 does not lower stage one; it caps stage two, entered inside it, at once."""
    agreed = contract(FIRST, second(event="ready"), exceptions=[lowered("150", HOUR, 2 * HOUR)])
    ramp = Ramp(agreed).at(HOUR).event(HOUR + MINUTE)

    assert ("two", 150) == (ramp.stage, ramp.level())
    assert 200 == ramp.at(2 * HOUR).level()


def test_no_stage_is_entered_while_an_exception_lowers_the_present_one() -> None:
    agreed = contract(FIRST, second(event="ready"), exceptions=[lowered("40", HOUR, 2 * HOUR)])
    ramp = Ramp(agreed).at(HOUR).event(HOUR + MINUTE)

    assert "one" == ramp.stage
    assert "two" == ramp.at(2 * HOUR).stage


def test_an_exception_above_raises_only_with_its_approval_and_falls_back_by_itself() -> None:
    """150 for two hours if dba says so; the fall at its end is on the curve ahead."""
    agreed = contract(FIRST, exceptions=[lowered("150", HOUR, 3 * HOUR, approval="dba")])

    assert 100 == Ramp(agreed).at(HOUR).level()
    ramp = Ramp(agreed).approve(MINUTE, stage="exception:0").at(HOUR)
    assert (150, 150, 100) == (ramp.level(), ramp.level(3 * HOUR - 1), ramp.level(3 * HOUR))
    assert 100 == ramp.at(3 * HOUR).level()


def test_an_exception_above_is_lifted_also_by_an_approval_that_comes_inside_it() -> None:
    agreed = contract(FIRST, exceptions=[lowered("150", HOUR, 3 * HOUR, approval="dba")])
    ramp = Ramp(agreed).at(HOUR)

    assert 150 == ramp.approve(2 * HOUR, stage="exception:0").level()


def test_an_exception_above_without_approval_never_raises() -> None:
    """The reader refuses such a document; the machine does not rely on it."""
    ramp = Ramp(contract(FIRST, exceptions=[lowered("150", HOUR, 3 * HOUR)])).at(HOUR)

    assert 100 == ramp.level()


def test_the_lower_of_override_and_exception_counts() -> None:
    ramp = Ramp(contract(FIRST, exceptions=[lowered("40", HOUR, 3 * HOUR)])).at(1, override(1, 60, 2 * HOUR)).at(HOUR)

    assert 40 == ramp.level()
    assert 40 == ramp.at(2 * HOUR).level()
    assert 100 == ramp.at(3 * HOUR).level()


def test_an_exception_caps_a_climb_where_they_meet_and_the_climb_goes_on_beneath() -> None:
    """Climb 100 to 200 from the first to the third hour under a cap of 130 from 90 minutes on; the cap ends at 150 minutes."""
    agreed = contract(
        FIRST, second(climb="2h", not_before=instant(HOUR)), exceptions=[lowered("130", 90 * MINUTE, 150 * MINUTE)]
    )
    ramp = Ramp(agreed).at(HOUR)

    levels = [ramp.level(minutes * MINUTE) for minutes in (60, 84, 90, 96, 97, 180)]
    assert [100, 120, 125, 130, 130, 130] == levels
    ramp.at(150 * MINUTE)
    assert (175, 200) == (ramp.level(150 * MINUTE), ramp.level(180 * MINUTE))


def test_a_requirement_that_falls_takes_those_along_who_require_it() -> None:
    """Cluster falls from 100 to 70 under a requirement of 80: down from 200 to 100 at once; approvals and events stay."""
    when = {"requires": {"cluster": "80"}, "event": "ready", "approval": "dba"}
    ramp = Ramp(contract(FIRST, second(**when))).stands(upstream(level=100)).event(1).approve(2)
    assert "two" == ramp.stage

    ramp.stands(upstream(level=70)).at(HOUR)

    assert (["fell"], "one", 100) == (ramp.kinds, ramp.stage, ramp.level())
    assert "cluster at 80 no longer stands" in ramp.last.entries[0].reason
    assert (1, 1) == (len(ramp.state.approvals), len(ramp.state.events))
    assert "two" == ramp.stands(upstream(level=80)).at(30 * DAY).stage


def test_a_fall_goes_to_the_highest_stage_whose_own_and_earlier_requirements_stand() -> None:
    """Four stages; cluster loses what the third requires, though the fourth requires nothing: down to the second."""
    three = {"stage": "three", "limit": "300", "when": {"requires": {"cluster": "100"}}}
    four = {"stage": "four", "limit": "400", "when": {"event": "ready"}}
    ramp = Ramp(contract(FIRST, second(requires={"cluster": "50"}), three, four)).stands(upstream(level=100))
    ramp.at(1).at(2).event(3)
    assert "four" == ramp.stage

    assert "two" == ramp.stands(upstream(level=50)).at(4).stage
    assert "three" == ramp.stands(upstream(level=100)).at(5).stage
    assert "one" == ramp.stands(upstream(level=10)).at(6).stage


def test_silence_about_an_upstream_makes_nobody_fall_and_nobody_rise() -> None:
    ramp = Ramp(contract(FIRST, second(requires={"cluster": "big"}))).stands(upstream()).at(1)

    assert "two" == ramp.stands(None).at(2).stage


def test_an_aborted_or_pressed_upstream_carries_nobody() -> None:
    for standing in (upstream(over=True), upstream(pressed=True)):
        ramp = Ramp(contract(FIRST, second(requires={"cluster": "big"}))).stands(upstream()).at(1)

        assert "one" == ramp.stands(standing).at(2).stage


def test_cuts_proceed_while_held_and_while_the_clock_is_suspect() -> None:
    """A fall along and an exception are in force at once, whoever holds."""
    agreed = contract(FIRST, second(requires={"cluster": "big"}), exceptions=[lowered("40", HOUR, 2 * HOUR)])
    ramp = Ramp(agreed).stands(upstream()).at(1).call(2, "hold")

    ramp.stands(upstream("small"), suspect=True)
    assert ("one", 100) == (ramp.at(3).stage, ramp.level())
    assert 40 == ramp.at(HOUR).level()


def test_a_stage_is_not_entered_in_the_evaluation_that_fell() -> None:
    """Three requires what has gone; two does not: it falls to two, and stays there in this evaluation."""
    three = {"stage": "three", "limit": "300", "when": {"requires": {"cluster": "big"}}}
    ramp = Ramp(contract(FIRST, second(event="ready"), three)).stands(upstream()).event(1).at(2)
    assert "three" == ramp.stage

    assert ["fell"] == ramp.stands(upstream("small")).at(3).kinds


def test_one_stage_is_entered_an_evaluation_also_when_catching_up() -> None:
    """Asleep over three dates: three evaluations, each asked for at once."""
    stages = [
        {"stage": name, "limit": limit, "when": {"not_before": instant(number * HOUR)}}
        for number, (name, limit) in enumerate([("two", "200"), ("three", "300"), ("four", "400")], 1)
    ]
    ramp = Ramp(contract(FIRST, *stages)).at(SECOND)

    assert ("two", T0 + DAY) == (ramp.at(DAY).stage, ramp.last.wake_at_ms)
    assert ("three", T0 + DAY) == (ramp.at(DAY).stage, ramp.last.wake_at_ms)
    assert ("four", None) == (ramp.at(DAY).stage, ramp.last.wake_at_ms)


def test_a_stage_that_waits_for_nothing_more_still_waits_for_the_climb_before_it() -> None:
    """Two climbs for two hours; three's event came long ago: it is entered when two has arrived."""
    three = {"stage": "three", "limit": "300", "when": {"event": "ready"}}
    ramp = Ramp(contract(FIRST, second(climb="2h", not_before=instant(HOUR)), three)).event(1).at(HOUR)

    assert "two" == ramp.at(3 * HOUR - 1).stage
    assert "three" == ramp.at(3 * HOUR).stage
