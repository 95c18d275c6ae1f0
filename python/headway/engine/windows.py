"""Calendar windows of quotas: hours, days, weeks and months in a zone, as instants in UTC.

A day begins at the first instant of its date, whatever the zone does at midnight. Hours are real hours counted from
there, so a day has 23, 24 or 25 of them and windows never overlap or leave a gap. Weeks begin on Monday.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta, tzinfo
from typing import Literal

from headway.contract.instants import local_at, utc_ms_of, zone_of

Window = Literal["hour", "day", "week", "month"]

HOUR_MS = 3_600_000


def starts_ms(window: Window, zone: str, at_ms: int, ahead: int) -> tuple[int, ...]:
    """The start of the window that `at_ms` lies in, and of the `ahead` next ones, ascending.

    ValueError for no such zone.
    """
    tz = zone_of(zone)
    first = _start_ms(window, tz, at_ms)
    starts = [first]
    for _ in range(ahead):
        starts.append(_next_ms(window, tz, starts[-1]))
    return tuple(starts)


def _start_ms(window: Window, zone: tzinfo, at_ms: int) -> int:
    day = local_at(at_ms, zone).date()
    if window == "hour":
        midnight = _midnight_ms(day, zone)
        if at_ms < midnight:
            # Clocks put back over midnight: the date is lived twice, and began when it first came.
            midnight = _midnight_ms(day - timedelta(days=1), zone)
        return at_ms - (at_ms - midnight) % HOUR_MS
    start = _midnight_ms(_first_date(window, day), zone)
    while _next_ms(window, zone, start) <= at_ms:
        start = _next_ms(window, zone, start)
    return start


def _next_ms(window: Window, zone: tzinfo, start_ms: int) -> int:
    day = local_at(start_ms, zone).date()
    if window == "hour":
        return min(start_ms + HOUR_MS, _later_midnight_ms(day, zone, start_ms))
    if window == "month":
        following = (_first_date(window, day).replace(day=28) + timedelta(days=4)).replace(day=1)
    else:
        following = _first_date(window, day) + timedelta(days=7 if window == "week" else 1)
    return _midnight_ms(following, zone)


def _first_date(window: Window, day: date) -> date:
    if window == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if window == "month" else day


def _later_midnight_ms(day: date, zone: tzinfo, after_ms: int) -> int:
    following = _midnight_ms(day + timedelta(days=1), zone)
    return following if following > after_ms else _midnight_ms(day + timedelta(days=2), zone)


def _midnight_ms(day: date, zone: tzinfo) -> int:
    return utc_ms_of(datetime.combine(day, time()), zone)
