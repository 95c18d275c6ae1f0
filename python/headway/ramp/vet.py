"""Whether what a person asks for can be done, before anything is decided.

The server and the engine call `vet` to answer with a reason; `step` calls the same before it acts, so both always agree.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from headway.contract.model import Contract
from headway.ramp import approvals
from headway.ramp.conditions import NOTHING_KNOWN, Surroundings, believed_until, soaks_of, spell_micro
from headway.ramp.curve import level_micro
from headway.ramp.decisions import Rejected
from headway.ramp.facts import OVER
from headway.ramp.observations import Approval, Observation, VerbCall
from headway.ramp.state import RampState

OVERRIDE_MICRO_MAX: Final = 1 << 62
OVERRIDE_MS_MAX: Final = 366 * 86_400_000
"""An override ends within a year: it is an answer to a situation, not a new version."""

OVERRIDE_TIMES: Final = 4
"""How often the highest declared level an override may be: as far as meters are sure to count."""


def vet(
    contract: Contract,
    state: RampState,
    observation: Observation,
    now_ms: int,
    surroundings: Surroundings = NOTHING_KNOWN,
) -> None:
    """Rejects an approval or a verb that cannot be done; says nothing to anything else.

    Args:
        contract: The version in force.
        state: Where it stands.
        observation: What is asked for.
        now_ms: The instant it would be decided.
        surroundings: What else is known: a raise waits while the clock is suspect or an upstream is full.

    Raises:
        Rejected: HW510 the ramp is over, HW511 no such stage, HW512 other terms, HW513 not asked of that group,
            HW514 four eyes, HW515 given already, HW516 nothing to do, HW517 a bad override, HW518 it must wait,
            HW519 no reason, HW508 its spenders would be promised what nobody guarantees.
    """
    if isinstance(observation, Approval):
        _vet_approval(contract, state, observation, now_ms)
    elif isinstance(observation, VerbCall):
        _vet_verb(contract, state, observation, now_ms, surroundings)


def _vet_approval(contract: Contract, state: RampState, approval: Approval, now_ms: int) -> None:
    _vet_running(contract, state, "approve")
    index = contract.stage_index(approval.stage)
    needs = approvals.needs_of(contract, approval.stage)
    if index is None and not needs:
        names = ", ".join(stage.name for stage in contract.ramp)
        raise Rejected(
            "HW511", f"{contract.name} has no stage {approval.stage}", f"its stages are {names}", "name one of them"
        )
    if index is not None and index <= state.stage:
        raise Rejected(
            "HW516",
            f"{approval.stage} is not waited for",
            "it was entered already",
            "approve a later stage, if one asks for it",
        )
    if approval.terms_digest != state.terms_digest:
        raise Rejected(
            "HW512",
            "the approval is for other terms",
            f"it names {approval.terms_digest[:12]}, in force is {state.terms_digest[:12]}",
            f"read `headway explain {contract.name}` and approve what is in force",
        )
    need = next((need for need in needs if need.by == approval.group), None)
    if need is None:
        groups = ", ".join(sorted({one.by for one in needs})) or "nobody"
        raise Rejected(
            "HW513",
            f"{approval.stage} does not ask {approval.group}",
            f"it asks {groups}",
            "approve for a group it asks",
        )
    if not approval.single_user:
        if approval.actor == state.applied_by:
            because = f"{approval.actor} applied this version"
            raise Rejected("HW514", "a second person is needed", because, f"ask another member of {approval.group}")
        if approval.actor == state.advanced_by:
            because = f"{approval.actor} asked to skip its soak"
            raise Rejected("HW514", "a second person is needed", because, f"ask another member of {approval.group}")
    given = approvals.valid(state, approval.stage, need, now_ms)
    if any(one.actor == approval.actor for one in given):
        raise Rejected(
            "HW515",
            f"{approval.actor} approved {approval.stage} already",
            "one person counts once",
            "nothing is to be done",
        )


def _vet_verb(contract: Contract, state: RampState, call: VerbCall, now_ms: int, surroundings: Surroundings) -> None:
    if state.status in ("retired", "superseded") or call.verb != "retire":
        _vet_running(contract, state, call.verb)
    if not call.reason.strip():
        raise Rejected("HW519", f"{_spelled(call.verb)} wants a reason", "the ledger keeps why", "say it with --reason")
    if call.verb == "hold" and state.held is not None:
        because = f"{state.held.by} holds it: {state.held.reason}"
        raise Rejected("HW516", f"{contract.name} is held already", because, "nothing is to be done")
    if call.verb == "retire" and surroundings.spent_by:
        spenders = ", ".join(surroundings.spent_by)
        raise Rejected(
            "HW508",
            f"{contract.name} cannot be retired",
            f"it is spent by {spenders}",
            "retire those first, or apply versions of them that do not spend it",
        )
    if call.verb == "resume":
        _vet_resume(contract, state, call, now_ms, surroundings)
    elif call.verb == "advance":
        _vet_advance(contract, state, call)
    elif call.verb == "step_back" and state.floored:
        raise Rejected("HW516", f"{contract.name} is on its floor", "there is nothing below", "abort it, or resume")
    elif call.verb == "override":
        _vet_override(contract, state, call, now_ms, surroundings)


def _spelled(verb: str) -> str:
    """A verb as commands and addresses spell it."""
    return verb.replace("_", "-")


def _vet_running(contract: Contract, state: RampState, verb: str) -> None:
    if state.status in OVER:
        raise Rejected(
            "HW510",
            f"{_spelled(verb)} does nothing on {contract.name}",
            f"its ramp is {state.status}",
            "apply a new version of it first",
        )


def _vet_resume(contract: Contract, state: RampState, call: VerbCall, now_ms: int, surroundings: Surroundings) -> None:
    """Ends a hold; of a contract that is not held, its override."""
    if state.held is None and state.overridden is None:
        raise Rejected(
            "HW516",
            f"{contract.name} is neither held nor overridden",
            "there is nothing to resume",
            "nothing is to be done",
        )
    if state.held is None:
        if ends_by_raising(contract, state, now_ms, believed_until(now_ms, surroundings)):
            _vet_raise("resume", surroundings)
            _vet_second(call, "ending this override early raises the limit")
    elif state.floored or state.course.remaining_ms is not None:
        _vet_raise("resume", surroundings)


def ends_by_raising(contract: Contract, state: RampState, now_ms: int, believed_ms: int) -> bool:
    """Whether the limit in force is higher without the override, in any dimension; a climb ahead is no part of that."""
    after = replace(state, overridden=None)

    def surely(one: RampState, dimension: str) -> int:
        return min(level_micro(contract, one, dimension, at_ms) for at_ms in (now_ms, believed_ms))

    return any(surely(after, dimension) > surely(state, dimension) for dimension in contract.constraint)


def _vet_advance(contract: Contract, state: RampState, call: VerbCall) -> None:
    if state.stage + 1 >= len(contract.ramp):
        raise Rejected(
            "HW516", f"{contract.name} is at its last stage", "there is none to advance to", "nothing is to be done"
        )
    name = contract.ramp[state.stage + 1].name
    if not soaks_of(contract, state.stage + 1):
        raise Rejected(
            "HW516",
            f"{name} asks for no soak",
            "advance skips soak only",
            f"see what it waits for: explain {contract.name}",
        )
    if state.advanced_by is not None:
        raise Rejected(
            "HW516",
            f"the soak of {name} is skipped already",
            f"{state.advanced_by} asked for it",
            "nothing is to be done",
        )
    if not call.single_user and any(given.stage == name and given.actor == call.actor for given in state.approvals):
        because = f"{call.actor} approved {name}, and who asks for a raise cannot approve it"
        raise Rejected("HW514", "a second person is needed", because, "ask another person to advance")


def _vet_override(
    contract: Contract, state: RampState, call: VerbCall, now_ms: int, surroundings: Surroundings
) -> None:
    known = state.course.from_micro
    unknown = sorted(set(call.value_micro) - set(known))
    if unknown or not call.value_micro:
        names = ", ".join(name or "(the limit)" for name in known)
        raise Rejected(
            "HW517", "an override names its limit", f"{contract.name} bounds {names}", "give a value for one of them"
        )
    if any(not 0 <= value <= OVERRIDE_MICRO_MAX for value in call.value_micro.values()):
        raise Rejected(
            "HW517", "the override's limit is out of range", "it is negative or beyond any meter", "give one from 0 up"
        )
    for dimension, value_micro in call.value_micro.items():
        most_micro = OVERRIDE_TIMES * contract.highest_micro(dimension)
        if value_micro > most_micro:
            raise Rejected(
                "HW517",
                "the override's limit is out of range",
                f"it is over {OVERRIDE_TIMES} times the highest level that {contract.name} declares",
                f"give at most {spell_micro(most_micro)}, or apply a contract with a stage that high",
            )
    floor = contract.enforce.floor_micro if contract.enforce.gates is not None else None
    below = [name for name, value in call.value_micro.items() if floor is not None and value < floor[name]]
    if below and floor is not None:
        raise Rejected(
            "HW517",
            "the override's limit is below the floor",
            f"{spell_micro(floor[below[0]])} of it belong to gates by name, and one that is cut off would not hear of it",
            f"give at least {spell_micro(floor[below[0]])}: then nobody but those gates has anything",
        )
    if call.until_ms is None or not now_ms < call.until_ms <= now_ms + OVERRIDE_MS_MAX:
        raise Rejected("HW517", "an override ends", "it wants an instant ahead, within a year", "say it with --until")
    if raises(contract, state, call, now_ms, believed_until(now_ms, surroundings)):
        _vet_raise("override", surroundings)
        _vet_second(call, "this override raises the limit")


def raises(contract: Contract, state: RampState, call: VerbCall, now_ms: int, believed_ms: int) -> bool:
    """Whether an override lifts the limit above what is in force, or above its stage's own level."""
    own = state.course.lesser_micro(now_ms, believed_ms)
    return any(
        value > min(level_micro(contract, state, dimension, now_ms), own[dimension])
        for dimension, value in call.value_micro.items()
    )


def _vet_second(call: VerbCall, because: str) -> None:
    if not call.single_user and call.second in (None, call.actor):
        raise Rejected("HW514", "a second person is needed", because, "name another person with --second")


def _vet_raise(verb: str, surroundings: Surroundings) -> None:
    if surroundings.suspect is not None:
        because = f"the clock is not trusted: {surroundings.suspect}"
        raise Rejected(
            "HW518", f"{_spelled(verb)} raises the limit and must wait", because, "mend the clock, then ask again"
        )
    if surroundings.full is not None:
        raise Rejected(
            "HW518", f"{_spelled(verb)} raises the limit and must wait", surroundings.full, "make room there first"
        )
