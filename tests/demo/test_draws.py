"""The durable count of exports is held against what was there before and what was admitted; a forgetting start is found."""

from __future__ import annotations

import pytest

from examples.shop.count import Admission
from examples.shop.demo import CONTRACTS
from examples.shop.verdict import DAY_MS, Clocks
from headway.contract.model import Contract
from headway.contract.read import read_paths
from tests.demo.draws import forgotten_draws, underdrawn, undrawn
from tests.demo.hand import FirstUse

TODAY, NOON = 3 * DAY_MS, 3 * DAY_MS + DAY_MS // 2
CLOCKS = Clocks(0, 1_000_000)


@pytest.fixture(scope="module")
def exports() -> Contract:
    return read_paths([CONTRACTS]).contracts["tenant-exports"]


def ordered(tenant: str, at_ms: int = NOON, units: int = 1) -> Admission:
    return Admission(1, "tenant-exports", "reporting", tenant, units, at_ms * 10**6, at_ms * 10**6 + 1, None)


def test_draws_that_are_less_than_before_are_found():
    """Nothing gives an export back; only those of days that are over may go."""
    before = {("birch", TODAY): 3_000_000, ("birch", TODAY - DAY_MS): 9_000_000}

    assert [] == undrawn(before, {("birch", TODAY): 3_000_000, ("elm", TODAY): 1_000_000})
    assert ["birch had drawn 3000000 and has drawn 2000000"] == undrawn(before, {("birch", TODAY): 2_000_000})
    assert ["birch had drawn 3000000 and has drawn 0"] == undrawn(before, {("elm", TODAY): 1_000_000})
    assert 2 == len(undrawn(before, {}))


def test_what_was_admitted_without_being_drawn_is_found():
    """Drawn first, admitted then: what is admitted is never more. Yesterday's are not asked for today."""
    drawn = {("birch", TODAY): 1_900_000}

    assert [] == underdrawn([ordered("birch"), ordered("birch", NOON - DAY_MS)], CLOCKS, drawn)
    assert ["birch was admitted 2 exports, and 1900000 micro-exports were drawn"] == underdrawn(
        [ordered("birch"), ordered("birch")], CLOCKS, drawn
    )
    assert ["elm was admitted 1 exports, and 0 micro-exports were drawn"] == underdrawn([ordered("elm")], CLOCKS, drawn)


def test_a_life_that_begins_with_less_used_than_was_drawn_is_found(exports: Contract):
    """After a kill all that was drawn counts as used; acme has a scale and a count of its own, and yesterday is over."""
    before = {("birch", TODAY): 3_400_000, ("acme", TODAY): 9_000_000, ("elm", TODAY - DAY_MS): 5_000_000}

    assert [] == forgotten_draws(before, FirstUse(NOON, 3_400_000), exports)
    assert ["a life began with 0 micro-exports used, and 3400000 were drawn before it"] == forgotten_draws(
        before, FirstUse(NOON, 0), exports
    )
    assert [] == forgotten_draws(before, FirstUse(NOON + DAY_MS, 0), exports)
