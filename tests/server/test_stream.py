"""The stream's pure half: how often a client hears of a contract, and where it may resume."""

import json
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.server.stream import SPACING_MS, Pacer, Resume, frame, resume_of


@dataclass(frozen=True)
class Heard:
    id: int
    contract: str = "api"
    kind: str = "entered"
    at_ms: int = 0
    payload: dict[str, Any] = field(default_factory=dict)


def test_the_first_change_goes_out_at_once_and_the_next_ones_are_folded_into_the_newest():
    """Ten changes within 100 ms: the first is sent at once, the tenth 250 ms later, eight are folded into it."""
    pacer = Pacer()
    sent = []
    for n in range(1, 11):
        pacer.hear(Heard(n))
        sent += [(due.change.id, due.folded) for due in pacer.due(n * 10)]

    sent += [(due.change.id, due.folded) for due in pacer.due(10 + SPACING_MS)]

    assert [(1, 0), (10, 8)] == sent
    assert pacer.wait_ms(10 + SPACING_MS) is None


def test_one_contracts_haste_does_not_hold_back_another():
    """`api` has just been heard of and waits; `db` goes out at once."""
    pacer = Pacer()
    pacer.hear(Heard(1))
    pacer.due(0)
    pacer.hear(Heard(2))
    pacer.hear(Heard(3, "db"))

    due = pacer.due(100)

    assert [("db", 3)] == [(one.change.contract, one.change.id) for one in due]
    assert SPACING_MS - 100 == pacer.wait_ms(100)


def test_a_client_resumes_before_what_still_waits():
    """Change 3 of `db` is sent while 2 of `api` waits: who is cut off now must get 2 again, so its id is 1."""
    pacer = Pacer()
    pacer.hear(Heard(1))
    pacer.due(0)
    pacer.hear(Heard(2))
    pacer.hear(Heard(3, "db"))

    [due] = pacer.due(100)

    assert 1 == due.resume_id


@given(st.lists(st.tuples(st.integers(0, 120), st.sampled_from("abc")), max_size=200))
def test_no_contract_is_heard_of_more_than_four_times_a_second_and_the_newest_always_arrives(
    steps: list[tuple[int, str]],
):
    """For any rhythm: two changes of one contract are 250 ms apart, ids only grow, and the last one of each is sent."""
    pacer, now, sent, last = Pacer(), 0, [], {}
    for number, (pause, name) in enumerate(steps, 1):
        now += pause
        pacer.hear(Heard(number, name))
        last[name] = number
        sent += [(now, due) for due in pacer.due(now)]
    while (wait := pacer.wait_ms(now)) is not None:
        now += wait
        sent += [(now, due) for due in pacer.due(now)]

    for name in "abc":
        times = [at for at, due in sent if due.change.contract == name]
        assert all(later - earlier >= SPACING_MS for earlier, later in pairwise(times))
        assert last.get(name) == max((due.change.id for _, due in sent if due.change.contract == name), default=None)
    assert len(steps) == sum(1 + due.folded for _, due in sent)
    assert all(due.resume_id <= len(steps) for _, due in sent)


def test_a_change_is_one_event_whatever_its_text_says():
    """A reason with line breaks and `data:` in it must not become fields of the stream."""
    pacer = Pacer()
    pacer.hear(Heard(7, payload={"reason": "a\n\ndata: {}\r\nid: 99 \u2028"}))
    [due] = pacer.due(0)

    lines = frame(due, "a1").decode().split("\n")

    assert ["id: a1-7", "event: change", "", ""] == [lines[0], lines[1], *lines[3:]]
    assert "a\n\ndata: {}\r\nid: 99 \u2028" == json.loads(lines[2].removeprefix("data: "))["payload"]["reason"]


@pytest.mark.parametrize(
    ("told", "resume"),
    [
        (None, Resume(None, lost=False)),
        ("", Resume(None, lost=False)),
        ("a1-7", Resume(7, lost=False)),
        (" a1-0 ", Resume(0, lost=False)),
        ("b2-7", Resume(None, lost=True)),
        ("7", Resume(None, lost=True)),
        ("a1--1", Resume(None, lost=True)),
        ("a1-7x", Resume(None, lost=True)),
        ("a1-" + "9" * 19, Resume(None, lost=True)),
        ("a1-٣", Resume(None, lost=True)),
    ],
)
def test_only_an_id_of_this_run_is_a_place_to_resume(told: str | None, resume: Resume):
    """Ids start anew with the process: after a restart 7 is another change, and the client lost its place."""
    assert resume == resume_of(told, "a1")
