"""A limit over time as both twins read it: plans in UTC, and the course they join to on the meters' clock.

A plan is one published version. A course is what was in force: the plans joined at the instants of their publication,
each piece keeping the version it came from, so that a level is always computed from the plan's own end points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

MICRO = 1_000_000


@dataclass(frozen=True, slots=True)
class Seg:
    """A stretch of a plan, half-open, instants in ns, levels in micro-units (per `per_ns` for a rate)."""

    start_ns: int
    end_ns: int | None
    from_micro: int
    to_micro: int


@dataclass(frozen=True, slots=True)
class Plan:
    """One version of one meter's limit. `window`: UTC starts of a quota's windows; `burst_ns`: rates only."""

    version: int
    segs: tuple[Seg, ...]
    burst_ns: int = 0
    window: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Piece:
    """A stretch of a course on the meters' clock.

    `start_ns` to `end_ns` (None: until the next publication) is where it is in force; `origin_ns` and `span_ns` are the
    start and length of the plan's segment it was cut from, so `level = from + (to - from) * (t - origin) / span`.
    `span_ns` is 1 for a constant piece.
    """

    start_ns: int
    end_ns: int | None
    origin_ns: int
    span_ns: int
    from_micro: int
    to_micro: int
    burst_ns: int

    def level(self, at_ns: int | Fraction) -> Fraction:
        """Exact, in micro-units; at `end_ns` the limit from the left."""
        return self.from_micro + (self.to_micro - self.from_micro) * Fraction(at_ns - self.origin_ns) / self.span_ns


def pieces(plan: Plan, offset_ns: int, from_ns: int) -> list[Piece]:
    """What a plan says from `from_ns` of the meters' clock on.

    Args:
        plan: Segments in UTC, touching, in order. Before the first its first level holds, past a finite last end its
            last one.
        offset_ns: UTC less the meters' clock, as anchored at publication.
        from_ns: Where the plan comes into force; segments that end before it are left out.
    """
    first = plan.segs[0]
    found: list[Piece] = []
    before_ns = first.start_ns - offset_ns
    if from_ns < before_ns:
        found.append(Piece(from_ns, before_ns, from_ns, 1, first.from_micro, first.from_micro, plan.burst_ns))
    for seg in plan.segs:
        start_ns = seg.start_ns - offset_ns
        end_ns = None if seg.end_ns is None else seg.end_ns - offset_ns
        if end_ns is not None and end_ns <= from_ns:
            continue
        span_ns = 1 if end_ns is None or seg.from_micro == seg.to_micro else end_ns - start_ns
        in_force_ns = max(start_ns, from_ns)
        found.append(Piece(in_force_ns, end_ns, start_ns, span_ns, seg.from_micro, seg.to_micro, plan.burst_ns))
    last = plan.segs[-1]
    if last.end_ns is not None:
        tail_ns = max(last.end_ns - offset_ns, from_ns)
        found.append(Piece(tail_ns, None, tail_ns, 1, last.to_micro, last.to_micro, plan.burst_ns))
    return found


def joined(past: Sequence[Piece], plan: Plan, offset_ns: int, at_ns: int) -> list[Piece]:
    """The course after a publication at `at_ns`: the old one up to it, the plan from it on.

    A piece that began at that very instant stays, with no length: what its burst cut stays cut.
    """
    kept = [piece for piece in past if piece.start_ns <= at_ns]
    if kept:
        last = kept[-1]
        kept[-1] = Piece(
            last.start_ns, at_ns, last.origin_ns, last.span_ns, last.from_micro, last.to_micro, last.burst_ns
        )
    return kept + pieces(plan, offset_ns, at_ns)


def piece_at(course: Sequence[Piece], at_ns: int | Fraction) -> int:
    """The index of the piece in force at an instant; ValueError before the course begins."""
    for index in range(len(course) - 1, -1, -1):
        if course[index].start_ns <= at_ns:
            return index
    raise ValueError(f"the course begins at {course[0].start_ns}, after {at_ns}")
