"""What the ledger must hold before a decision takes effect: one frozen value a fact.

A ramp's state is a fold over its entries (`ramp.state.fold`), so an entry carries everything the fold needs in `body`,
and everything a person may ask for in `evidence`. Both hold only JSON values; instants are `_ms` since 1970 in UTC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

EntryKind = Literal[
    "applied",
    "entered",
    "arrived",
    "soaked",
    "event",
    "approved",
    "held",
    "resumed",
    "advanced",
    "stepped_back",
    "fell",
    "overridden",
    "override_ended",
    "exception_planned",
    "exception_began",
    "exception_ended",
    "aborted",
    "completed",
    "retired",
    "refused",
    "unguaranteed",
    "clock_suspected",
    "clock_trusted",
]
"""`entered` with a step arrives at once; `arrived` follows a climb. `fell`: along with a requirement that no longer stands.
`exception_planned`: its fall is decided and stands on the curve ahead; `exception_began` may come twice for one exception,
the second time `lifted`. `refused`: seen, not counted, and why (an event of another source, an approval of other terms); it
changes nothing but what `explain` can say. The last three are the engine's own notes and are never folded: a promise that a
contract gave up on its own wish (`after_crash: full`), and when the clock was not trusted (their contract is empty)."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One fact of one contract's ramp.

    Attributes:
        kind: What happened.
        contract: The contract's name.
        at_ms: When it was decided, UTC; never before the ledger's last instant.
        actor: Who: `user:…`, `token:…`, `event:…`, or `headway` for the machine itself.
        reason: Why, in words.
        evidence: What it was decided on: condition by condition, JSON values only.
        body: What `fold` needs, JSON values only.
    """

    kind: EntryKind
    contract: str
    at_ms: int
    actor: str
    reason: str
    evidence: Mapping[str, Any] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
