"""Rates: what passes, what a refusal says, and when."""

from __future__ import annotations

import pytest

from headway import _core
from headway._core import Clock, Curve, Meters, MeterSpec, Segment
from tests.core.making import MICRO, SECOND, UTC, limiter_of, rate, rate_curve


def test_a_full_rate_lets_its_burst_through_and_then_one_at_a_time():
    """10 a second: 10 at once, then nothing until 100 ms have come in, one ns before not."""
    api = rate(10)

    assert [True] * 10 + [False] == [bool(api.limiter.try_acquire()) for _ in range(11)]
    refusal = api.limiter.try_acquire()
    assert 100 * SECOND + SECOND // 10 == refusal.retry_at_ns
    api.clock.advance(SECOND // 10 - 1)
    assert not api.limiter.try_acquire()
    api.clock.advance(1)
    assert api.limiter.try_acquire()


def test_a_refusal_says_everything_with_the_number_first():
    """Every field of a refusal of 1 request under 10 of 10 a second."""
    api = rate(10)
    assert api.limiter.try_acquire(10)

    refusal = api.limiter.try_acquire()

    assert ("api", "web", "m", None) == (refusal.contract, refusal.workload, refusal.meter, refusal.key)
    assert ("full", True, "now", 1) == (refusal.why, refusal.retryable, refusal.stage, refusal.version)
    assert (1.0, 10.0, 10.0, "request") == (refusal.units, refusal.limit, refusal.use, refusal.unit)
    assert (10 * MICRO, 10 * MICRO) == (refusal.limit_micro, refusal.use_micro)
    assert 0.1 == refusal.retry_after_s
    assert not refusal
    text = f"api is full: 10 of 10 requests a second. Try again in about 100 ms. [{refusal.ref}]"
    assert text == str(refusal)


def test_a_ref_tells_the_story_with_or_without_its_prefix():
    """The story is kept from the first time the ref is read; a ref that nobody gave out is unknown."""
    api = rate(10)
    assert api.limiter.try_acquire(10)
    refusal = api.limiter.try_acquire(2)

    story = api.meters.story(refusal.ref)

    assert story is not None
    assert ("full", 2.0, 100 * SECOND) == (story["why"], story["units"], story["at_ns"])
    assert story == api.meters.story(refusal.ref.removeprefix("hw:"))
    assert [None] * 4 == [api.meters.story(ref) for ref in ("", "hw:", "hw:zz", "hw:ffffffffff")]


def test_a_story_is_kept_for_the_last_4096_refs():
    """The 4,097th ref pushes the first story out."""
    api = rate(1)
    assert api.limiter.try_acquire()
    refs = [api.limiter.try_acquire().ref for _ in range(4_097)]

    assert api.meters.story(refs[0]) is None
    assert api.meters.story(refs[1]) is not None
    assert 4_097 == len(set(refs))


def test_a_demand_over_every_burst_never_fits():
    """11 at once under a burst of 10: not now, not ever, and not retryable."""
    refusal = rate(10).limiter.try_acquire(11)

    assert ("never_fits", False, None) == (refusal.why, refusal.retryable, refusal.retry_after_s)
    assert refusal.retry_at_ns is _core.NEVER
    assert not _core.NEVER
    assert str(refusal).startswith(
        "api never admits 11 requests at once: 10 requests a second, in bursts of at most 10."
    )


def test_a_later_burst_that_holds_it_is_worth_waiting_for():
    """15 do not fit under 10 a second, but the curve doubles in a minute: the retry names the exact instant."""
    meters = Meters(Clock.manual(100 * SECOND))
    meters.declare([MeterSpec("m", "rate", ceiling_micro=100 * MICRO, per_ns=SECOND)])
    step = UTC + 60 * SECOND
    segments = [Segment(0, step, 10 * MICRO, 10 * MICRO), Segment(step, None, 20 * MICRO, 20 * MICRO)]
    meters.publish([("m", Curve("rate", 1, "now", segments, per_ns=SECOND, burst_ns=SECOND))], UTC)
    limiter = limiter_of(meters, "m")

    refusal = limiter.try_acquire(15)

    assert "full" == refusal.why
    # Ten are there at the step, twenty a second come in: five more take a quarter of a second.
    assert 160 * SECOND + SECOND // 4 == refusal.retry_at_ns
    meters.clock.advance(60 * SECOND + SECOND // 4 - 1)
    assert not limiter.try_acquire(15)
    meters.clock.advance(1)
    assert limiter.try_acquire(15)


def test_a_limit_of_zero_waits_for_what_the_curve_does_not_know():
    """Its burst is one unit; once that is spent only a new version helps."""
    api = rate(0)
    assert api.limiter.try_acquire()

    refusal = api.limiter.try_acquire()

    assert "full" == refusal.why
    assert refusal.retry_at_ns is _core.UNKNOWN
    assert refusal.retry_after_s is None


def test_a_cut_and_a_raise_mint_nothing_and_forget_nothing():
    """10 spent; cut to 1, raised to 10: only what came in since is there."""
    api = rate(10)
    assert api.limiter.try_acquire(10)
    api.meters.publish([("m", rate_curve(1, 2))], UTC)
    api.meters.publish([("m", rate_curve(10, 3))], UTC)

    assert not api.limiter.try_acquire()
    api.clock.advance(SECOND // 10)
    assert api.limiter.try_acquire()
    assert not api.limiter.try_acquire()


@pytest.mark.parametrize(("mode", "why"), [("observe", {"full": 1}), ("record", {})])
def test_a_contract_that_only_looks_on_admits_and_says_what_it_would_have_done(mode, why):
    """Observing counts the refusal it did not make; recording does not even that."""
    api = rate(1, path={"mode": mode})

    assert [True, True] == [bool(api.limiter.try_acquire()) for _ in range(2)]
    reading = api.limiter.reading()
    assert (2, why) == (reading.admitted, reading.refused_by)
    assert sum(why.values()) == reading.refused


def test_counts_of_a_limiter_are_in_demands_and_in_weighed_units():
    """Cost 2 a demand: 1 and 3 units admitted weigh 8, 5 refused weigh 10."""
    api = rate(10, path={"cost_ppm": 2 * MICRO})
    assert api.limiter.try_acquire()
    assert api.limiter.try_acquire(3)
    assert not api.limiter.try_acquire(5)

    reading = api.limiter.reading()

    assert (2, 8 * MICRO, 1, 10 * MICRO) == (
        reading.admitted,
        reading.admitted_micro,
        reading.refused,
        reading.refused_micro,
    )
    assert [reading] == api.meters.paths()
    meter = api.meters.snapshot()[0]
    assert (8 * MICRO, 8 * MICRO, 2 * MICRO) == (meter.charged_micro, meter.use_micro, meter.headroom_micro)


def test_a_probe_says_the_same_and_charges_nothing():
    """However often one asks."""
    api = rate(1)

    assert [True] * 5 == [bool(api.limiter.probe()) for _ in range(5)]
    assert not api.limiter.probe(2)
    assert 0 == api.limiter.reading().admitted + api.limiter.reading().refused
    assert api.limiter.try_acquire()
    assert not api.limiter.probe()


def test_a_meter_without_a_curve_refuses_and_a_closed_one_too():
    """First `not_published`, retryable; after `close` nothing more, not retryable."""
    meters = Meters(Clock.manual())
    meters.declare([MeterSpec("m", "rate", ceiling_micro=MICRO, per_ns=SECOND)])
    limiter = limiter_of(meters, "m")

    before = limiter.try_acquire()
    meters.publish([("m", rate_curve(1))], UTC)
    meters.close()
    after = limiter.try_acquire()

    assert [("not_published", True), ("closed", False)] == [(r.why, r.retryable) for r in (before, after)]
    assert [] == Meters().snapshot()


def test_what_ratelimit_fields_say_is_whole_units():
    """10 a second with 4 spent and half a unit come in: 6 remain, one more in a second at the latest."""
    api = rate(10)
    assert api.limiter.try_acquire(4)
    api.clock.advance(SECOND // 20)

    assert ('"m";q=10;w=1', '"m";r=6;t=1') == api.limiter.rate_limit_fields(tell="full")
