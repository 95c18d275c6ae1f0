"""How the tests of the ramp drive one: a contract in YAML's words, a hand on its clock, and everything it decided."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from headway.contract.model import Calendar, Contract
from headway.ramp.curve import curve_of
from headway.ramp.decisions import Decisions
from headway.ramp.entries import Entry
from headway.ramp.machine import apply_first, step
from headway.ramp.observations import (
    Approval,
    ClockSuspect,
    EventSeen,
    Observation,
    Standing,
    UpstreamMoved,
    Use,
    Verb,
    VerbCall,
)
from headway.ramp.state import RampState, fold

T0 = 1_780_000_000_000
"""When every test's contract is applied: 2026-05-28T20:26:40Z."""

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000
UNIT = 1_000_000
"""Micro-units in a unit."""

TERMS = "terms-digest-of-version-1"


def instant(after_ms: int) -> str:
    """An instant after T0, as a document spells it."""
    at_ms = T0 + after_ms
    seconds = datetime.fromtimestamp(at_ms // 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    return f"{seconds}.{at_ms % 1000:03d}Z" if at_ms % 1000 else f"{seconds}Z"


def contract(*stages: Mapping[str, Any], name: str = "api", **fields: Any) -> Contract:
    """A contract of one rate of requests a second; `stages` as in YAML, `fields` add to it or replace."""
    document: dict[str, Any] = {
        "contract": name,
        "owner": "team-web",
        "constraint": {"measure": "rate", "unit": "request", "per": "1s"},
        "workloads": {"other": {}},
        "ramp": [dict(stage) for stage in stages],
        **fields,
    }
    return Contract.model_validate(document)


FIRST = {"stage": "one", "limit": "100"}


def second(climb: str = "0", limit: str = "200", **when: Any) -> dict[str, Any]:
    """A second stage, `two`, with a trigger."""
    return {"stage": "two", "limit": limit, "climb": climb, "when": when}


class Ramp:
    """One contract's ramp under a test's hand.

    Every step is checked against the promises that hold always: entries fold to the state, an unchanged state is the same
    object, a state survives JSON, versions of the curve only grow.
    """

    def __init__(
        self, agreed: Contract, *, by: str = "user:ada", calendars: Mapping[str, Calendar] | None = None
    ) -> None:
        self.contract, self.calendars, self.now_ms = agreed, calendars or {}, T0
        self.surroundings: list[Observation] = []
        self.full: str | None = None
        self.last = apply_first(agreed, "digest", TERMS, 1, by, T0)
        self.entries: list[Entry] = list(self.last.entries)

    @property
    def state(self) -> RampState:
        return self.last.state

    @property
    def stage(self) -> str:
        return self.contract.ramp[self.state.stage].name

    @property
    def kinds(self) -> list[str]:
        """The kinds of the last step's entries."""
        return [entry.kind for entry in self.last.entries]

    def level(self, at_ms: int | None = None, dimension: str = "") -> float:
        """The limit in units, by the latest curve."""
        curve = curve_of(self.contract, self.state, self.now_ms)
        return float(curve.level_micro(dimension, self.now_ms if at_ms is None else T0 + at_ms) / UNIT)

    def at(self, after_ms: int, *observations: Observation) -> Ramp:
        """Evaluate at an instant after T0, with what is observed then."""
        before, self.now_ms = self.state, T0 + after_ms
        told = (*self.surroundings, *observations)
        self.last = step(self.contract, before, self.now_ms, told, calendars=self.calendars, full=self.full)
        self.entries.extend(self.last.entries)
        self._check(before)
        return self

    def _check(self, before: RampState) -> None:
        folded: RampState = before
        for entry in self.last.entries:
            folded = fold(self.contract, folded, through_a_ledger(entry))
        assert folded == self.state
        assert RampState.from_json(self.state.as_json()) == self.state
        assert self.last.entries or self.state == before
        assert (self.last.curve is not None) == (self.state.curve_version > before.curve_version)

    def restart(self) -> Ramp:
        """A crash: what was not written is lost, the rest is folded from the entries."""
        state: RampState | None = None
        for entry in self.entries:
            state = fold(self.contract, state, entry)
        assert state is not None
        self.last = Decisions(RampState.from_json(state.as_json()), (), None, None, ())
        return self

    def stands(self, standing: Standing | None, *, suspect: bool = False) -> Ramp:
        """What is known of the world beside it, from here on."""
        self.surroundings = [] if standing is None else [UpstreamMoved(self.now_ms, standing)]
        if suspect:
            self.surroundings.append(ClockSuspect(self.now_ms, True, "it jumped by 5s"))
        return self

    # --- observations ------------------------------------------------------------------------------------------

    def soak(self, from_ms: int, to_ms: int, use: float, every_ms: int = MINUTE) -> Ramp:
        """Readings of use over a span, one a period."""
        at_ms = from_ms
        while at_ms < to_ms:
            until_ms = min(at_ms + every_ms, to_ms)
            self.at(until_ms, Use(T0 + until_ms, T0 + at_ms, int(use * 1_000_000)))
            at_ms = until_ms
        return self

    def event(self, after_ms: int, type: str = "ready", source: str = "ci", id: str = "1") -> Ramp:
        return self.at(after_ms, EventSeen(T0 + after_ms, id, source, type, f"event:{source}"))

    def approve(
        self, after_ms: int, actor: str = "user:bob", group: str = "dba", stage: str = "two", **more: Any
    ) -> Ramp:
        return self.at(after_ms, Approval(T0 + after_ms, stage, group, actor, more.pop("terms", TERMS), **more))

    def call(self, after_ms: int, verb: Verb, actor: str = "user:ann", **more: Any) -> Ramp:
        return self.at(after_ms, verb_call(after_ms, verb, actor, **more))


def through_a_ledger(entry: Entry) -> Entry:
    """The entry as it comes back from text: bodies and evidence hold JSON values only."""
    evidence, body = json.loads(json.dumps(dict(entry.evidence))), json.loads(json.dumps(dict(entry.body)))
    assert (evidence, body) == (entry.evidence, entry.body)
    return replace(entry, evidence=evidence, body=body)


def verb_call(after_ms: int, verb: Verb, actor: str = "user:ann", **more: Any) -> VerbCall:
    """A verb with a reason."""
    return VerbCall(T0 + after_ms, verb, actor, more.pop("reason", "because"), **more)


def override(after_ms: int, level: int, until_ms: int, **more: Any) -> VerbCall:
    """An override of the one limit, in units, until an instant after T0."""
    return verb_call(after_ms, "override", value_micro={"": level * UNIT}, until_ms=T0 + until_ms, **more)


def upstream(
    stage: str = "big", *, level: int = 100, arrived: bool = True, pressed: bool = False, over: bool = False
) -> Standing:
    """Where `cluster`, of stages small, big and huge, stands."""
    names = ("small", "big", "huge")
    return Standing("cluster", stage, names.index(stage), names, arrived, pressed, {"": level * UNIT}, over)
