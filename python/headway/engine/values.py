"""What the engine answers: frozen values, made at the moment of asking."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from headway.contract.model import Contract
from headway.ramp.conditions import Condition
from headway.ramp.curve import Curve
from headway.ramp.entries import Entry
from headway.ramp.state import RampState
from headway.ramp.waits import Awaited


@dataclass(frozen=True)
class Running:
    """A contract as it runs. What it waits for is only looked at when it is asked for: a list of all does not need it.

    Attributes:
        contract: The version in force.
        state: Where its ramp stands.
        curve: The limit as decided.
        in_force_micro: The limit that meters enforce at the moment of asking, by dimension; less than `curve` says while the
            clock is not trusted.
        digest, version: Of the document, in the ledger.
        published: The version by which meters and refusals know the curve.
        published_ms: Since when they do.
        look: Looks at what it waits for.
    """

    contract: Contract
    state: RampState
    curve: Curve
    in_force_micro: Mapping[str, int]
    digest: str
    version: int
    published: int
    published_ms: int
    look: Callable[[], tuple[Awaited, ...]] = field(repr=False, compare=False)

    @cached_property
    def waits(self) -> tuple[Awaited, ...]:
        """Every stage that is still to come, the next one first."""
        return self.look()

    @property
    def conditions(self) -> tuple[Condition, ...]:
        """What the next stage waits for, condition by condition; empty at the last stage."""
        return self.waits[0].conditions if self.waits else ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a write did.

    Attributes:
        contract: Whose; empty where it is about several.
        seqs: The entries' places in the ledger; empty when nothing changed.
        entries: Them.
        before_micro, after_micro: The limit at that instant by dimension.
        undo: The command that takes it back; None where none does.
        said: What happened, in a sentence.
    """

    contract: str
    seqs: tuple[int, ...]
    entries: tuple[Entry, ...]
    before_micro: Mapping[str, int]
    after_micro: Mapping[str, int]
    undo: str | None
    said: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What a write would do now. `affected`: contracts that spend or require it, and those that would move along."""

    contract: str
    entries: tuple[Entry, ...]
    before_micro: Mapping[str, int]
    after_micro: Mapping[str, int]
    affected: tuple[str, ...]
    undo: str | None
    said: str


@dataclass(frozen=True, slots=True)
class Drift:
    """A file that differs from what runs. `kind`: `changed`, `new` (not applied), `unreadable`.

    What runs and is in no file any more is no drift: nothing ends by absence.
    """

    contract: str
    where: str
    kind: str
    running: str
    file: str
    said: str
