"""A contract's limit over time: what was in force, by whose doing, and what is decided or awaited ahead."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from math import floor

from headway.contract.model import Contract
from headway.ledger import Record
from headway.ledger.reading import NOTES
from headway.ramp.curve import Segment, curve_of
from headway.ramp.entries import Entry
from headway.ramp.state import RampState, fold
from headway.ramp.waits import Awaited


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of one dimension's limit, constant or linear. `end_ms` None: until something is decided.

    `decided_ms`, `cause`, `actor`, `reason`, `seq`: the entry that brought it. `published_ms`: since when meters
    enforce it, where that is still known.
    """

    dimension: str
    start_ms: int
    end_ms: int | None
    from_micro: int
    to_micro: int
    stage: str
    version: int
    seq: int
    cause: str
    actor: str
    reason: str
    decided_ms: int
    published_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """An entry, as a mark on the line."""

    seq: int
    at_ms: int
    kind: str
    actor: str
    reason: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """`past` ends now; `ahead` is what is decided from now on; `stages` what is awaited, the next first."""

    contract: str
    now_ms: int
    past: tuple[Piece, ...]
    ahead: tuple[Piece, ...]
    stages: tuple[Awaited, ...]
    marks: tuple[Mark, ...]


def timeline_of(
    contract: Contract,
    records: Iterable[Record],
    waits: tuple[Awaited, ...],
    *,
    now_ms: int,
    published_ms: int,
    from_ms: int | None,
    to_ms: int | None,
    most: int,
) -> Timeline:
    """Builds the line from a contract's records, oldest first and from its first one on.

    Args:
        contract: The version in force.
        records: All of its records.
        waits: What is still to come.
        now_ms: Where past ends and ahead begins.
        published_ms: Since when the present curve is enforced.
        from_ms, to_ms: Pieces and marks outside are left out; None: no bound.
        most: At most that many pieces of the past, and marks: the latest.
    """
    low, high = from_ms if from_ms is not None else 0, to_ms if to_ms is not None else None
    pieces: list[Piece] = []
    marks: list[Mark] = []
    present: list[Piece] = []
    state: RampState | None = None
    for record in records:
        entry = record.entry
        if entry.kind in NOTES:
            continue
        before, state = state, fold(contract, state, entry)
        marks.append(Mark(record.seq, entry.at_ms, entry.kind, entry.actor, entry.reason))
        if before is None or state.curve_version != before.curve_version:
            pieces += _until(present, entry.at_ms)
            present = list(_pieces(contract, state, record.seq, entry))
    present = [replace(piece, published_ms=published_ms) for piece in present]
    past = [piece for piece in [*pieces, *_until(present, now_ms)] if _within(piece.start_ms, piece.end_ms, low, high)]
    ahead = [piece for piece in _after(present, now_ms) if _within(piece.start_ms, piece.end_ms, low, high)]
    shown = [mark for mark in marks if _within(mark.at_ms, mark.at_ms + 1, low, high)]
    latest = max(0, most)
    return Timeline(
        contract.name,
        now_ms,
        tuple(past[len(past) - min(latest, len(past)) :]),
        tuple(ahead[:latest]),
        waits,
        tuple(shown[len(shown) - min(latest, len(shown)) :]),
    )


def _pieces(contract: Contract, state: RampState, seq: int, entry: Entry) -> Iterator[Piece]:
    """The curve that an entry led to, from that entry on."""
    curve = curve_of(contract, state, entry.at_ms)
    for dimension, segments in curve.segments.items():
        for segment in segments:
            if segment.end_ms is None or segment.end_ms > entry.at_ms:
                yield Piece(
                    dimension,
                    max(segment.start_ms, entry.at_ms),
                    segment.end_ms,
                    floor(segment.level_micro(max(segment.start_ms, entry.at_ms))),
                    segment.to_micro,
                    curve.stage,
                    curve.version,
                    seq,
                    entry.kind,
                    entry.actor,
                    entry.reason,
                    entry.at_ms,
                )


def _until(pieces: Iterable[Piece], at_ms: int) -> Iterator[Piece]:
    """What of the pieces lies before an instant."""
    for piece in pieces:
        if piece.start_ms < at_ms:
            cut = piece.end_ms is None or piece.end_ms > at_ms
            yield replace(piece, end_ms=at_ms, to_micro=_level(piece, at_ms)) if cut else piece


def _after(pieces: Iterable[Piece], at_ms: int) -> Iterator[Piece]:
    """What of them lies behind it."""
    for piece in pieces:
        if piece.end_ms is None or piece.end_ms > at_ms:
            cut = piece.start_ms < at_ms
            yield replace(piece, start_ms=at_ms, from_micro=_level(piece, at_ms)) if cut else piece


def _level(piece: Piece, at_ms: int) -> int:
    return floor(Segment(piece.start_ms, piece.end_ms, piece.from_micro, piece.to_micro).level_micro(at_ms))


def _within(start_ms: int, end_ms: int | None, low: int, high: int | None) -> bool:
    return (end_ms is None or end_ms > low) and (high is None or start_ms < high)
