"""Approvals: who counts, for what, how long, and when people are asked."""

from dataclasses import replace

import pytest

from headway.ramp.decisions import Rejected
from headway.ramp.facts import Given
from headway.ramp.observations import Approval
from headway.ramp.vet import vet
from tests.ramp.ramps import DAY, FIRST, HOUR, MINUTE, T0, TERMS, Ramp, contract, instant, second


def waiting(**need: object) -> Ramp:
    return Ramp(contract(FIRST, second(approval={"by": "dba", **need})))


def rejected(ramp: Ramp, **fields: object) -> Rejected:
    approval = {"at_ms": T0, "stage": "two", "group": "dba", "actor": "user:bob", "terms_digest": TERMS, **fields}
    with pytest.raises(Rejected) as caught:
        vet(ramp.contract, ramp.state, Approval(**approval), ramp.now_ms)  # type: ignore[arg-type]
    return caught.value


def test_one_approval_of_the_group_enters_the_stage() -> None:
    ramp = waiting()

    assert "one" == ramp.at(MINUTE).stage
    assert "two" == ramp.approve(HOUR).stage


def test_two_needed_are_two_people() -> None:
    """The same person twice is one; a second one makes two."""
    ramp = waiting(need=2)

    assert "one" == ramp.approve(1).approve(2).stage
    assert "two" == ramp.approve(3, actor="user:eve").stage


def test_people_are_asked_once_all_else_holds() -> None:
    """Before the date nobody is bothered; at the date dba is asked."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(HOUR), approval="dba")))

    assert () == ramp.at(HOUR - 1).last.needs
    assert [("approval", "dba", "two")] == [(need.what, need.group, need.stage) for need in ramp.at(HOUR).last.needs]


def test_an_approval_expires() -> None:
    """Given on the first day for a date on the ninth: the seven days are over, it is asked for again."""
    ramp = Ramp(contract(FIRST, second(not_before=instant(9 * DAY), approval="dba")))

    assert "one" == ramp.approve(DAY).at(9 * DAY).stage
    assert "two" == ramp.approve(9 * DAY).stage


def test_an_approval_counts_until_the_instant_it_expires() -> None:
    """An hour it lives: a millisecond before its end it enters the stage, at its end it does not."""
    for after_ms, stage in ((HOUR - 1, "two"), (HOUR, "one")):
        ramp = Ramp(
            contract(FIRST, second(not_before=instant(after_ms + MINUTE), approval={"by": "dba", "expires": "1h"}))
        )

        assert stage == ramp.approve(MINUTE).at(after_ms + MINUTE).stage


def test_who_applied_the_version_cannot_approve_it() -> None:
    """Ada applied it: her yes is seen and not counted; Bob's counts."""
    ramp = waiting()

    assert "one" == ramp.approve(1, actor="user:ada").stage
    assert "HW514" in ramp.state.not_counted[-1].why
    assert "two" == ramp.approve(2, actor="user:bob").stage


def test_who_asked_to_skip_the_soak_cannot_approve() -> None:
    """Ann asks to advance and approves: her yes does not count. Nor can Bob approve first and then skip the soak."""
    agreed = contract(FIRST, second(soak={"for": "1d", "above": "50%"}, approval={"by": "dba", "need": 2}))

    ramp = Ramp(agreed).call(1, "advance", "user:ann").approve(2, actor="user:ann")
    assert "HW514" in ramp.state.not_counted[-1].why
    assert () == ramp.state.approvals

    ramp = Ramp(agreed).approve(1, actor="user:bob").call(2, "advance", "user:bob")
    assert "HW514" in ramp.state.not_counted[-1].why
    assert ramp.state.advanced_by is None


def test_on_the_loopback_tokens_one_person_is_enough_and_it_is_recorded() -> None:
    """The single user applied it, needs two, and approves alone: met, and the ledger says `single_user`."""
    ramp = waiting(need=2)

    assert "two" == ramp.approve(1, actor="user:ada", single_user=True).stage
    assert ramp.state.approvals[0].single_user


def test_an_approval_of_other_terms_does_not_count() -> None:
    ramp = waiting()

    assert "HW512" == rejected(ramp, terms_digest="older").code
    assert "one" == ramp.approve(1, terms="older").stage


def test_an_approval_for_a_group_that_is_not_asked_is_rejected_with_who_is() -> None:
    fault = rejected(waiting(), group="cooks")

    assert ("HW513", "it asks dba") == (fault.code, fault.because)


def test_an_approval_for_an_unknown_or_past_stage_is_rejected() -> None:
    ramp = waiting()

    assert "HW511" == rejected(ramp, stage="three").code
    assert "HW516" == rejected(ramp, stage="one").code


def test_one_person_counts_once() -> None:
    ramp = waiting(need=2).approve(1)

    assert "HW515" == rejected(ramp).code


def test_nothing_is_approved_on_a_ramp_that_is_over() -> None:
    ramp = waiting().call(1, "abort")

    assert "HW510" == rejected(ramp).code
    assert "one" == ramp.approve(2).stage


def test_no_approval_is_forgotten_by_a_restart() -> None:
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY), approval="dba")))

    assert "two" == ramp.approve(HOUR).restart().at(DAY).stage


def test_approvals_of_earlier_terms_never_count_however_they_came_into_the_state() -> None:
    """Vetting keeps them out; the condition itself does not rely on it."""
    ramp = waiting()
    ramp.last = replace(
        ramp.last, state=replace(ramp.state, approvals=(Given("two", "dba", "user:bob", T0, "older", False),))
    )

    assert "one" == ramp.at(1).stage
