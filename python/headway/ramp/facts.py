"""What a ramp's state is made of: small frozen facts, each with the instants it rests on.

Levels are micro-units by dimension (a contract of one dimension carries it under the empty name); instants are `_ms`
since 1970 in UTC. The mappings are never changed in place: a new fact replaces an old one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

Status = Literal["running", "completed", "aborted", "superseded", "retired"]
Cause = Literal["person", "floor", "step_back"]
"""Why a ramp is held: a person said so; it fell to its floor; it was to step back in its first stage and has no floor."""

OVER: frozenset[Status] = frozenset({"aborted", "superseded", "retired"})
"""Statuses in which no stage is entered any more: it carries nobody."""


@dataclass(frozen=True, slots=True)
class Course:
    """Where the stage's own level goes: linear from `from_micro` to `to_micro` over `[start_ms, end_ms)`, then flat.

    `remaining_ms` is set while a hold has stopped it: the level is `from_micro` until it is resumed, and that much
    climbing is left.
    """

    start_ms: int
    end_ms: int
    from_micro: Mapping[str, int]
    to_micro: Mapping[str, int]
    remaining_ms: int | None = None

    @classmethod
    def flat(cls, at_ms: int, level_micro: Mapping[str, int]) -> Course:
        """A step: at once at its level."""
        return cls(at_ms, at_ms, dict(level_micro), dict(level_micro))

    def level_micro(self, dimension: str, at_ms: int) -> int:
        """The level at an instant, rounded down: entitlement is never rounded up."""
        start, end = self.from_micro[dimension], self.to_micro[dimension]
        if self.remaining_ms is not None or (at_ms <= self.start_ms and self.end_ms > self.start_ms):
            return start
        if at_ms >= self.end_ms or start == end:
            return end
        return start + (end - start) * (at_ms - self.start_ms) // (self.end_ms - self.start_ms)

    def levels_micro(self, at_ms: int) -> dict[str, int]:
        """`level_micro` of every dimension."""
        return {dimension: self.level_micro(dimension, at_ms) for dimension in self.from_micro}

    def lesser_micro(self, at_ms: int, believed_ms: int) -> dict[str, int]:
        """What is surely in force at an instant of which only `believed_ms` is believed: the lesser of both, by dimension."""
        return {
            dimension: min(self.level_micro(dimension, at_ms), self.level_micro(dimension, believed_ms))
            for dimension in self.from_micro
        }

    def stopped(self, at_ms: int, believed_ms: int) -> Course:
        """The same climb, stopped at an instant; it had come as far as at `believed_ms`, before its end."""
        left_ms = self.end_ms - max(believed_ms, self.start_ms)
        return Course(at_ms, at_ms, self.lesser_micro(at_ms, believed_ms), dict(self.to_micro), left_ms)

    def resumed(self, at_ms: int) -> Course:
        """A stopped climb, going on with the time that was left."""
        assert self.remaining_ms is not None, "only a stopped climb is resumed"
        return Course(at_ms, at_ms + self.remaining_ms, dict(self.from_micro), dict(self.to_micro))

    def as_json(self) -> dict[str, Any]:
        """JSON values, as an entry's body carries them."""
        return asdict(self)

    @classmethod
    def from_json(cls, fields: Mapping[str, Any]) -> Course:
        """The inverse of `as_json`."""
        return cls(
            fields["start_ms"],
            fields["end_ms"],
            dict(fields["from_micro"]),
            dict(fields["to_micro"]),
            fields["remaining_ms"],
        )


@dataclass(frozen=True, slots=True)
class Visit:
    """When a stage was entered, for the first time and most lately (also by stepping back or falling to it)."""

    first_ms: int
    latest_ms: int


@dataclass(frozen=True, slots=True)
class Held:
    """Nothing rises until a person resumes."""

    cause: Cause
    since_ms: int
    by: str
    reason: str


@dataclass(frozen=True, slots=True)
class Overridden:
    """A person's limit instead of the stage's, until an instant; dimensions that are not named keep the stage's."""

    value_micro: Mapping[str, int]
    until_ms: int
    by: str
    reason: str
    since_ms: int


@dataclass(frozen=True, slots=True)
class ExceptionState:
    """One exception of the contract: planned (`began_ms` None), or in force; `lifted` where an approval let it raise."""

    index: int
    began_ms: int | None
    lifted: bool


@dataclass(frozen=True, slots=True)
class Given:
    """An approval. `used` since its stage was entered: from then on it no longer expires."""

    stage: str
    group: str
    actor: str
    at_ms: int
    terms_digest: str
    single_user: bool
    used: bool = False


@dataclass(frozen=True, slots=True)
class Latched:
    """An event that counted."""

    type: str
    source: str
    id: str
    at_ms: int
    actor: str
    time_ms: int | None


@dataclass(frozen=True, slots=True)
class NotCounted:
    """Something that was seen and did not count, and why; kept so that `explain` can say it."""

    at_ms: int
    actor: str
    what: str
    why: str
