"""What a sender hears of an event that changed nothing: that it was counted already, when and by which event, or why it is
not counted. Pure.
"""

from __future__ import annotations

from headway.contract.model import Contract
from headway.engine.explain import date
from headway.ramp.conditions import event_matches, matches, satisfying
from headway.ramp.facts import OVER, Latched
from headway.ramp.observations import EventSeen
from headway.ramp.state import RampState


def why_nothing(contract: Contract, state: RampState, event: EventSeen, seen_ms: int | None) -> str:
    """One sentence about one contract.

    Args:
        contract: One that asks for events of this type.
        state: Where it stands, after the event was looked at and led to no entry.
        event: It.
        seen_ms: When the same event, by source and id, came before; None: it is new.
    """
    name = contract.name
    same = next((one for one in state.events if (one.source, one.id) == (event.source, event.id)), None)
    if same is not None:
        return f"{name} counted it already, {date(same.at_ms)}"
    if seen_ms is not None:
        return f"{name} saw it already, {date(seen_ms)}, and looks at an event once: a new one has another id"
    if state.status in OVER:
        return f"{name} counts no event any more: its ramp is {state.status}"
    earlier = _satisfied_by(contract, state, event)
    if earlier is not None:
        return (
            f"{name} counted {event.type} already, {date(earlier.at_ms)}, by event {earlier.id} from {earlier.source}"
        )
    # The machine notes the same thing once: what it noted then is so still.
    noted = [seen.why for seen in state.not_counted if seen.what == f"event {event.type} from {event.source}"]
    return f"{name} does not count it: {noted[-1]}"


def _satisfied_by(contract: Contract, state: RampState, event: EventSeen) -> Latched | None:
    """The event that made a later one needless; None where a trigger still wants one, or wants none like it."""
    fitting = [
        (index, match)
        for index, match in event_matches(contract)
        if matches(match, event.type, event.source, event.at_ms)
    ]
    found = [satisfying(state, index, match) for index, match in fitting]
    return None if None in found else next(iter(found), None)
