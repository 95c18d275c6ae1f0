"""What `step` may be told: frozen facts, each with the instant it was seen. Nothing else reaches a decision.

Two of them are surroundings, not happenings: `UpstreamMoved` and `ClockSuspect` count for the evaluation they are given
to and are not remembered, so they are given to every one (`settle` does that). Without a standing nothing that requires
it is entered, and nothing falls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Verb = Literal["hold", "resume", "advance", "step_back", "override", "abort", "retire"]


@dataclass(frozen=True, slots=True)
class EventSeen:
    """An event that came in; `source` and `id` identify it."""

    at_ms: int
    id: str
    source: str
    type: str
    actor: str
    subject: str | None = None
    time_ms: int | None = None


@dataclass(frozen=True, slots=True)
class Approval:
    """A yes of one person for one stage of one version's terms.

    `stage` may also be an exception's, as `exception_stage` in `approvals` spells it.
    """

    at_ms: int
    stage: str
    group: str
    actor: str
    terms_digest: str
    reason: str = ""
    single_user: bool = False


@dataclass(frozen=True, slots=True)
class VerbCall:
    """A person's verb. `value_micro` and `until_ms` belong to `override`; `second` is the other person a raise wants.

    Dimensions that `value_micro` does not name keep the stage's level.
    """

    at_ms: int
    verb: Verb
    actor: str
    reason: str
    value_micro: Mapping[str, int] = field(default_factory=dict)
    until_ms: int | None = None
    second: str | None = None
    single_user: bool = False


@dataclass(frozen=True, slots=True)
class Use:
    """Use over `[from_ms, at_ms)`, as a share of the limit in force: the largest over dimensions (and keys).

    None: no reading. Spans that overlap an earlier one count only past it.
    """

    at_ms: int
    from_ms: int
    use_ppm: int | None


@dataclass(frozen=True, slots=True)
class Standing:
    """Where another contract stands, for `requires`.

    Attributes:
        stage: Name of its present stage; `index` its place on its ramp.
        names: Its stages in order.
        arrived: Whether the climb into the present stage has ended.
        pressed: Whether an override, exception or floor presses it below its present stage.
        level_micro: The limit that is and stays at least that, by dimension.
        over: aborted, superseded or retired: it carries nobody any more.
    """

    contract: str
    stage: str
    index: int
    names: tuple[str, ...]
    arrived: bool
    pressed: bool
    level_micro: Mapping[str, int]
    over: bool = False


@dataclass(frozen=True, slots=True)
class UpstreamMoved:
    """The present standing of a contract that is required; the latest one of each counts."""

    at_ms: int
    standing: Standing


@dataclass(frozen=True, slots=True)
class ClockSuspect:
    """While `suspect`, cuts proceed; raises, new stages and new windows wait; no soak is earned.

    `believed_ms`: how far climbs have come, in UTC; None: as far as the instant of the evaluation.
    """

    at_ms: int
    suspect: bool
    reason: str = ""
    believed_ms: int | None = None


Observation = EventSeen | Approval | VerbCall | Use | UpstreamMoved | ClockSuspect
