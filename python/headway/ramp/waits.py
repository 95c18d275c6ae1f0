"""What a ramp waits for, in words and in instants: the answers to "when" and "by what would it change".

Earliest counts dates, soak (as if use were always high enough), climbs and calendars, and takes what comes from outside
(events, approvals, other contracts, a resume) as if it came at once. Expected takes the author's `expect` for those, and
is unknown where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from headway.contract import calendars as hours
from headway.contract.model import Alternative, ApprovalNeed, Calendar, Contract, EventMatch, Soak
from headway.ramp.conditions import (
    Condition,
    Kind,
    Surroundings,
    approval_condition,
    conditions_of,
    earned_soak_ms,
    satisfying,
)
from headway.ramp.entering import Prospect, prospect
from headway.ramp.facts import OVER
from headway.ramp.state import RampState

ORDER: Final[Sequence[Kind]] = (
    "not_before",
    "arrived",
    "requires",
    "event",
    "any",
    "metric",
    "soak",
    "pressed",
    "clock",
    "calendar",
    "room",
    "held",
    "approval",
)
"""In which order a person hears of them: what only time brings first, what people do last."""


@dataclass(frozen=True, slots=True)
class Awaited:
    """A stage that is still to come.

    Attributes:
        stage: Its name.
        waits_for: In words, what it waits for now; empty when nothing stands in the way.
        conditions: Condition by condition; for a later stage only its own.
        earliest_ms: Before this it cannot be entered; None: it can never be, as this version runs it.
        expected_ms: When its author expects it; None: unknown.
        arrives_ms: `earliest_ms` and its climb.
    """

    stage: str
    waits_for: str
    conditions: tuple[Condition, ...]
    earliest_ms: int | None
    expected_ms: int | None
    arrives_ms: int | None


def in_words(conditions: Iterable[Condition]) -> str:
    """What does not hold yet: `the date 2026-12-01, then 3d more with use above 60%, then approval by dba`."""
    missing = sorted((one for one in conditions if not one.met), key=lambda one: ORDER.index(one.kind))
    return ", then ".join(one.waits_for for one in missing)


def raises_when(contract: Contract, state: RampState, ahead: Prospect | None) -> str:
    """What would raise the limit, for a refusal; says so where nothing does."""
    if state.status in OVER:
        return f"a new version: the ramp is {state.status}"
    if state.floored and state.held is not None:
        return f"{state.held.by} to resume: {state.held.reason}"
    if state.arrived_at_ms is None and state.course.remaining_ms is None:
        return f"it is climbing to {contract.ramp[state.stage].name}"
    if ahead is None:
        return "nothing: the last stage is reached"
    words = in_words((*ahead.common, *ahead.own))
    name = contract.ramp[ahead.stage].name
    return f"{name}, after {words}" if words else f"{name}, at the next evaluation"


def awaited(
    contract: Contract,
    state: RampState,
    now_ms: int,
    surroundings: Surroundings,
    calendars: Mapping[str, Calendar],
) -> tuple[Awaited, ...]:
    """Every stage that is still to come, the next one first.

    Args:
        contract: The version in force.
        state: Where it stands.
        now_ms: The instant asked about.
        surroundings: As for `step`.
        calendars: All calendars by name.

    Returns:
        Empty at the last stage and when the ramp is over.
    """
    ahead = prospect(contract, state, now_ms, surroundings, calendars, thorough=True)
    if ahead is None:
        return ()
    course = state.course
    free_ms: int | None = now_ms if course.remaining_ms is None else now_ms + course.remaining_ms
    if state.arrived_at_ms is None and course.remaining_ms is None and not state.floored:
        free_ms = max(now_ms, course.end_ms)
    expected_free_ms = (
        None if ahead.common and any(one.kind in ("held", "clock", "room") for one in ahead.common) else free_ms
    )
    entered_ms: int | None = now_ms
    found: list[Awaited] = []
    for stage in range(ahead.stage, len(contract.ramp)):
        entry = _Entry(contract, state, stage, now_ms if stage == ahead.stage else entered_ms, surroundings, calendars)
        earliest_ms = entry.instant_ms(free_ms, expected=False)
        expected_ms = entry.instant_ms(expected_free_ms, expected=True)
        own = (
            ahead.own if stage == ahead.stage else conditions_of(contract, state, stage, now_ms, surroundings.standings)
        )
        conditions = (*ahead.common, *own) if stage == ahead.stage else own
        climb_ms = contract.ramp[stage].climb_ms
        arrives_ms = None if earliest_ms is None else earliest_ms + climb_ms
        name = contract.ramp[stage].name
        found.append(Awaited(name, in_words(conditions), conditions, earliest_ms, expected_ms, arrives_ms))
        free_ms, entered_ms = arrives_ms, earliest_ms
        expected_free_ms = None if expected_ms is None else expected_ms + climb_ms
    return tuple(found)


@dataclass(frozen=True, slots=True)
class _Entry:
    """The entry of one stage, when its ramp was last in the stage before since `since_ms`."""

    contract: Contract
    state: RampState
    stage: int
    since_ms: int | None
    surroundings: Surroundings
    calendars: Mapping[str, Calendar]

    def instant_ms(self, free_ms: int | None, *, expected: bool) -> int | None:
        """The entry's instant from the arrival of the stage before; None where it is never, or (expected) unknown."""
        when = self.contract.ramp[self.stage].when
        if free_ms is None or self.since_ms is None:
            return None
        instants: list[int | None] = [free_ms]
        if when is not None:
            instants.append(self._alternative_ms(when, 0, expected))
            if when.any:
                index, options = len(when.soak), []
                for alternative in when.any:
                    options.append(self._alternative_ms(alternative, index, expected))
                    index += len(alternative.soak)
                known = [at_ms for at_ms in options if at_ms is not None]
                instants.append(min(known) if known else None)
            if expected and any(not one.met for one in self._requirements()):
                return None
        at_ms = _latest(instants)
        if at_ms is not None and when is not None and expected:
            at_ms = _latest([at_ms, *(self._approved_ms(need, at_ms) for need in when.approval)])
        return None if at_ms is None else self._open_ms(at_ms)

    def _requirements(self) -> Iterable[Condition]:
        own = conditions_of(self.contract, self.state, self.stage, self.since_ms or 0, self.surroundings.standings)
        return (one for one in own if one.kind == "requires")

    def _alternative_ms(self, when: Alternative, soak_index: int, expected: bool) -> int | None:
        assert self.since_ms is not None
        if when.metric:
            return None
        instants: list[int | None] = [self.since_ms, *(instant.utc_ms for instant in when.not_before)]
        for index, soak in enumerate(when.soak, soak_index):
            instants.append(self.since_ms + self._soak_left_ms(soak, index))
        if expected:
            instants.extend(self._event_ms(match) for match in when.event)
        return _latest(instants)

    def _soak_left_ms(self, soak: Soak, index: int) -> int:
        if self.stage != self.state.stage + 1:
            return soak.for_ms
        return 0 if self.state.advanced_by is not None else max(soak.for_ms - earned_soak_ms(self.state, index), 0)

    def _event_ms(self, match: EventMatch) -> int | None:
        assert self.since_ms is not None
        if satisfying(self.state, self.stage, match) is not None:
            return self.since_ms
        if match.expect is None:
            return None
        return self.since_ms + match.expect if isinstance(match.expect, int) else match.expect.utc_ms

    def _approved_ms(self, need: ApprovalNeed, asked_ms: int) -> int | None:
        """Asked for when all else holds; a duration counts from then."""
        name = self.contract.ramp[self.stage].name
        if approval_condition(self.state, name, need, asked_ms).met:
            return asked_ms
        if need.expect is None:
            return None
        return asked_ms + need.expect if isinstance(need.expect, int) else need.expect.utc_ms

    def _open_ms(self, at_ms: int) -> int | None:
        """When its calendar is open, for a stage that raises."""
        name, before = self.contract.raise_in, self.contract.ramp[self.stage - 1].limit_micro
        raises = any(
            level > before[dimension] for dimension, level in self.contract.ramp[self.stage].limit_micro.items()
        )
        if name is None or not raises:
            return at_ms
        calendar = self.calendars.get(name)
        if calendar is None:
            return None
        return at_ms if hours.is_open(calendar, at_ms) else hours.next_open(calendar, at_ms)


def _latest(instants: Iterable[int | None]) -> int | None:
    """The latest; None as soon as one is unknown or never."""
    known: list[int] = []
    for at_ms in instants:
        if at_ms is None:
            return None
        known.append(at_ms)
    return max(known)
