"""The check after each kill has power: every way a ledger could be wrong is found."""

from __future__ import annotations

import pytest

from examples.shop.count import Act, Reading
from examples.shop.demo import CONTRACTS
from examples.shop.verdict import Clocks
from headway.contract.model import Contract
from headway.contract.read import read_paths
from headway.ledger import Record
from headway.ramp.entries import Entry, EntryKind
from tests.demo.facts import forgotten, limits_above, rewritten, wrong_ramps

TERMS = "t" * 64

Fact = tuple[EntryKind, str, int, dict[str, object]]


@pytest.fixture(scope="module")
def contracts() -> dict[str, Contract]:
    return read_paths([CONTRACTS]).contracts


def told(*facts: Fact) -> list[Record]:
    """A ledger of (kind, contract, seconds, body)."""
    entries = [Entry(kind, contract, at_s * 1000, "headway", "", {}, body) for kind, contract, at_s, body in facts]
    return [Record(seq, entry, 1, "d", "h") for seq, entry in enumerate(entries, start=1)]


def applied(contract: str) -> Fact:
    return ("applied", contract, 0, {"version": 1, "digest": "d", "terms_digest": TERMS})


def entered(contract: str, at_s: int, stage: int, level: int = 0) -> Fact:
    flat = {"": level * 1_000_000}
    course = {
        "start_ms": at_s * 1000,
        "end_ms": at_s * 1000,
        "from_micro": flat,
        "to_micro": flat,
        "remaining_ms": None,
    }
    return ("entered", contract, at_s, {"stage": stage, "name": "", "course": course})


EVENT: Fact = ("event", "orders-db", 20, {"type": "replica.promoted"})
YES: Fact = ("approved", "orders-db", 30, {"stage": "replica", "group": "dba"})
CPU: list[Fact] = [
    applied("orders-cpu"),
    ("event", "orders-cpu", 20, {"type": "replica.promoted"}),
    entered("orders-cpu", 20, 1),
]


def test_a_ramp_as_it_should_be_is_not_accused(contracts: dict[str, Contract]):
    """Event, upstream, approval, entry; then the soak, and the last stage."""
    records = told(applied("orders-db"), *CPU, EVENT, YES, entered("orders-db", 30, 1), entered("orders-db", 42, 2))

    assert [] == wrong_ramps(records, contracts)


def test_a_stage_that_was_skipped_is_found(contracts: dict[str, Contract]):
    """From the first to the third."""
    records = told(applied("orders-db"), *CPU, EVENT, YES, entered("orders-db", 30, 2))

    assert ["orders-db entered its stages as [2]"] == wrong_ramps(records, contracts)


def test_a_stage_entered_twice_is_found(contracts: dict[str, Contract]):
    """A restart that forgot the first entry would write a second one."""
    records = told(applied("orders-db"), *CPU, EVENT, YES, entered("orders-db", 30, 1), entered("orders-db", 31, 1))

    assert ["orders-db entered its stages as [1, 1]"] == wrong_ramps(records, contracts)


def test_a_stage_entered_before_all_it_waits_for_is_found(contracts: dict[str, Contract]):
    """Each missing condition is named: the event, the approval, the upstream."""
    alone = told(applied("orders-db"), entered("orders-db", 30, 1))

    assert [
        "orders-db entered replica before replica.promoted was seen",
        "orders-db entered replica without the approval of dba",
        "orders-db entered replica before orders-cpu was at replica",
    ] == wrong_ramps(alone, contracts)


def test_an_approval_of_another_stage_does_not_count(contracts: dict[str, Contract]):
    """A yes for the target is none for the replica."""
    other: Fact = (
        "approved", "orders-db", 30, {"stage": "target", "group": "dba"},
    )  # fmt: skip
    records = told(applied("orders-db"), *CPU, EVENT, other, entered("orders-db", 30, 1))

    assert ["orders-db entered replica without the approval of dba"] == wrong_ramps(records, contracts)


def test_a_soak_that_cannot_have_been_earned_is_found(contracts: dict[str, Contract]):
    """12 s of use do not fit into 3 s of a stage."""
    records = told(applied("orders-db"), *CPU, EVENT, YES, entered("orders-db", 30, 1), entered("orders-db", 33, 2))

    assert ["orders-db entered target 3000 ms after the stage before, with a soak of 12000 ms"] == wrong_ramps(
        records, contracts
    )


def test_a_requirement_that_still_climbs_does_not_count(contracts: dict[str, Contract]):
    """The quota waits until the shop has arrived, 15 s after it entered its target."""
    shop: list[Fact] = [applied("shop-api"), *CPU, entered("shop-api", 30, 1), entered("shop-api", 50, 2)]
    early = told(applied("tenant-exports"), *shop, entered("tenant-exports", 64, 1))
    later = told(applied("tenant-exports"), *shop, entered("tenant-exports", 65, 1))

    assert ["tenant-exports entered generous while shop-api was still climbing to target"] == wrong_ramps(
        early, contracts
    )
    assert [] == wrong_ramps(later, contracts)


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


def test_a_limit_above_the_ledgers_is_found(contracts: dict[str, Contract]):
    """6 connections until the replica is entered at 30 s, then 16: nothing more, and nothing earlier."""
    records = told(applied("orders-db"), entered("orders-db", 30, 1, level=16))

    only = {"orders-db": contracts["orders-db"]}

    def above(at_s: int, limit: int) -> list[str]:
        return limits_above([Reading(1, at_s * 10**9, "orders-db", limit * 10**6)], Clocks(0, 0), records, only)

    assert [] == above(29, 6) + above(31, 16)
    assert ["orders-db was at 7000000, the ledger says 6000000"] == above(29, 7)
    assert ["orders-db was at 17000000, the ledger says 16000000"] == above(31, 17)
