"""The entries of moves: where the level goes when a stage is entered, left, or the ramp falls.

A move down never raises any dimension: it goes to the lesser of the level there is and the level it moves to. That also
holds for ramps whose later stages are lower, and while the clock is not trusted: how far a climb has come is then read at
`believed_ms`, which is `now_ms` otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from headway.contract.model import Contract
from headway.ramp.conditions import Condition
from headway.ramp.entries import Entry, EntryKind
from headway.ramp.facts import Cause, Course
from headway.ramp.observations import VerbCall
from headway.ramp.state import RampState

HEADWAY = "headway"
"""The actor of what the machine decides itself."""


def enter(contract: Contract, state: RampState, now_ms: int, evidence: Sequence[Condition]) -> Entry:
    """Into the next stage: climbing from the level there is, at once where it asks for no climb."""
    stage = contract.ramp[state.stage + 1]
    from_micro = state.course.levels_micro(now_ms)
    if stage.climb_ms:
        course = Course(now_ms, now_ms + stage.climb_ms, from_micro, dict(stage.limit_micro))
    else:
        course = Course.flat(now_ms, stage.limit_micro)
    held = ", ".join(condition.what for condition in evidence) or "nothing was asked"
    return entry(
        "entered",
        contract,
        now_ms,
        HEADWAY,
        f"all that {stage.name} waits for holds: {held}",
        {"stage": state.stage + 1, "name": stage.name, "from_micro": from_micro, "course": course.as_json()},
        {"conditions": [as_evidence(condition) for condition in evidence]},
    )


def raises_by_entering(contract: Contract, state: RampState, now_ms: int) -> bool:
    """Whether the next stage lifts any dimension above the level there is."""
    limit = contract.ramp[state.stage + 1].limit_micro
    return any(limit[dimension] > state.course.level_micro(dimension, now_ms) for dimension in limit)


def fall(contract: Contract, state: RampState, now_ms: int, believed_ms: int, stage: int, because: Condition) -> Entry:
    """At once, along with a requirement that no longer stands; approvals and events stay."""
    course = _down_to(contract.ramp[stage].limit_micro, state, now_ms, believed_ms)
    name = contract.ramp[stage].name
    return entry(
        "fell",
        contract,
        now_ms,
        HEADWAY,
        f"to {name}: {because.what} no longer stands",
        {"stage": stage, "course": course.as_json()},
        {"conditions": [as_evidence(because)]},
    )


def step_back(contract: Contract, state: RampState, now_ms: int, believed_ms: int, call: VerbCall) -> Entry:
    """To the previous stage; from the first to the floor. The caller sees to a first stage without floor."""
    left = [contract.ramp[state.stage].name]
    floor = contract.enforce.floor_micro
    if state.stage == 0:
        assert floor is not None, "there is nothing below the first stage"
        body = {
            "stage": 0,
            "floor": True,
            "left": left,
            "course": _down_to(floor, state, now_ms, believed_ms).as_json(),
        }
        return entry("stepped_back", contract, now_ms, call.actor, call.reason, body)
    stage = state.stage - 1
    course = _down_to(contract.ramp[stage].limit_micro, state, now_ms, believed_ms)
    body = {"stage": stage, "floor": False, "left": left, "course": course.as_json()}
    return entry("stepped_back", contract, now_ms, call.actor, call.reason, body)


def abort(contract: Contract, state: RampState, now_ms: int, believed_ms: int, call: VerbCall) -> Entry:
    """To the floor, else to the first stage, for good. An override ends with it, but never upward."""
    floor = contract.enforce.floor_micro
    target = dict(contract.ramp[0].limit_micro if floor is None else floor)
    if state.overridden is not None:
        for dimension, value in state.overridden.value_micro.items():
            target[dimension] = min(target[dimension], value)
    left = [stage.name for stage in contract.ramp]
    course = _down_to(target, state, now_ms, believed_ms)
    body = {"stage": 0, "floor": floor is not None, "left": left, "course": course.as_json()}
    return entry("aborted", contract, now_ms, call.actor, call.reason, body)


def hold(
    contract: Contract, state: RampState, now_ms: int, believed_ms: int, cause: Cause, actor: str, reason: str
) -> Entry:
    """Nothing rises from here; a climb stops as far as it has come at `believed_ms`."""
    body: dict[str, Any] = {"cause": cause}
    if state.arrived_at_ms is None and not state.floored and state.course.remaining_ms is None:
        body["course"] = state.course.stopped(now_ms, believed_ms).as_json()
    return entry("held", contract, now_ms, actor, reason, body)


def resume(contract: Contract, state: RampState, now_ms: int, call: VerbCall) -> Entry:
    """A stopped climb goes on with the time that was left; from the floor it is back to the first stage."""
    body: dict[str, Any] = {}
    if state.floored:
        body["course"] = Course.flat(now_ms, contract.ramp[0].limit_micro).as_json()
    elif state.course.remaining_ms is not None:
        body["course"] = state.course.resumed(now_ms).as_json()
    return entry("resumed", contract, now_ms, call.actor, call.reason, body)


def entry(
    kind: EntryKind,
    contract: Contract,
    now_ms: int,
    actor: str,
    reason: str,
    body: Mapping[str, Any],
    evidence: Mapping[str, Any] | None = None,
) -> Entry:
    """An entry of one contract; `HEADWAY` is the actor of what the machine decides itself."""
    return Entry(kind, contract.name, now_ms, actor, reason, evidence or {}, body)


def as_evidence(condition: Condition) -> dict[str, Any]:
    """A condition as JSON values."""
    return {
        "kind": condition.kind,
        "what": condition.what,
        "met": condition.met,
        "since_ms": condition.since_ms,
        "evidence": dict(condition.evidence),
        "waits_for": condition.waits_for,
        "could_be_met_at_ms": condition.could_be_met_at_ms,
        "parts": [[as_evidence(one) for one in part] for part in condition.parts],
    }


def _down_to(level_micro: Mapping[str, int], state: RampState, now_ms: int, believed_ms: int) -> Course:
    present = state.course.lesser_micro(now_ms, believed_ms)
    return Course.flat(now_ms, {dimension: min(level, present[dimension]) for dimension, level in level_micro.items()})
