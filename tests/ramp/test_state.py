"""The state as a fold: what it keeps, what it bounds, and what it refuses to fold."""

import pytest

from headway.ramp.entries import Entry
from headway.ramp.machine import apply_first, step
from headway.ramp.state import APPROVALS_KEPT, EVENTS_KEPT, RampState, fold
from tests.ramp.ramps import DAY, FIRST, HOUR, MINUTE, T0, TERMS, Ramp, contract, instant, second, verb_call


def an_entry(kind: str, number: int = 0, **body: object) -> Entry:
    return Entry(kind, "api", T0 + number, f"user:{number}", "because", {}, body)  # type: ignore[arg-type]


def test_an_entry_of_another_contract_is_not_folded() -> None:
    state = Ramp(contract(FIRST)).state

    with pytest.raises(ValueError, match="not folded into web"):
        fold(contract(FIRST, name="web"), state, an_entry("completed"))


def test_nothing_is_folded_before_a_contract_was_applied() -> None:
    with pytest.raises(ValueError, match="before it was applied"):
        fold(contract(FIRST), None, an_entry("completed"))


def test_a_state_round_trips_exactly_and_leaves_out_what_is_not_written_yet() -> None:
    """A ramp with everything in it: text, back, and the same text; soak that is not worth an entry is not in it."""
    moved = {"during": f"{instant(HOUR)}/{instant(DAY)}", "limit": "40", "reason": "move"}
    when = {"soak": {"for": "1d", "above": "0%"}, "event": "ready", "approval": "dba", "not_before": instant(DAY)}
    ramp = Ramp(contract(FIRST, second(**when), exceptions=[moved]))
    ramp.event(1).approve(2).call(3, "advance").call(4, "resume").soak(5, MINUTE, 0.5)
    ramp.call(2 * MINUTE, "hold").at(HOUR)

    text = ramp.state.as_json()

    assert text == RampState.from_json(text).as_json()
    assert "pending" not in text
    assert ramp.state.pending_ms and RampState.from_json(text) == ramp.state


def test_a_text_that_no_state_wrote_is_an_error() -> None:
    for text in ("", "{}", "[]", '{"contract": "api"}'):
        with pytest.raises((ValueError, KeyError, TypeError)):
            RampState.from_json(text)


def test_latched_events_are_bounded_and_keep_the_first_and_the_latest() -> None:
    """Of one source two are kept; of ever new sources no more than the bound."""
    agreed, state = contract(FIRST, second(event="ready")), Ramp(contract(FIRST)).state
    for number in range(10):
        state = fold(
            agreed, state, an_entry("event", number, type="ready", source="ci", id=str(number), at_ms=T0, time_ms=None)
        )
    assert ["0", "9"] == [event.id for event in state.events]

    for number in range(2 * EVENTS_KEPT):
        state = fold(
            agreed, state, an_entry("event", number, type="ready", source=f"s{number}", id="x", at_ms=T0, time_ms=None)
        )
    assert EVENTS_KEPT == len(state.events)
    assert ("ci", f"s{2 * EVENTS_KEPT - 1}") == (state.events[0].source, state.events[-1].source)


def test_approvals_are_bounded_and_those_that_were_used_stay() -> None:
    """The approval that opened stage two outlives a flood of others."""
    three = {"stage": "three", "limit": "300", "when": {"approval": "dba"}}
    agreed = contract(FIRST, second(approval="dba"), three)
    ramp = Ramp(agreed).approve(1)
    state = ramp.state
    for number in range(2 * APPROVALS_KEPT):
        body = {"stage": "three", "group": "dba", "terms_digest": TERMS, "single_user": False}
        state = fold(agreed, state, an_entry("approved", number, **body))

    assert APPROVALS_KEPT == len(state.approvals)
    assert ("two", True) == (state.approvals[0].stage, state.approvals[0].used)


def test_a_new_version_after_the_end_starts_anew_and_the_curve_goes_on() -> None:
    """Aborted at version 3 of its curve, applied again: first stage, nothing remembered, and a newer curve."""
    ramp = Ramp(contract(FIRST, second(event="ready"))).event(1).call(2, "abort")

    again = apply_first(ramp.contract, "digest-2", "terms-2", 2, "user:bob", T0 + 3, ramp.state)

    assert again.curve is not None and again.curve.version > ramp.state.curve_version
    assert (2, 0, (), "running") == (again.state.version, again.state.stage, again.state.events, again.state.status)


def test_a_contract_of_one_stage_is_complete_when_it_is_applied() -> None:
    decided = apply_first(contract(FIRST), "digest", TERMS, 1, "user:ada", T0)

    assert ["applied", "completed"] == [entry.kind for entry in decided.entries]
    assert "completed" == decided.state.status


def test_an_unchanged_state_is_the_same_object_with_nothing_to_record_or_publish() -> None:
    ramp = Ramp(contract(FIRST, second(not_before=instant(DAY), approval="dba")))

    decided = step(ramp.contract, ramp.state, T0 + HOUR, (), calendars={})

    assert decided.state is ramp.state
    assert ((), None, T0 + DAY) == (decided.entries, decided.curve, decided.wake_at_ms)


def test_step_is_total_for_whatever_it_is_told() -> None:
    """Verbs in every order on every kind of end: nothing raises."""
    verbs = ("hold", "resume", "advance", "step_back", "override", "abort", "retire")
    for first in verbs:
        for then in verbs:
            ramp = Ramp(contract(FIRST, second(soak={"for": "1h", "above": "0%"}), enforce={"floor": "10"}))
            ramp.at(1, verb_call(1, first), verb_call(1, then)).at(DAY, verb_call(DAY, first))
            assert RampState.from_json(ramp.state.as_json()) == ramp.state
