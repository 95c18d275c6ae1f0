"""Quotas: windows by the calendar, opened by decision, counted durably."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from headway.engine.windows import HOUR_MS, Window, starts_ms
from tests.engine.world import HOUR, MINUTE, START_MS, World

TENANTS = """
contract: tenants
owner: team-web
constraint: {measure: quota, unit: call, per: day, zone: Europe/Berlin}
workloads: {other: {}}
each: {key: tenant, count: 40, scale: {acme: 4}, total: 1000}
ramp:
  - {stage: now, limit: 100}
  - {stage: later, limit: 200, when: {event: go}}
"""


def ms(text: str) -> int:
    """An instant of ISO text."""
    return round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, TENANTS)


def window_of(world: World) -> tuple[int, ...]:
    return world.engine._mover.board.places["tenants"].windows[""]


def test_the_present_window_and_the_next_ones_are_decided(world: World):
    """A day in Berlin in winter begins at 23:00 UTC."""
    assert (ms("2025-11-30T23:00Z"), ms("2025-12-01T23:00Z"), ms("2025-12-02T23:00Z")) == window_of(world)


def test_at_its_end_the_next_window_is_decided_without_an_entry(world: World):
    """Tomorrow becomes today and another day is decided; the ledger holds only what changed a limit."""
    world.run(24 * HOUR)

    assert ms("2025-12-01T23:00Z") == window_of(world)[0]
    assert ["applied"] == world.kinds()
    assert world.engine.contract("tenants").published_ms == START_MS


def test_a_new_window_waits_while_the_clock_is_not_believed(world: World):
    """A jump into tomorrow: no window is decided beyond the present one until the clock is trusted."""
    world.clock.jump(25 * HOUR)
    world.run(MINUTE)
    assert 1 == len(window_of(world))

    world.run(6 * MINUTE)
    assert 3 == len(window_of(world))


def test_targets_follow_the_limit_before_it_is_published(world: World):
    """The most that may be drawn in the ledger: 100 a tenant, 400 for acme, 1,000 over all; twice that a stage later."""

    def targets() -> dict[tuple[str, str], int]:
        with world.engine.ledger()._store.read() as connection:
            rows = connection.exec_driver_sql("SELECT meter, key, target_micro FROM target").fetchall()
        return {(meter, key): micro // 1_000_000 for meter, key, micro in rows}

    assert {("tenants", ""): 100, ("tenants", "acme"): 400, ("tenants#total", ""): 1_000} == targets()
    world.engine.receive(world.event("go"))
    world.run(MINUTE)
    assert {("tenants", ""): 200, ("tenants", "acme"): 800, ("tenants#total", ""): 1_000} == targets()


# --- windows -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "zone", "at", "starts"),
    [
        ("day", "UTC", "2026-03-01T12:00Z", ["2026-03-01T00:00Z", "2026-03-02T00:00Z"]),
        ("day", "America/New_York", "2026-03-08T12:00Z", ["2026-03-08T05:00Z", "2026-03-09T04:00Z"]),
        ("day", "America/New_York", "2026-11-01T12:00Z", ["2026-11-01T04:00Z", "2026-11-02T05:00Z"]),
        ("week", "UTC", "2026-03-04T12:00Z", ["2026-03-02T00:00Z", "2026-03-09T00:00Z"]),
        ("month", "UTC", "2026-01-31T23:59Z", ["2026-01-01T00:00Z", "2026-02-01T00:00Z"]),
        ("month", "Asia/Tokyo", "2026-01-31T23:59Z", ["2026-01-31T15:00Z", "2026-02-28T15:00Z"]),
        ("month", "UTC", "2024-02-29T12:00Z", ["2024-02-01T00:00Z", "2024-03-01T00:00Z"]),
        ("hour", "UTC", "2026-03-01T12:34Z", ["2026-03-01T12:00Z", "2026-03-01T13:00Z"]),
        ("hour", "Asia/Kolkata", "2026-03-01T12:34Z", ["2026-03-01T12:30Z", "2026-03-01T13:30Z"]),
        # The clocks skip midnight: the day begins at the instant of the transition.
        ("day", "America/Sao_Paulo", "2018-11-04T12:00Z", ["2018-11-04T03:00Z", "2018-11-05T02:00Z"]),
        # Midnight comes twice: the day begins when it comes first.
        ("day", "America/Havana", "2026-11-01T12:00Z", ["2026-11-01T04:00Z", "2026-11-02T05:00Z"]),
    ],
)
def test_windows_begin_where_the_calendar_says(window: Window, zone: str, at: str, starts: list[str]):
    """Days of 23 and 25 hours, skipped and repeated midnights, half-hour zones, leap years."""
    assert tuple(ms(start) for start in starts) == starts_ms(window, zone, ms(at), 1)


ZONES = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "America/Sao_Paulo",
    "America/Havana",
    "Australia/Lord_Howe",
    "Asia/Kolkata",
]


@given(
    st.sampled_from(["hour", "day", "week", "month"]),
    st.sampled_from(ZONES),
    st.integers(ms("2015-01-01T00:00Z"), ms("2035-01-01T00:00Z")),
)
def test_windows_touch_without_gaps_and_hold_their_instant(window: Window, zone: str, at_ms: int):
    """The window of any instant contains it, ends where the next begins, and every instant in it has the same one."""
    start, end, after = starts_ms(window, zone, at_ms, 2)

    assert start <= at_ms < end < after
    assert start == starts_ms(window, zone, start, 0)[0]
    assert start == starts_ms(window, zone, end - 1, 0)[0]
    assert (end, after) == starts_ms(window, zone, end, 1)


@given(st.sampled_from(ZONES), st.integers(ms("2015-01-01T00:00Z"), ms("2035-01-01T00:00Z")))
def test_a_day_is_its_date_in_the_zone(zone: str, at_ms: int):
    """Whatever the zone does: every instant of the window has the same local date, and the instant before has another."""

    def date(at_ms: int) -> str:
        return datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(zone)).date().isoformat()

    start, end = starts_ms("day", zone, at_ms, 1)

    assert date(start) == date(at_ms) == date(end - 1)
    assert 23 * HOUR_MS <= end - start <= 25 * HOUR_MS
