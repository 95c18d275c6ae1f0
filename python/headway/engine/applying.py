"""First versions of contracts: what is read, proven to fit and to be enforceable, is put in force in one transaction.

Everything that could go wrong is found before the ledger has it; what it holds must come up again at every later start.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from headway.contract.canonical import canonical, digest, terms_digest
from headway.contract.faults import Unreadable
from headway.contract.model import Contract
from headway.contract.read import Reading
from headway.contract.runnable import not_yet
from headway.contract.words import limit_in_words
from headway.engine.acts import present, undo_of
from headway.engine.mover import Mover
from headway.engine.publish import core_curves, windows_of
from headway.engine.specs import METERS_MOST, meters_count, meters_of, path_of
from headway.engine.values import Outcome
from headway.errors import NotYet, OverPromised, VerbRefused
from headway.ledger import Move, NewVersion
from headway.ramp.decisions import Decisions
from headway.ramp.facts import OVER
from headway.ramp.joint import no_room
from headway.ramp.links import links_of
from headway.ramp.machine import apply_first


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
    runnable(reading, mover.board.answered)
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
            return Outcome("", (), (), {}, {}, None, _nothing_words(mover, digests))
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
        after = present(mover, single) if single else {}
        undo = undo_of("applied", single) if single else None
        return Outcome(single, seqs, entries, {}, after, undo, _applied_words(mover, list(new)))


def runnable(reading: Reading, answered: Collection[str]) -> None:
    """Raises Unreadable, with every finding, where a document is not valid or uses what cannot run here."""
    reading.require()
    if findings := not_yet(reading.documents, answered):
        raise Unreadable(tuple(findings))


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
    """Builds what the core will be told, before the ledger has it: what no meter holds, or none is left for, is refused
    here. In the ledger it would keep every later start from coming up.
    """
    contracts = mover.board.contracts | dict(new)
    asked = sum(meters_count(contract) for contract in contracts.values())
    if asked > METERS_MOST:
        raise VerbRefused(
            f"there is no meter left for {len(new)} more contracts",
            because=f"a process has {METERS_MOST:,}, and {asked:,} would be needed: contracts that ended keep theirs, "
            "because their last limit stays enforced",
            mend="bound fewer dimensions, or run these contracts in a server of their own",
        )
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
                mend="choose a limit and a `per` that a meter holds, and few enough dimensions, upstreams and ceilings",
                where=name,
            ) from error


def _with_reason(decided: Decisions, reason: str) -> Decisions:
    """The `applied` entry says why, where somebody did."""
    if not reason:
        return decided
    first, *rest = decided.entries
    return replace(decided, entries=(replace(first, reason=f"{first.reason}: {reason}"), *rest))


def _nothing_words(mover: Mover, names: Iterable[str]) -> str:
    ended = [name for name in names if mover.board.states[name].status in OVER]
    if not ended:
        return "all of it runs already: nothing to apply"
    told = ", ".join(f"{name} is {mover.board.states[name].status}" for name in ended)
    return f"nothing to apply: {told}, and what has ended does not start again by its first version"


def _applied_words(mover: Mover, names: Sequence[str]) -> str:
    if not names:
        return "calendars were applied"
    shown = []
    for name in names[:5]:
        contract, levels = mover.board.contracts[name], present(mover, name)
        limits = ", ".join(limit_in_words(contract.constraint[one], level) for one, level in levels.items())
        shown.append(f"{name} ({limits})")
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return "applied: " + ", ".join(shown) + more
