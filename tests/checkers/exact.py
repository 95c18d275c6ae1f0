"""The three promises of meters, checked from exact instants: how far a history went over, at worst. At most 0 is legal.

They know what was let in and what was allowed, and nothing of how a meter decides. One pass over events and changes
together.

Source: protocols of the meters, "Checkers"; the design, section 1, promise 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction

from tests.model.curves import MICRO, Piece, piece_at


def rate_over_by(
    events: Sequence[tuple[int, Fraction]],
    course: Sequence[Piece],
    per_ns: int,
    debts: Sequence[tuple[int, Fraction]] = (),
) -> Fraction:
    """The most units that any interval `(s, t]` held above `B(s) + E(t) - E(s)`.

    With `A` what was admitted so far, no interval is over iff `A(t) - E(t)` never rises above the least
    `A(s) - E(s) + B(s)` before it. That least only moves at an event, at an end of a piece, or where a rising burst
    passes one unit, so only those are looked at; at a change of burst both sides of it, because an interval may start
    just before.

    Args:
        events: (instant ns, units), ascending: what was reserved until it is settled for less, then that.
        debts: (instant ns, units), ascending: what was settled above its reservation. Declared and bounded, it may go
            over itself; but it counts in every later event's intervals, so it is paid before anything else enters.
        course: The pieces that were in force; the first begins at or before the first event.
    """
    corners = {corner for piece in course if (corner := _corner(piece, per_ns)) is not None}
    instants = sorted({at_ns for at_ns, _ in (*events, *debts)} | {piece.start_ns for piece in course} | corners)
    worst, low = Fraction(-1), None
    admitted = entitled = Fraction(0)
    position = owed = 0
    previous = instants[0]
    for at_ns in instants:
        index = piece_at(course, previous)
        mean = (course[index].level(previous) + course[index].level(at_ns)) / 2
        entitled += mean * (at_ns - previous) / (MICRO * per_ns)
        for piece in {course[index], course[piece_at(course, at_ns)]}:
            burst = max(piece.level(at_ns) * piece.burst_ns / (MICRO * per_ns), Fraction(1))
            opened = admitted - entitled + burst
            low = opened if low is None else min(low, opened)
        assert low is not None
        while position < len(events) and events[position][0] == at_ns:
            admitted += events[position][1]
            position += 1
            worst = max(worst, admitted - entitled - low)
        while owed < len(debts) and debts[owed][0] == at_ns:
            admitted += debts[owed][1]
            owed += 1
        previous = at_ns
    assert position == len(events), "events begin before the course does"
    return worst


def _corner(piece: Piece, per_ns: int) -> Fraction | None:
    """Where a rising burst passes one unit: before it `E - B` rises, after it may fall, so a window may start there."""
    if piece.to_micro <= piece.from_micro or piece.end_ns is None or not piece.burst_ns:
        return None
    one_micro = Fraction(MICRO * per_ns, piece.burst_ns)
    at_ns = piece.origin_ns + (one_micro - piece.from_micro) * piece.span_ns / (piece.to_micro - piece.from_micro)
    return at_ns if piece.start_ns < at_ns < piece.end_ns else None


def concurrency_over_by(events: Sequence[tuple[int, int | None, int]], course: Sequence[Piece]) -> Fraction:
    """The most micro-units by which an admission found more in flight, itself included, than the limit at its instant.

    events: (admitted ns, released ns or None, micro-units). A release at the instant of an admission comes first,
    and of several admissions at one instant the last sees them all. A cut revokes nothing: no violation by itself.
    """
    turns: list[tuple[int, int, int]] = []
    for admitted_ns, released_ns, micro in events:
        turns.append((admitted_ns, 1, micro))
        if released_ns is not None:
            turns.append((released_ns, 0, -micro))
    in_flight, worst = 0, Fraction(-(1 << 100))
    for at_ns, is_admission, micro in sorted(turns):
        in_flight += micro
        if is_admission:
            worst = max(worst, in_flight - course[piece_at(course, at_ns)].level(at_ns))
    return worst


def quota_over_by(events: Sequence[tuple[int, int]], course: Sequence[Piece], windows: Sequence[int]) -> Fraction:
    """The most micro-units by which a window held more than the largest limit in force in it.

    events: (instant ns, micro-units); windows: starts, ascending, each ending where the next begins.
    """
    worst = Fraction(-(1 << 100))
    ends = [*windows[1:], max([at_ns for at_ns, _ in events], default=0) + 1]
    for start_ns, end_ns in zip(windows, ends, strict=True):
        used = sum(micro for at_ns, micro in events if start_ns <= at_ns < end_ns)
        limits = [course[piece_at(course, start_ns)].level(start_ns)]
        for piece in course:
            from_ns, to_ns = (
                max(piece.start_ns, start_ns),
                end_ns if piece.end_ns is None else min(piece.end_ns, end_ns),
            )
            if from_ns < to_ns:
                limits += [piece.level(from_ns), piece.level(to_ns)]
        worst = max(worst, used - max(limits))
    return worst
