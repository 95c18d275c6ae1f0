"""The limit over time as decided: the pure twin of the compiled core's curve.

Half-open segments in UTC, constant or linear, that touch without gaps. A curve carries only what is decided; past its
last segment the limit stays. A fall that is decided (a planned exception, the end of an override that raised) stands on
the curve ahead; a rise that is not decided never does, so an exception's end is flat until it has been decided.
`engine/publish.py` is the only place that hands a curve to the core.

Every level is a whole micro-unit, rounded down where a piece is cut inside a climb, so that no piece lies above the exact
line.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from headway.contract.model import Contract

if TYPE_CHECKING:
    from headway.ramp.state import RampState

MS: Final = 1_000_000
"""Nanoseconds a millisecond."""

HORIZON_MS: Final = 24 * 3_600_000
"""How far ahead an exception's fall is decided."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Levels in micro-units (a rate's: per `per` of its constraint); `end_ms` None: until another curve is published."""

    start_ms: int
    end_ms: int | None
    from_micro: int
    to_micro: int

    def level_micro(self, at_ms: int) -> Fraction:
        """The exact level at an instant inside the segment."""
        if self.end_ms is None or self.from_micro == self.to_micro:
            return Fraction(self.from_micro)
        share = Fraction(at_ms - self.start_ms, self.end_ms - self.start_ms)
        return self.from_micro + (self.to_micro - self.from_micro) * share


@dataclass(frozen=True, slots=True)
class Curve:
    """One version of a contract's limit, all dimensions: `segments[dimension]`."""

    version: int
    stage: str
    segments: Mapping[str, tuple[Segment, ...]]
    raises_when: str = ""

    def level_micro(self, dimension: str, at_ms: int) -> Fraction:
        """The level at an instant; before the first segment its first level, past the last its last."""
        segments = self.segments[dimension]
        for segment in segments:
            if segment.end_ms is None or at_ms < segment.end_ms:
                return segment.level_micro(max(at_ms, segment.start_ms))
        return Fraction(segments[-1].to_micro)

    def highest_micro(self, dimension: str, from_ms: int) -> Fraction:
        """The highest level from an instant on."""
        return max(self._ends(dimension, from_ms))

    def lowest_micro(self, dimension: str, from_ms: int) -> Fraction:
        """The lowest level from an instant on."""
        return min(self._ends(dimension, from_ms))

    def _ends(self, dimension: str, from_ms: int) -> list[Fraction]:
        """The levels at both ends of every piece from an instant on: a piece is linear, so its extremes are there."""
        ends = [self.level_micro(dimension, from_ms)]
        for segment in self.segments[dimension]:
            if segment.end_ms is None or segment.end_ms > from_ms:
                ends.append(Fraction(segment.to_micro))
                if segment.start_ms >= from_ms:
                    ends.append(Fraction(segment.from_micro))
        return ends


def curve_of(contract: Contract, state: RampState, now_ms: int, raises_when: str = "") -> Curve:  # noqa: ARG001
    """The curve that a state stands for.

    Args:
        contract: The version in force.
        state: Its state; the curve depends on nothing else.
        now_ms: Every decision is made at an instant; this one does not depend on it, so a replay draws the same curve.
        raises_when: What would raise the limit, in words (`waits.raises_when`).

    Returns:
        Segments from the start of the present course on, for every dimension.
    """
    segments = {dimension: _segments(contract, state, dimension) for dimension in state.course.from_micro}
    return Curve(state.curve_version, contract.ramp[state.stage].name, segments, raises_when)


def level_micro(contract: Contract, state: RampState, dimension: str, at_ms: int) -> int:
    """The limit in force at an instant, rounded down: the stage's course under override and exceptions.

    Source: design, section 4: an override and an approved exception replace the stage's level, an exception without
    approval only lowers it; what ends by lowering ends by itself, what ends by raising lasts until its end is decided.
    """
    base = state.course.level_micro(dimension, at_ms)
    level = base
    for lifted in state.exceptions:
        if lifted.lifted:
            exception = contract.exceptions[lifted.index]
            limit = exception.limit_micro[dimension]
            level = limit if at_ms < exception.during.end.utc_ms else min(limit, base)
    override = state.overridden
    if override is not None and dimension in override.value_micro and at_ms >= override.since_ms:
        value = override.value_micro[dimension]
        level = value if at_ms < override.until_ms else min(value, level)
    for fact in state.exceptions:
        if not fact.lifted:
            exception = contract.exceptions[fact.index]
            if at_ms >= exception.during.start.utc_ms:
                level = min(level, exception.limit_micro[dimension])
    return level


def guaranteed_micro(contract: Contract, state: RampState, dimension: str, at_ms: int) -> int:
    """The level that is and stays: the lowest of now and of the course's end, under what presses it now.

    A fall that is only planned is left out: those who require this level fall when it begins, not a day before.
    """
    course, override = state.course, state.overridden
    level = course.level_micro(dimension, at_ms)
    if course.remaining_ms is None:
        level = min(level, course.to_micro[dimension])
    if override is not None and dimension in override.value_micro:
        level = min(level, override.value_micro[dimension])
    for fact in state.exceptions:
        if fact.began_ms is not None:
            level = min(level, contract.exceptions[fact.index].limit_micro[dimension])
    return level


def _segments(contract: Contract, state: RampState, dimension: str) -> tuple[Segment, ...]:
    """Cuts time where the limit may bend, and keeps one linear piece between two cuts.

    Between two cuts the course is one line and everything else constant; where the line crosses a constant, a cut is
    added on the side that keeps the piece below the exact lesser of both.
    """
    course, override = state.course, state.overridden
    cuts = {course.start_ms, course.end_ms}
    if override is not None:
        cuts |= {override.since_ms, override.until_ms}
    for fact in state.exceptions:
        during = contract.exceptions[fact.index].during
        cuts |= {fact.began_ms or during.start.utc_ms, during.end.utc_ms}
    meets = _crossings(contract, state, dimension)
    cuts |= meets
    instants = sorted(cut for cut in cuts if cut >= course.start_ms)

    pieces: list[Segment] = []
    for start_ms, end_ms in pairwise(instants):
        first = level_micro(contract, state, dimension, start_ms)
        last = _last_of_piece(contract, state, dimension, start_ms, end_ms, meets)
        _append(pieces, Segment(start_ms, end_ms, first, last))
    level = level_micro(contract, state, dimension, instants[-1])
    _append(pieces, Segment(instants[-1], None, level, level))
    return tuple(pieces)


def _last_of_piece(
    contract: Contract, state: RampState, dimension: str, start_ms: int, end_ms: int, meets: set[int]
) -> int:
    """The level a piece runs to: constant pieces keep theirs, a piece of the climb ends on the course's line."""
    course = state.course
    first = level_micro(contract, state, dimension, start_ms)
    if end_ms - start_ms < 2:
        bounded = first <= course.level_micro(dimension, start_ms)
        return min(first, course.level_micro(dimension, end_ms)) if bounded else first
    near_end = level_micro(contract, state, dimension, end_ms - 1)
    if near_end != course.level_micro(dimension, end_ms - 1):
        return min(first, near_end)
    last = course.level_micro(dimension, end_ms)
    return min(last, level_micro(contract, state, dimension, end_ms)) if end_ms in meets else last


def _crossings(contract: Contract, state: RampState, dimension: str) -> set[int]:
    """Where the climb meets a constant: rising, the first millisecond at or above it; falling, the last one."""
    course, override = state.course, state.overridden
    start, end = course.from_micro[dimension], course.to_micro[dimension]
    span_ms = course.end_ms - course.start_ms
    if start == end or span_ms <= 0:
        return set()
    levels = [contract.exceptions[fact.index].limit_micro[dimension] for fact in state.exceptions]
    if override is not None and dimension in override.value_micro:
        levels.append(override.value_micro[dimension])
    crossings: set[int] = set()
    for level in levels:
        if min(start, end) < level < max(start, end):
            after_ms = Fraction((level - start) * span_ms, end - start)
            crossings.add(course.start_ms + (-(-after_ms // 1) if end > start else after_ms // 1))
    return crossings


def _append(pieces: list[Segment], piece: Segment) -> None:
    """Joins constant pieces of one level."""
    if pieces:
        last = pieces[-1]
        if last.from_micro == last.to_micro == piece.from_micro == piece.to_micro:
            pieces[-1] = Segment(last.start_ms, piece.end_ms, piece.from_micro, piece.to_micro)
            return
    pieces.append(piece)
