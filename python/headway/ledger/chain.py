"""The chain: every record carries a hash over itself and the record before, so nothing can be changed or left out
unseen.

The hash is SHA-256 over the canonical JSON (sorted keys, no spaces, UTF-8, no NaN) of the record's fields and the hash
before it. It proves order and wholeness against accidents and careless hands; who can write the file can write a new
chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from headway.ramp.entries import Entry

GENESIS = "0" * 64
"""What the first record names as the hash before it."""


@dataclass(frozen=True, slots=True)
class Record:
    """One entry in its place.

    Attributes:
        seq: 1 for the first; without gaps.
        entry: The fact. Its `contract` is empty where it is about the engine itself (its clock).
        version: The contract's version in the ledger; 0 where the entry is about the engine.
        digest: The digest of that version's document; empty likewise.
        hash: 64 hex digits over all of this and the record before.
    """

    seq: int
    entry: Entry
    version: int
    digest: str
    hash: str


def canonical_json(value: Any) -> str:
    """The one spelling of a JSON value. ValueError for NaN and infinities, TypeError for what is no JSON value."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def link(previous: str, seq: int, entry: Entry, version: int, digest: str) -> str:
    """The hash of a record that follows the one whose hash is `previous`."""
    fields: Mapping[str, Any] = {
        "previous": previous,
        "seq": seq,
        "at_ms": entry.at_ms,
        "contract": entry.contract,
        "kind": entry.kind,
        "actor": entry.actor,
        "reason": entry.reason,
        "evidence": dict(entry.evidence),
        "body": dict(entry.body),
        "version": version,
        "digest": digest,
    }
    return sha256(canonical_json(fields).encode()).hexdigest()
