"""The walk over a ledger's entries has power: every way in which a ramp could be wrong is found, up and down."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from examples.shop.demo import CONTRACTS
from headway.contract.model import Contract
from headway.contract.read import read_paths
from headway.ledger import Record
from headway.ramp.entries import EntryKind
from headway.ramp.state import RampState, fold
from tests.demo.making import CPU, EVENT, YES, Fact, applied, course, entered, told
from tests.demo.ramps import apart, walk

UP: list[Fact] = [applied("orders-db"), *CPU, EVENT, YES, entered("orders-db", 30, 1)]
"""The pool in its second stage, at 30 s."""


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return read_paths([CONTRACTS]).contracts


def wrong(contracts: dict[str, Contract], *facts: Fact) -> list[str]:
    return walk(told(*facts), contracts)[1]


def verb(kind: EntryKind, contract: str, at_s: float, **body: Any) -> Fact:
    return (kind, contract, at_s, body)


def down(kind: EntryKind, contract: str, at_s: float, stage: int) -> Fact:
    return verb(kind, contract, at_s, stage=stage, floor=False, left=["replica"], course=course(at_s, 1))


def states(records: list[Record], contracts: dict[str, Contract]) -> dict[str, RampState]:
    """What the machine keeps of the same entries."""
    kept: dict[str, RampState] = {}
    for record in records:
        name = record.entry.contract
        kept[name] = fold(contracts[name], kept.get(name), record.entry)
    return kept


def test_a_ramp_as_it_should_be_is_not_accused(contracts: dict[str, Contract]):
    """Event, upstream, approval, entry; then the soak, and the last stage."""
    assert [] == wrong(contracts, *UP, entered("orders-db", 42, 2))


def test_a_stage_that_was_skipped_is_found(contracts: dict[str, Contract]):
    """From the first to the third."""
    found = wrong(contracts, applied("orders-db"), *CPU, EVENT, YES, entered("orders-db", 30, 2))

    assert "orders-db entered stage 2 from stage 0" in found


def test_a_stage_entered_twice_is_found(contracts: dict[str, Contract]):
    """A restart that forgot the first entry would write a second one."""
    assert ["orders-db entered stage 1 from stage 1"] == wrong(contracts, *UP, entered("orders-db", 31, 1))


def test_a_stage_entered_before_all_it_waits_for_is_found(contracts: dict[str, Contract]):
    """Each missing condition is named: the event, the approval, the upstream."""
    assert [
        "orders-db entered replica before replica.promoted was seen",
        "orders-db entered replica without the approval of dba",
        "orders-db entered replica while orders-cpu was not at replica",
        "orders-db stays in replica while orders-cpu is not at replica",
    ] == wrong(contracts, applied("orders-db"), entered("orders-db", 30, 1))


def test_an_approval_of_another_stage_does_not_count(contracts: dict[str, Contract]):
    """A yes for the target is none for the replica."""
    other = verb("approved", "orders-db", 30, stage="target", group="dba")

    found = wrong(contracts, applied("orders-db"), *CPU, EVENT, other, entered("orders-db", 30, 1))

    assert ["orders-db entered replica without the approval of dba"] == found


def test_a_soak_that_cannot_have_been_earned_is_found(contracts: dict[str, Contract]):
    """12 s of use do not fit into 3 s of a stage, unless a person said to skip them."""
    assert ["orders-db entered target 3000 ms after the stage before, with a soak of 12000 ms"] == wrong(
        contracts, *UP, entered("orders-db", 33, 2)
    )
    assert ["orders-db earned a soak of [4000] ms within 3000 ms"] == wrong(
        contracts, *UP, verb("soaked", "orders-db", 33, earned_ms=[4000], until_ms=33_000)
    )
    assert [] == wrong(contracts, *UP, verb("advanced", "orders-db", 32, stage=2), entered("orders-db", 33, 2))


def test_a_requirement_that_still_climbs_does_not_count(contracts: dict[str, Contract]):
    """The quota waits until the shop has arrived, 15 s after it entered its target."""
    shop: list[Fact] = [applied("shop-api"), *CPU, entered("shop-api", 30, 1)]
    shop += [verb("arrived", "shop-api", 40, arrived_at_ms=40_000), entered("shop-api", 50, 2)]
    arrived = verb("arrived", "shop-api", 65, arrived_at_ms=65_000)

    assert [
        "tenant-exports entered generous while shop-api was not at target",
        "tenant-exports stays in generous while shop-api is not at target",
    ] == wrong(contracts, applied("tenant-exports"), *shop, entered("tenant-exports", 64, 1))
    assert [] == wrong(contracts, applied("tenant-exports"), *shop, arrived, entered("tenant-exports", 65, 1))


def test_a_climb_arrives_when_its_curve_says(contracts: dict[str, Contract]):
    """10 s of climb from 30 s on, of which a hold at 33 s leaves 7 s, resumed at 50 s: it arrives at 57 s."""
    climb: list[Fact] = [applied("shop-api"), entered("shop-api", 30, 1)]
    stopped = [verb("held", "shop-api", 33, cause="person"), verb("resumed", "shop-api", 50)]

    def arrives(at_s: int) -> Fact:
        return verb("arrived", "shop-api", at_s, arrived_at_ms=at_s * 1000)

    assert [] == wrong(contracts, *climb, arrives(40)) + wrong(contracts, *climb, *stopped, arrives(57))
    assert ["shop-api arrived at grown at 39000, its climb ends at 40000"] == wrong(contracts, *climb, arrives(39))
    assert ["shop-api arrived at grown at 52000, its climb ends at 57000"] == wrong(
        contracts, *climb, *stopped, arrives(52)
    )


def test_who_requires_falls_in_the_same_instant(contracts: dict[str, Contract]):
    """A step back of the upstream without the fall of who stands on it: half of a verb was done."""
    back = down("stepped_back", "orders-cpu", 35, 0)

    assert ["orders-db stays in replica while orders-cpu is not at replica"] == wrong(contracts, *UP, back)
    assert [] == wrong(contracts, *UP, back, down("fell", "orders-db", 35, 0))
    assert "orders-db stays in replica while orders-cpu is not at replica" in wrong(
        contracts, *UP, back, down("fell", "orders-db", 36, 0)
    )


def test_an_override_below_a_stage_makes_it_no_support(contracts: dict[str, Contract]):
    """20 of 40 workers: what stands on the replica falls; nothing is entered while it lasts."""
    less = verb("overridden", "orders-cpu", 35, value_micro={"": 20_000_000}, until_ms=40_000)

    assert ["orders-db stays in replica while orders-cpu is not at replica"] == wrong(contracts, *UP, less)
    own = verb("overridden", "orders-db", 35, value_micro={"": 2_000_000}, until_ms=60_000)
    assert ["orders-db entered target while an override pressed it"] == wrong(
        contracts, *UP, own, entered("orders-db", 50, 2)
    )


def test_an_override_that_ends_early_or_under_a_hold_is_found(contracts: dict[str, Contract]):
    """Its end raises: not before its time, and not while a person holds the ramp."""
    own = verb("overridden", "orders-db", 35, value_micro={"": 2_000_000}, until_ms=40_000)
    hold = verb("held", "orders-db", 36, cause="person")

    assert [] == wrong(contracts, *UP, own, verb("override_ended", "orders-db", 40))
    assert ["orders-db ended an override at 39000, which was (2000000, 40000)"] == wrong(
        contracts, *UP, own, verb("override_ended", "orders-db", 39)
    )
    assert ["orders-db was raised by the end of an override while it was held"] == wrong(
        contracts, *UP, own, hold, verb("override_ended", "orders-db", 40)
    )


def test_a_hold_holds(contracts: dict[str, Contract]):
    """No stage is entered until it is resumed; it is neither held nor resumed twice."""
    hold, resume = verb("held", "orders-db", 40, cause="person"), verb("resumed", "orders-db", 44)

    assert ["orders-db entered target while it was held"] == wrong(contracts, *UP, hold, entered("orders-db", 44, 2))
    assert [] == wrong(contracts, *UP, hold, resume, entered("orders-db", 44, 2))
    assert ["orders-db was held, and nothing was left to hold"] == wrong(contracts, *UP, hold, hold)
    assert ["orders-db was resumed and not held"] == wrong(contracts, *UP, resume)


def test_after_a_step_back_the_approval_is_wanted_again(contracts: dict[str, Contract]):
    """The yes of before counts no more; after a fall it does."""
    back, fall = down("stepped_back", "orders-db", 35, 0), down("fell", "orders-db", 35, 0)
    cpu = [down("stepped_back", "orders-cpu", 35, 0), entered("orders-cpu", 36, 1)]

    assert ["orders-db entered replica without the approval of dba"] == wrong(
        contracts, *UP, back, entered("orders-db", 40, 1)
    )
    assert [] == wrong(contracts, *UP, back, verb(*YES[:2], 39, **YES[3]), entered("orders-db", 40, 1))
    assert [] == wrong(contracts, *UP, cpu[0], fall, cpu[1], entered("orders-db", 36, 1))


def test_a_ramp_that_is_over_moves_no_more(contracts: dict[str, Contract]):
    """Aborted: nothing is entered, held or approved after it."""
    end = down("aborted", "orders-db", 35, 0)

    assert [] == wrong(contracts, *UP, end)
    assert "orders-db entered replica after its ramp was over" in wrong(
        contracts, *UP, end, entered("orders-db", 40, 1)
    )
    assert ["orders-db was held, and nothing was left to hold"] == wrong(
        contracts, *UP, end, verb("held", "orders-db", 40, cause="person")
    )


def test_states_that_the_machine_keeps_are_what_the_entries_say(contracts: dict[str, Contract]):
    """The fold and the walk share no code and agree; each thing that could be forgotten in a state is missed."""
    hold = verb("held", "orders-db", 40, cause="person")
    less = verb("overridden", "orders-db", 41, value_micro={"": 2_000_000}, until_ms=60_000)
    records = told(*((kind, name, at_s, {**FILLED, **body}) for kind, name, at_s, body in (*UP, hold, less)))
    walked, found = walk(records, contracts)
    kept = states(records, contracts)
    pool = kept["orders-db"]

    assert [] == found + apart(walked, kept)
    for forgets in ({"held": None}, {"overridden": None}, {"approvals": ()}, {"events": ()}, {"stage": 0}):
        assert 1 == len(apart(walked, {**kept, "orders-db": replace(pool, **forgets)})), forgets
    assert ["orders-db was applied and is not kept"] == apart(walked, {"orders-cpu": kept["orders-cpu"]})
    assert ["shop-api is kept and was never applied"] == apart(walked, {**kept, "shop-api": pool})


FILLED = {"source": "", "id": "1", "at_ms": 0, "time_ms": None, "terms_digest": "", "single_user": True}
"""What the fold wants of events and approvals beside what the walk looks at."""
