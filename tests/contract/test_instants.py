"""Local times and the instants they mean, gaps and folds included; dates that mean their end."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.contract.instants import day_of, instant_of, interval_of, local_at, zone_of
from headway.contract.mistake import Mistake

CASES = json.loads((Path(__file__).parents[1] / "vectors" / "calendar.json").read_text(encoding="utf-8"))["cases"]
ZONES = ("UTC", "America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia")


def utc_ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


def code_of(parse: Callable[[str], object], text: str) -> str | None:
    """The code of the mistake that a parser sees in a text, None where it sees none; any other exception is ours."""
    try:
        parse(text)
    except Mistake as mistake:
        return mistake.code
    return None


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['local']} {case['zone']}")
def test_a_local_time_means_the_instant_of_the_golden_vector(case: dict[str, Any]) -> None:
    """A gap means the instant of the transition, a fold its first; 29 February 2027 does not exist."""
    text = f"{case['local']} {case['zone']}"

    if "error" in case:
        with pytest.raises(Mistake) as caught:
            instant_of(text)
        assert "HW149" == caught.value.code
    else:
        assert utc_ms(case["utc"]) == instant_of(text).utc_ms


def test_offsets_and_z_are_zones() -> None:
    assert utc_ms("2026-12-01T14:00:00Z") == instant_of("2026-12-01T09:00-05:00").utc_ms
    assert utc_ms("2026-12-01T09:00:00Z") == instant_of("2026-12-01T09:00Z").utc_ms
    assert utc_ms("2026-12-01T09:00:30.250Z") == instant_of("2026-12-01 09:00:30.250z").utc_ms


def test_a_bare_date_means_its_end_in_the_contracts_zone() -> None:
    """1 March in New York ends five hours after it ends in UTC."""
    assert utc_ms("2027-03-02T00:00:00Z") == day_of("2027-03-01").utc_ms
    assert utc_ms("2027-03-02T05:00:00Z") == day_of("2027-03-01", "America/New_York").utc_ms
    assert utc_ms("2027-03-01T23:00:00Z") == day_of("2027-03-01 Europe/Berlin", "America/New_York").utc_ms
    assert utc_ms("2027-03-02T05:00:00Z") == instant_of("2027-03-01", "America/New_York").utc_ms


def test_the_end_of_an_interval_may_be_a_time_of_the_same_day() -> None:
    short = interval_of("2027-02-06T02:00/04:00 America/New_York")
    long = interval_of("2027-02-06T02:00/2027-02-07T04:00Z")

    assert 2 * 3_600_000 == short.end.utc_ms - short.start.utc_ms
    assert 26 * 3_600_000 == long.end.utc_ms - long.start.utc_ms


def test_an_interval_over_a_clock_change_is_as_long_as_it_really_is() -> None:
    """From 01:00 to 04:00 on the night New York puts its clocks forward only two hours pass."""
    interval = interval_of("2027-03-14T01:00/04:00 America/New_York")

    assert 2 * 3_600_000 == interval.end.utc_ms - interval.start.utc_ms


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("next tuesday", "HW148"),
        ("2026-12-01T09:00", "HW150"),
        ("2026-13-01T09:00Z", "HW149"),
        ("2027-02-30", "HW149"),
        ("1999-12-31T09:00Z", "HW149"),
        ("2200-01-01T09:00Z", "HW149"),
        ("2026-12-01T24:00Z", "HW149"),
        ("2026-12-01T09:60Z", "HW149"),
        ("2026-12-01T09:00 Europe/Springfield", "HW151"),
        ("2026-12-01T09:00+25:00", "HW151"),
        ("2026-12-01T09:00 America/../UTC", "HW148"),
        ("٢٠٢٦-12-01T09:00Z", "HW148"),
    ],
)
def test_what_is_no_instant_says_which_mistake_it_is(text: str, code: str) -> None:
    with pytest.raises(Mistake) as caught:
        instant_of(text)

    assert code == caught.value.code


@given(
    st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2199, 12, 30)),  # noqa: DTZ001 - local times
    st.sampled_from((*ZONES, "Z", "+05:45", "-11:00")),
)
def test_every_instant_has_a_spelling_that_means_it(local: datetime, zone: str) -> None:
    local = local.replace(microsecond=local.microsecond // 1000 * 1000)
    glue = "" if zone == "Z" or zone[0] in "+-" else " "
    instant = instant_of(f"{local.isoformat(timespec='milliseconds')}{glue}{zone}")

    assert instant == instant_of(str(instant))


@given(st.datetimes(min_value=datetime(2000, 1, 2), max_value=datetime(2199, 12, 30)), st.sampled_from(ZONES))  # noqa: DTZ001
def test_a_local_time_that_exists_comes_back_and_one_in_a_gap_moves_forward(local: datetime, zone: str) -> None:
    local = local.replace(microsecond=0)
    instant = instant_of(f"{local.isoformat()} {zone}")

    shown = local_at(instant.utc_ms, zone_of(zone))

    assert shown >= local
    assert shown - local <= timedelta(days=1)
    if shown != local:
        # A gap: a millisecond before, the local clock stood before the authored time.
        assert local_at(instant.utc_ms - 1, zone_of(zone)) < local


@given(st.dates(datetime(2000, 1, 1).date(), datetime(2199, 12, 31).date()), st.sampled_from((None, *ZONES[1:])))  # noqa: DTZ001
def test_every_day_has_a_spelling_that_means_it(date: Any, zone: str | None) -> None:
    day = day_of(date.isoformat() + (f" {zone}" if zone else ""), "Europe/Berlin")

    assert day == day_of(str(day), "Europe/Berlin")


@given(st.integers(0, 10_000_000), st.integers(1, 3_000), st.sampled_from((*ZONES, "Z", "+05:45")))
def test_every_interval_has_a_spelling_that_means_it(start_min: int, length_min: int, zone: str) -> None:
    start = datetime(2020, 1, 1, tzinfo=UTC) + timedelta(minutes=start_min)
    end = start + timedelta(minutes=length_min)
    glue = "" if zone in ("Z", "+05:45") else " "
    text = f"{start:%Y-%m-%dT%H:%M}/{end:%Y-%m-%dT%H:%M}{glue}{zone}"
    if code_of(interval_of, text) is not None:
        # Both ends lie in one gap or fold: no time passes between them.
        assert "HW153" == code_of(interval_of, text)
        return

    interval = interval_of(text)

    assert interval == interval_of(str(interval))


@given(st.text(max_size=60))
def test_any_text_is_an_instant_a_day_an_interval_or_a_mistake(text: str) -> None:
    for parse in (instant_of, day_of, interval_of):
        assert (code_of(parse, text) or "HW1").startswith("HW1")
