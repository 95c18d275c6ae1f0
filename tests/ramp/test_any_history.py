"""Any contract, any order of observations, any jumps and crashes: what never happens, and what always does.

Pairs every "never" with an "always": no stage is entered before its trigger holds, and it is entered at the first evaluation
at which it does.
"""

from __future__ import annotations

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from headway.contract.model import Contract
from headway.ramp.curve import curve_of
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
    VerbCall,
)
from headway.ramp.soak import grain_ms
from headway.ramp.standing import pressed_by
from headway.ramp.state import RampState, fold
from tests.model.ramp_twin import RampTwin
from tests.ramp.ramps import HOUR, T0, TERMS, UNIT, contract, instant, through_a_ledger, upstream

RAISES = {"entered", "resumed", "overridden", "override_ended", "exception_ended", "exception_began"}
"""The only entries with which a limit may rise."""

spans = st.integers(min_value=1, max_value=3 * HOUR)
soaks = st.fixed_dictionaries({"for": st.sampled_from(["1m", "20m", "2h"]), "above": st.sampled_from(["0%", "50%"])})
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["ready", "go"])},
    optional={
        "source": st.just("ci"),
        "again": st.just("true"),
        "not_after": st.integers(1, 9).map(lambda n: instant(n * HOUR)),
    },
)
dates = st.integers(min_value=0, max_value=10 * HOUR).map(instant)
alternatives = st.fixed_dictionaries({}, optional={"not_before": dates, "soak": soaks, "event": events}).filter(bool)
approvals = st.fixed_dictionaries(
    {"by": st.just("dba"), "need": st.sampled_from(["1", "2"]), "expires": st.sampled_from(["3h", "7d"])}
)
triggers = st.fixed_dictionaries(
    {},
    optional={
        "not_before": dates,
        "soak": soaks,
        "event": events,
        "requires": st.sampled_from([{"cluster": "big"}, {"cluster": "80"}]),
        "approval": approvals,
        "any": st.lists(alternatives, min_size=1, max_size=2),
    },
).filter(bool)


@st.composite
def contracts(draw: st.DrawFn) -> Contract:
    stages: list[dict[str, Any]] = [{"stage": "s0", "limit": "100"}]
    for number in range(1, draw(st.integers(2, 4))):
        stage = {"stage": f"s{number}", "limit": str(draw(st.integers(20, 500))), "when": draw(triggers)}
        if draw(st.booleans()):
            stage["climb"] = draw(st.sampled_from(["1m", "90m"]))
        stages.append(stage)
    fields: dict[str, Any] = {}
    if draw(st.booleans()):
        fields["enforce"] = {"floor": "10"}
    if draw(st.booleans()):
        start = draw(st.integers(1, 30)) * HOUR
        during, limit = f"{instant(start)}/{instant(start + 2 * HOUR)}", str(draw(st.integers(5, 300)))
        fields["exceptions"] = [{"during": during, "limit": limit, "reason": "move"}]
    return contract(*stages, **fields)


class AnyHistory(RuleBasedStateMachine):
    """One ramp, its twin, and whatever the world does to them."""

    @initialize(agreed=contracts())
    def begins(self, agreed: Contract) -> None:
        self.contract, self.now_ms = agreed, T0
        decided = apply_first(agreed, "digest", TERMS, 1, "user:ada", T0)
        self.state, self.entries = decided.state, list(decided.entries)
        self.twin = RampTwin(agreed, T0, "user:ada", TERMS)
        self.standing: Standing | None = None
        self.suspect, self.full = False, None
        self.read_until_ms, self.wake_at_ms, self.ids = T0, decided.wake_at_ms, 0

    # --- the world ---------------------------------------------------------------------------------------------

    def ambient(self) -> list[Observation]:
        told: list[Observation] = [UpstreamMoved(self.now_ms, self.standing)] if self.standing is not None else []
        return [*told, ClockSuspect(self.now_ms, True, "it jumped")] if self.suspect else told

    def evaluate(self, *observations: Observation) -> tuple[Entry, ...]:
        before = self.state
        told = (*self.ambient(), *observations)
        decided = step(self.contract, before, self.now_ms, told, calendars={}, full=self.full)
        self.state, self.wake_at_ms = decided.state, decided.wake_at_ms
        self.entries.extend(decided.entries)
        self.check_levels(before, decided.entries)
        self.check_stages(before, decided.entries)
        return decided.entries

    @rule(span=spans)
    def time_passes(self, span: int) -> None:
        self.now_ms += span
        self.evaluate()

    @rule(share=st.floats(0, 1))
    def nothing_happens_before_the_wake(self, share: float) -> None:
        """At any instant before the wake, nothing observed: the very same state, and nothing to record."""
        end_ms = self.now_ms + 40 * HOUR if self.wake_at_ms is None else self.wake_at_ms
        at_ms = self.now_ms + int((end_ms - self.now_ms) * share)
        if self.now_ms <= at_ms < end_ms and self.state == self.settled():
            decided = step(self.contract, self.state, at_ms, self.ambient(), calendars={}, full=self.full)
            assert decided.state is self.state
            assert () == decided.entries
            assert decided.curve is None

    def settled(self) -> RampState:
        """The state once the present surroundings have been looked at."""
        decided = step(self.contract, self.state, self.now_ms, self.ambient(), calendars={}, full=self.full)
        if decided.state is self.state:
            self.wake_at_ms = decided.wake_at_ms
        return decided.state

    @rule(span=spans, use_ppm=st.none() | st.integers(0, 1_200_000))
    def use_is_read(self, span: int, use_ppm: int | None) -> None:
        """A reading from the last one on; then maybe a gap before the next."""
        self.now_ms += span
        self.evaluate()
        use = Use(self.now_ms, max(self.read_until_ms, self.now_ms - span), use_ppm)
        counts = not self.suspect and pressed_by(self.contract, self.state) is None and self.state.status == "running"
        if counts and self.state.stage + 1 < len(self.contract.ramp):
            self.twin.sees_use(self.now_ms, use)
        self.read_until_ms = self.now_ms
        self.evaluate(use)

    @rule(type=st.sampled_from(["ready", "go", "other"]), source=st.sampled_from(["ci", "laptop"]))
    def an_event_comes(self, type: str, source: str) -> None:
        self.ids += 1
        event = EventSeen(self.now_ms, str(self.ids), source, type, f"event:{source}")
        if self.state.status in ("running", "completed"):
            self.twin.events.append(event)
        self.evaluate(event)

    @rule(
        actor=st.sampled_from(["user:ada", "user:bob", "user:eve"]),
        stage=st.integers(1, 4),
        terms=st.sampled_from([TERMS, "other"]),
    )
    def somebody_approves(self, actor: str, stage: int, terms: str) -> None:
        approval = Approval(self.now_ms, f"s{stage}", "dba", actor, terms)
        if self.state.stage < stage and self.state.status == "running" and self.state.advanced_by != actor:
            self.twin.approvals.append((self.now_ms, approval))
        self.evaluate(approval)

    @rule(
        verb=st.sampled_from(["hold", "resume", "advance", "step_back"]),
        actor=st.sampled_from(["user:ann", "user:bob"]),
    )
    def somebody_acts(self, verb: Any, actor: str) -> None:
        self.evaluate(VerbCall(self.now_ms, verb, actor, "because"))

    @rule(level=st.integers(0, 600), lasts=spans, second=st.sampled_from([None, "user:eve"]))
    def somebody_overrides(self, level: int, lasts: int, second: str | None) -> None:
        value = {"": level * UNIT}
        self.evaluate(VerbCall(self.now_ms, "override", "user:ann", "because", value, self.now_ms + lasts, second))

    @rule(sure=st.integers(0, 19))
    def somebody_ends_it(self, sure: int) -> None:
        if sure == 0:
            self.evaluate(VerbCall(self.now_ms, "abort", "user:ann", "because"))

    @rule(
        stage=st.sampled_from(["small", "big", "huge"]),
        level=st.integers(60, 100),
        arrived=st.booleans(),
        pressed=st.booleans(),
    )
    def the_upstream_moves(self, stage: str, level: int, arrived: bool, pressed: bool) -> None:
        self.standing = upstream(stage, level=level, arrived=arrived, pressed=pressed)
        self.evaluate()

    @rule()
    def the_upstream_falls_silent(self) -> None:
        self.standing = None
        self.evaluate()

    @rule(suspect=st.booleans(), full=st.booleans())
    def the_world_changes(self, suspect: bool, full: bool) -> None:
        self.suspect, self.full = suspect, "upstream cluster is full" if full else None
        self.evaluate()

    @rule()
    def a_crash(self) -> None:
        """What was not written is lost, less than a grain of each soak; the rest is folded from the ledger."""
        for index, lost in enumerate(self.state.pending_ms):
            soaks = [soak for when in self.whens() for soak in when]
            assert lost < grain_ms(soaks[index])
            self.twin.lost[index] = self.twin.lost.get(index, 0) + lost
        state: RampState | None = None
        for entry in self.entries:
            state = fold(self.contract, state, entry)
        assert state is not None
        self.state = RampState.from_json(state.as_json())

    def whens(self) -> list[tuple[Any, ...]]:
        when = self.contract.ramp[self.state.stage + 1].when
        assert when is not None
        return [when.soak, *(alternative.soak for alternative in when.any)]

    # --- what must hold ----------------------------------------------------------------------------------------

    def check_levels(self, before: RampState, entries: tuple[Entry, ...]) -> None:
        """A limit rises with an entry that may raise it, and with none while raises wait."""
        old, new = (curve_of(self.contract, state, self.now_ms) for state in (before, self.state))
        rises = new.level_micro("", self.now_ms) > old.level_micro("", self.now_ms)
        rises = rises or new.highest_micro("", self.now_ms) > old.highest_micro("", self.now_ms)
        if rises:
            assert {entry.kind for entry in entries} & RAISES
            assert not self.suspect
            assert self.full is None
            # Held before and after: only a person's override, which wants a second one, may raise.
            if before.held is not None and self.state.held is not None:
                assert "overridden" in {entry.kind for entry in entries}

    def check_stages(self, before: RampState, entries: tuple[Entry, ...]) -> None:
        """No stage skipped, entered twice or early; and entered as soon as all holds."""
        standings = {} if self.standing is None else {"cluster": self.standing}
        kinds = [entry.kind for entry in entries]
        assert kinds.count("entered") <= 1
        for entry in entries:
            if entry.kind == "advanced":
                self.twin.advanced = True
            elif entry.kind == "entered":
                assert entry.body["stage"] == self.twin.stage + 1
                assert self.twin.trigger_holds(self.now_ms, standings)
                self.twin.used.add(entry.body["name"])
                self.twin.changes_stage(self.now_ms, entry.body["stage"])
            elif entry.kind in ("stepped_back", "fell", "aborted"):
                self.twin.wants_approvals_again(entry.body.get("left", []))
                self.twin.changes_stage(self.now_ms, entry.body["stage"])
        assert self.twin.stage == self.state.stage
        may = (
            self.state.status == "running"
            and self.state.stage + 1 < len(self.contract.ramp)
            and self.state.held is None
            and self.state.arrived_at_ms is not None
            and pressed_by(self.contract, self.state) is None
            and not self.suspect
            and self.full is None
            and not {"entered", "stepped_back", "fell", "resumed"} & set(kinds)
        )
        if may:
            assert not self.twin.trigger_holds(self.now_ms, standings), "all holds, and the stage was not entered"

    @invariant()
    def the_ledger_replays_to_the_state(self) -> None:
        state: RampState | None = None
        for entry in getattr(self, "entries", []):
            state = fold(self.contract, state, through_a_ledger(entry))
        if state is not None:
            assert state.as_json() == self.state.as_json()
            assert RampState.from_json(state.as_json()) == state


TestAnyHistory = AnyHistory.TestCase
TestAnyHistory.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
