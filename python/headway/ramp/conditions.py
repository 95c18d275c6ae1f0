"""What must hold before a stage is entered, condition by condition.

The same evaluation decides (all met: enter) and explains (what is met since when, on what evidence, what is awaited).
A kind of condition that this version cannot measure is never met: no evidence, no advance.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple

from headway.contract.model import Alternative, ApprovalNeed, Contract, EventMatch, Soak
from headway.ramp import approvals
from headway.ramp.facts import Given, Latched
from headway.ramp.observations import Standing
from headway.ramp.state import RampState

Kind = Literal[
    "not_before", "soak", "event", "metric", "requires", "approval", "any",
    "arrived", "held", "pressed", "clock", "calendar", "room",
]  # fmt: skip
"""Those of a stage's `when`, then those that every entry must meet."""


class Condition(NamedTuple):
    """One condition of one stage, now. Frozen.

    Attributes:
        kind: What sort.
        what: It in words, as its author would say it.
        met: Whether it holds.
        since_ms: Since when it holds, or None.
        evidence: What that rests on; JSON values only.
        waits_for: What would make it hold, in words; empty when it does.
        could_be_met_at_ms: The earliest instant at which it can hold by time alone; None: it does already, or it waits for
            something else than time.
        parts: The alternatives of `any`, each with its own conditions.
    """

    kind: Kind
    what: str
    met: bool
    since_ms: int | None = None
    evidence: Mapping[str, Any] = {}
    waits_for: str = ""
    could_be_met_at_ms: int | None = None
    parts: tuple[tuple[Condition, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What an evaluation is told about the world beside the contract; see `observations`."""

    standings: Mapping[str, Standing]
    suspect: str | None = None
    """Why the clock is not trusted; None: it is."""
    full: str | None = None
    """Which upstream has no room for a raise; None: none stands in the way."""
    spent_by: tuple[str, ...] = ()
    """Who spends this contract and has not ended: it cannot be retired under them (`joint.still_spent_by`)."""
    believed_ms: int | None = None
    """While the clock is not trusted: the instant until which climbs have come; None: the instant of the evaluation."""


NOTHING_KNOWN: Final = Surroundings({})


def believed_until(now_ms: int, surroundings: Surroundings) -> int:
    """The instant until which climbs have come: now, where the clock is trusted."""
    return now_ms if surroundings.believed_ms is None else min(now_ms, surroundings.believed_ms)


def soaks_of(contract: Contract, stage: int) -> tuple[Soak, ...]:
    """The soaks that a stage's trigger asks for, in order: its own, then those of its alternatives."""
    when = contract.ramp[stage].when if stage < len(contract.ramp) else None
    if when is None:
        return ()
    soaks = when.soak
    for alternative in when.any:
        soaks += alternative.soak
    return soaks


def conditions_of(
    contract: Contract, state: RampState, stage: int, now_ms: int, standings: Mapping[str, Standing]
) -> tuple[Condition, ...]:
    """The conditions of a stage's own `when`.

    Args:
        contract: The version in force.
        state: Where it stands.
        stage: Index of the stage that would be entered; soak counts only for the next one.
        now_ms: The instant asked about.
        standings: Where the contracts stand that are required; one that is missing is not met.

    Returns:
        One for each condition in the document's order of kinds; empty for a stage without `when`.
    """
    when = contract.ramp[stage].when
    if when is None:
        return ()
    found: list[Condition] = []
    soak_at = iter(range(1 << 16))
    found.extend(_of_alternative(state, stage, when, now_ms, soak_at))
    if when.any:
        parts = tuple(tuple(_of_alternative(state, stage, one, now_ms, soak_at)) for one in when.any)
        found.append(_any(parts))
    for name, wanted in when.requires.items():
        found.append(_requires(name, wanted, standings.get(name)))
    name = contract.ramp[stage].name
    found.extend(approval_condition(state, name, need, now_ms) for need in when.approval)
    return tuple(found)


def requirements_stand(contract: Contract, stage: int, standings: Mapping[str, Standing]) -> Condition | None:
    """The first requirement of a stage that is known not to stand; None: none is.

    A contract whose standing was not told is left alone here: silence makes nobody fall (it also raises nobody).
    """
    when = contract.ramp[stage].when
    if when is None:
        return None
    for name, wanted in when.requires.items():
        if name in standings:
            condition = _requires(name, wanted, standings[name])
            if not condition.met:
                return condition
    return None


def approval_condition(state: RampState, stage: str, need: ApprovalNeed, now_ms: int) -> Condition:
    """How far one approval has come."""
    given = approvals.valid(state, stage, need, now_ms)
    what = f"approval by {need.by}" if need.need == 1 else f"approval by {need.need} of {need.by}"
    evidence = {"group": need.by, "need": need.need, "given": [_as_evidence(one) for one in given]}
    since_ms = approvals.met_since_ms(need.need, given)
    if since_ms is not None:
        return Condition("approval", what, True, since_ms, evidence)
    missing = need.need - len(given)
    return Condition("approval", what, False, None, evidence, what if not given else f"{missing} more of {need.by}")


def matches(match: EventMatch, type: str, source: str, at_ms: int) -> bool:
    """Whether an event is of the kind that a trigger asks for, and in time."""
    return (
        match.type == type
        and (match.source is None or match.source == source)
        and (match.not_after is None or at_ms <= match.not_after.utc_ms)
    )


def event_matches(contract: Contract) -> Iterator[tuple[int, EventMatch]]:
    """Every event that some stage asks for, with the stage's index."""
    for index, stage in enumerate(contract.ramp):
        if stage.when is not None:
            for alternative in (stage.when, *stage.when.any):
                for match in alternative.event:
                    yield index, match


def satisfying(state: RampState, stage: int, match: EventMatch) -> Latched | None:
    """The latched event that satisfies a stage's match.

    With `again` it must have come since the stage before was last entered, and that stage must be the present one.
    """
    since_ms = state.entered_at_ms if match.again else 0
    if match.again and stage != state.stage + 1:
        return None
    for event in state.events:
        if matches(match, event.type, event.source, event.at_ms) and (not match.again or event.at_ms > since_ms):
            return event
    return None


def _of_alternative(
    state: RampState, stage: int, when: Alternative, now_ms: int, soak_at: Iterator[int]
) -> Iterator[Condition]:
    for instant in when.not_before:
        met = now_ms >= instant.utc_ms
        what = f"not before {instant}"
        if met:
            yield Condition("not_before", what, True, instant.utc_ms)
        else:
            yield Condition("not_before", what, False, None, {}, f"the date {instant}", instant.utc_ms)
    for soak in when.soak:
        yield _soak(state, stage, soak, next(soak_at))
    for match in when.event:
        yield _event(state, stage, match)
    for metric in when.metric:
        yield Condition(
            "metric", f"metric {metric.query}", False, None, {}, f"{metric.query}, which this version does not measure"
        )


def _soak(state: RampState, stage: int, soak: Soak, index: int) -> Condition:
    present = stage == state.stage + 1
    earned_ms = earned_soak_ms(state, index) if present else 0
    what = f"{spell_ms(soak.for_ms)} with use above {spell_share(soak.above_ppm)}"
    evidence: dict[str, Any] = {"earned_ms": earned_ms, "for_ms": soak.for_ms, "above_ppm": soak.above_ppm}
    if present and state.advanced_by is not None:
        return Condition("soak", what, True, None, {**evidence, "skipped_by": state.advanced_by})
    if present and earned_ms >= soak.for_ms:
        return Condition("soak", what, True, state.soaked_until_ms, evidence)
    left = spell_ms(_whole_seconds_up(soak.for_ms - earned_ms, soak.for_ms))
    return Condition("soak", what, False, None, evidence, f"{left} more with use above {spell_share(soak.above_ppm)}")


def _whole_seconds_up(span_ms: int, most_ms: int) -> int:
    """For people, who cannot read milliseconds that run; never less than what is left, and never more than all of it."""
    return min(-(-span_ms // 1_000) * 1_000, most_ms)


def earned_soak_ms(state: RampState, index: int) -> int:
    """Soak earned toward the next stage, with what is not worth an entry yet."""
    kept = state.soaked_ms[index] if index < len(state.soaked_ms) else 0
    return kept + (state.pending_ms[index] if index < len(state.pending_ms) else 0)


def _event(state: RampState, stage: int, match: EventMatch) -> Condition:
    what = f"event {match.type}" + (f" from {match.source}" if match.source else "")
    event = satisfying(state, stage, match)
    if event is not None:
        return Condition(
            "event", what, True, event.at_ms, {"source": event.source, "id": event.id, "at_ms": event.at_ms}
        )
    waits_for = f"a new event {match.type}" if match.again else what
    return Condition("event", what, False, None, {}, waits_for)


def _any(parts: tuple[tuple[Condition, ...], ...]) -> Condition:
    """Met when all of one alternative is; the earliest such instant counts."""
    texts = [" and ".join(condition.what for condition in part) for part in parts]
    met = [part for part in parts if all(condition.met for condition in part)]
    what = "any of: " + "; or ".join(texts)
    if met:
        since = [[one.since_ms for one in part if one.since_ms is not None] for part in met]
        starts = [max(part) for part in since if part]
        return Condition("any", what, True, min(starts) if starts else None, {}, "", None, parts)
    waits = [" and ".join(one.waits_for for one in part if not one.met) for part in parts]
    return Condition("any", what, False, None, {}, "either " + ", or ".join(waits), _any_at_ms(parts), parts)


def _any_at_ms(parts: tuple[tuple[Condition, ...], ...]) -> int | None:
    """When the first alternative can hold by time alone."""
    instants = []
    for part in parts:
        open_ones = [one.could_be_met_at_ms for one in part if not one.met]
        times = [at_ms for at_ms in open_ones if at_ms is not None]
        if len(times) == len(open_ones):
            instants.append(max(times))
    return min(instants) if instants else None


def _requires(name: str, wanted: str | Mapping[str, int], standing: Standing | None) -> Condition:
    """By name: at that stage with its climb ended, or past it, and not pressed. By level: what is and stays at least that."""
    if isinstance(wanted, str):
        what = f"{name} at {wanted}"
        met = standing is not None and not standing.over and not standing.pressed and _has_reached(standing, wanted)
    else:
        levels = ", ".join(f"{spell_micro(level)} {dimension}".strip() for dimension, level in wanted.items())
        what = f"{name} at {levels}"
        met = (
            standing is not None
            and not standing.over
            and all(standing.level_micro.get(dimension, 0) >= level for dimension, level in wanted.items())
        )
    if standing is None:
        return Condition("requires", what, False, None, {}, f"{what}, and it is not known where {name} stands")
    evidence: dict[str, Any] = {
        "stage": standing.stage,
        "arrived": standing.arrived,
        "pressed": standing.pressed,
        "over": standing.over,
        "level_micro": dict(standing.level_micro),
    }
    return Condition("requires", what, met, None, evidence, "" if met else what)


def _has_reached(standing: Standing, stage: str) -> bool:
    if stage not in standing.names:
        return False
    wanted = standing.names.index(stage)
    return standing.index > wanted or (standing.index == wanted and standing.arrived)


def _as_evidence(given: Given) -> dict[str, Any]:
    return {"actor": given.actor, "at_ms": given.at_ms, "single_user": given.single_user}


# --- spelling -----------------------------------------------------------------------------------------------------


@lru_cache(maxsize=4096)
def spell_ms(span_ms: int) -> str:
    """A time span in its largest two units: `2d 4h`, `90s` as `1m 30s`, `250ms`."""
    units = (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1))
    for index, (unit, size) in enumerate(units):
        if span_ms >= size:
            whole, rest = divmod(span_ms, size)
            smaller = units[index + 1] if index + 1 < len(units) else ("", 1)
            count = rest // smaller[1] if smaller[0] else 0
            return f"{whole}{unit} {count}{smaller[0]}" if count else f"{whole}{unit}"
    return "0s"


@lru_cache(maxsize=1024)
def spell_share(share_ppm: int) -> str:
    """A share as a percentage without needless digits: `60%`, `0.5%`."""
    return f"{share_ppm / 10_000:g}%"


def spell_micro(level_micro: int) -> str:
    """Micro-units as units: `120`, `1687.5`."""
    whole, rest = divmod(level_micro, 1_000_000)
    return f"{whole}.{rest:06d}".rstrip("0") if rest else str(whole)
