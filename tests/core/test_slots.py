"""Concurrency: what is held, what is given back, and what a cut does."""

from __future__ import annotations

import gc

from headway._core import Curve, Segment
from tests.core.making import MICRO, SECOND, UTC, slots, slots_curve


def test_slots_come_back_when_released_and_only_once():
    """A second release does nothing and is counted."""
    pool = slots(2)
    first, second = pool.limiter.try_acquire(), pool.limiter.try_acquire()
    refusal = pool.limiter.try_acquire()

    first.release()
    first.release()

    assert 1.0 == pool.in_use
    assert 1 == pool.limiter.reading().double_released
    assert not second.lost
    assert str(refusal).startswith("api is full: 2 of 2 connections, 2 of them yours (web).")


def test_a_permit_that_is_dropped_gives_back_and_is_counted():
    """Nothing leaks with an object that was forgotten."""
    pool = slots(2)
    permit = pool.limiter.try_acquire(2)
    del permit
    gc.collect()

    assert 0.0 == pool.in_use
    assert 1 == pool.limiter.reading().dropped_unreleased


def test_a_permit_is_a_context_and_an_error_inside_gives_back_too():
    """The slot is held inside, and only inside."""
    pool = slots(2)
    try:
        with pool.limiter.try_acquire():
            assert 1.0 == pool.in_use
            raise LookupError
    except LookupError:
        pass

    assert 0.0 == pool.in_use
    assert 0 == pool.limiter.reading().dropped_unreleased


def test_a_cut_closes_nothing_and_admits_nothing_until_it_has_drained():
    """5 held, cut to 2: nothing enters at 5, 4, 3 and 2; at 1 one does."""
    pool = slots(5)
    held = [pool.limiter.try_acquire() for _ in range(5)]
    pool.meters.publish([("m", slots_curve(2, 2))], UTC)

    entered = []
    for permit in held[:4]:
        entered.append(bool(pool.limiter.probe()))
        permit.release()

    assert [False] * 4 == entered
    assert -3 * MICRO == pool.meters.snapshot()[0].headroom_micro - 4 * MICRO
    assert pool.limiter.try_acquire()


def test_a_planned_cut_is_in_force_at_its_nanosecond():
    """From 3 to 1 at a UTC instant: one ns before it a second slot is given, at it not."""
    pool = slots(3)
    cut = UTC + 5 * SECOND
    segments = [Segment(0, cut, 3 * MICRO, 3 * MICRO), Segment(cut, None, MICRO, MICRO)]
    pool.meters.publish([("m", Curve("concurrency", 2, "now", segments))], UTC)
    held = pool.limiter.try_acquire()

    pool.clock.advance(5 * SECOND - 1)
    assert pool.limiter.probe()
    pool.clock.advance(1)
    assert not pool.limiter.probe()
    held.release()
    assert pool.limiter.probe()


def test_a_climb_admits_as_its_level_reaches_whole_slots():
    """From 0 to 10 over 10 s: at 2.5 s two, and the third from 3 s on, which a refusal knows."""
    pool = slots(0)
    climb = Segment(UTC, UTC + 10 * SECOND, 0, 10 * MICRO)
    pool.meters.publish([("m", Curve("concurrency", 2, "now", [climb]))], UTC)
    pool.clock.advance(5 * SECOND // 2)
    held = [pool.limiter.try_acquire() for _ in range(2)]

    refusal = pool.limiter.try_acquire()

    assert all(held)
    assert 103 * SECOND == refusal.retry_at_ns


def test_a_limiter_as_a_scope_holds_one_slot_and_leaves_none():
    """The permit of a scope is the scope's: releasing or dropping it changes nothing."""
    pool = slots(1)
    with pool.limiter as permit:
        assert 1.0 == pool.in_use
        permit.release()
        assert 1.0 == pool.in_use
        assert not pool.limiter.try_acquire()
    del permit

    assert 0.0 == pool.in_use
    assert 0 == pool.limiter.reading().dropped_unreleased


def test_scopes_that_are_only_observed_give_back_exactly_what_was_taken():
    """Two over one slot: the second was let in without; when both have ended nothing is held, nothing is owed."""
    pool = slots(1, path={"mode": "observe"})
    with pool.limiter:
        with pool.limiter:
            assert 1.0 == pool.in_use
        with pool.limiter:
            assert 1.0 == pool.in_use

    assert 0.0 == pool.in_use
    assert pool.limiter.try_acquire()


def test_a_million_acquisitions_leave_nothing_in_flight():
    """Every way of holding a slot, a million in all."""
    pool = slots(3)
    limiter = pool.limiter
    for _ in range(400_000):
        limiter.try_acquire().release()
    for _ in range(400_000):
        with limiter:
            pass
    for _ in range(200_000):
        limiter.try_acquire(2)

    assert 0.0 == pool.in_use
    assert 200_000 == limiter.reading().dropped_unreleased
    assert 1_000_000 == limiter.reading().admitted
