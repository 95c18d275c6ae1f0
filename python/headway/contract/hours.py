"""One entry of a calendar: days of the week with times, or dates.

    Mon-Fri 09:00-17:00        days and times; the end may be 24:00, or past midnight (22:00-02:00)
    Mon,Wed,Fri 09:00-12:00    several days
    Sat-Sun                    whole days
    09:00-17:00                every day
    2026-12-25                 a date
    2026-12-24/2027-01-02      dates, the last one included

Times are local to the calendar's zone.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from headway.contract.instants import date_of
from headway.contract.mistake import Mistake, shown

__all__ = ["Dates", "Weekly", "hours_of"]

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DATES = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:\s*/\s*([0-9]{4}-[0-9]{2}-[0-9]{2}))?", re.ASCII)
_WEEKLY = re.compile(
    r"(?:([A-Za-z]+(?:\s*[-,]\s*[A-Za-z]+)*))?\s*(?:([0-9]{1,2}):([0-9]{2})\s*-\s*([0-9]{1,2}):([0-9]{2}))?", re.ASCII
)


@dataclass(frozen=True, slots=True)
class Weekly:
    """Days of the week (0 is Monday), from a minute of the day up to another: the next day's where `end <= start`."""

    days: frozenset[int]
    start: int
    end: int

    def on(self, day: date) -> tuple[datetime, datetime] | None:
        """Local start and end of what begins on a day."""
        if day.weekday() not in self.days:
            return None
        midnight = datetime.combine(day, time())
        end = self.end if self.end > self.start else self.end + 24 * 60
        return midnight + timedelta(minutes=self.start), midnight + timedelta(minutes=end)


@dataclass(frozen=True, slots=True)
class Dates:
    """Whole days, first and last included."""

    first: date
    last: date


def hours_of(text: str) -> Weekly | Dates:
    """One entry. Raises Mistake HW155, or HW149 for a date that does not exist."""
    text = text.strip()
    if (dates := _DATES.fullmatch(text)) is not None:
        first = date_of(dates.group(1))
        last = date_of(dates.group(2)) if dates.group(2) else first
        if last < first:
            raise Mistake("HW153", f"{shown(text)} ends before it starts")
        return Dates(first, last)
    match = _WEEKLY.fullmatch(text) if 0 < len(text) <= 128 else None
    if match is None:
        raise Mistake("HW155", f"{shown(text)} is neither days and times nor dates")
    words, *clock = match.groups()
    days = frozenset(_days(words, text)) if words else frozenset(range(7))
    if clock[0] is None:
        return Weekly(days, 0, 24 * 60)
    start, end = int(clock[0]) * 60 + int(clock[1]), int(clock[2]) * 60 + int(clock[3])
    if max(int(clock[1]), int(clock[3])) > 59 or start >= 24 * 60 or end > 24 * 60 or start == end:
        raise Mistake("HW155", f"{shown(text)} has a time that does not exist, or no time at all")
    return Weekly(days, start, end)


def _days(words: str, text: str) -> Iterator[int]:
    for part in words.split(","):
        ends = [_day(word.strip(), text) for word in part.split("-")]
        if len(ends) > 2:
            raise Mistake("HW155", f"{shown(text)} has a range of more than two days")
        first, last = ends[0], ends[-1]
        # `Fri-Mon` runs over the weekend.
        yield from (day % 7 for day in range(first, last + 1 if last >= first else last + 8))


def _day(word: str, text: str) -> int:
    short = word.lower()[:3]
    full = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
    if short in _DAYS and len(word) >= 3 and full[_DAYS.index(short)].startswith(word.lower()):
        return _DAYS.index(short)
    raise Mistake(
        "HW155", f"{shown(text)}: {shown(word)} is not a day of the week", "write Mon, Tue, Wed, Thu, Fri, Sat or Sun"
    )
