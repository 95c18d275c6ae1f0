"""How a floor is divided among gates, and what is left to all others."""

from __future__ import annotations

import pytest

from headway.contract.model import Contract
from headway.contract.read import read_text
from headway.engine.floors import gates_of, parts_of, set_aside_micro
from headway.engine.publish import core_curves
from headway.ramp.curve import Curve, Segment

UNIT = 1_000_000
SECOND = 1_000_000_000

TEXT = """\
contract: c
owner: team-x
constraint: {measure: %s}
workloads: {other: {}}
ramp: [{stage: now, limit: %s}]
enforce: {floor: %s, gates: %s}
"""


def contract(measure: str, limit: str, floor: str, gates: str) -> Contract:
    reading = read_text((TEXT % (measure, limit, floor, gates)).encode())
    reading.require()
    (document,) = reading.documents
    assert isinstance(document.model, Contract)
    return document.model


def test_slots_are_divided_whole_the_first_names_first() -> None:
    pool = contract("concurrency", "20", "8", "[a, b, c]")
    assert [[(3 * UNIT, 0, 0), (3 * UNIT, 0, 0), (2 * UNIT, 0, 0)]] == parts_of(pool)
    assert ("a", "b", "c") == gates_of(pool)


def test_a_rate_is_divided_evenly_and_its_parts_hold_less_than_its_burst() -> None:
    """A floor of 10 a second with a burst of half a second is 5; less the one that any meter holds, 2 for each of two."""
    api = contract("rate, per: 1s, burst: 500ms", "100", "10", "[a, b]")
    assert [[(5 * UNIT, SECOND, 2 * UNIT)] * 2] == parts_of(api)


def test_whoever_comes_first_has_a_part_where_no_names_are_given() -> None:
    """All alike: after a restart another may be the first. The seventh slot is set aside for nobody."""
    pool = contract("concurrency", "20", "7", "{max: 3}")
    assert [[(2 * UNIT, 0, 0)] * 3] == parts_of(pool)
    assert gates_of(pool) is None


def test_of_several_dimensions_each_has_its_own_and_of_rates_the_slowest_counts() -> None:
    assert [[(2 * UNIT, 0, 0)] * 2, [(30 * UNIT, 60 * SECOND, 29 * UNIT)] * 2] == parts_of(contract_of_three())


def contract_of_three() -> Contract:
    text = """\
contract: c
owner: team-x
constraint:
  a: {measure: rate, per: 1s, burst: 1m}
  b: {measure: rate, per: 1m}
  s: {measure: concurrency}
workloads: {other: {}}
ramp: [{stage: now, limit: {a: 100, b: 600, s: 50}}]
enforce: {floor: {a: 10, b: 60, s: 4}, gates: [x, y]}
"""
    reading = read_text(text.encode())
    reading.require()
    (document,) = reading.documents
    assert isinstance(document.model, Contract)
    return document.model


@pytest.mark.parametrize(("gates", "aside"), [("[a, b]", 8), ("{max: 8}", 8)])
def test_what_is_set_aside_is_on_no_meter(gates: str, aside: int) -> None:
    pool = contract("concurrency", "20", "8", gates)
    assert aside * UNIT == set_aside_micro(pool, "")
    curve = Curve(1, "now", {"": (Segment(0, 10, 20 * UNIT, 8 * UNIT), Segment(10, None, 8 * UNIT, 8 * UNIT))})
    ((_, published),) = core_curves(pool, curve, 1, {})
    assert [(12 * UNIT, 0), (0, 0)] == [(one.from_micro, one.to_micro) for one in published.segments]


def test_a_floor_without_names_is_nobodys() -> None:
    text = (TEXT % ("concurrency", "20", "8", "[a]")).replace(", gates: [a]", "")
    (document,) = read_text(text.encode()).documents
    assert isinstance(document.model, Contract)
    assert ([], 0) == (parts_of(document.model), set_aside_micro(document.model, ""))
