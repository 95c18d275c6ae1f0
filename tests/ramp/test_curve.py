"""Curves: whole micro-units, no gaps, never above the exact lesser of what bounds them."""

from fractions import Fraction
from itertools import pairwise

from hypothesis import example, given
from hypothesis import strategies as st

from headway.contract.model import Contract
from headway.ramp.curve import Segment, curve_of, guaranteed_micro, level_micro
from headway.ramp.facts import Course, ExceptionState, Overridden, Visit
from headway.ramp.state import RampState
from tests.ramp.ramps import DAY, HOUR, MINUTE, T0, UNIT, contract, instant, second

levels = st.integers(min_value=0, max_value=1_000_000)
moments = st.integers(min_value=0, max_value=5_000)


def a_state(
    course: Course, *, override: Overridden | None = None, exceptions: tuple[ExceptionState, ...] = ()
) -> RampState:
    return RampState(
        contract="api",
        version=1,
        digest="d",
        terms_digest="t",
        applied_at_ms=T0,
        applied_by="user:ada",
        stage=0,
        visits=(Visit(T0, T0),),
        arrived_at_ms=None,
        course=course,
        status="running",
        curve_version=7,
        overridden=override,
        exceptions=exceptions,
    )


def agreed(exceptions: list[tuple[int, int, int]]) -> Contract:
    """`(start, end, level)` each, in milliseconds after T0 and micro-units."""
    written = [
        {"during": f"{instant(start)}/{instant(end)}", "limit": f"{level / UNIT:.6f}", "reason": "r"}
        for start, end, level in exceptions
    ]
    return contract({"stage": "one", "limit": "100"}, second(event="e"), exceptions=written)


@given(
    levels,
    levels,
    moments,
    moments,
    st.none() | st.tuples(levels, moments, moments),
    st.none() | st.tuples(levels, moments, moments),
)
@example(8, 2, 0, 2, None, (4, 0, 0))  # a falling climb that meets its cap inside the piece of one millisecond
@example(91, 0, 0, 77, (9, 0, 90), (0, 91, 0))  # the same millisecond under an override that lies above the climb
def test_a_curve_is_whole_touches_and_never_lies_above_what_bounds_it(
    first: int,
    last: int,
    start: int,
    span: int,
    override: tuple[int, int, int] | None,
    exception: tuple[int, int, int] | None,
) -> None:
    """Any climb under any override and exception: at every instant the curve is at most the exact lesser of the three
    (an override that is over counts only where it lowers), and at the ends of the climb it is that.
    """
    course = Course(T0 + start, T0 + start + span, {"": first}, {"": last})
    overridden, facts, exceptions = None, (), []
    if override is not None:
        value, since, lasts = override
        overridden = Overridden({"": value}, T0 + since + lasts + 1, "user:ann", "r", T0 + since)
    if exception is not None:
        limit, begins, lasts = exception
        exceptions, facts = [(begins, begins + lasts + 1, max(limit, 1))], (ExceptionState(0, None, False),)
    api, state = agreed(exceptions), a_state(course, override=overridden, exceptions=facts)

    curve = curve_of(api, state, T0)

    pieces = curve.segments[""]
    assert course.start_ms == pieces[0].start_ms and pieces[-1].end_ms is None
    assert all(one.end_ms == other.start_ms for one, other in pairwise(pieces))
    assert all(
        isinstance(one.from_micro, int) and isinstance(one.to_micro, int) and min(one.from_micro, one.to_micro) >= 0
        for one in pieces
    )
    halves = [Fraction(2 * one.start_ms - 1, 2) for one in pieces[1:]]  # inside the last millisecond before each cut
    for at_ms in sorted({*range(course.start_ms, T0 + 12_000, 97), *(one.start_ms for one in pieces), *halves}):
        share = min(Fraction(at_ms - course.start_ms, span), Fraction(1)) if span else Fraction(1)
        base = Fraction(first) + (last - first) * share
        bound = base
        if overridden is not None and at_ms >= overridden.since_ms:
            bound = (
                Fraction(overridden.value_micro[""])
                if at_ms < overridden.until_ms
                else min(bound, overridden.value_micro[""])
            )
        if exceptions and at_ms >= T0 + exceptions[0][0]:
            bound = min(bound, exceptions[0][2])
        level = curve.level_micro("", at_ms)  # type: ignore[arg-type]  # the core asks in nanoseconds
        assert level <= bound
        assert bound - level <= 2 + (abs(last - first) if span < 2 else Fraction(2 * abs(last - first), span))


def test_a_curve_carries_every_dimension_under_one_version() -> None:
    """Requests and tokens climb together, each to its own limit."""
    many = contract(
        {"stage": "one", "limit": {"requests": "100", "tokens": "1k"}},
        second(climb="2h", limit={"requests": "200", "tokens": "5k"}, event="e"),  # type: ignore[arg-type]
        constraint={
            "requests": {"measure": "rate", "unit": "request", "per": "1s"},
            "tokens": {"measure": "rate", "unit": "token", "per": "1m"},
        },
    )
    course = Course(T0, T0 + 2 * HOUR, dict(many.ramp[0].limit_micro), dict(many.ramp[1].limit_micro))

    curve = curve_of(many, a_state(course), T0)

    assert (7, {"requests", "tokens"}) == (curve.version, set(curve.segments))
    assert (150 * UNIT, 3_000 * UNIT) == (
        curve.level_micro("requests", T0 + HOUR),
        curve.level_micro("tokens", T0 + HOUR),
    )
    assert (100 * UNIT, 200 * UNIT) == (curve.lowest_micro("requests", T0), curve.highest_micro("requests", T0))
    assert 150 * UNIT == curve.lowest_micro("requests", T0 + HOUR)


def test_a_climb_is_one_line_and_then_flat() -> None:
    course = Course(T0, T0 + HOUR, {"": 100}, {"": 200})

    assert (Segment(T0, T0 + HOUR, 100, 200), Segment(T0 + HOUR, None, 200, 200)) == curve_of(
        agreed([]), a_state(course), T0
    ).segments[""]


def test_what_is_guaranteed_is_the_lower_end_of_what_lies_ahead() -> None:
    """Climbing up it is the level now; climbing down the end; an override that raises adds nothing, one that lowers counts;
    an exception that is only planned does not count yet.
    """
    up, down = Course(T0, T0 + HOUR, {"": 100}, {"": 200}), Course(T0, T0 + HOUR, {"": 200}, {"": 100})
    planned = (ExceptionState(0, None, False),)
    api = agreed([(DAY, DAY + HOUR, 40)])

    assert 150 == guaranteed_micro(api, a_state(up), "", T0 + 30 * MINUTE)
    assert 100 == guaranteed_micro(api, a_state(down), "", T0 + 30 * MINUTE)
    high, low = (Overridden({"": value}, T0 + DAY, "user:ann", "r", T0) for value in (500, 50))
    assert (500, 150) == tuple(
        f(api, a_state(up, override=high), "", T0 + 30 * MINUTE) for f in (level_micro, guaranteed_micro)
    )
    assert 50 == guaranteed_micro(api, a_state(up, override=low), "", T0 + 30 * MINUTE)
    assert 150 == guaranteed_micro(api, a_state(up, exceptions=planned), "", T0 + 30 * MINUTE)
    began = (ExceptionState(0, T0, False),)
    assert 40 == guaranteed_micro(api, a_state(up, exceptions=began), "", T0 + 30 * MINUTE)
