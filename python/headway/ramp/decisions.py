"""What `step` answers: entries for the ledger, the state they fold to, and what it wants next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from headway.ramp.curve import Curve
from headway.ramp.entries import Entry
from headway.ramp.state import RampState


@dataclass(frozen=True, slots=True)
class Need:
    """Something that `step` wants to be told.

    Attributes:
        what: `use`: readings of use while a soak may be earned. `approval`: everything else holds, so people are asked.
        stage: The stage (or exception) that it is for.
        by_ms: When the first is wanted, UTC.
        every_ms: The period of readings of use; 0 for an approval.
        group: Who is asked for an approval; empty for use.
    """

    what: Literal["use", "approval"]
    stage: str
    by_ms: int
    every_ms: int = 0
    group: str = ""


@dataclass(frozen=True, slots=True)
class Decisions:
    """One evaluation of one contract.

    Attributes:
        state: The new state; the very old one (`is`) when nothing changed.
        entries: What the ledger must hold before any of it takes effect; folding them gives `state`.
        curve: The curve, when it changed.
        wake_at_ms: The next instant at which an evaluation could differ with nothing observed; None: never.
        needs: What is wanted next.
    """

    state: RampState
    entries: tuple[Entry, ...]
    curve: Curve | None
    wake_at_ms: int | None
    needs: tuple[Need, ...]


class Rejected(Exception):
    """What a person asked for cannot be done; nothing changed.

    Attributes:
        code: HW5xx.
        problem: What is wrong, `because` of what, and how to `mend` it.
    """

    def __init__(self, code: str, problem: str, because: str, mend: str) -> None:
        super().__init__(code, problem, because, mend)
        self.code, self.problem, self.because, self.mend = code, problem, because, mend

    def __str__(self) -> str:
        return f"{self.code}: {self.problem}: {self.because}"
