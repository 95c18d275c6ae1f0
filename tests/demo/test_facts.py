"""The check after each kill has power: what was lost, forgotten, or enforced above the ledger's word is found."""

from __future__ import annotations

import pytest

from examples.shop.count import Act, Life, Reading
from examples.shop.count import Record as Count
from examples.shop.demo import CONTRACTS
from headway.contract.model import Contract
from headway.contract.read import read_paths
from tests.demo.facts import forgotten, limits_above, rewritten
from tests.demo.hand import Given, Wish
from tests.demo.making import EVENT, YES, Fact, applied, entered, told

S = 1_000_000_000

CUT: Fact = ("overridden", "orders-db", 40, {"value_micro": {"": 3_000_000}, "until_ms": 60_000})
"""From 16 connections to 3, at 40 s and for 20 s."""

RAMP = told(applied("orders-db"), entered("orders-db", 30, 1, level=16), CUT)


@pytest.fixture(scope="module")
def pool() -> dict[str, Contract]:
    return {"orders-db": read_paths([CONTRACTS]).contracts["orders-db"]}


def count(
    *readings: tuple[float, int], published: tuple[tuple[int, float], ...] = (), born: float | None = None
) -> Count:
    """(seconds, limit) read by the shop; versions it saw published; a second life if one was born."""
    lives = [Life(1, 1, 1, 0, 0, 100 * S, True)]
    if born is not None:
        lives.append(Life(2, 2, 1, round(born * S), 0, 100 * S, True))
    read = tuple(Reading(1, round(at_s * S), "orders-db", limit * 10**6) for at_s, limit in readings)
    seen = {"orders-db": [(version, round(at_s * S)) for version, at_s in published]}
    return Count(tuple(lives), (), {}, ((0, 0),), read, seen, ())


def test_an_acknowledged_act_that_is_not_in_the_ledger_is_found():
    """A person was told yes; a kill must not take that back."""
    acts = [Act(1, "event", "orders-db", "", 5), Act(1, "approval", "orders-db", "replica", 6)]

    assert [] == forgotten(acts, told(EVENT, YES))
    assert ["the approval for orders-db replica was acknowledged and is not in the ledger"] == forgotten(
        acts, told(EVENT)
    )


def test_a_record_that_was_lost_or_changed_is_found():
    """A ledger only grows."""
    before = told(EVENT, YES)

    assert [] == rewritten(before, told(EVENT, YES, EVENT))
    assert ["record 2 was lost or changed"] == rewritten(before, before[:1])
    assert ["record 1 was lost or changed"] == rewritten(before, told(YES, YES))


def test_a_limit_above_the_ledgers_is_found(pool: dict[str, Contract]):
    """6 connections until the replica is entered at 30 s, then 16: nothing more, and nothing earlier."""
    within, early, above = count((29, 6), (31, 16)), count((29, 7)), count((31, 17))

    assert [] == limits_above(within, [], RAMP, pool)
    assert ["orders-db was at 7000000, the ledger says 6000000"] == limits_above(early, [], RAMP, pool)
    assert ["orders-db was at 17000000, the ledger says 16000000"] == limits_above(above, [], RAMP, pool)


def test_a_cut_that_is_known_to_be_in_force_counts_at_once(pool: dict[str, Contract]):
    """16 after the cut to 3 may be its last moment; once the shop saw it published it may not."""
    unknown, seen = count((41, 16)), count((41, 16), published=((3, 40.5),))

    assert [] == limits_above(unknown, [], RAMP, pool)
    assert ["orders-db was at 16000000, the ledger says 3000000"] == limits_above(seen, [], RAMP, pool)
    assert [] == limits_above(count((41, 3), published=((3, 40.5),)), [], RAMP, pool)


def test_a_life_that_is_born_after_a_cut_knows_of_it(pool: dict[str, Contract]):
    """A restart that publishes what was before, though the ledger holds the cut."""
    assert ["orders-db was at 16000000, the ledger says 3000000"] == limits_above(
        count((43, 16), born=42), [], RAMP, pool
    )


def test_a_cut_that_was_answered_is_in_force(pool: dict[str, Contract]):
    """An answer comes after the meters live by the new curve; a verb that was sent before it says nothing of others."""
    shown = {"contract": "orders-db", "at_ms": 40_000}
    given = Given(1, Wish("orders-db", "override"), 39_999, 40_200, round(40.2 * S), 200, {"entries": [shown]})
    other = Given(1, Wish("shop-api", "hold"), 39_999, 40_200, round(40.2 * S), 200, {"entries": []})

    assert ["orders-db was at 16000000, the ledger says 3000000"] == limits_above(count((41, 16)), [given], RAMP, pool)
    assert [] == limits_above(count((41, 16)), [other], RAMP, pool)
