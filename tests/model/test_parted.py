"""Histories on which core and twins once parted, each cut down to what it takes and named for what must hold."""

from __future__ import annotations

import pytest

from headway import _core
from tests.model.curves import MICRO, Seg
from tests.model.test_flapping import SECOND, Single

UTC_NS = 1_800_000_000 * SECOND


def segment(level: int) -> _core.Segment:
    """A flat limit that has always been."""
    return _core.Segment(UTC_NS - 3_600 * SECOND, None, level * MICRO, level * MICRO)


def headroom(meters: _core.Meters) -> int:
    """What the only meter says is left, in micro-units."""
    return meters.snapshot()[0].headroom_micro


@pytest.mark.parametrize(("first", "then"), [(10, 5), (5, 10)])
def test_a_step_leaves_what_the_smaller_burst_holds(first: int, then: int) -> None:
    """Full at 10, a step to 5: 5 are left; from 5 to 10 too. It had been one unit at every step."""
    one = Single("rate", per_ns=SECOND)
    start_ns = one.utc_ns
    middle_ns = start_ns + 40
    one.publish(
        [
            Seg(start_ns, middle_ns, first * MICRO, first * MICRO),
            Seg(middle_ns, None, then * MICRO, then * MICRO),
        ],
        burst_ns=SECOND,
    )

    one.clock.advance(40)

    assert 5 * MICRO == headroom(one.meters)


def test_a_rising_burst_that_passes_one_unit_lets_no_interval_go_over() -> None:
    """From 0 to 10 a second over 2 s, burst 1 s: full at 0.2 s, where the burst passes one. From there on less comes
    in than the burst grows by: at 0.3 s 1.125 are left, one and what came since, and not the burst of 1.5.
    """
    one = Single("rate", per_ns=SECOND)
    one.publish([Seg(one.utc_ns, one.utc_ns + 2 * SECOND, 0, 10 * MICRO)], burst_ns=SECOND)

    one.clock.advance(SECOND * 3 // 10)

    assert headroom(one.meters) == pytest.approx(1_125_000, abs=1)


def test_a_clean_stop_counts_downtime_by_the_newest_reading_of_utc() -> None:
    """UTC steps 40 s ahead with a publication that names another meter; the stop comes 1 ns before the next start. That
    is 1 ns of entitlement. It had been 40 s, a burst out of nothing.
    """
    clock = _core.Clock.manual(100 * SECOND)
    specs = [_core.MeterSpec(name, "rate", ceiling_micro=100 * MICRO, per_ns=SECOND) for name in ("spent", "other")]
    old = _core.Meters(clock)
    old.declare(specs)
    old.publish(
        [(name, _core.Curve("rate", 1, "s", [segment(10)], SECOND, SECOND)) for name in ("spent", "other")], UTC_NS
    )
    assert old.limiter(_core.PathSpec("c", "w", [("spent", MICRO, False)])).try_acquire(10)
    stepped_ns = UTC_NS + 40 * SECOND
    old.publish([("other", _core.Curve("rate", 2, "s", [segment(10)], SECOND, SECOND))], stepped_ns)
    old.close()

    new = _core.Meters(_core.Clock.manual(5 * SECOND))
    new.declare(specs)
    new.restore(old.save())
    new.publish(
        [(name, _core.Curve("rate", 3, "s", [segment(10)], SECOND, SECOND)) for name in ("spent", "other")],
        stepped_ns + 1,
    )

    assert not new.limiter(_core.PathSpec("c", "w", [("spent", MICRO, False)])).try_acquire()


def quota(limit: int) -> _core.Curve:
    """A quota with four windows of a minute."""
    return _core.Curve("quota", 1, "s", [segment(limit)], window=[UTC_NS + minute * 60 * SECOND for minute in range(4)])


@pytest.mark.parametrize("first", [0, 5])
def test_what_was_drawn_counts_even_where_it_is_more_keys_than_may_live(first: int) -> None:
    """Room for one key, two in the durable count: both keep what they used. The second had been forgotten."""
    meters = _core.Meters(_core.Clock.manual(SECOND))
    meters.declare([_core.MeterSpec("m", "quota", ceiling_micro=100 * MICRO, keys_max=1)])
    meters.restore_drawn([("m", "a", UTC_NS, first * MICRO), ("m", "b", UTC_NS, 5 * MICRO)])
    meters.publish([("m", quota(10))], UTC_NS + SECOND)
    limiter = meters.limiter(_core.PathSpec("c", "w", [("m", MICRO, True)]))

    assert not limiter.probe(6, "b")
    assert limiter.probe(5, "b")


def test_a_window_does_not_open_twice_when_the_clock_steps_back() -> None:
    """2 s into a window 7 of 10 are used, then the clock reads 1 s before its start: those 7 count on, and 4 more fit
    in the window after it, no sooner.
    """
    clock = _core.Clock.manual(100 * SECOND)
    meters = _core.Meters(clock)
    meters.declare([_core.MeterSpec("m", "quota", ceiling_micro=100 * MICRO)])
    meters.publish([("m", quota(10))], UTC_NS + 59 * SECOND)
    limiter = meters.limiter(_core.PathSpec("c", "w", [("m", MICRO, False)]))
    clock.advance(3 * SECOND)
    assert limiter.try_acquire(7)
    clock.advance(-3 * SECOND)

    refusal = limiter.try_acquire(4)

    assert isinstance(refusal, _core.Refusal)
    assert refusal.retry_at_ns == 100 * SECOND + 61 * SECOND


def test_a_stop_before_a_window_that_was_used_already_keeps_what_was_used() -> None:
    """2 s into a window 7 of 10 are used, the clock steps back to 1 s before its start, and the process stops and
    starts there: 3 are left, before the window's start and in it. All 10 had been handed out again.
    """
    clock = _core.Clock.manual(100 * SECOND)
    old = _core.Meters(clock)
    old.declare([_core.MeterSpec("m", "quota", ceiling_micro=100 * MICRO)])
    old.publish([("m", quota(10))], UTC_NS + 59 * SECOND)
    clock.advance(3 * SECOND)
    assert old.limiter(_core.PathSpec("c", "w", [("m", MICRO, False)])).try_acquire(7)
    clock.advance(-3 * SECOND)
    old.close()

    new = _core.Meters(clock)
    new.declare([_core.MeterSpec("m", "quota", ceiling_micro=100 * MICRO)])
    new.restore(old.save())
    new.publish([("m", quota(10))], UTC_NS + 59 * SECOND)
    limiter = new.limiter(_core.PathSpec("c", "w", [("m", MICRO, False)]))

    assert not limiter.probe(4)
    clock.advance(3 * SECOND)
    assert not limiter.probe(4)
    assert limiter.try_acquire(3)
