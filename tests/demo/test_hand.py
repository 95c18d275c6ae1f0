"""What the hand gives: only what could be done, everything there is to give, and the same for the same seed."""

from __future__ import annotations

import random
from typing import Any

from tests.demo.hand import Wish, choose


def row(contract: str, **changed: Any) -> dict[str, Any]:
    """A contract as the API lists it, running in its second stage of three."""
    return {
        "contract": contract,
        "status": "running",
        "stage": {"index": 1},
        "next_stage": "target",
        "limit": {"": {"limit_micro": 16_000_000}},
        "held": None,
        "overridden": None,
        **changed,
    }


def wishes(*rows: dict[str, Any], approves: bool = False, aborts: bool = False) -> list[Wish]:
    """A thousand of them."""
    chance = random.Random(1)
    return [choose(rows, chance, approves=approves, aborts=aborts) for _ in range(1000)]


def test_a_ramp_on_its_way_can_be_held_stepped_back_overridden_and_advanced():
    """Approved and aborted only where that is asked for."""
    assert {"hold", "step-back", "override", "advance"} == {one.verb for one in wishes(row("orders-db"))}
    assert {"approve"} == {one.verb for one in wishes(row("orders-db"), approves=True)} - {
        one.verb for one in wishes(row("orders-db"))
    }
    assert "abort" in {one.verb for one in wishes(row("shop-api"), aborts=True)}


def test_the_pool_is_never_aborted():
    """Its ramp goes on to the end of every history."""
    assert "abort" not in {one.verb for one in wishes(row("orders-db"), aborts=True)}


def test_a_first_stage_is_not_stepped_back_and_a_last_one_not_advanced():
    """What is not there is not asked for."""
    only = row("visitor-lookups", stage={"index": 0}, next_stage=None)

    assert {"hold", "override"} == {one.verb for one in wishes(only)}


def test_what_is_held_is_soon_resumed():
    """It is the most likely thing to be done, and never held twice."""
    verbs = [one.verb for one in wishes(row("shop-api", held={"by": "x"}, overridden={"by": "x"}))]

    assert "hold" not in verbs
    assert verbs.count("resume") > 700


def test_a_ramp_that_is_over_is_left_alone():
    """An aborted contract answers every verb with a refusal; one of each history is enough."""
    over = row("shop-api", status="aborted")

    assert {"orders-db"} == {one.contract for one in wishes(over, row("orders-db"))}


def test_an_override_is_mostly_less_and_always_ends():
    """Whole numbers from 1 up, within seconds."""
    values = [one.fields["value"] for one in wishes(row("orders-db")) if one.verb == "override"]
    ends = {one.fields["until"][-2:] for one in wishes(row("orders-db")) if one.verb == "override"}

    assert {4, 8, 12, 20} == set(values)
    assert sum(value < 16 for value in values) > len(values) / 2
    assert {"ms"} == ends


def test_the_same_seed_gives_the_same_verbs():
    """A run can be told again, as far as the machine's timing lets it."""
    assert wishes(row("orders-db")) == wishes(row("orders-db"))
