"""Slots above a cut that are asked back: which permits say so, and for how long."""

from __future__ import annotations

import pytest

from headway._core import Curve, Permit, Segment
from tests.core.making import MICRO, SECOND, UTC, One, slots, slots_curve


def held(pool: One, count: int, key: str | None = None) -> list[Permit]:
    """Oldest first."""
    permits = [pool.limiter.try_acquire(1, key) for _ in range(count)]
    assert all(permits)
    return [permit for permit in permits if isinstance(permit, Permit)]


def asking(level: int, **spec: object) -> One:
    return slots(level, path={"recall": "ask"}, **spec)


def test_the_newest_permits_that_come_to_what_is_above_a_cut_are_asked_back_until_enough_came_back():
    """Ten in flight, a cut to seven: the last three are asked for. One that is given back, whichever, leaves two."""
    pool = asking(10)
    permits = held(pool, 10)
    assert (0, False) == (pool.limiter.recalled, any(permit.recalled for permit in permits))

    pool.meters.publish([("m", slots_curve(7, version=2))], UTC)

    assert (3, [7, 8, 9]) == (pool.limiter.recalled, [i for i, permit in enumerate(permits) if permit.recalled])
    permits[0].release()
    assert (2, [8, 9]) == (pool.limiter.recalled, [i for i, permit in enumerate(permits) if permit.recalled])
    permits[9].release()
    permits[8].release()
    assert (0, False) == (pool.limiter.recalled, any(permit.recalled for permit in permits))


def test_a_permit_of_several_units_is_asked_back_whole():
    """Two permits of three units, a cut by one: the newest is asked for, though two of its units might stay."""
    pool = asking(6)
    first, second = pool.limiter.try_acquire(3), pool.limiter.try_acquire(3)

    pool.meters.publish([("m", slots_curve(5, version=2))], UTC)

    assert isinstance(first, Permit)
    assert isinstance(second, Permit)
    assert (1, False, True) == (pool.limiter.recalled, first.recalled, second.recalled)


def test_a_planned_fall_asks_back_at_its_instant_though_nothing_is_published_then():
    pool = asking(4)
    permits = held(pool, 4)
    falls = [Segment(0, UTC + SECOND, 4 * MICRO, 4 * MICRO), Segment(UTC + SECOND, None, MICRO, MICRO)]
    pool.meters.publish([("m", Curve("concurrency", 2, "now", falls))], UTC)
    assert not permits[3].recalled

    pool.clock.advance(SECOND)

    assert [False, True, True, True] == [permit.recalled for permit in permits]


def test_under_wait_and_where_a_limit_is_only_looked_at_nothing_is_asked_back():
    for path in ({"recall": "wait"}, {"recall": "ask", "mode": "observe"}):
        pool = slots(4, path=path)
        permits = held(pool, 4)
        pool.meters.publish([("m", slots_curve(1, version=2))], UTC)
        assert (0, False) == (pool.limiter.recalled, any(permit.recalled for permit in permits))


def test_each_key_is_asked_for_what_it_holds_itself():
    """Three of one key and one of another, a cut to two for each: one is asked back, of the first."""
    pool = asking(3, keys_max=10)
    mine, others = held(pool, 3, "a"), held(pool, 1, "b")

    pool.meters.publish([("m", slots_curve(2, version=2))], UTC)

    assert [False, False, True] == [permit.recalled for permit in mine]
    assert not others[0].recalled
    assert (1, 0) == (pool.limiter.bind("a").recalled, pool.limiter.bind("b").recalled)


def test_what_was_given_back_or_never_held_slots_is_not_asked_back():
    pool = asking(2)
    permits = held(pool, 2)
    permits[1].release()
    pool.meters.publish([("m", slots_curve(0, version=2))], UTC)

    assert [True, False] == [permit.recalled for permit in permits]


def test_how_much_is_asked_back_cannot_be_set():
    pool = asking(2)
    with pytest.raises(AttributeError):
        pool.limiter.recalled = 1  # type: ignore[misc]
