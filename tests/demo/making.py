"""Ledgers made up for tests of the checks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from headway.ledger import Record
from headway.ramp.entries import Entry, EntryKind

TERMS = "t" * 64

Fact = tuple[EntryKind, str, float, Mapping[str, Any]]
"""Kind, contract, seconds, body."""


def told(*facts: Fact, reason: str = "", actor: str = "token:local") -> list[Record]:
    """A ledger of these entries, all for one reason."""
    entries = [
        Entry(kind, contract, round(at_s * 1000), actor, reason, {}, body) for kind, contract, at_s, body in facts
    ]
    return [Record(seq, entry, 1, "d", "h") for seq, entry in enumerate(entries, start=1)]


def applied(contract: str) -> Fact:
    return ("applied", contract, 0, {"version": 1, "digest": "d", "terms_digest": TERMS})


def course(at_s: float, level: int) -> dict[str, Any]:
    """A level reached at once."""
    flat, at_ms = {"": level * 1_000_000}, round(at_s * 1000)
    return {"start_ms": at_ms, "end_ms": at_ms, "from_micro": flat, "to_micro": flat, "remaining_ms": None}


def entered(contract: str, at_s: float, stage: int, level: int = 0) -> Fact:
    return ("entered", contract, at_s, {"stage": stage, "name": "", "course": course(at_s, level)})


EVENT: Fact = ("event", "orders-db", 20, {"type": "replica.promoted"})
YES: Fact = ("approved", "orders-db", 30, {"stage": "replica", "group": "dba"})
CPU: list[Fact] = [
    applied("orders-cpu"),
    ("event", "orders-cpu", 20, {"type": "replica.promoted"}),
    entered("orders-cpu", 20, 1),
]
