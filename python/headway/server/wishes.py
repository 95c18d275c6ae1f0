"""From what a caller asked for to what the ramp is told: a body becomes an observation, or an HW422 with its field.

Pure: the engine's instant, the contract and the caller are arguments.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING, cast

from headway.contract.instants import instant_of
from headway.contract.mistake import Mistake
from headway.contract.quantities import duration_of, signed_amount_of
from headway.errors import UnknownStage
from headway.ramp.approvals import EXCEPTION
from headway.ramp.observations import Approval, Verb, VerbCall
from headway.server.access import Caller
from headway.server.asks import Approve, Ask, Override
from headway.server.problems import ServerError
from headway.server.rights import require_group

if TYPE_CHECKING:
    from headway.engine.engine import Running

UNTIL_MOST_MS = 366 * 86_400_000
"""The longest an override may be asked for; a longer need is an amendment."""


def vet_expected(running: Running, expect: str | None) -> None:
    """HW428 unless the contract still is the version the caller read."""
    if expect is not None and not running.digest.startswith(expect):
        raise ServerError(
            "HW428",
            f"`{running.contract.name}` is not at the expected version",
            because=f"{expect[:12]} was expected; {running.digest[:12]} is in force as version {running.version}.",
            extra={"digest": running.digest, "version": running.version},
        )


def approval_of(running: Running, body: Approve, caller: Caller, now_ms: int) -> Approval:
    """A yes for a stage.

    Raises:
        ServerError: HW403 for a group that the caller has not; HW428 for another digest.
        UnknownStage: With the nearest names.
    """
    require_group(caller, body.group)
    vet_expected(running, body.expect)
    names = [stage.name for stage in running.contract.ramp]
    if body.stage not in names and not body.stage.startswith(EXCEPTION):
        raise UnknownStage.of(body.stage, names, where=running.contract.name)
    # Without `terms` the yes is for what is in force at this instant; a command always sends what it has shown.
    present = running.state.terms_digest
    terms = present if body.terms is None or present.startswith(body.terms) else body.terms
    return Approval(
        at_ms=now_ms,
        stage=body.stage,
        group=body.group,
        actor=caller.actor,
        terms_digest=terms,
        reason=body.reason,
        single_user=caller.single_user,
    )


def verb_of(running: Running, spelled: str, body: Ask, caller: Caller, now_ms: int, second: Caller | None) -> VerbCall:
    """A verb, spelled as its command is.

    Raises:
        ServerError: HW422 for a value or an instant that cannot be read; HW428 for another digest.
    """
    vet_expected(running, body.expect)
    value: dict[str, int] = {}
    until_ms: int | None = None
    if isinstance(body, Override):
        value = _value_of(running, body)
        until_ms = _until_of(running, body.until, now_ms)
    return VerbCall(
        at_ms=now_ms,
        verb=cast(Verb, spelled.replace("-", "_")),
        actor=caller.actor,
        reason=body.reason,
        value_micro=value,
        until_ms=until_ms,
        second=None if second is None else second.actor,
        single_user=caller.single_user,
    )


def vet_second(caller: Caller, second: Caller | None) -> None:
    """A second person has to be another one, with a right to say yes. HW403 otherwise."""
    if second is None:
        return
    if second.name == caller.name or (second.single_user and caller.single_user):
        raise ServerError("HW403", "the second person is the first one", because="Four eyes want two people's tokens.")
    if second.roles.isdisjoint({"operator", "approver"}):
        raise ServerError("HW403", f"`{second.name}` is neither operator nor approver")


def _value_of(running: Running, body: Override) -> dict[str, int]:
    dimensions = list(running.contract.constraint)
    told = body.value if isinstance(body.value, dict) else {"": body.value}
    unknown = sorted(set(told) - set(dimensions))
    if unknown:
        near = get_close_matches(unknown[0], dimensions, n=1) or dimensions
        mend = "Give one number." if dimensions == [""] else f"Give a number for a dimension: {', '.join(near)}."
        raise _field(
            "value", f"the contract bounds no `{unknown[0]}`" if unknown[0] else "which dimension is meant", mend
        )
    micro: dict[str, int] = {}
    for dimension, number in told.items():
        try:
            micro[dimension] = signed_amount_of(str(number))
        except Mistake as mistake:
            raise _field("value", mistake.problem, mistake.mend or "Give a number, like 40 or 10k.") from mistake
        if micro[dimension] < 0:
            raise _field("value", "a limit is not negative", "Give a number from 0 up.")
    return micro


def _until_of(running: Running, text: str, now_ms: int) -> int:
    try:
        until_ms = now_ms + duration_of(text)
    except Mistake:
        try:
            until_ms = instant_of(text, running.contract.zone).utc_ms
        except Mistake as mistake:
            mend = (
                mistake.mend
                or "Give a duration like 2h, or an instant with its zone like 2026-12-01T09:00 Europe/Paris."
            )
            raise _field("until", mistake.problem, mend) from mistake
    if not now_ms < until_ms <= now_ms + UNTIL_MOST_MS:
        raise _field("until", "the end is past, or more than a year away", "An override ends within 366 days from now.")
    return until_ms


def _field(name: str, problem: str, mend: str) -> ServerError:
    return ServerError(
        "HW422", f"`{name}`: {problem}", mend=mend, extra={"fields": [{"field": name, "problem": problem}]}
    )
