"""Where a contract stands for others, and what presses it.

Source: design, section 4, `requires` is standing.
"""

from __future__ import annotations

from headway.contract.model import Contract
from headway.ramp.curve import guaranteed_micro
from headway.ramp.facts import OVER
from headway.ramp.observations import Standing
from headway.ramp.state import RampState


def pressed_by(contract: Contract, state: RampState) -> str | None:
    """What holds the limit below the present stage's (floor, override, exception), in words; None: nothing does."""
    limit = contract.ramp[state.stage].limit_micro
    if state.floored:
        return "it is on its floor"
    override = state.overridden
    if override is not None and any(value < limit[dimension] for dimension, value in override.value_micro.items()):
        return f"{override.by} overrode its limit: {override.reason}"
    for fact in state.exceptions:
        exception = contract.exceptions[fact.index]
        if fact.began_ms is not None and any(
            exception.limit_micro[dimension] < limit[dimension] for dimension in limit
        ):
            return f"an exception lowers it: {exception.reason}"
    return None


def standing_of(contract: Contract, state: RampState, now_ms: int) -> Standing:
    """What the contracts that require this one may rely on."""
    limit = contract.ramp[state.stage].limit_micro
    arrived = state.arrived_at_ms is not None
    below = arrived and any(state.course.to_micro[dimension] < limit[dimension] for dimension in limit)
    return Standing(
        contract=contract.name,
        stage=contract.ramp[state.stage].name,
        index=state.stage,
        names=tuple(stage.name for stage in contract.ramp),
        arrived=arrived,
        pressed=below or pressed_by(contract, state) is not None,
        level_micro={dimension: guaranteed_micro(contract, state, dimension, now_ms) for dimension in limit},
        over=state.status in OVER,
    )
