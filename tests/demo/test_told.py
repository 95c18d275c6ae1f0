"""What a person was told is held against the ledger: acknowledged and missing, half done, refused and done are found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from headway.ledger import Record
from tests.demo.hand import Given, Wish, mark_of
from tests.demo.making import Fact, told
from tests.demo.told import untrue

HELD: Fact = ("held", "shop-api", 5, {"cause": "person"})
BACK: Fact = ("stepped_back", "shop-api", 5, {"stage": 0})
LESS: Fact = ("overridden", "shop-api", 5, {"value_micro": {"": 20_000_000}, "until_ms": 5_900})
ENDED: Fact = ("override_ended", "shop-api", 6, {})

HOLD = Wish("shop-api", "hold")
OVERRIDE = Wish("shop-api", "override", {"value": 20, "until": "900ms"})


def ledger(*facts: Fact) -> list[Record]:
    """Entries that carry the first verb's mark."""
    return told(*facts, reason=f"hold {mark_of(1)}")


def shown(records: Sequence[Record]) -> dict[str, Any]:
    """The answer that a done verb gets."""
    names = ("kind", "contract", "at_ms", "actor", "reason", "evidence", "body")
    entries = [{name: getattr(one.entry, name) for name in names} for one in records]
    return {"seqs": [one.seq for one in records], "entries": entries}


def given(wish: Wish = HOLD, status: int | None = 200, answer: Mapping[str, Any] | None = None) -> Given:
    """Sent just before 5 s and ended just after; by itself without an answer."""
    return Given(1, wish, 4_999, 5_001, None if status is None else 5, status, answer or {})


def test_an_acknowledged_verb_that_is_in_the_ledger_is_true():
    """Word for word, in its time."""
    records = ledger(HELD)

    assert [] == untrue([given(answer=shown(records))], records)


def test_an_acknowledged_verb_that_is_lost_is_found():
    """The answer names a place in the ledger that holds nothing, or something else."""
    records = ledger(HELD)
    one = given(answer=shown(records))

    assert "hold shop-api [given 1] was acknowledged and is not in the ledger" in untrue([one], [])
    changed = [replace(records[0], entry=replace(records[0].entry, actor="token:other"))]
    assert 1 == len(untrue([one], changed))
    assert "which the ledger keeps as" in untrue([one], changed)[0]


def test_a_verb_that_is_acknowledged_before_anything_is_written_is_found():
    """No entries, no places: only a step back may change nothing."""
    nothing: Mapping[str, Any] = {"seqs": [], "entries": []}

    assert ["hold shop-api [given 1] was acknowledged and is not in the ledger"] == untrue([given(answer=nothing)], [])
    assert [] == untrue([given(Wish("shop-api", "step-back"), answer=nothing)], [])
    half: Mapping[str, Any] = {"seqs": [], "entries": [{}]}
    assert "hold shop-api [given 1] was acknowledged with 1 entries at 0 places" in untrue([given(answer=half)], [])


def test_a_verb_without_an_answer_is_there_or_not():
    """Both are true; nobody was told anything."""
    assert [] == untrue([given(status=None)], []) + untrue([given(status=None)], ledger(HELD))


def test_a_verb_that_is_done_twice_or_in_part_is_found():
    """A step back may hold as well; a hold holds once."""
    assert ["hold shop-api [given 1] is in the ledger as held, held"] == untrue(
        [given(status=None)], ledger(HELD, HELD)
    )
    back = given(Wish("shop-api", "step-back"), status=None)
    assert [] == untrue([back], ledger(BACK, HELD)) + untrue([back], ledger(BACK))
    assert ["step-back shop-api [given 1] is in the ledger as held, stepped_back"] == untrue([back], ledger(HELD, BACK))


def test_a_refused_verb_that_is_done_is_found():
    """Refused means that nothing changed."""
    assert [] == untrue([given(status=409)], [])
    assert ["hold shop-api [given 1] was answered 409 and is in the ledger as held"] == untrue(
        [given(status=409)], ledger(HELD)
    )


def test_an_answer_that_is_our_mistake_is_found():
    """A server that lives answers what it could not do, not that it failed."""
    assert ["hold shop-api [given 1] was answered 500: {}"] == untrue([given(status=500)], [])


def test_a_verb_out_of_its_time_or_place_is_found():
    """It was decided between the sending and the answer, on the contract it was given for."""
    late: Fact = ("held", "shop-api", 7, {"cause": "person"})
    other: Fact = ("held", "orders-db", 5, {"cause": "person"})

    assert ["hold shop-api [given 1] was given between 4999 and 5001 and entered at 7000"] == untrue(
        [given(status=None)], ledger(late)
    )
    assert ["hold shop-api [given 1] is in the ledger for orders-db"] == untrue([given(status=None)], ledger(other))


def test_an_override_is_what_was_asked_for():
    """The value, and the end that it was given; that it ended by itself later is no second doing."""
    one = given(OVERRIDE, status=None)
    ended = [*ledger(LESS), *told(ENDED, reason=f"its time is over: hold {mark_of(1)}", actor="headway")]

    assert [] == untrue([one], ledger(LESS)) + untrue([one], ended)
    more: Fact = (*LESS[:3], {**LESS[3], "value_micro": {"": 30_000_000}})
    longer: Fact = (*LESS[:3], {**LESS[3], "until_ms": 6_900})
    assert ["override shop-api [given 1] overrode with {'': 30000000}"] == untrue([one], ledger(more))
    assert ["override shop-api [given 1] lasts until 6900, asked for 900 ms at 4999"] == untrue([one], ledger(longer))


def test_an_approval_is_for_what_was_approved():
    """Another stage is another yes."""
    one = given(Wish("orders-db", "approve", {"stage": "replica", "group": "dba"}), status=None)
    right: Fact = ("approved", "orders-db", 5, {"stage": "replica", "group": "dba"})
    wrong: Fact = ("approved", "orders-db", 5, {"stage": "target", "group": "dba"})

    assert [] == untrue([one], ledger(right))
    assert ["approve orders-db [given 1] approved target for dba"] == untrue([one], ledger(wrong))
