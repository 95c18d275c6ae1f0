"""Whether the next stage may be entered now: its own conditions, and those that every entry must meet."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from headway.contract import calendars as hours
from headway.contract.model import Calendar, Contract
from headway.ramp import moves
from headway.ramp.conditions import Condition, Surroundings, conditions_of
from headway.ramp.facts import OVER
from headway.ramp.standing import pressed_by
from headway.ramp.state import RampState


@dataclass(frozen=True, slots=True)
class Prospect:
    """The next stage of a ramp, condition by condition.

    Attributes:
        stage: Its index.
        own: The conditions of its `when`.
        common: What every entry must meet; only what does not hold now is listed.
    """

    stage: int
    own: tuple[Condition, ...]
    common: tuple[Condition, ...]

    @property
    def open(self) -> bool:
        """Everything holds: the stage is entered at this evaluation."""
        return not self.common and all(condition.met for condition in self.own)

    @property
    def only_approvals_missing(self) -> bool:
        """All else holds, so people are asked."""
        return not self.common and all(condition.met or condition.kind == "approval" for condition in self.own)

    @property
    def soak_missing(self) -> bool:
        """Whether some soak, of its own or of an alternative, is not earned yet."""
        return any(
            (condition.kind == "soak" and not condition.met)
            or any(one.kind == "soak" and not one.met for part in condition.parts for one in part)
            for condition in self.own
        )

    @property
    def next_instant_ms(self) -> int | None:
        """The first instant at which a condition that does not hold could, by time alone; None: none can."""
        first_ms: int | None = None
        for condition in (*self.own, *self.common):
            if condition.met:
                continue
            if condition.could_be_met_at_ms is not None:
                first_ms = _earlier(first_ms, condition.could_be_met_at_ms)
            for part in condition.parts:
                for one in part:
                    if not one.met and one.could_be_met_at_ms is not None:
                        first_ms = _earlier(first_ms, one.could_be_met_at_ms)
        return first_ms


def prospect(
    contract: Contract,
    state: RampState,
    now_ms: int,
    surroundings: Surroundings,
    calendars: Mapping[str, Calendar],
    *,
    thorough: bool = False,
) -> Prospect | None:
    """What the next stage waits for.

    Args:
        contract: The version in force.
        state: Where it stands.
        now_ms: The instant asked about.
        surroundings: What is known of the world beside it.
        calendars: All calendars by name.
        thorough: Look at the calendar even while more than approvals is missing: to explain, not to decide.

    Returns:
        None at the last stage, or when the ramp is over.
    """
    stage = state.stage + 1
    if stage >= len(contract.ramp) or state.status in OVER:
        return None
    own = conditions_of(contract, state, stage, now_ms, surroundings.standings)
    common = list(_common(contract, state, now_ms, surroundings))
    # Hours are dear to work out, and decide nothing while a condition is missing that only an observation can bring.
    hours_matter = thorough or all(condition.met or condition.kind == "approval" for condition in own)
    if contract.raise_in is not None and hours_matter and moves.raises_by_entering(contract, state, now_ms):
        shut = _shut(contract.raise_in, calendars, now_ms)
        if shut is not None:
            common.append(shut)
    return Prospect(stage, own, tuple(common))


def _common(
    contract: Contract,
    state: RampState,
    now_ms: int,
    surroundings: Surroundings,
) -> Iterator[Condition]:
    """What stands in the way of every entry. Cuts wait for none of this.

    Source: design, section 4. That a stage is pressed (floor, override, exception) is in the way too: what comes after it
    would otherwise be entered without the load it was to be tried under, and the limit would jump two stages at the end.
    """
    if state.arrived_at_ms is None and not state.floored:
        course = state.course
        climbing = course.remaining_ms is None
        waits_for = "the end of its climb" if climbing else "its climb to be resumed"
        yield Condition(
            "arrived", "the present stage has arrived", False, None, {}, waits_for, course.end_ms if climbing else None
        )
    if state.held is not None:
        held = state.held
        yield Condition(
            "held",
            "not held",
            False,
            None,
            {"by": held.by, "since_ms": held.since_ms},
            f"{held.by} to resume: {held.reason}",
        )
    pressed = pressed_by(contract, state)
    if pressed is not None:
        yield Condition("pressed", "nothing lowers the present stage", False, None, {}, f"the end of this: {pressed}")
    if surroundings.suspect is not None:
        yield Condition(
            "clock", "the clock is trusted", False, None, {}, f"a clock that is trusted: {surroundings.suspect}"
        )
    if surroundings.full is not None and moves.raises_by_entering(contract, state, now_ms):
        yield Condition("room", "the upstream has room", False, None, {}, surroundings.full)


def _shut(name: str, calendars: Mapping[str, Calendar], now_ms: int) -> Condition | None:
    """A calendar that does not allow raises now. One that is not known allows none: expansion needs certainty."""
    what = f"raises in {name}"
    calendar = calendars.get(name)
    if calendar is None:
        return Condition("calendar", what, False, None, {}, f"the calendar {name}, which is not known")
    if hours.is_open(calendar, now_ms):
        return None
    return Condition("calendar", what, False, None, {}, f"{name} to open", hours.next_open(calendar, now_ms))


def _earlier(first_ms: int | None, at_ms: int) -> int:
    return at_ms if first_ms is None or at_ms < first_ms else first_ms
