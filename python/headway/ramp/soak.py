"""How soak is earned: readings of use in, time under load out.

Only spans that were read count: a gap earns nothing. Less use pauses. While an override or exception presses the limit
below the stage's, or the clock is not trusted, nothing is earned: load on a lower limit says nothing about this one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from headway.contract.model import Contract, Soak
from headway.ramp.conditions import earned_soak_ms, soaks_of
from headway.ramp.observations import Use
from headway.ramp.standing import pressed_by
from headway.ramp.state import RampState

GRAINS: Final = 20
"""An entry is written whenever a twentieth of a soak has been earned, so a crash loses at most that."""

GRAIN_MS_MIN: Final = 1_000
"""No soak is written more finely than this."""

READINGS: Final = 100
"""How many readings a soak is watched with, within the two bounds below."""

READ_EVERY_MS_MIN: Final = 250
READ_EVERY_MS_MAX: Final = 15_000


def with_use(contract: Contract, state: RampState, use: Use, now_ms: int) -> RampState:
    """The state with what a reading earned, not yet worth an entry; the same object when it earned nothing."""
    soaks = soaks_of(contract, state.stage + 1)
    if not soaks or use.use_ppm is None or state.status != "running" or pressed_by(contract, state) is not None:
        return state
    start_ms = max(use.from_ms, state.soaked_until_ms, state.pending_until_ms)
    span_ms = min(use.at_ms, now_ms) - start_ms
    if span_ms <= 0:
        return state
    pending = state.pending_ms or (0,) * len(soaks)
    earned = tuple(
        min(before + span_ms, soak.for_ms - earned_soak_ms(state, index) + before)
        if use.use_ppm > soak.above_ppm
        else before
        for index, (soak, before) in enumerate(zip(soaks, pending, strict=True))
    )
    if earned == pending:
        return state
    return replace(state, pending_ms=earned, pending_until_ms=start_ms + span_ms)


def worth_an_entry(contract: Contract, state: RampState) -> Mapping[str, Any] | None:
    """The body of a `soaked` entry once a grain is earned or a soak is complete; None before."""
    soaks = soaks_of(contract, state.stage + 1)
    worth = any(
        pending and (pending >= grain_ms(soak) or earned_soak_ms(state, index) >= soak.for_ms)
        for index, (soak, pending) in enumerate(zip(soaks, state.pending_ms, strict=False))
    )
    if not worth:
        return None
    earned = [earned_soak_ms(state, index) for index in range(len(soaks))]
    return {"stage": state.stage + 1, "earned_ms": earned, "until_ms": state.pending_until_ms}


def grain_ms(soak: Soak) -> int:
    """The most of a soak that a crash loses."""
    return max(soak.for_ms // GRAINS, GRAIN_MS_MIN)


def read_every_ms(soaks: tuple[Soak, ...]) -> int:
    """How often use is read for these soaks: the shortest decides."""
    shortest_ms = min(soak.for_ms for soak in soaks)
    return min(max(shortest_ms // READINGS, READ_EVERY_MS_MIN), READ_EVERY_MS_MAX)
