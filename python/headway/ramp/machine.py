"""One evaluation of one contract: state, instant and observations in; entries, state and curve out.

Pure: no clock, no I/O. The live engine, the simulator, the planner and the replay of a ledger call the same `step`.

Order inside an evaluation: a climb that has ended has arrived; observations in their order; falls and cuts; what ends by
raising; at most one stage entered; completed. Whatever raises waits while the ramp is held, the clock is not trusted or an
upstream is full; cuts never wait. `raise_in` delays entries that raise and nothing else: a person's verb was decided by a
person, and the end of an override or exception was agreed on when it began.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headway.contract.model import Calendar, Contract
from headway.ramp import approvals, moves, soak
from headway.ramp.conditions import (
    NOTHING_KNOWN,
    Surroundings,
    approval_condition,
    believed_until,
    conditions_of,
    event_matches,
    matches,
    requirements_stand,
    satisfying,
    soaks_of,
)
from headway.ramp.curve import HORIZON_MS, curve_of, level_micro
from headway.ramp.decisions import Decisions, Need, Rejected
from headway.ramp.entering import Prospect, prospect
from headway.ramp.entries import Entry, EntryKind
from headway.ramp.facts import OVER, Cause, ExceptionState
from headway.ramp.observations import Approval, ClockSuspect, EventSeen, Observation, UpstreamMoved, Use, VerbCall
from headway.ramp.state import RampState, fold
from headway.ramp.vet import vet
from headway.ramp.waits import raises_when


def step(
    contract: Contract,
    state: RampState,
    now_ms: int,
    observations: Sequence[Observation],
    *,
    calendars: Mapping[str, Calendar],
    full: str | None = None,
    may_enter: bool = True,
    spent_by: tuple[str, ...] = (),
) -> Decisions:
    """Decide what happens to one contract now.

    Args:
        contract: The version that `state` belongs to.
        state: Where it stands.
        now_ms: UTC, never before the instant of an earlier evaluation.
        observations: In the order they came; `UpstreamMoved` and `ClockSuspect` count for this evaluation alone.
        calendars: All calendars by name.
        full: Which upstream has no room for a raise of this contract, in words (`settle` finds out); None: there is room.
        may_enter: False for a contract that changed its stage already in the same settling: one stage at a time.
        spent_by: Who spends it and has not ended: it cannot be retired under them.

    Returns:
        What to record, publish and ask for. Never raises for what it was told: what cannot be done is a `refused` entry.

    Source: design, section 4.
    """
    evaluation = _Evaluation(contract, state, now_ms, surroundings_of(observations, full, spent_by), calendars)
    if state.status in ("retired", "superseded"):
        return evaluation.decisions(None)
    evaluation.arrive()
    for observation in observations:
        evaluation.observe(observation)
    evaluation.fall()
    evaluation.exceptions()
    evaluation.end_override()
    ahead = evaluation.enter() if may_enter and not evaluation.stage_changed else evaluation.ahead()
    evaluation.complete()
    return evaluation.decisions(ahead)


def apply_first(
    contract: Contract,
    digest: str,
    terms_digest: str,
    version: int,
    actor: str,
    now_ms: int,
    before: RampState | None = None,
) -> Decisions:
    """Start a ramp at its first stage.

    Args:
        contract: What was agreed.
        digest: Of its canonical form; `terms_digest` of what approvals bind to.
        version: Its number in the ledger, from 1.
        actor: Who applied it; four eyes later compare with this.
        now_ms: UTC.
        before: The state of an earlier ramp of this name that is over, so that the curve's version goes on.

    Returns:
        As `step`; exceptions that are due already lower the first curve.
    """
    body = {"version": version, "digest": digest, "terms_digest": terms_digest}
    applied = moves.entry("applied", contract, now_ms, actor, f"version {version} of {contract.name} was applied", body)
    evaluation = _Evaluation(contract, fold(contract, before, applied), now_ms, NOTHING_KNOWN, {}, (applied,))
    evaluation.exceptions()
    evaluation.complete()
    # The next stage is looked at by the first `step`, at once: it knows the calendars and where the required contracts stand.
    own = conditions_of(contract, evaluation.state, 1, now_ms, {}) if len(contract.ramp) > 1 else ()
    ahead = Prospect(1, own, ()) if len(contract.ramp) > 1 else None
    return replace(evaluation.decisions(ahead), wake_at_ms=now_ms, needs=())


def surroundings_of(
    observations: Sequence[Observation], full: str | None = None, spent_by: tuple[str, ...] = ()
) -> Surroundings:
    """What the observations say about the world beside the contract; the latest word counts."""
    if not observations and full is None and not spent_by:
        return NOTHING_KNOWN
    standings = {seen.standing.contract: seen.standing for seen in observations if isinstance(seen, UpstreamMoved)}
    clock = [seen for seen in observations if isinstance(seen, ClockSuspect)]
    if not clock or not clock[-1].suspect:
        return Surroundings(standings, full=full, spent_by=spent_by)
    return Surroundings(standings, clock[-1].reason or "it jumped", full, spent_by, clock[-1].believed_ms)


class _Evaluation:
    """One evaluation on its way: the state so far, and the entries that led to it. Lives for one call of `step`."""

    def __init__(
        self,
        contract: Contract,
        state: RampState,
        now_ms: int,
        surroundings: Surroundings,
        calendars: Mapping[str, Calendar],
        entries: Sequence[Entry] = (),
    ) -> None:
        self.contract, self.now_ms = contract, now_ms
        self.surroundings, self.calendars = surroundings, calendars
        self.believed_ms = believed_until(now_ms, surroundings)
        self.before, self.state = state, state
        self.entries = list(entries)
        self.stage_changed = False
        """No stage is entered in an evaluation that stepped back, or came back from the floor; after a fall none can be."""

    def add(self, entry: Entry) -> None:
        self.entries.append(entry)
        self.state = fold(self.contract, self.state, entry)

    def say(self, kind: EntryKind, reason: str, body: Mapping[str, Any], actor: str = moves.HEADWAY) -> None:
        self.add(moves.entry(kind, self.contract, self.now_ms, actor, reason, body))

    # --- what time brought -------------------------------------------------------------------------------------

    def arrive(self) -> None:
        """A climb that has ended has arrived, at the instant its curve said; a clock that jumped brings none there."""
        state = self.state
        if state.arrived_at_ms is not None or state.floored or state.course.remaining_ms is not None:
            return
        if self.believed_ms >= state.course.end_ms:
            name = self.contract.ramp[state.stage].name
            self.say("arrived", f"the climb to {name} has ended", {"arrived_at_ms": state.course.end_ms})

    def complete(self) -> None:
        state = self.state
        last = len(self.contract.ramp) - 1
        if state.status == "running" and state.stage == last and state.arrived_at_ms is not None and not state.floored:
            self.say("completed", f"{self.contract.ramp[last].name}, the last stage, has arrived", {})

    # --- what was observed -------------------------------------------------------------------------------------

    def observe(self, observation: Observation) -> None:
        if isinstance(observation, Use):
            self.use(observation)
        elif isinstance(observation, EventSeen):
            self.event(observation)
        elif isinstance(observation, Approval):
            if self.accepted(
                observation, f"approval of {observation.stage} for {observation.group}", observation.actor
            ):
                body = {
                    "stage": observation.stage,
                    "group": observation.group,
                    "terms_digest": observation.terms_digest,
                    "single_user": observation.single_user,
                }
                reason = observation.reason or f"approved {observation.stage}"
                self.say("approved", reason, body, observation.actor)
        elif isinstance(observation, VerbCall) and self.accepted(observation, observation.verb, observation.actor):
            self.verb(observation)

    def accepted(self, observation: Approval | VerbCall, what: str, actor: str) -> bool:
        """Whether it can be done; what cannot is remembered as seen and not counted."""
        try:
            vet(self.contract, self.state, observation, self.now_ms, self.surroundings)
        except Rejected as rejected:
            self.refuse(what, str(rejected), actor)
            return False
        return True

    def refuse(self, what: str, why: str, actor: str) -> None:
        """Once for the same thing: a flood of it is not worth a ledger."""
        if not any(seen.what == what and seen.why == why and seen.actor == actor for seen in self.state.not_counted):
            self.say("refused", why, {"what": what}, actor)

    def use(self, use: Use) -> None:
        if self.surroundings.suspect is not None:
            return
        self.state = soak.with_use(self.contract, self.state, use, self.now_ms)
        body = soak.worth_an_entry(self.contract, self.state) if self.state.pending_ms else None
        if body is not None:
            self.say("soaked", "time under load", body)

    def event(self, event: EventSeen) -> None:
        """Latches what a trigger asks for and does not have yet; remembers what looked like it and did not count."""
        if self.state.status in OVER:
            return
        if any(latched.source == event.source and latched.id == event.id for latched in self.state.events):
            return
        at_ms = min(event.at_ms, self.now_ms)
        asked = [(index, match) for index, match in event_matches(self.contract) if match.type == event.type]
        fitting = [(index, match) for index, match in asked if matches(match, event.type, event.source, at_ms)]
        wanted = [(index, match) for index, match in fitting if satisfying(self.state, index, match) is None]
        now_counts = any(
            not match.again or (index == self.state.stage + 1 and at_ms > self.state.entered_at_ms)
            for index, match in wanted
        )
        if now_counts:
            body = {
                "type": event.type,
                "source": event.source,
                "id": event.id,
                "at_ms": at_ms,
                "time_ms": event.time_ms,
            }
            self.say("event", f"{event.type} from {event.source}", body, event.actor)
        elif wanted:
            why = "it is asked for anew each time its stage is next, and it is not next"
            self.refuse(f"event {event.type} from {event.source}", why, event.actor)
        elif asked and not fitting:
            why = "no trigger asks for it from this source, at this time"
            self.refuse(f"event {event.type} from {event.source}", why, event.actor)

    def verb(self, call: VerbCall) -> None:
        contract, state, now_ms = self.contract, self.state, self.now_ms
        if call.verb == "hold":
            self.add(moves.hold(contract, state, now_ms, self.believed_ms, "person", call.actor, call.reason))
        elif call.verb == "resume" and state.held is not None:
            self.stage_changed = self.stage_changed or state.floored
            self.add(moves.resume(contract, state, now_ms, call))
        elif call.verb == "resume":
            agreed = {"early": True, "second": call.second, "single_user": call.single_user}
            self.say("override_ended", call.reason, agreed, call.actor)
        elif call.verb == "advance":
            self.say("advanced", call.reason, {"stage": state.stage + 1}, call.actor)
        elif call.verb == "override":
            body = {"value_micro": dict(call.value_micro), "until_ms": call.until_ms, "second": call.second}
            self.say("overridden", call.reason, {**body, "single_user": call.single_user}, call.actor)
        elif call.verb == "abort":
            self.add(moves.abort(contract, state, now_ms, self.believed_ms, call))
        elif call.verb == "retire":
            self.say("retired", call.reason, {}, call.actor)
        else:
            self.step_back(call)

    def step_back(self, call: VerbCall) -> None:
        """To the previous stage, the floor, or nowhere: where there is nowhere, it holds and calls a person.

        A step-back that the next evaluation would undo, because all that its stage waits for still holds, holds as well.
        """
        self.stage_changed = True
        if self.state.stage == 0 and self.contract.enforce.floor_micro is None:
            if self.state.held is None:
                reason = f"there is no stage before the first, and no floor: {call.reason}"
                self.add(
                    moves.hold(
                        self.contract, self.state, self.now_ms, self.believed_ms, "step_back", call.actor, reason
                    )
                )
            return
        self.add(moves.step_back(self.contract, self.state, self.now_ms, self.believed_ms, call))
        ahead = self.ahead()
        undone = ahead is not None and all(condition.met for condition in ahead.own)
        if self.state.held is None and (self.state.floored or undone):
            cause: Cause = "floor" if self.state.floored else "step_back"
            self.add(
                moves.hold(self.contract, self.state, self.now_ms, self.believed_ms, cause, call.actor, call.reason)
            )

    # --- falls, and what ends ----------------------------------------------------------------------------------

    def fall(self) -> None:
        """To the highest stage whose own and earlier requirements stand."""
        if self.state.status in OVER or not self.surroundings.standings:
            return
        for stage in range(1, self.state.stage + 1):
            lost = requirements_stand(self.contract, stage, self.surroundings.standings)
            if lost is not None:
                self.add(moves.fall(self.contract, self.state, self.now_ms, self.believed_ms, stage - 1, lost))
                return

    def exceptions(self) -> None:
        """Plans, begins, lifts and ends the contract's exceptions."""
        for index, exception in enumerate(self.contract.exceptions):
            fact = next((one for one in self.state.exceptions if one.index == index), None)
            start_ms, end_ms = exception.during.start.utc_ms, exception.during.end.utc_ms
            if self.now_ms >= end_ms:
                if fact is not None:
                    self.add_unless_it_raises(
                        "exception_ended", f"its time is over: {exception.reason}", {"index": index}
                    )
            elif self.now_ms >= start_ms:
                if fact is None or fact.began_ms is None:
                    self.say("exception_began", exception.reason, {"index": index, "lifted": False})
                    fact = self.state.exceptions[-1]
                self.lift(index, fact)
            elif fact is None and self.now_ms >= start_ms - HORIZON_MS:
                self.say("exception_planned", exception.reason, {"index": index, "lifted": False})

    def lift(self, index: int, fact: ExceptionState) -> None:
        """Lets an approved exception raise the limit, once."""
        exception = self.contract.exceptions[index]
        if fact.lifted or not exception.approval or self.state.status in OVER:
            return
        name = approvals.exception_stage(index)
        given = [approval_condition(self.state, name, need, self.now_ms) for need in exception.approval]
        if all(condition.met for condition in given):
            self.add_unless_it_raises("exception_began", exception.reason, {"index": index, "lifted": True})

    def end_override(self) -> None:
        override = self.state.overridden
        if override is not None and self.now_ms >= override.until_ms:
            self.add_unless_it_raises("override_ended", f"its time is over: {override.reason}", {})

    def add_unless_it_raises(self, kind: EntryKind, reason: str, body: Mapping[str, Any]) -> None:
        """Adds an entry now; one that would raise waits while raises wait."""
        entry = moves.entry(kind, self.contract, self.now_ms, moves.HEADWAY, reason, body)
        after = fold(self.contract, self.state, entry)
        raises = any(
            level_micro(self.contract, after, dimension, self.now_ms)
            > level_micro(self.contract, self.state, dimension, self.now_ms)
            or after.course.to_micro[dimension] > level_micro(self.contract, self.state, dimension, self.now_ms)
            for dimension in after.course.to_micro
        )
        waits = (
            self.state.held is not None or self.surroundings.suspect is not None or self.surroundings.full is not None
        )
        if not (raises and waits):
            self.entries.append(entry)
            self.state = after

    # --- one stage ---------------------------------------------------------------------------------------------

    def ahead(self) -> Prospect | None:
        return prospect(self.contract, self.state, self.now_ms, self.surroundings, self.calendars)

    def enter(self) -> Prospect | None:
        """Enters the next stage if all holds."""
        ahead = self.ahead()
        if ahead is None or not ahead.open:
            return ahead
        self.add(moves.enter(self.contract, self.state, self.now_ms, ahead.own))
        self.exceptions()
        return self.ahead()

    # --- the answer --------------------------------------------------------------------------------------------

    def decisions(self, ahead: Prospect | None) -> Decisions:
        state = self.state
        changed = state.curve_version != self.before.curve_version or bool(
            self.entries and self.entries[0].kind == "applied"
        )
        words = raises_when(self.contract, state, ahead) if changed else ""
        return Decisions(
            state=state,
            entries=tuple(self.entries),
            curve=curve_of(self.contract, state, self.now_ms, words) if changed else None,
            wake_at_ms=self.wake_at_ms(ahead),
            needs=self.needs(ahead),
        )

    def wake_at_ms(self, ahead: Prospect | None) -> int | None:
        """The next instant at which time alone could change something."""
        state, now_ms = self.state, self.now_ms
        if state.status in ("retired", "superseded"):
            return None
        if ahead is not None and ahead.open:
            return now_ms
        instants: list[int] = []
        if state.arrived_at_ms is None and not state.floored and state.course.remaining_ms is None:
            instants.append(state.course.end_ms)
        if state.overridden is not None:
            instants.append(state.overridden.until_ms)
        for exception in self.contract.exceptions:
            start_ms = exception.during.start.utc_ms
            instants += (start_ms - HORIZON_MS, start_ms, exception.during.end.utc_ms)
        first_ms = None if ahead is None else ahead.next_instant_ms
        if first_ms is not None:
            instants.append(first_ms)
        return min([at_ms for at_ms in instants if at_ms > now_ms], default=None)

    def needs(self, ahead: Prospect | None) -> tuple[Need, ...]:
        """Use while a soak may be earned; approvals once all else holds."""
        if ahead is None:
            return ()
        name = self.contract.ramp[ahead.stage].name
        needs: list[Need] = []
        soaks = soaks_of(self.contract, ahead.stage)
        if soaks and self.state.advanced_by is None and ahead.soak_missing:
            every_ms = soak.read_every_ms(soaks)
            needs.append(Need("use", name, self.now_ms + every_ms, every_ms))
        if ahead.only_approvals_missing:
            asked = (condition.evidence["group"] for condition in ahead.own if not condition.met)
            needs.extend(Need("approval", name, self.now_ms, 0, group) for group in asked)
        return tuple(needs)
