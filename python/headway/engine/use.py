"""How much of a contract's limit is in use, from what the meters say: the readings that soak is earned by.

Only what is certain counts. A rate is what was charged over what it was entitled to, between two readings. A sample
(what is in flight, what a window has used) stands for the span between two readings by the lesser of both. Over keys, a
rate without a total counts by the mean of its live keys, which is never more than the largest.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from headway._core import MeterReading
from headway.contract.model import Contract
from headway.engine.specs import PPM, total_of
from headway.ramp.observations import Use

PPM_MOST = 2 * PPM
"""More use than this says nothing more."""


def use_between(
    contract: Contract, before: Mapping[str, MeterReading], after: Mapping[str, MeterReading], from_ms: int, at_ms: int
) -> Use:
    """The largest use of a contract's dimensions between two readings of its meters.

    None in it where nothing was read.
    """
    shares = [
        share
        for dimension in contract.constraint
        if (share := _share_ppm(contract, dimension, before, after)) is not None
    ]
    return Use(at_ms=at_ms, from_ms=from_ms, use_ppm=max(shares) if shares else None)


def by_meter(readings: Iterable[MeterReading]) -> dict[str, MeterReading]:
    """Readings by their meter's name."""
    return {reading.meter: reading for reading in readings}


def of_contract(contract: Contract, readings: Mapping[str, MeterReading]) -> dict[str, MeterReading]:
    """The readings of one contract's meters."""
    meters = [contract.meter(dimension) for dimension in contract.constraint]
    return {name: readings[name] for meter in meters for name in (meter, total_of(meter)) if name in readings}


def _share_ppm(
    contract: Contract, dimension: str, before: Mapping[str, MeterReading], after: Mapping[str, MeterReading]
) -> int | None:
    keyed = contract.each is not None
    meter = contract.meter(dimension)
    if keyed and contract.constraint[dimension].measure == "rate" and total_of(meter) in after:
        meter, keyed = total_of(meter), False
    old, new = before.get(meter), after.get(meter)
    if old is None or new is None:
        return None
    if contract.constraint[dimension].measure != "rate":
        return min(_sample_ppm(old), _sample_ppm(new))
    entitled = new.entitled_micro - old.entitled_micro
    charged = new.charged_micro - old.charged_micro
    keys = max(1, old.keys_live, new.keys_live) if keyed else 1
    return min(PPM_MOST, max(0, charged) * PPM // (entitled * keys)) if entitled > 0 else None


def _sample_ppm(reading: MeterReading) -> int:
    return min(PPM_MOST, reading.use_micro * PPM // reading.limit_micro) if reading.limit_micro > 0 else PPM_MOST
