"""What people and events ask of contracts: vetted, decided, written, published, and said in a sentence.

Or refused with a mend.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import floor

from headway.contract.canonical import canonical, digest, terms_digest
from headway.contract.faults import Unreadable
from headway.contract.model import Contract
from headway.contract.read import Reading
from headway.contract.runnable import not_yet
from headway.contract.words import limit_in_words, number
from headway.engine.looking import surroundings
from headway.engine.mover import Mover
from headway.engine.publish import cautious, core_curves, windows_of
from headway.engine.repeats import why_nothing
from headway.engine.specs import meters_of, path_of
from headway.engine.values import Outcome, Preview
from headway.errors import ClockSuspected, NotYet, OverPromised, UnknownStage, VerbRefused
from headway.ledger import Event, Ledger, Move, NewVersion
from headway.ramp.decisions import Decisions, Rejected
from headway.ramp.entries import Entry
from headway.ramp.joint import no_room
from headway.ramp.links import links_of
from headway.ramp.machine import apply_first
from headway.ramp.observations import Approval, EventSeen, Observation, VerbCall
from headway.ramp.vet import vet

Act = Approval | VerbCall

UNDO = {
    "hold": "headway resume {name} --reason …",
    "resume": "headway hold {name} --reason …",
    "advance": "headway hold {name} --reason …",
    "override": "headway resume {name} --reason …",
    "applied": "headway retire {name} --reason …",
}
"""What takes a verb back. A step-back, an abort and a retirement are not taken back."""


def submit(mover: Mover, name: str, act: Act) -> Outcome:
    """Carries out an approval or a verb. Returns after the ledger has it and the curves are published.

    Raises:
        UnknownContract, UnknownStage, VerbRefused, ClockSuspected, OverPromised: And nothing changed.
        LedgerStopped: It cannot be written now.
    """
    with mover.lock:
        now_ms = mover.look()
        decided = _decided(mover, name, act, now_ms)
        before = _present(mover, name)
        after = _after(mover, name, decided, now_ms)
        entries = tuple(entry for one in decided.values() for entry in one.entries)
        seqs = mover.move(decided, now_ms)
        said = _said(mover, name, act, before, after, decided)
        return Outcome(name, seqs, entries, before, after, _undo(name, act, decided[name]), said)


def preview(mover: Mover, name: str, act: Act) -> Preview:
    """What `submit` would do now. Raises what it would."""
    with mover.lock:
        now_ms = mover.look()
        decided = _decided(mover, name, act, now_ms)
        before = _present(mover, name)
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
            _undo(name, act, decided[name]),
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
        before = {name: _present(mover, name) for name in moved}
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
    place, present = mover.board.place(name), _present(mover, name)
    return Outcome(name, (), (), present, present, None, why_nothing(place.contract, place.state, event, seen_ms))


def apply(
    mover: Mover,
    reading: Reading,
    declare: Callable[[Sequence[Contract]], None],
    *,
    actor: str,
    reason: str = "",
    expect: str | None = None,
) -> Outcome:
    """Puts the first version of contracts in force, all of them in one transaction.

    Args:
        mover: Who moves.
        reading: Documents; contracts that run with the same digest already are passed over.
        declare: Declares the meters of new contracts.
        actor, reason: Who, and why.
        expect: The digest of the one contract in it; another one, or several contracts, is refused.

    Raises:
        Unreadable: A document is not valid, or uses what cannot run yet.
        NotYet: A contract runs with other terms: amendments come later.
        OverPromised: First stages would together exceed what an upstream guarantees.
        VerbRefused: `expect` does not fit.
        LedgerStopped: It cannot be written now.
    """
    runnable(reading)
    digests = {name: digest(contract) for name, contract in reading.contracts.items()}
    _expected(digests, expect)
    with mover.lock:
        board = mover.board
        for name, one in digests.items():
            if name in board.places and board.states[name].digest != one:
                raise NotYet(
                    f"{name} runs with other terms than this document's",
                    because="a version of Headway to come amends running contracts; this one applies a first version",
                    mend=f"give it another name, or keep what runs: headway explain {name}",
                    where=name,
                )
        new = {name: contract for name, contract in reading.contracts.items() if name not in board.places}
        calendars = {
            name: canonical(calendar)
            for name, calendar in reading.calendars.items()
            if board.calendars.get(name) != calendar
        }
        if not new and not calendars:
            return Outcome("", (), (), {}, {}, None, "all of it runs already: nothing to apply")
        now_ms = mover.look()
        decided = {
            name: _with_reason(apply_first(one, digests[name], terms_digest(one), 1, actor, now_ms), reason)
            for name, one in new.items()
        }
        _has_room(mover, new, decided, now_ms)
        _can_be_metered(mover, new, decided, now_ms)
        versions = tuple(
            NewVersion(name, 1, digests[name], terms_digest(one), canonical(one)) for name, one in new.items()
        )
        beside = Move(versions=versions, calendars=calendars)
        seqs = mover.begin(new, decided, now_ms, lambda: declare(list(new.values())), beside)
        board.calendars |= {name: reading.calendars[name] for name in calendars}
        entries = tuple(entry for one in decided.values() for entry in one.entries)
        single = next(iter(new)) if len(new) == 1 else ""
        after = _present(mover, single) if single else {}
        undo = _undo_of("applied", single) if single else None
        return Outcome(single, seqs, entries, {}, after, undo, _applied_words(mover, list(new)))


def runnable(reading: Reading) -> None:
    """Raises Unreadable, with every finding, where a document is not valid or uses what cannot run yet."""
    reading.require()
    if findings := not_yet(reading.documents):
        raise Unreadable(tuple(findings))


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


def _expected(digests: Mapping[str, str], expect: str | None) -> None:
    if expect is not None and list(digests.values()) != [expect]:
        found = ", ".join(f"{name} {one[:12]}" for name, one in digests.items()) or "no contract"
        raise VerbRefused(
            "this is not the document that was expected",
            because=f"expected is the digest {expect[:12]}, and here is {found}",
            mend="review what is here: headway explain FILE; then apply with its digest, one contract at a time",
        )


def _has_room(mover: Mover, new: Mapping[str, Contract], decided: Mapping[str, Decisions], now_ms: int) -> None:
    contracts = mover.board.contracts | dict(new)
    states = mover.board.states | {name: one.state for name, one in decided.items()}
    links = links_of(contracts)
    checked: set[str] = set()
    for name in new:
        # One spender's check weighs all spenders of its upstreams.
        if checked.issuperset(links.upstreams[name]):
            continue
        checked.update(links.upstreams[name])
        others = {other: state for other, state in states.items() if other != name}
        reason = no_room(contracts, others, links, name, states[name], now_ms)
        if reason is not None:
            raise OverPromised(
                f"{name} cannot start: {reason}",
                because="what all spenders may admit together never exceeds what an upstream guarantees",
                mend="start it lower, or raise the upstream first",
                where=name,
            )


def _can_be_metered(mover: Mover, new: Mapping[str, Contract], decided: Mapping[str, Decisions], now_ms: int) -> None:
    """Builds what the core will be told, before the ledger has it: a level that no meter holds is refused here."""
    contracts = mover.board.contracts | dict(new)
    for name, contract in new.items():
        curve = decided[name].curve
        assert curve is not None, "a first version has a curve"
        try:
            meters_of(contract, born="full")
            core_curves(contract, curve, curve.version, windows_of(contract, now_ms, suspect=True))
            for workload in contract.workloads:
                path_of(contract, workload, contracts)
        except ValueError as error:
            raise VerbRefused(
                f"{name} cannot be enforced",
                because=str(error),
                mend="choose a limit and a `per` that a meter holds",
                where=name,
            ) from error


def _with_reason(decided: Decisions, reason: str) -> Decisions:
    """The `applied` entry says why, where somebody did."""
    if not reason:
        return decided
    first, *rest = decided.entries
    return replace(decided, entries=(replace(first, reason=f"{first.reason}: {reason}"), *rest))


def _present(mover: Mover, name: str) -> dict[str, int]:
    """The limit in force, as the meters have it."""
    return mover.board.place(name).in_force_micro(mover.boot_ms())


def _after(mover: Mover, name: str, decided: Mapping[str, Decisions], now_ms: int) -> dict[str, int]:
    """The limit that a decision puts in force, as the meters will have it."""
    curve = decided[name].curve if name in decided else None
    if curve is None:
        return _present(mover, name)
    enforced = cautious(curve, now_ms, mover.believed_ms)
    return {one: floor(enforced.level_micro(one, mover.believed_ms)) for one in curve.segments}


def _undo(name: str, act: Act, decided: Decisions) -> str | None:
    if isinstance(act, Approval) or _ends_override(act, decided):
        return None
    # A resume would first end the hold, which is not what an override did.
    undone_by_another = act.verb == "override" and decided.state.held is not None
    return None if undone_by_another else _undo_of(act.verb, name)


def _ends_override(act: VerbCall, decided: Decisions) -> bool:
    """Whether it was the override that was resumed from; a hold that is lifted may let one end whose time had come."""
    kinds = [entry.kind for entry in decided.entries]
    return act.verb == "resume" and "override_ended" in kinds and "resumed" not in kinds


def _undo_of(what: str, name: str) -> str | None:
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


def _applied_words(mover: Mover, names: Sequence[str]) -> str:
    if not names:
        return "calendars were applied"
    shown = []
    for name in names[:5]:
        contract, levels = mover.board.contracts[name], _present(mover, name)
        limits = ", ".join(limit_in_words(contract.constraint[one], level) for one, level in levels.items())
        shown.append(f"{name} ({limits})")
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return "applied: " + ", ".join(shown) + more
