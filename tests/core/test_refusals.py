"""A refusal says what was true when it was made, however many others were made since."""

from __future__ import annotations

import gc
import threading

from headway._core import Refusal
from tests.core.making import MICRO, SECOND, UTC, One, rate, rate_curve, slots

EARLIER = 16
"""Curves that a meter remembers after others took their place."""


def refused(one: One, units: int = 1, key: str | None = None) -> Refusal:
    refusal = one.limiter.try_acquire(units) if key is None else one.limiter.try_acquire(units, key)
    assert isinstance(refusal, Refusal)
    return refusal


def spent(level: int = 10, **path: object) -> One:
    """A rate whose burst is gone."""
    one = rate(level, **path)
    assert one.limiter.try_acquire(level)
    return one


def test_a_refusal_that_is_held_stays_as_it_was():
    """Three in a row, each a while after the other: the first two are held when the third is made."""
    one = spent()
    first = refused(one)
    one.clock.advance(SECOND // 20)
    second = refused(one, 2)
    one.clock.advance(SECOND // 100)
    third = refused(one, 3)

    assert [1.0, 2.0, 3.0] == [refusal.units for refusal in (first, second, third)]
    assert [10.0, 9.5, 9.4] == [round(refusal.use, 3) for refusal in (first, second, third)]
    assert [0.1, 0.15, 0.24] == [round(refusal.retry_after_s or 0, 3) for refusal in (first, second, third)]


def test_a_thousand_refusals_that_are_held_are_a_thousand():
    one = spent()
    held = [refused(one, units) for units in range(1, 11) for _ in range(100)]

    assert 1_000 == len({id(refusal) for refusal in held})
    assert [units for units in range(1, 11) for _ in range(100)] == [refusal.units for refusal in held]
    assert 1_000 == one.limiter.reading().refused


def test_a_refusal_that_nobody_holds_makes_room_for_the_next():
    """What is said in its place is the later demand and nothing of the earlier one: not its name, not its curve."""
    one = spent()
    name, version = (refusal := refused(one, 3)).ref, refusal.version
    place = id(refusal)
    del refusal
    one.meters.publish([("m", rate_curve(20, 2))], UTC)
    later = refused(one, 2)

    assert place == id(later)
    assert 1 == version
    assert name != later.ref
    assert (2, 2.0) == (later.version, later.units)
    story = one.meters.story(name)
    assert story is not None and (1, 3.0) == (story["version"], story["units"])


def test_a_refusal_belongs_to_the_key_that_was_refused():
    one = rate(1, keys_max=100)
    keys = ["a", "b", "c", "a", "b"]
    said = []
    for key in keys:
        one.limiter.try_acquire(1, key)
        said.append(refused(one, 1, key).key)
    bound = one.limiter.bind("d")
    bound.try_acquire()

    assert keys == said
    assert ["d", "d"] == [refusal.key for refusal in (bound.try_acquire(), bound.try_acquire()) if not refusal]


def test_a_refusal_keeps_the_curve_it_met():
    """Read after the limit was raised it still speaks of the old one."""
    one = spent()
    refusal = refused(one)
    one.meters.publish([("m", rate_curve(20, 2))], UTC)

    assert (1, 10.0) == (refusal.version, refusal.limit)
    assert (2, 20.0) == ((later := refused(one, 11)).version, later.limit)


def test_a_refusal_finds_its_curve_behind_the_ones_that_came_since():
    one = spent()
    refusal = refused(one)
    for version in range(2, EARLIER + 2):
        one.meters.publish([("m", rate_curve(10 + version, version))], UTC)

    assert (1, 10.0) == (refusal.version, refusal.limit)


def test_a_refusal_that_was_named_keeps_its_curve_for_ever():
    one = spent()
    refusal = refused(one)
    name = refusal.ref
    for version in range(2, 3 * EARLIER):
        one.meters.publish([("m", rate_curve(10 + version, version))], UTC)

    story = one.meters.story(name)
    assert story is not None
    assert (1, 10 * MICRO) == (story["version"], story["limit_micro"])
    assert (1, 10.0) == (refusal.version, refusal.limit)


def test_an_unnamed_refusal_past_all_that_is_kept_speaks_of_the_oldest_curve_that_is():
    one = spent()
    refusal = refused(one)
    for version in range(2, EARLIER + 4):
        one.meters.publish([("m", rate_curve(10 + version, version))], UTC)

    assert 3 == refusal.version


def test_a_refusal_of_slots_says_how_many_were_held_then():
    one = slots(2)
    permits = [one.limiter.try_acquire() for _ in range(2)]
    refusal = refused(one)
    text = str(refusal)
    for permit in permits:
        permit.release()

    assert "2 of 2 connections, 2 of them yours" in text
    assert text == str(refusal)


def test_refusals_outlive_their_limiter():
    one = spent()
    refusal = refused(one)
    del one
    gc.collect()

    assert "api is full" in str(refusal)


def test_threads_that_are_refused_at_once_each_have_their_own():
    """Eight threads, each with a number of units of its own: what a thread reads is what it asked for, and none is lost."""
    one = spent(10)
    wrong: list[float] = []

    def ask(units: int) -> None:
        for _ in range(2_000):
            refusal = one.limiter.try_acquire(units)
            if refusal.units != units:
                wrong.append(refusal.units)

    threads = [threading.Thread(target=ask, args=(units,)) for units in range(1, 9)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert [] == wrong
    assert 16_000 == one.limiter.reading().refused
