"""The one place where a ramp's curve becomes the core's: milliseconds to nanoseconds, one curve a meter, windows of
quotas.

Ledger first, then publish: nothing here is called before the move that decided the curve is committed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise
from math import floor

from headway import _core
from headway.contract.model import Contract
from headway.engine.floors import set_aside_micro
from headway.engine.shares import ceiling_of, ceilings_micro
from headway.engine.specs import MS, PPM, per_ms, total_of
from headway.engine.windows import starts_ms
from headway.ramp.curve import Curve, Segment

WINDOWS_AHEAD = 2
"""Windows decided beyond the present one, so that a quota does not shut while the engine sleeps through a boundary."""


def core_curves(
    contract: Contract, curve: Curve, version: int, windows: Mapping[str, tuple[int, ...]]
) -> list[tuple[str, _core.Curve]]:
    """The curves of all meters of a contract.

    Args:
        contract: It.
        curve: As decided.
        version: What the meters know it by: newer than the last one published.
        windows: Of quotas, by dimension: starts of windows that are decided, UTC ms.
    """
    curves = []
    each = contract.each
    for dimension, constraint in contract.constraint.items():
        segments = curve.segments[dimension]
        meter = contract.meter(dimension)
        courses = [(meter, segments)]
        if each is not None and each.total_micro is not None:
            level = each.total_micro[dimension]
            courses.append((total_of(meter), (Segment(segments[0].start_ms, None, level, level),)))
        per = per_ms(constraint)
        burst = constraint.burst_ms if constraint.burst_ms is not None else per
        for name, course in courses:
            core = _core.Curve(
                constraint.measure,
                version,
                curve.stage,
                [_segment(segment, set_aside_micro(contract, dimension)) for segment in course],
                per_ns=per * MS,
                burst_ns=burst * MS if per else 0,
                window=tuple(start * MS for start in windows.get(dimension, ())),
                raises_when=curve.raises_when,
            )
            curves.append((name, core))
    return curves


def windows_of(contract: Contract, now_ms: int, *, suspect: bool) -> dict[str, tuple[int, ...]]:
    """The decided windows of each quota dimension. Opening one is a raise: under suspicion only the present one is."""
    ahead = 0 if suspect else WINDOWS_AHEAD
    return {
        dimension: starts_ms(constraint.per, constraint.zone or contract.zone, now_ms, ahead)  # type: ignore[arg-type]
        for dimension, constraint in contract.constraint.items()
        if constraint.measure == "quota"
    }


def targets_of(contract: Contract, curve: Curve, now_ms: int) -> dict[tuple[str, str], int]:
    """The most that each quota may have drawn in one window: the highest level of what is decided from now on."""
    targets: dict[tuple[str, str], int] = {}
    each = contract.each
    for dimension, constraint in contract.constraint.items():
        if constraint.measure != "quota":
            continue
        meter = contract.meter(dimension)
        level = highest_micro(curve.segments[dimension], now_ms)
        courses = {meter: level}
        courses |= {ceiling_of(meter, name): most for name, most in ceilings_micro(contract, dimension, level).items()}
        targets |= {(name, ""): most for name, most in courses.items()}
        if each is not None:
            targets |= {
                (name, key): most * factor // PPM
                for name, most in courses.items()
                for key, factor in each.scale_ppm.items()
            }
            if each.total_micro is not None:
                total, level = total_of(meter), each.total_micro[dimension]
                over_all = ceilings_micro(contract, dimension, level, over_all_keys=True)
                targets[total, ""] = level
                targets |= {(ceiling_of(total, name), ""): most for name, most in over_all.items()}
    return targets


def highest_micro(segments: tuple[Segment, ...], now_ms: int) -> int:
    """The highest level from an instant on."""
    ahead = [one for one in segments if one.end_ms is None or one.end_ms > now_ms] or [segments[-1]]
    return max(max(one.from_micro, one.to_micro) for one in ahead)


def bends(curve: Curve, now_ms: int) -> bool:
    """Whether the limit changes from an instant on, by what is decided."""
    return any(curve.highest_micro(one, now_ms) != curve.lowest_micro(one, now_ms) for one in curve.segments)


def cautious(curve: Curve, now_ms: int, believed_ms: int) -> Curve:
    """A curve for meters that live by the time that is believed, while the clock says that it is later.

    At each instant the lesser of what it says then and of what it says as much later: a climb goes no faster, and no
    fall comes late, whichever clock is right. Where both bend differently a piece lies below the exact lesser of them.
    """
    ahead_ms = now_ms - believed_ms
    if ahead_ms <= 0:
        return curve
    return replace(curve, segments={name: _lesser(one, believed_ms, ahead_ms) for name, one in curve.segments.items()})


def _lesser(segments: tuple[Segment, ...], from_ms: int, ahead_ms: int) -> tuple[Segment, ...]:
    early = tuple(
        replace(one, start_ms=one.start_ms - ahead_ms, end_ms=None if one.end_ms is None else one.end_ms - ahead_ms)
        for one in segments
    )
    bends_at = {at_ms for one in (*segments, *early) for at_ms in (one.start_ms, one.end_ms) if at_ms is not None}
    instants = sorted({from_ms, *(at_ms for at_ms in bends_at if at_ms > from_ms)})
    pieces = []
    for start_ms, end_ms in pairwise(instants):
        both = [
            next(one for one in course if one.end_ms is None or one.end_ms > start_ms) for course in (segments, early)
        ]
        first, last = (floor(min(_within(one, at_ms) for one in both)) for at_ms in (start_ms, end_ms))
        pieces.append(Segment(start_ms, end_ms, first, last))
    level = min(segments[-1].to_micro, early[-1].to_micro)
    return (*pieces, Segment(instants[-1], None, level, level))


def _within(segment: Segment, at_ms: int) -> Fraction:
    """A piece's level at an instant, its end included; before it begins the level it begins at."""
    return segment.level_micro(max(at_ms, segment.start_ms))


def _segment(segment: Segment, aside_micro: int) -> _core.Segment:
    """What is set aside for named gates is theirs, whatever the limit: it is on no meter, and no verb goes below it."""
    end_ns = None if segment.end_ms is None else segment.end_ms * MS
    levels = [max(0, level - aside_micro) for level in (segment.from_micro, segment.to_micro)]
    return _core.Segment(segment.start_ms * MS, end_ns, levels[0], levels[1])
