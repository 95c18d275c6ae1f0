"""Keys: a limit each, bounded in number, forgotten when they are as good as new."""

from __future__ import annotations

import pytest

from headway._core import Clock, Meters, MeterSpec, PathSpec
from tests.core.making import MICRO, SECOND, UTC, limiter_of, quota, rate, rate_curve, slots


def test_every_key_has_the_whole_limit_and_a_bound_limiter_its_own():
    """2 each for a and b; what is bound to a key needs none told."""
    api = rate(2, keys_max=10)
    bound = api.limiter.bind("a")

    assert bound.try_acquire()
    assert api.limiter.try_acquire(1, "a")
    assert not bound.try_acquire()
    assert api.limiter.try_acquire(2, key="b")
    assert ("a", None) == (bound.key, api.limiter.key)
    assert "a" == bound.try_acquire().key


def test_one_key_more_than_may_live_is_refused_until_one_has_died():
    """Two live; the third is refused, and let in once a key's marks are behind the curve again."""
    api = rate(2, keys_max=2)
    assert all(api.limiter.try_acquire(2, key) for key in ("a", "b"))

    refusal = api.limiter.try_acquire(1, "c")
    api.clock.advance(SECOND)

    assert ("too_many_keys", True) == (refusal.why, refusal.retryable)
    assert str(refusal).startswith("api has 2 live keys, which is all it may have.")
    assert all(api.limiter.try_acquire(1, key) for key in ("c", "d"))
    assert not api.limiter.try_acquire(1, "e")


def test_keys_that_were_only_refused_or_probed_take_no_place():
    """A thousand keys whose demand never fits, then two that do."""
    api = rate(2, keys_max=2)
    assert not any(api.limiter.try_acquire(3, f"big-{index}") for index in range(1_000))

    assert all(api.limiter.try_acquire(1, key) for key in ("a", "b"))


def test_a_scaled_key_has_its_own_limit_and_counts_as_one():
    """Four times as much for acme; one other key may live beside it."""
    api = rate(2, keys_max=2, scale_ppm=[("acme", 4 * MICRO)])

    assert api.limiter.try_acquire(8, "acme")
    assert not api.limiter.try_acquire(1, "acme")
    assert 8.0 == api.limiter.try_acquire(1, "acme").limit
    assert api.limiter.try_acquire(1, "birch")
    assert "too_many_keys" == api.limiter.try_acquire(1, "cedar").why


def test_thousands_of_keys_keep_their_marks_while_the_table_grows():
    """5,000 keys spend one of two each, the table moves many times: each has exactly one left."""
    api = quota(2, keys_max=100_000)
    keys = [f"tenant-{index}" for index in range(5_000)]
    assert all(api.limiter.try_acquire(1, key) for key in keys)

    assert all(api.limiter.try_acquire(1, key) for key in keys)
    assert not any(api.limiter.try_acquire(1, key) for key in keys)
    assert 5_000 == api.meters.snapshot()[0].keys_live


def test_keys_in_flight_survive_any_number_of_others():
    """One slot held by a, 20,000 keys come and go: a still holds its slot."""
    pool = slots(1, keys_max=100_000)
    held = pool.limiter.try_acquire(1, "a")
    for index in range(20_000):
        pool.limiter.try_acquire(1, f"other-{index}").release()

    assert not pool.limiter.try_acquire(1, "a")
    held.release()
    assert pool.limiter.probe(1, "a")


def test_the_keys_that_press_are_listed_most_used_first():
    """Scaled ones always, others once they were refused."""
    api = rate(2, keys_max=10, scale_ppm=[("acme", 2 * MICRO)])
    assert api.limiter.try_acquire(2, "b")
    assert not api.limiter.try_acquire(1, "b")
    assert api.limiter.try_acquire(1, "acme")

    assert [("b", 2 * MICRO, 2 * MICRO), ("acme", MICRO, 4 * MICRO)] == api.meters.keys("m")
    assert [("b", 2 * MICRO, 2 * MICRO)] == api.meters.keys("m", 1)
    with pytest.raises(KeyError):
        api.meters.keys("nobody")


def test_a_key_told_where_none_belongs_or_missing_where_one_does_is_an_error():
    """Neither is guessed."""
    with pytest.raises(ValueError, match="key"):
        rate(2).limiter.try_acquire(1, "a")
    keyed = rate(2, keys_max=2).limiter
    with pytest.raises(ValueError, match="key"):
        keyed.try_acquire()
    with pytest.raises(ValueError, match="bound"):
        keyed.bind("a").try_acquire(1, "b")
    with pytest.raises(ValueError, match="bound"):
        keyed.bind("a").bind("b")
    with pytest.raises(ValueError, match="4,096"):
        keyed.bind("x" * 4_097)


def test_a_total_stands_over_all_keys():
    """Three a key, four over all: the second key gets one."""
    meters = Meters(Clock.manual())
    spec = {"ceiling_micro": 10 * MICRO, "per_ns": SECOND}
    meters.declare([MeterSpec("m", "rate", keys_max=9, **spec), MeterSpec("m#total", "rate", **spec)])
    meters.publish([("m", rate_curve(3)), ("m#total", rate_curve(4))], UTC)
    keyed = [("m", MICRO, True), ("m#total", MICRO, False)]
    limiter = meters.limiter(PathSpec("api", "web", keyed))

    assert limiter.try_acquire(3, "a")
    assert limiter.try_acquire(1, "b")
    assert "m#total" == limiter.try_acquire(1, "b").meter
    # The refused demand was undone on its key: two of three are left to b.
    assert limiter_of(meters, "m", keyed=True).try_acquire(2, "b")
