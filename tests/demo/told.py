"""What a person was told must be true: an acknowledged verb is in the ledger, one without an answer wholly or not at all.

Pure: the journal and the records are arguments.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from headway.ledger import Record
from headway.ramp.moves import HEADWAY
from tests.demo.hand import Given

LATE_MS = 2
"""What the engine's UTC may differ from the journal's, which is rounded down, too."""

WHOLE: Mapping[str, tuple[tuple[str, ...], ...]] = {
    "hold": (("held",),),
    "resume": (("resumed",),),
    "advance": (("advanced",),),
    "approve": (("approved",),),
    "override": (("overridden",),),
    "abort": (("aborted",),),
    # A step back that the next evaluation would undo holds as well; in the first stage, with no floor, it only holds.
    "step-back": (("stepped_back",), ("stepped_back", "held"), ("held",)),
}
"""A verb -> the entries that carry its reason when it was done, in their order."""


def untrue(given: Sequence[Given], records: Sequence[Record]) -> list[str]:
    """What was answered and is not so, and what is there in part or out of its time."""
    found: list[str] = []
    for one in given:
        # The end of an override is Headway's own doing, and says whose reason it had.
        own = [record for record in records if one.mark in record.entry.reason and record.entry.actor != HEADWAY]
        found += [f"{one.wish.verb} {one.wish.contract} {one.mark} {what}" for what in _wrong(one, own, records)]
    return found


def _wrong(one: Given, own: Sequence[Record], records: Sequence[Record]) -> Iterator[str]:
    kinds = tuple(record.entry.kind for record in own)
    if one.status is not None and not one.acknowledged:
        if own:
            yield f"was answered {one.status} and is in the ledger as {', '.join(kinds)}"
        if one.status >= 500:
            yield f"was answered {one.status}: {one.answer}"
        return
    if one.acknowledged:
        yield from _unlike(one.answer, records)
        # A step back where there is nothing below, and a hold already, is answered with no entry: it changes nothing.
        if not own and (one.answer["entries"] or one.wish.verb != "step-back"):
            yield "was acknowledged and is not in the ledger"
    if not own:
        return
    if kinds not in WHOLE[one.wish.verb]:
        yield f"is in the ledger as {', '.join(kinds)}"
    if any(record.entry.contract != one.wish.contract for record in own):
        yield f"is in the ledger for {own[0].entry.contract}"
    if not all(one.sent_ms - LATE_MS <= record.entry.at_ms <= one.ended_ms + LATE_MS for record in own):
        instants = ", ".join(str(record.entry.at_ms) for record in own)
        yield f"was given between {one.sent_ms} and {one.ended_ms} and entered at {instants}"
    yield from _otherwise(one, own[0])


def _unlike(answer: Mapping[str, Any], records: Sequence[Record]) -> Iterator[str]:
    """Every entry that an answer showed, falls of other contracts included, stands at its place, word for word."""
    if len(answer["seqs"]) != len(answer["entries"]):
        yield f"was acknowledged with {len(answer['entries'])} entries at {len(answer['seqs'])} places"
        return
    for seq, shown in zip(answer["seqs"], answer["entries"], strict=True):
        record = records[seq - 1] if seq <= len(records) else None
        kept = record and {name: getattr(record.entry, name) for name in shown}
        if kept != shown:
            yield f"was acknowledged with record {seq} as {shown}, which the ledger keeps as {kept}"


def _otherwise(one: Given, record: Record) -> Iterator[str]:
    """What was asked for is what was entered."""
    body, fields = record.entry.body, one.wish.fields
    if one.wish.verb == "approve" and (body["stage"], body["group"]) != (fields["stage"], fields["group"]):
        yield f"approved {body['stage']} for {body['group']}"
    if one.wish.verb == "override":
        asked_micro, lasts_ms = fields["value"] * 1_000_000, int(fields["until"].removesuffix("ms"))
        if body["value_micro"] != {"": asked_micro}:
            yield f"overrode with {body['value_micro']}"
        if not 0 <= body["until_ms"] - lasts_ms - one.sent_ms + LATE_MS <= one.ended_ms - one.sent_ms + 2 * LATE_MS:
            yield f"lasts until {body['until_ms']}, asked for {lasts_ms} ms at {one.sent_ms}"
