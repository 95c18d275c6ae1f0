"""Where one ramp stands: a frozen value that only entries change.

`fold` is the one way from a state to the next; `step` decides entries and folds them, a replay folds the ledger's, and
both come to the same state, byte for byte (`as_json`). What is not worth an entry yet, soak earned since the last
`soaked`, rides along outside of that comparison: a crash may lose it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Final

from headway.contract.model import Contract
from headway.ramp.entries import Entry, EntryKind
from headway.ramp.facts import (
    Course,
    ExceptionState,
    Given,
    Held,
    Latched,
    NotCounted,
    Overridden,
    Status,
    Visit,
)

NOT_COUNTED_KEPT: Final = 20
"""How many of the things seen and not counted are remembered; older ones are in the ledger alone."""

EVENTS_KEPT: Final = 64
"""Latched events a type. Of one source the first and the latest are kept; more sources push out the second oldest."""

APPROVALS_KEPT: Final = 200
"""Approvals remembered; more push out the oldest that was not used."""

SAME_CURVE: Final[frozenset[EntryKind]] = frozenset({"soaked", "refused"})
"""Entries that change neither a level nor what would raise it; all others make a new version of the curve."""


@dataclass(frozen=True, slots=True)
class RampState:
    """One contract's ramp.

    Attributes:
        stage: Index of the present stage.
        visits: Of each stage that was ever entered, in order: a stage is never skipped, so they are the first ones.
        arrived_at_ms: When the present stage's climb ended; None while it climbs, is stopped, or stands on the floor.
        course: The stage's own level, before any override or exception.
        floored: On the floor below the first stage, until a person resumes (or for good, aborted).
        exceptions: Planned or in force; those that ended are gone.
        soaked_ms: Soak earned toward the next stage, one for each soak of its trigger in order; empty: none yet.
        soaked_until_ms: Use up to here is accounted for; at first the instant at which the stage was entered.
        advanced_by: Who asked to skip the next stage's soak; None: nobody.
        curve_version: Grows with every change of the curve.
        pending_ms: Soak earned since the last `soaked` entry, not yet worth one. Not part of the state that is kept.
        pending_until_ms: Use up to here is accounted for in `pending_ms`.
    """

    contract: str
    version: int
    digest: str
    terms_digest: str
    applied_at_ms: int
    applied_by: str
    stage: int
    visits: tuple[Visit, ...]
    arrived_at_ms: int | None
    course: Course
    status: Status
    curve_version: int
    floored: bool = False
    held: Held | None = None
    overridden: Overridden | None = None
    exceptions: tuple[ExceptionState, ...] = ()
    approvals: tuple[Given, ...] = ()
    events: tuple[Latched, ...] = ()
    soaked_ms: tuple[int, ...] = ()
    soaked_until_ms: int = 0
    advanced_by: str | None = None
    not_counted: tuple[NotCounted, ...] = ()
    pending_ms: tuple[int, ...] = field(default=(), compare=False)
    pending_until_ms: int = field(default=0, compare=False)

    @property
    def entered_at_ms(self) -> int:
        """When the present stage was last entered."""
        return self.visits[self.stage].latest_ms

    def as_json(self) -> str:
        """Canonical text: sorted, compact, equal for equal states. `pending_*` is left out."""
        fields = asdict(self)
        del fields["pending_ms"], fields["pending_until_ms"]
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> RampState:
        """The inverse of `as_json`. ValueError, KeyError or TypeError for a text that it did not write."""
        fields: dict[str, Any] = json.loads(text)
        fields["course"] = Course.from_json(fields["course"])
        fields["visits"] = tuple(Visit(**visit) for visit in fields["visits"])
        fields["held"] = Held(**fields["held"]) if fields["held"] else None
        fields["overridden"] = Overridden(**fields["overridden"]) if fields["overridden"] else None
        fields["exceptions"] = tuple(ExceptionState(**one) for one in fields["exceptions"])
        fields["approvals"] = tuple(Given(**given) for given in fields["approvals"])
        fields["events"] = tuple(Latched(**event) for event in fields["events"])
        fields["soaked_ms"] = tuple(fields["soaked_ms"])
        fields["not_counted"] = tuple(NotCounted(**seen) for seen in fields["not_counted"])
        return cls(**fields)


def fold(contract: Contract, state: RampState | None, entry: Entry) -> RampState:
    """The state after one more entry.

    Args:
        contract: The version in force when the entry was written (for `applied`, the one it applies).
        state: The state before; None before the first `applied`.
        entry: The next entry of the same contract.

    Returns:
        A new state. An `applied` starts a ramp at its first stage; the curve's version goes on from an earlier one.

    Raises:
        ValueError: The entry belongs to another contract, or none was applied before it.
    """
    if entry.contract != contract.name:
        raise ValueError(f"an entry of {entry.contract} is not folded into {contract.name}")
    if entry.kind == "applied":
        return _applied(contract, state, entry)
    if state is None:
        raise ValueError(f"{entry.kind} of {entry.contract} before it was applied")
    after = FOLDS[entry.kind](state, entry)
    return after if entry.kind in SAME_CURVE else replace(after, curve_version=state.curve_version + 1)


def _applied(contract: Contract, state: RampState | None, entry: Entry) -> RampState:
    body, at_ms = entry.body, entry.at_ms
    return RampState(
        contract=contract.name,
        version=body["version"],
        digest=body["digest"],
        terms_digest=body["terms_digest"],
        applied_at_ms=at_ms,
        applied_by=entry.actor,
        stage=0,
        visits=(Visit(at_ms, at_ms),),
        arrived_at_ms=at_ms,
        course=Course.flat(at_ms, contract.ramp[0].limit_micro),
        status="running",
        curve_version=1 if state is None else state.curve_version + 1,
        soaked_until_ms=at_ms,
    )


def _in_stage(state: RampState, entry: Entry) -> RampState:
    """What every change of stage does: the visit is noted, soak and a leave to skip it start anew."""
    stage, course, at_ms = entry.body["stage"], Course.from_json(entry.body["course"]), entry.at_ms
    visits = list(state.visits)
    if stage == len(visits):
        visits.append(Visit(at_ms, at_ms))
    else:
        visits[stage] = Visit(visits[stage].first_ms, at_ms)
    return replace(
        state,
        stage=stage,
        visits=tuple(visits),
        course=course,
        arrived_at_ms=at_ms if course.end_ms <= at_ms else None,
        floored=False,
        status="running",
        soaked_ms=(),
        soaked_until_ms=at_ms,
        advanced_by=None,
        pending_ms=(),
        pending_until_ms=0,
    )


def _entered(state: RampState, entry: Entry) -> RampState:
    used = tuple(replace(one, used=True) if one.stage == entry.body["name"] else one for one in state.approvals)
    return replace(_in_stage(state, entry), approvals=used)


def _stepped_back(state: RampState, entry: Entry) -> RampState:
    """Approvals of the stages that were left are wanted again; events stay."""
    left = set(entry.body["left"])
    kept = tuple(one for one in state.approvals if one.stage not in left)
    return replace(_in_stage(state, entry), approvals=kept)


def _to_floor(state: RampState, entry: Entry) -> RampState:
    return replace(_stepped_back(state, entry), arrived_at_ms=None, floored=True)


def _arrived(state: RampState, entry: Entry) -> RampState:
    return replace(state, arrived_at_ms=entry.body["arrived_at_ms"])


def _soaked(state: RampState, entry: Entry) -> RampState:
    return replace(
        state,
        soaked_ms=tuple(entry.body["earned_ms"]),
        soaked_until_ms=entry.body["until_ms"],
        pending_ms=(),
        pending_until_ms=0,
    )


def _event(state: RampState, entry: Entry) -> RampState:
    body = entry.body
    latest = Latched(body["type"], body["source"], body["id"], body["at_ms"], entry.actor, body["time_ms"])
    same_type = [one for one in state.events if one.type == latest.type]
    same_source = [one for one in same_type if one.source == latest.source]
    pushed_out = same_source[1:] or (same_type[1:2] if len(same_type) >= EVENTS_KEPT else [])
    return replace(state, events=(*(one for one in state.events if one not in pushed_out), latest))


def _approved(state: RampState, entry: Entry) -> RampState:
    body = entry.body
    given = Given(body["stage"], body["group"], entry.actor, entry.at_ms, body["terms_digest"], body["single_user"])
    kept = state.approvals
    if len(kept) >= APPROVALS_KEPT:
        oldest = next((one for one in kept if not one.used), kept[0])
        kept = tuple(one for one in kept if one is not oldest)
    return replace(state, approvals=(*kept, given))


def _held(state: RampState, entry: Entry) -> RampState:
    held = Held(entry.body["cause"], entry.at_ms, entry.actor, entry.reason)
    return replace(state, held=held, course=_course_of(entry.body, state.course))


def _resumed(state: RampState, entry: Entry) -> RampState:
    """Goes on where it was stopped; from the floor, back to the first stage."""
    if not state.floored:
        return replace(state, held=None, course=_course_of(entry.body, state.course))
    course = _course_of(entry.body, state.course)
    return replace(state, held=None, floored=False, course=course, arrived_at_ms=entry.at_ms)


def _advanced(state: RampState, entry: Entry) -> RampState:
    return replace(state, advanced_by=entry.actor)


def _overridden(state: RampState, entry: Entry) -> RampState:
    body = entry.body
    return replace(
        state,
        overridden=Overridden(dict(body["value_micro"]), body["until_ms"], entry.actor, entry.reason, entry.at_ms),
    )


def _override_ended(state: RampState, _entry: Entry) -> RampState:
    return replace(state, overridden=None)


def _exception(state: RampState, entry: Entry) -> RampState:
    """Planned, begun, or lifted: the newest word about it replaces the older one."""
    index = entry.body["index"]
    began_ms = None if entry.kind == "exception_planned" else entry.at_ms
    fact = ExceptionState(index, began_ms, entry.body["lifted"])
    others = [one for one in state.exceptions if one.index != index]
    return replace(state, exceptions=tuple(sorted([*others, fact], key=lambda one: one.index)))


def _exception_ended(state: RampState, entry: Entry) -> RampState:
    return replace(state, exceptions=tuple(one for one in state.exceptions if one.index != entry.body["index"]))


def _aborted(state: RampState, entry: Entry) -> RampState:
    """Terminal: what was held or overridden ends with the ramp; an exception that lowers goes on."""
    after = _to_floor(state, entry) if entry.body["floor"] else _in_stage(state, entry)
    return replace(after, status="aborted", held=None, overridden=None, approvals=())


def _completed(state: RampState, _entry: Entry) -> RampState:
    return replace(state, status="completed")


def _retired(state: RampState, _entry: Entry) -> RampState:
    return replace(state, status="retired")


def _refused(state: RampState, entry: Entry) -> RampState:
    seen = NotCounted(entry.at_ms, entry.actor, entry.body["what"], entry.reason)
    return replace(state, not_counted=(*state.not_counted, seen)[-NOT_COUNTED_KEPT:])


def _course_of(body: Mapping[str, Any], otherwise: Course) -> Course:
    return Course.from_json(body["course"]) if "course" in body else otherwise


def _back_or_floor(state: RampState, entry: Entry) -> RampState:
    return _to_floor(state, entry) if entry.body["floor"] else _stepped_back(state, entry)


FOLDS: Final[Mapping[EntryKind, Callable[[RampState, Entry], RampState]]] = {
    "entered": _entered,
    "arrived": _arrived,
    "soaked": _soaked,
    "event": _event,
    "approved": _approved,
    "held": _held,
    "resumed": _resumed,
    "advanced": _advanced,
    "stepped_back": _back_or_floor,
    "fell": _in_stage,
    "overridden": _overridden,
    "override_ended": _override_ended,
    "exception_planned": _exception,
    "exception_began": _exception,
    "exception_ended": _exception_ended,
    "aborted": _aborted,
    "completed": _completed,
    "retired": _retired,
    "refused": _refused,
}
