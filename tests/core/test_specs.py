"""What means nothing is an error that says why, before anything has changed."""

from __future__ import annotations

import sys
from typing import Any

import pytest

from headway._core import Clock, Curve, Meters, MeterSpec, PathSpec, Segment, grains_log2
from tests.core.making import MICRO, MINUTE, SECOND, UTC, quota_curve, rate, rate_curve, slots_curve

FLAT = Segment(0, None, MICRO, MICRO)


@pytest.mark.parametrize(
    ("segment", "says"),
    [
        ((0, 0, 1, 1), "not after"),
        ((5, 1, 1, 1), "not after"),
        ((0, None, 1, 2), "constant"),
        ((0, 10, -1, 1), "below zero"),
        ((0, 11 * 366 * 86_400 * SECOND, 1, 2), "ten years"),
        ((-(2**63), None, 1, 1), "1900"),
        ((0, 2**63 - 1, 1, 1), "2200"),
    ],
)
def test_segments_that_mean_nothing(segment: tuple[Any, ...], says: str):
    """Each with the number that is wrong."""
    with pytest.raises(ValueError, match=says):
        Segment(*segment)


@pytest.mark.parametrize(
    ("curve", "says"),
    [
        ({"segments": []}, "segments"),
        ({"segments": [Segment(0, 5, 1, 1), Segment(6, None, 1, 1)]}, "touch"),
        ({"segments": [FLAT, Segment(6, None, 1, 1)]}, "touch"),
        ({"per_ns": 0}, "per_ns"),
        ({"per_ns": 32 * 86_400 * SECOND}, "per_ns"),
        ({"burst_ns": 367 * 86_400 * SECOND}, "burst"),
        ({"measure": "bandwidth"}, "no measure"),
        ({"measure": "concurrency"}, "belong to rates"),
        ({"measure": "quota", "per_ns": 0, "burst_ns": 0}, "windows"),
        ({"window": [1]}, "only a quota"),
        ({"measure": "quota", "per_ns": 0, "burst_ns": 0, "window": [2, 1]}, "ascending"),
        ({"segments": [Segment(0, None, 2**62, 2**62)]}, "more than a meter counts"),
        (
            {"measure": "concurrency", "per_ns": 0, "burst_ns": 0, "segments": [Segment(0, None, 2**50, 2**50)]},
            "at most",
        ),
    ],
)
def test_curves_that_mean_nothing(curve: dict[str, Any], says: str):
    """Each says what a curve of its measure has."""
    given = {
        "measure": "rate",
        "version": 1,
        "stage": "now",
        "segments": [FLAT],
        "per_ns": SECOND,
        "burst_ns": SECOND,
    } | curve
    with pytest.raises(ValueError, match=says):
        Curve(**given)


@pytest.mark.parametrize(
    ("spec", "says"),
    [
        ({"name": ""}, "name"),
        ({"unit": ""}, "unit"),
        ({"per_ns": 0}, "per_ns"),
        ({"ceiling_micro": 2**63}, "more than a meter counts"),
        ({"measure": "concurrency"}, "belongs to rates"),
        ({"keys_max": 0}, "keys_max"),
        ({"keys_max": 100_000_001}, "keys_max"),
        ({"scale_ppm": [("a", MICRO)]}, "needs keys"),
        ({"keys_max": 1, "scale_ppm": [("a", MICRO), ("b", MICRO)]}, "number of scaled keys"),
        ({"keys_max": 9, "scale_ppm": [("a", MICRO), ("a", MICRO)]}, "twice"),
        ({"keys_max": 9, "scale_ppm": [("a", 0)]}, "scale"),
        ({"born": "half"}, "full or empty"),
        ({"measure": "quota", "per_ns": 0, "born": "empty"}, "born empty"),
        ({"keys_max": 9, "durable": True}, "durable"),
    ],
)
def test_meters_that_mean_nothing(spec: dict[str, Any], says: str):
    """Caught where they are made, not where they are declared."""
    given = {"name": "m", "measure": "rate", "ceiling_micro": MICRO, "per_ns": SECOND} | spec
    with pytest.raises(ValueError, match=says):
        MeterSpec(**given)


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ({"steps": []}, "1 to 16"),
        ({"steps": [(f"m{index}", MICRO, False) for index in range(17)]}, "1 to 16"),
        ({"steps": [("m", MICRO, False), ("m", MICRO, False)]}, "twice"),
        ({"steps": [("m", 2**63, False)]}, "factor"),
        ({"cost_ppm": 0}, "cost"),
        ({"mode": "dream"}, "no mode"),
    ],
)
def test_paths_that_mean_nothing(path: dict[str, Any], says: str):
    """A path has a handful of meters, each once."""
    given = {"contract": "api", "workload": "web", "steps": [("m", MICRO, False)]} | path
    with pytest.raises(ValueError, match=says):
        PathSpec(**given)


@pytest.mark.parametrize("units", [0, -1, 2**64, 10**30])
def test_a_demand_of_no_or_too_many_units_is_an_error_not_a_refusal(units: int):
    """Nothing is counted for it."""
    limiter = rate(10).limiter
    for demand in (
        limiter.try_acquire,
        limiter.reserve,
        limiter.probe,
        limiter.acquire,
        limiter.acquire_async,
        limiter.ticket,
    ):
        with pytest.raises(ValueError, match="units"):
            demand(units)
    assert 0 == limiter.reading().admitted + limiter.reading().refused


def test_a_demand_above_the_declared_most_is_an_error_and_the_largest_integer_never_fits():
    """units_max 5: 6 is a mistake. Without one, 2^64 - 1 units are only refused."""
    with pytest.raises(ValueError, match="1 to 5"):
        rate(10, path={"units_max": 5}).limiter.try_acquire(6)
    assert "never_fits" == rate(10).limiter.try_acquire(2**64 - 1).why
    with pytest.raises(TypeError):
        rate(10).limiter.try_acquire("1")


def test_publishing_installs_all_or_none():
    """An unknown meter, one twice, another measure, an old version, a level over four ceilings, another `per`."""
    meters = Meters(Clock.manual())
    meters.declare(
        [
            MeterSpec("a", "rate", ceiling_micro=10 * MICRO, per_ns=SECOND),
            MeterSpec("c", "concurrency", ceiling_micro=MICRO),
        ]
    )
    meters.publish([("a", rate_curve(1, 5))], UTC)
    good = ("c", slots_curve(1, 9))
    bad = [
        ("nobody", rate_curve(1, 6)),
        ("c", slots_curve(1, 9)),
        ("a", slots_curve(1, 6)),
        ("a", quota_curve(1, 6)),
        ("a", rate_curve(1, 5)),
        ("a", rate_curve(1, 4)),
        ("a", rate_curve(41, 6)),
        ("a", rate_curve(1, 6, per_ns=MINUTE)),
    ]
    for curve in bad:
        with pytest.raises((ValueError, KeyError)):
            meters.publish([good, curve], UTC)
    assert [("a", 5)] == [(reading.meter, reading.version) for reading in meters.snapshot()]


def test_declaring_adds_all_or_none_and_a_limiter_needs_its_meters():
    """A name that was declared, also within one call; a meter that was not."""
    meters = Meters()
    one, two = (MeterSpec(name, "concurrency", ceiling_micro=MICRO) for name in ("a", "b"))
    meters.declare([one])
    for specs in ([two, one], [two, two]):
        with pytest.raises(ValueError, match="before"):
            meters.declare(specs)
    with pytest.raises(KeyError, match="b"):
        meters.limiter(PathSpec("api", "web", [("b", MICRO, False)]))
    with pytest.raises(ValueError, match="keyed"):
        meters.limiter(PathSpec("api", "web", [("a", MICRO, True)]))


def test_what_is_frozen_says_what_it_was_given():
    """Curves and segments read back as they were made."""
    segment = Segment(1, 5, 2, 3)
    curve = Curve("quota", 7, "launch", [segment], window=[1, 9], raises_when="dba approves")

    assert (1, 5, 2, 3) == (segment.start_ns, segment.end_ns, segment.from_micro, segment.to_micro)
    assert ("quota", 7, "launch", (segment,)) == (curve.measure, curve.version, curve.stage, curve.segments)
    assert (0, 0, (1, 9), "dba approves") == (curve.per_ns, curve.burst_ns, curve.window, curve.raises_when)
    assert [2, 2, 2, 3, 3] == [curve.limit_micro(at) for at in (-9, 1, 3, 5, 99)]
    with pytest.raises(AttributeError):
        curve.version = 8  # type: ignore[misc]


def test_a_manual_clock_moves_only_by_hand_and_the_machines_does_not():
    """Forward and back, never below zero."""
    clock = Clock.manual(5)
    clock.advance(10)
    clock.advance(-3)
    assert (12, True, False) == (clock.boot_ns(), clock.is_manual, Clock().is_manual)
    assert Clock().boot_ns() <= Clock().boot_ns()
    for wrong in (-13, sys.maxsize):
        with pytest.raises(ValueError, match="12"):
            clock.advance(wrong)
    with pytest.raises(ValueError, match="machine"):
        Clock().advance(1)
    with pytest.raises(ValueError, match="below zero"):
        Clock.manual(-1)


def test_grains_are_finer_for_slower_limits():
    """And out of bounds without a period."""
    assert grains_log2(MICRO, 86_400 * SECOND) > grains_log2(MICRO, SECOND) > grains_log2(1_000 * MICRO, SECOND)
    for ceiling, per_ns in ((MICRO, 0), (MICRO, 32 * 86_400 * SECOND), (2**63, 1)):
        with pytest.raises(ValueError, match=r"per_ns|counts"):
            grains_log2(ceiling, per_ns)
