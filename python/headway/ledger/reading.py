"""Reading the chain: its records, whether it is whole, and where its entries lead."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

from sqlalchemy import Connection, select

from headway.contract.canonical import from_canonical
from headway.contract.faults import Unreadable
from headway.contract.model import Contract
from headway.ledger import tables
from headway.ledger.chain import GENESIS, Record, link
from headway.ramp.entries import Entry
from headway.ramp.state import RampState, fold

NOTES = frozenset({"unguaranteed", "clock_suspected", "clock_trusted"})
"""Kinds that no fold reads."""

LEVEL_KINDS = frozenset(
    {
        "applied",
        "entered",
        "stepped_back",
        "fell",
        "held",
        "resumed",
        "overridden",
        "override_ended",
        "exception_began",
        "exception_ended",
        "aborted",
    }
)
"""Kinds that may change a limit."""

STOPS = frozenset({"held", "resumed"})
"""Of these, the kinds that change a limit only where a climb was under way."""

MOST = 10_000
"""Records one call returns at most; more are asked for again from the last one's `seq`."""


def moves_limit(entry: Entry) -> bool:
    """Whether an entry changed its contract's limit: the last one that did says why the limit is what it is."""
    return entry.kind in LEVEL_KINDS and (entry.kind not in STOPS or "course" in entry.body)


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the ledger is whole.

    Attributes:
        ok: It is.
        records: How many records were read (all, when ok).
        bad_seq: The first record that is wrong, or the last one before what is missing; None when ok.
        problem: What is wrong, one sentence.
    """

    ok: bool
    records: int
    bad_seq: int | None = None
    problem: str = ""


@dataclass(slots=True)
class Replay:
    """A walk over the chain, from its first record on: what it has come to, and what is wrong, if anything."""

    states: dict[str, RampState] = field(default_factory=dict)
    contracts: dict[str, Contract] = field(default_factory=dict)
    last: dict[str, int] = field(default_factory=dict)
    causes: dict[str, tuple[int, Entry]] = field(default_factory=dict)
    seq: int = 0
    at_ms: int = 0
    hash: str = GENESIS
    verdict: Verdict = Verdict(True, 0)


def records(connection: Connection, after_seq: int, most: int, contract: str | None = None) -> list[Record]:
    """Records behind `after_seq`, oldest first, at most `most` (0 to `MOST`)."""
    where = tables.entry.c.seq > after_seq
    if contract is not None:
        where = where & (tables.entry.c.contract == contract)
    query = select(tables.entry).where(where).order_by(tables.entry.c.seq).limit(_bounded(most))
    return [record_of(row) for row in connection.execute(query).mappings()]


def tail(connection: Connection, most: int, contract: str | None = None) -> list[Record]:
    """The last records, oldest first."""
    query = select(tables.entry).order_by(tables.entry.c.seq.desc()).limit(_bounded(most))
    if contract is not None:
        query = query.where(tables.entry.c.contract == contract)
    return [record_of(row) for row in connection.execute(query).mappings()][::-1]


def replay(connection: Connection) -> Replay:
    """Walks the whole chain: hashes, order, and the fold, compared with what the ledger holds beside it.

    Returns:
        The walk. Where something is wrong it ended there, and `verdict` says what; nothing is raised for that.
    """
    walk = Replay()
    documents = {
        (row.name, row.version): (row.digest, row.document)
        for row in connection.execute(select(tables.contract_version))
    }
    problem = None
    for row in _rows(connection):
        problem = _take(walk, row, documents)
        if problem:
            break
    if problem is None:
        problem = _end(walk, connection)
    if problem is not None:
        walk.verdict = Verdict(False, walk.seq, problem[0], problem[1])
    else:
        walk.verdict = Verdict(True, walk.seq)
    return walk


def record_of(row: Any) -> Record:
    """A row as a record. ValueError where a text is not JSON."""
    entry = Entry(
        kind=row["kind"],
        contract=row["contract"],
        at_ms=row["at_ms"],
        actor=row["actor"],
        reason=row["reason"],
        evidence=json.loads(row["evidence"]),
        body=json.loads(row["body"]),
    )
    return Record(row["seq"], entry, row["version"], row["digest"], row["hash"])


def _take(walk: Replay, row: Any, documents: dict[tuple[str, int], tuple[str, str]]) -> tuple[int, str] | None:
    """One record more; what is wrong with it, if anything: (seq, problem)."""
    seq = row["seq"]
    if seq != walk.seq + 1:
        return walk.seq + 1, f"record {walk.seq + 1} is missing"
    try:
        record = record_of(row)
    except (ValueError, TypeError) as error:
        return seq, f"record {seq} cannot be read: {error}"
    entry = record.entry
    if entry.at_ms < walk.at_ms:
        return seq, f"record {seq} is older than the one before it"
    if link(walk.hash, seq, entry, record.version, record.digest) != record.hash:
        return seq, f"record {seq} was changed: its hash does not fit"
    if entry.contract and entry.kind not in NOTES:
        problem = _fold(walk, record, documents)
        if problem:
            return seq, problem
    walk.seq, walk.at_ms, walk.hash = seq, entry.at_ms, record.hash
    return None


def _fold(walk: Replay, record: Record, documents: dict[tuple[str, int], tuple[str, str]]) -> str | None:
    name = record.entry.contract
    try:
        if record.entry.kind == "applied":
            digest, document = documents[name, record.version]
            if digest != record.digest or sha256(document.encode()).hexdigest() != digest:
                return f"version {record.version} of {name} is not the document that was applied"
            walk.contracts[name] = from_canonical(document)
        walk.states[name] = fold(walk.contracts[name], walk.states.get(name), record.entry)
    except (Unreadable, KeyError, IndexError, ValueError, TypeError, AttributeError) as error:
        return f"record {record.seq} does not follow from those before it: {error!r}"
    walk.last[name] = record.seq
    if moves_limit(record.entry):
        walk.causes[name] = (record.seq, record.entry)
    return None


def _end(walk: Replay, connection: Connection) -> tuple[int, str] | None:
    """What the ledger holds beside its chain must agree with it."""
    head = connection.execute(select(tables.head)).one_or_none()
    said = (head.seq, head.at_ms, head.hash) if head else (0, 0, GENESIS)
    if said != (walk.seq, walk.at_ms, walk.hash):
        return walk.seq, f"the chain ends at record {walk.seq}, and the ledger says {said[0]}"
    kept = {row.name: row for row in connection.execute(select(tables.contract))}
    for name in sorted(walk.states.keys() | kept.keys()):
        state, row = walk.states.get(name), kept.get(name)
        if state is None or row is None or row.state != state.as_json() or row.version != state.version:
            return walk.last.get(name, walk.seq), f"the state kept of {name} is not what its records lead to"
    return None


def _rows(connection: Connection) -> Iterator[Any]:
    query = select(tables.entry).order_by(tables.entry.c.seq).execution_options(yield_per=1000)
    return iter(connection.execute(query).mappings())


def _bounded(most: int) -> int:
    return max(0, min(most, MOST))
