"""What people and events ask of contracts: vetted, decided, written, published, and said in a sentence.

Or refused with a mend.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import floor

from headway.contract.words import limit_in_words, number
from headway.engine.looking import surroundings
from headway.engine.mover import Mover
from headway.engine.publish import cautious
from headway.engine.repeats import why_nothing
from headway.engine.values import Outcome, Preview
from headway.errors import ClockSuspected, OverPromised, UnknownStage, VerbRefused
from headway.ledger import Event, Ledger, Move
from headway.ramp.decisions import Decisions, Rejected
from headway.ramp.entries import Entry
from headway.ramp.observations import Approval, EventSeen, Observation, VerbCall
from headway.ramp.vet import ends_by_raising, vet

Act = Approval | VerbCall

UNDO = {
    "hold": "headway resume {name} --reason …",
    "resume": "headway hold {name} --reason …",
    "advance": "headway hold {name} --reason …",
    "override": "headway resume {name} --reason …",
    "cut": "headway resume {name} --second FILE --reason …",
    "applied": "headway retire {name} --reason …",
}
"""What takes a verb back; `cut` is an override whose end raises the limit, which two people do. A step-back, an abort and a
retirement are not taken back."""


def submit(mover: Mover, name: str, act: Act) -> Outcome:
    """Carries out an approval or a verb. Returns after the ledger has it and the curves are published.

    Raises:
        UnknownContract, UnknownStage, VerbRefused, ClockSuspected, OverPromised: And nothing changed.
        LedgerStopped: It cannot be written now.
    """
    with mover.lock:
        now_ms = mover.look()
        decided = _decided(mover, name, act, now_ms)
        before = present(mover, name)
        after = _after(mover, name, decided, now_ms)
        entries = tuple(entry for one in decided.values() for entry in one.entries)
        seqs = mover.move(decided, now_ms)
        said = _said(mover, name, act, before, after, decided)
        return Outcome(name, seqs, entries, before, after, _undo(mover, name, act, decided[name], now_ms), said)


def preview(mover: Mover, name: str, act: Act) -> Preview:
    """What `submit` would do now. Raises what it would."""
    with mover.lock:
        now_ms = mover.look()
        decided = _decided(mover, name, act, now_ms)
        before = present(mover, name)
        after = _after(mover, name, decided, now_ms)
        links = mover.board.links
        affected = {spender for spender, _ in links.spenders[name]} | set(links.required_by[name])
        affected |= {other for other, one in decided.items() if one.entries and other != name}
        return Preview(
            name,
            tuple(entry for one in decided.values() for entry in one.entries),
            before,
            after,
            tuple(sorted(affected)),
            _undo(mover, name, act, decided[name], now_ms),
            _said(mover, name, act, before, after, decided),
        )


def receive(mover: Mover, ledger: Ledger, event: EventSeen) -> list[Outcome]:
    """Hands an event to every contract that asks for its type, in one transaction; once, however often it comes.

    Returns:
        One outcome a contract that asks for its type, also where nothing changed: `said` is why. None where nobody asks.
    """
    with mover.lock:
        askers = mover.board.askers(event.type)
        if not askers:
            return []
        now_ms = mover.look()
        seen = replace(event, at_ms=now_ms)
        if (seen_ms := ledger.seen_ms(event.source, event.id)) is not None:
            return [_unmoved(mover, name, seen, seen_ms) for name in askers]
        decided = mover.decide({name: [seen] for name in askers}, now_ms)
        moved = [name for name, one in decided.items() if one.entries]
        before = {name: present(mover, name) for name in moved}
        beside = Move(events=(Event(event.source, event.id, now_ms),))
        seqs = iter(mover.move(decided, now_ms, beside))
        outcomes = []
        for name, one in decided.items():
            own = tuple(next(seqs) for _ in one.entries)
            if own:
                said = f"{name}: " + "; ".join(entry.reason for entry in one.entries)
                after = _after(mover, name, decided, now_ms)
                outcomes.append(Outcome(name, own, one.entries, before[name], after, None, said))
            elif name in askers:
                outcomes.append(_unmoved(mover, name, seen, None))
        return outcomes


def _unmoved(mover: Mover, name: str, event: EventSeen, seen_ms: int | None) -> Outcome:
    place, limit = mover.board.place(name), present(mover, name)
    return Outcome(name, (), (), limit, limit, None, why_nothing(place.contract, place.state, event, seen_ms))


def _decided(mover: Mover, name: str, act: Act, now_ms: int) -> dict[str, Decisions]:
    """Vets and decides. Nothing is written yet."""
    board = mover.board
    place = board.place(name)
    asked = replace(act, at_ms=now_ms)
    if isinstance(asked, Approval) and place.contract.stage_index(asked.stage) is None:
        names = [stage.name for stage in place.contract.ramp]
        if not asked.stage.startswith("exception"):
            raise UnknownStage.of(asked.stage, names, where=name)
    clock = mover.clock_status
    around = replace(surroundings(board, name, now_ms, clock), believed_ms=mover.believed_ms)
    try:
        vet(place.contract, place.state, asked, now_ms, around)
    except Rejected as rejected:
        kind = ClockSuspected if clock.suspect and rejected.code == "HW518" else VerbRefused
        raise kind(
            rejected.problem, because=rejected.because, mend=rejected.mend, where=name, code=rejected.code
        ) from rejected
    observed: Mapping[str, Sequence[Observation]] = {name: [asked]}
    decided = mover.decide(observed, now_ms)
    for entry in decided[name].entries:
        if entry.kind == "refused" and entry.actor == asked.actor:
            raise OverPromised(
                entry.reason,
                because="what it would admit must fit its upstreams",
                mend="make room there first, or ask for less",
                where=name,
            )
    return decided


def present(mover: Mover, name: str) -> dict[str, int]:
    """The limit in force, as the meters have it."""
    return mover.board.place(name).in_force_micro(mover.boot_ms())


def _after(mover: Mover, name: str, decided: Mapping[str, Decisions], now_ms: int) -> dict[str, int]:
    """The limit that a decision puts in force, as the meters will have it."""
    curve = decided[name].curve if name in decided else None
    if curve is None:
        return present(mover, name)
    enforced = cautious(curve, now_ms, mover.believed_ms)
    return {one: floor(enforced.level_micro(one, mover.believed_ms)) for one in curve.segments}


def _undo(mover: Mover, name: str, act: Act, decided: Decisions, now_ms: int) -> str | None:
    if isinstance(act, Approval) or _ends_override(act, decided):
        return None
    if act.verb != "override":
        return undo_of(act.verb, name)
    if decided.state.held is not None:
        # A resume would first end the hold, which is not what an override did.
        return None
    believed_ms = min(now_ms, mover.believed_ms)
    raises = ends_by_raising(mover.board.contracts[name], decided.state, now_ms, believed_ms)
    return undo_of("cut" if raises and not act.single_user else "override", name)


def _ends_override(act: VerbCall, decided: Decisions) -> bool:
    """Whether it was the override that was resumed from; a hold that is lifted may let one end whose time had come."""
    kinds = [entry.kind for entry in decided.entries]
    return act.verb == "resume" and "override_ended" in kinds and "resumed" not in kinds


def undo_of(what: str, name: str) -> str | None:
    """The command that takes a verb, `cut` or `applied` back."""
    command = UNDO.get(what)
    return command.format(name=name) if command else None


def _said(
    mover: Mover,
    name: str,
    act: Act,
    before: Mapping[str, int],
    after: Mapping[str, int],
    decided: Mapping[str, Decisions],
) -> str:
    """One sentence: what was done, and what it did to the limit."""
    if isinstance(act, Approval):
        what = f"{act.group} approved {act.stage}"
    else:
        what = "its override ends" if _ends_override(act, decided[name]) else act.verb.replace("_", " ")
    kinds = [entry.kind for entry in decided[name].entries]
    entered = [_stage_of(entry) for entry in decided[name].entries if entry.kind == "entered"]
    parts = [f"{name}: {what}"]
    if entered:
        parts.append(f"it enters {entered[-1]}")
    if before != after:
        constraint = mover.board.contracts[name].constraint
        changes = [
            f"{one} from {number(before[one])} to {limit_in_words(constraint[one], after[one])}".strip()
            for one in before
            if before[one] != after[one]
        ]
        parts.append("the limit goes " + ", ".join(changes))
    elif not entered:
        parts.append("the limit stays" if kinds else "nothing changes")
    along = sorted(other for other, one in decided.items() if other != name and one.entries)
    if along:
        parts.append("along with it: " + ", ".join(along))
    return "; ".join(parts)


def _stage_of(entry: Entry) -> str:
    return str(entry.body["name"])
