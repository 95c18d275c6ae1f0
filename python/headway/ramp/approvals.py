"""Who said yes to what: how far an approval that a stage or an exception asks for has come.

Source: design, section 4, four eyes; section 2, `approval.need` and `expires`.
"""

from __future__ import annotations

from collections.abc import Sequence

from headway.contract.model import ApprovalNeed, Contract
from headway.ramp.facts import Given
from headway.ramp.state import RampState

EXCEPTION = "exception:"
"""How an approval names an exception of the contract instead of a stage: `exception:0` is the first."""


def exception_stage(index: int) -> str:
    """The name under which an exception is approved."""
    return f"{EXCEPTION}{index}"


def needs_of(contract: Contract, stage: str) -> Sequence[ApprovalNeed]:
    """What a stage, or an exception, asks for; nothing for one that does not exist or is never approved."""
    if stage.startswith(EXCEPTION):
        number = stage.removeprefix(EXCEPTION)
        index = int(number) if number.isdecimal() and len(number) < 6 else len(contract.exceptions)
        return contract.exceptions[index].approval if index < len(contract.exceptions) else ()
    index_or_none = contract.stage_index(stage)
    when = None if index_or_none is None else contract.ramp[index_or_none].when
    return () if when is None else when.approval


def valid(state: RampState, stage: str, need: ApprovalNeed, now_ms: int) -> list[Given]:
    """The approvals that count for a need now: of its group, for these terms, one a person, not expired.

    One that was used to enter the stage no longer expires: after a fall along with an upstream it still stands.
    """
    if not state.approvals:
        return []
    people: dict[str, Given] = {}
    for given in state.approvals:
        counts = (
            given.stage == stage
            and given.group == need.by
            and given.terms_digest == state.terms_digest
            and (given.used or now_ms < given.at_ms + need.expires_ms)
        )
        if counts:
            people.setdefault(given.actor, given)
    return list(people.values())


def met_since_ms(needed: int, given: Sequence[Given]) -> int | None:
    """Since when enough people said yes, or None.

    On the two loopback tokens, which one person holds, a single yes counts for all; the ledger says `single_user`.
    """
    if not given:
        return None
    alone = [one.at_ms for one in given if one.single_user]
    instants = sorted(one.at_ms for one in given)
    enough = instants[needed - 1] if len(instants) >= needed else None
    return min(alone) if alone and enough is None else enough
