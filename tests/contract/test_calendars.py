"""Open hours: when raises may happen, over weekends, holidays and clock changes."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.contract.calendars import is_open, next_change, next_open
from headway.contract.hours import Dates, Weekly, hours_of
from headway.contract.instants import instant_of
from headway.contract.mistake import Mistake
from headway.contract.model import Calendar

HOUR = 3_600_000
WORK = Calendar(
    name="work-hours",
    zone="America/New_York",
    open=("Mon-Fri 09:00-17:00",),
    closed=("2026-12-24/2027-01-02", "2027-07-05"),
)


def at(text: str) -> int:
    return instant_of(text).utc_ms


def test_work_hours_are_open_from_their_first_millisecond_up_to_their_end() -> None:
    assert not is_open(WORK, at("2026-12-01T09:00 America/New_York") - 1)
    assert is_open(WORK, at("2026-12-01T09:00 America/New_York"))
    assert is_open(WORK, at("2026-12-01T17:00 America/New_York") - 1)
    assert not is_open(WORK, at("2026-12-01T17:00 America/New_York"))


def test_after_friday_comes_monday_and_after_the_holidays_the_first_working_day() -> None:
    assert at("2026-12-07T09:00 America/New_York") == next_open(WORK, at("2026-12-04T18:00 America/New_York"))
    assert at("2027-01-04T09:00 America/New_York") == next_open(WORK, at("2026-12-23T17:00 America/New_York"))


def test_an_open_calendar_is_next_open_now_and_next_changes_at_its_end() -> None:
    now = at("2026-12-01T10:30 America/New_York")

    assert now == next_open(WORK, now)
    assert at("2026-12-01T17:00 America/New_York") == next_change(WORK, now)


def test_without_open_hours_only_what_is_closed_counts() -> None:
    frozen = Calendar(name="freeze", closed=("2026-12-24/2026-12-26",))

    assert is_open(frozen, at("2026-12-24T00:00Z") - 1)
    assert not is_open(frozen, at("2026-12-24T00:00Z"))
    assert not is_open(frozen, at("2026-12-26T23:59Z"))
    assert at("2026-12-27T00:00Z") == next_open(frozen, at("2026-12-24T12:00Z"))
    assert next_change(frozen, at("2027-01-01T00:00Z")) is None


def test_a_calendar_that_never_opens_again_says_so() -> None:
    once = Calendar(name="once", open=("2026-12-01",))
    shut = Calendar(name="shut", open=("Mon-Fri 09:00-17:00",), closed=("00:00-24:00",))

    assert next_open(once, at("2026-12-02T00:00Z")) is None
    assert next_open(shut, at("2026-12-02T00:00Z")) is None


def test_hours_may_run_past_midnight() -> None:
    nights = Calendar(name="nights", open=("Fri 22:00-02:00",))

    assert is_open(nights, at("2026-12-05T01:59Z"))
    assert not is_open(nights, at("2026-12-05T02:00Z"))
    assert not is_open(nights, at("2026-12-04T01:00Z"))


def test_hours_inside_a_gap_begin_at_the_transition_and_have_no_length() -> None:
    """02:00 to 02:30 does not exist in Berlin on 28 March 2027: it is never open that night, and nothing loops."""
    gap = Calendar(name="gap", zone="Europe/Berlin", open=("02:00-02:30",))
    before = at("2027-03-28T00:00 Europe/Berlin")

    assert at("2027-03-29T02:00 Europe/Berlin") == next_open(gap, before)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mon-Fri 09:00-17:00", Weekly(frozenset(range(5)), 540, 1020)),
        ("Fri-Mon", Weekly(frozenset({4, 5, 6, 0}), 0, 1440)),
        ("Mon,Wed 9:00-12:30", Weekly(frozenset({0, 2}), 540, 750)),
        ("Monday", Weekly(frozenset({0}), 0, 1440)),
        ("09:00-24:00", Weekly(frozenset(range(7)), 540, 1440)),
        ("2026-12-25", Dates(date(2026, 12, 25), date(2026, 12, 25))),
        ("2026-12-24 / 2027-01-02", Dates(date(2026, 12, 24), date(2027, 1, 2))),
    ],
)
def test_an_entry_is_days_with_times_or_dates(text: str, expected: Weekly | Dates) -> None:
    assert expected == hours_of(text)


@pytest.mark.parametrize(
    "text",
    ["", "office hours", "Mon-Fry", "Mo", "Mon-Wed-Fri", "09:00-09:00", "24:00-25:00", "09:60-10:00", "9-17", "2027-02-30",
     "2027-01-02/2026-12-24", "Mon 09:00", "-"],
)  # fmt: skip
def test_what_is_no_entry_is_a_mistake(text: str) -> None:
    with pytest.raises(Mistake):
        hours_of(text)


ENTRIES = st.sampled_from(
    (
        "Mon-Fri 09:00-17:00",
        "Sat 22:00-03:00",
        "Sun",
        "02:00-03:00",
        "2027-03-13/2027-03-15",
        "2026-11-01",
        "01:00-01:30",
    )
)


@given(
    st.lists(ENTRIES, max_size=3),
    st.lists(ENTRIES, max_size=2),
    st.sampled_from(("UTC", "America/New_York", "Australia/Lord_Howe")),
    st.integers(at("2026-10-01T00:00Z"), at("2027-06-01T00:00Z")),
    st.integers(0, 40 * 24 * HOUR),
)
def test_next_open_is_open_is_the_first_and_never_goes_back(
    opened: list[str], closed: list[str], zone: str, now: int, later: int
) -> None:
    """Nothing between now and the next opening is open, and a later question never has an earlier answer."""
    calendar = Calendar(name="any", zone=zone, open=tuple(opened), closed=tuple(closed))

    first = next_open(calendar, now)
    second = next_open(calendar, now + later)

    if first is None:
        assert second is None
        return
    assert is_open(calendar, first)
    assert not any(is_open(calendar, now + (first - now) * part // 16) for part in range(16) if first > now)
    assert second is None or second >= first


@given(
    st.lists(ENTRIES, max_size=3),
    st.lists(ENTRIES, max_size=2),
    st.integers(at("2026-10-01T00:00Z"), at("2027-06-01T00:00Z")),
)
def test_next_change_is_where_the_answer_changes(opened: list[str], closed: list[str], now: int) -> None:
    calendar = Calendar(name="any", zone="America/New_York", open=tuple(opened), closed=tuple(closed))

    change = next_change(calendar, now)

    if change is not None:
        assert change > now
        assert is_open(calendar, now) is is_open(calendar, change - 1) is not is_open(calendar, change)
