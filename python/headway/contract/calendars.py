"""When raises may happen: a calendar's open hours as instants.

What an entry covers is an interval of instants, its ends found like every local time: in a gap the transition's
instant, in a fold the first. Open is what some entry of `open` covers (everything, where there is none) and no entry
of `closed`. Pure functions; the grammar stands in `hours`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import timedelta, tzinfo
from functools import lru_cache

from headway.contract.hours import Dates, Weekly, hours_of
from headway.contract.instants import end_of_day_ms, local_at, utc_ms_of, zone_of
from headway.contract.model import Calendar

__all__ = ["is_open", "next_change", "next_open"]

_AHEAD_DAYS = 9
"""Weekly hours that have not changed anything within a week and two days never will, until a date does."""


def is_open(calendar: Calendar, utc_ms: int) -> bool:
    """Whether raises may happen at an instant."""
    zone = zone_of(calendar.zone)
    opened = _entries(calendar.open)
    return (not opened or _covered(opened, utc_ms, zone)) and not _covered(_entries(calendar.closed), utc_ms, zone)


def next_change(calendar: Calendar, utc_ms: int) -> int | None:
    """The first instant after `utc_ms` at which the calendar opens or closes; None if it never does again."""
    zone = zone_of(calendar.zone)
    entries = (*_entries(calendar.open), *_entries(calendar.closed))
    now = is_open(calendar, utc_ms)
    dated = sorted(end for entry in entries if isinstance(entry, Dates) for end in _dated(entry, zone) if end > utc_ms)
    weekly = [entry for entry in entries if isinstance(entry, Weekly)]
    # Between two dates' ends only weekly hours change anything, and they repeat.
    anchors = [utc_ms, *dated]
    for index, anchor in enumerate(anchors):
        until = anchors[index + 1] if index + 1 < len(anchors) else None
        candidates = {anchor} | set(_weekly_ends(weekly, anchor, zone))
        for instant in sorted(candidates):
            if until is not None and instant >= until:
                break
            if instant > utc_ms and is_open(calendar, instant) is not now:
                return instant
    return None


def next_open(calendar: Calendar, utc_ms: int) -> int | None:
    """The first instant at or after `utc_ms` at which raises may happen; None if never again. Monotone in `utc_ms`."""
    return utc_ms if is_open(calendar, utc_ms) else next_change(calendar, utc_ms)


@lru_cache(maxsize=64)
def _entries(texts: tuple[str, ...]) -> tuple[Weekly | Dates, ...]:
    return tuple(hours_of(text) for text in texts)


def _covered(entries: Iterable[Weekly | Dates], utc_ms: int, zone: tzinfo) -> bool:
    today = local_at(utc_ms, zone).date()
    for entry in entries:
        if isinstance(entry, Dates):
            start, end = _dated(entry, zone)
            if start <= utc_ms < end:
                return True
            continue
        # What began yesterday may run past midnight.
        for day in (today - timedelta(days=1), today):
            span = entry.on(day)
            if span is not None and utc_ms_of(span[0], zone) <= utc_ms < utc_ms_of(span[1], zone):
                return True
    return False


def _dated(entry: Dates, zone: tzinfo) -> tuple[int, int]:
    return end_of_day_ms(entry.first - timedelta(days=1), zone), end_of_day_ms(entry.last, zone)


def _weekly_ends(entries: Iterable[Weekly], utc_ms: int, zone: tzinfo) -> Iterator[int]:
    today = local_at(utc_ms, zone).date()
    for entry in entries:
        for ahead in range(-1, _AHEAD_DAYS):
            span = entry.on(today + timedelta(days=ahead))
            if span is not None:
                yield from (utc_ms_of(span[0], zone), utc_ms_of(span[1], zone))
