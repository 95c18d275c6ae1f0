"""Durable draws of a scaled key: booked under its name, and taken up again after a crash."""

from __future__ import annotations

import threading

from headway._core import Clock, Curve, Growth, Meters, MeterSpec, PathSpec, Segment

DAY_NS = 86_400_000_000_000


def exports(clock: Clock) -> Meters:
    """20 exports a day for each tenant, three times as many for acme; nothing is published yet."""
    meters = Meters(clock)
    scale = [("acme", 3_000_000)]
    meters.declare(
        [MeterSpec("exports", "quota", ceiling_micro=20_000_000, keys_max=10, scale_ppm=scale, durable=True)]
    )
    return meters


def published(meters: Meters) -> Meters:
    curve = Curve("quota", 1, "now", [Segment(0, None, 20_000_000, 20_000_000)], window=(0, DAY_NS))
    meters.publish([("exports", curve)], 1)
    return meters


def test_a_scaled_key_draws_under_its_own_name():
    """The ledger keeps draws by key: one without a name would be nobody's, and a start would not take it."""
    meters = published(exports(Clock.manual()))
    limiter = meters.limiter(PathSpec("exports", "other", [("exports", 1_000_000, True)]))
    drawn: list[Growth] = []

    def ledger() -> None:
        while len({growth.key for growth in drawn}) < 2:
            for growth in meters.growth.take():
                drawn.append(growth)
                meters.growth.answer(growth.batch_id, b"\x01")

    writer = threading.Thread(target=ledger)
    writer.start()
    assert limiter.try_acquire(1, "acme")
    assert limiter.try_acquire(1, "birch")
    writer.join()

    assert {"acme", "birch"} == {growth.key for growth in drawn}


def test_what_a_scaled_key_had_drawn_counts_as_used_after_a_crash():
    """60 of acme's 60 were drawn: nothing is left to it, birch is not touched."""
    meters = exports(Clock.manual())
    meters.restore_drawn([("exports", "acme", 0, 60_000_000)])
    limiter = published(meters).limiter(PathSpec("exports", "other", [("exports", 1_000_000, True)]))

    assert not limiter.probe(1, "acme")
    assert 60_000_000 == limiter.probe(1, "acme").use_micro
