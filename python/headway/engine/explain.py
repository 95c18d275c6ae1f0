"""Why this number, since when, by whom, on what evidence, and when and by what it would change.

Source: design, section 1, promise 5; the same answer feeds the command, the API and the page of a contract.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

from headway._core import MeterReading, PathReading
from headway.contract.model import Contract
from headway.contract.words import limit_in_words
from headway.engine.board import Place
from headway.engine.counted import admitted_of, refused_by
from headway.engine.suspicion import ClockStatus
from headway.engine.values import Drift
from headway.ledger import Record
from headway.ramp.conditions import Condition
from headway.ramp.entries import Entry
from headway.ramp.waits import Awaited

UNGUARANTEED_TOLD = 20
"""Promises that were given up, the latest of them; the ledger has all."""

MICRO = 1_000_000
MS = 1_000_000


def explain(
    place: Place,
    cause: tuple[int, Entry],
    waits: Sequence[Awaited],
    *,
    now_ms: int,
    boot_ms: int,
    readings: Mapping[str, MeterReading],
    paths: Sequence[PathReading],
    upstreams: Mapping[str, Place],
    drift: Sequence[Drift],
    unguaranteed: Sequence[Record],
    clock: ClockStatus,
) -> dict[str, Any]:
    """Everything there is to say about one contract's limit, as JSON values.

    Args:
        place: Where it stands.
        cause: The last entry that changed its limit, and its place in the ledger.
        waits: What is still to come.
        now_ms: The instant asked about.
        boot_ms: The same on the meters' clock: limits are told as they are enforced.
        readings: Of its meters, by name.
        paths: Of all limiters; those of this contract are used.
        upstreams: Whose capacity it spends.
        drift: Of this contract.
        unguaranteed: What the ledger has of promises that were given up because it asks for that, the latest last.
        clock: The verdict on the clock.
    """
    contract, state = place.contract, place.state
    seq, entry = cause
    stage = contract.ramp[state.stage]
    return {
        "contract": contract.name,
        "now_ms": now_ms,
        "limit": {name: _limit(place, name, readings, boot_ms) for name in contract.constraint},
        "why": _why(place, entry, boot_ms),
        "by": entry.actor,
        "since_ms": entry.at_ms,
        "evidence": {"seq": seq, "kind": entry.kind, "reason": entry.reason, **entry.evidence},
        "stage": {
            "name": stage.name,
            "index": state.stage,
            "of": len(contract.ramp),
            "entered_ms": state.entered_at_ms,
            "arrived_ms": state.arrived_at_ms,
        },
        "status": state.status,
        "held": asdict(state.held) if state.held else None,
        "overridden": _overridden(place),
        "next": _next(contract, waits),
        "later": [_awaited(one, contract) for one in waits[1:]],
        "not_counted": [asdict(seen) for seen in reversed(state.not_counted)],
        "upstream": [_upstream(contract, name, above, boot_ms) for name, above in upstreams.items()],
        "refusals": {path.workload: _refusals(path) for path in paths if path.contract == contract.name},
        "drift": [asdict(one) for one in drift],
        "unguaranteed": [_unguaranteed(one) for one in reversed(unguaranteed[-UNGUARANTEED_TOLD:])],
        "clock": asdict(clock),
    }


def explain_ref(
    story: Mapping[str, Any], place: Place, waits: Sequence[Awaited], *, now_ms: int, boot_ms: int
) -> dict[str, Any]:
    """The story of one refusal: what was then, what has changed since, and what would raise the limit.

    Args:
        story: What the core keeps of it; its instants are on the meters' clock.
        place: Where its contract stands.
        waits: What is still to come.
        now_ms: The instant asked about.
        boot_ms: The same on the meters' clock.
    """
    retry_at_ns = story["retry_at_ns"]
    levels = place.in_force_micro(boot_ms)
    version = story.get("version")
    changed = version is not None and version != place.published
    stage = place.contract.ramp[place.state.stage].name

    def utc_ms(at_ns: int) -> int:
        return now_ms + at_ns // MS - boot_ms

    return {
        **story,
        "at_ms": utc_ms(story["at_ns"]),
        "retry_at_ms": utc_ms(retry_at_ns + MS - 1) if isinstance(retry_at_ns, int) else None,
        "now": {
            "now_ms": now_ms,
            "stage": stage,
            "version": place.published,
            "limit": {name: limit_in_words(place.contract.constraint[name], level) for name, level in levels.items()},
            "changed": changed,
            "in_words": f"its curve has changed since: it is in {stage} now" if changed else "its curve is the same",
        },
        "raises": _next(place.contract, waits),
    }


def _limit(place: Place, dimension: str, readings: Mapping[str, MeterReading], boot_ms: int) -> dict[str, Any]:
    constraint = place.contract.constraint[dimension]
    level = place.in_force_micro(boot_ms)[dimension]
    reading = readings.get(place.contract.meter(dimension))
    return {
        "limit": level / MICRO,
        "limit_micro": level,
        "unit": constraint.unit,
        "measure": constraint.measure,
        "per": constraint.per,
        "use": reading.use_micro / MICRO if reading else None,
        "headroom": reading.headroom_micro / MICRO if reading else None,
        "keys": reading.keys_live if reading and place.contract.each else None,
        "since_ms": place.published_ms,
        "version": place.published,
    }


def _why(place: Place, entry: Entry, boot_ms: int) -> str:
    contract, state = place.contract, place.state
    limits = " and ".join(
        limit_in_words(contract.constraint[name], level) + (f" ({name})" if name else "")
        for name, level in place.in_force_micro(boot_ms).items()
    )
    stage = contract.ramp[state.stage].name
    if state.overridden is not None:
        until = date(state.overridden.until_ms)
        because = f"{state.overridden.by} overrode it until {until}: {state.overridden.reason}"
    elif any(one.began_ms is not None for one in state.exceptions):
        because = "an exception of the contract is in force: " + "; ".join(
            contract.exceptions[one.index].reason for one in state.exceptions if one.began_ms is not None
        )
    elif state.floored:
        because = f"it is on its floor: {entry.reason}"
    elif state.course.remaining_ms is not None:
        because = f"its climb to {stage} is stopped: {entry.reason}"
    elif state.arrived_at_ms is None:
        because = f"it is climbing to stage {stage} until {date(state.course.end_ms)}"
    elif entry.kind == "aborted":
        because = f"its ramp was aborted {date(entry.at_ms)} and is back in stage {stage}: {entry.reason}"
    else:
        because = f"stage {stage} is in force since {date(entry.at_ms)}: {entry.reason}"
    return f"{contract.name} is limited to {limits}, because {because}"


def _next(contract: Contract, waits: Sequence[Awaited]) -> dict[str, Any] | None:
    return _awaited(waits[0], contract) if waits else None


def _awaited(awaited: Awaited, contract: Contract) -> dict[str, Any]:
    stage = next(one for one in contract.ramp if one.name == awaited.stage)
    return {
        "stage": awaited.stage,
        "limit": {name: level / MICRO for name, level in stage.limit_micro.items()},
        "conditions": [_condition(one) for one in awaited.conditions],
        "earliest_ms": awaited.earliest_ms,
        "expected_ms": awaited.expected_ms,
        "arrives_ms": awaited.arrives_ms,
        "in_words": awaited.waits_for or "nothing: it is entered at the next evaluation",
    }


def _condition(condition: Condition) -> dict[str, Any]:
    return {
        "kind": condition.kind,
        "what": condition.what,
        "met": condition.met,
        "since_ms": condition.since_ms,
        "evidence": dict(condition.evidence),
        "waits_for": condition.waits_for,
        "earliest_ms": condition.could_be_met_at_ms,
        "any_of": [[_condition(one) for one in part] for part in condition.parts],
    }


def _overridden(place: Place) -> dict[str, Any] | None:
    override = place.state.overridden
    return None if override is None else {**asdict(override), "value_micro": dict(override.value_micro)}


def _upstream(contract: Contract, name: str, above: Place, boot_ms: int) -> dict[str, Any]:
    spends = [spend for spend in contract.upstream if spend.contract == name]
    return {
        "contract": name,
        "spends": {one: ppm / MICRO for spend in spends for one, ppm in spend.spends_ppm.items()},
        "retries": max(spend.retries for spend in spends),
        "stage": above.contract.ramp[above.state.stage].name,
        "limit": {one: level / MICRO for one, level in above.in_force_micro(boot_ms).items()},
    }


def _refusals(path: PathReading) -> dict[str, Any]:
    reasons = refused_by(path)
    return {
        "admitted": admitted_of(path),
        "refused": reasons.total(),
        "by": dict(reasons),
        "waiting": path.waiting,
        "dropped_unreleased": path.dropped_unreleased,
        "double_released": path.double_released,
        "settled_above_max": path.settled_above_max,
    }


def _unguaranteed(record: Record) -> dict[str, Any]:
    entry = record.entry
    return {"seq": record.seq, "at_ms": entry.at_ms, "reason": entry.reason, **entry.evidence}


def date(at_ms: int) -> str:
    """An instant in a sentence."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
