"""Instants, intervals and days: local times with their zone, and the UTC millisecond that each means.

A local time that does not exist (a clock put forward) means the instant of the transition; one that happens twice means
its first. `fold` alone gets gaps wrong, so the transition is searched for (`tests/vectors/calendar.json`).
A bare date means its end: the first instant of the next day in its zone.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from pydantic_core import CoreSchema

from headway.contract.mistake import Mistake, shown
from headway.contract.parsed import parsed_schema
from headway.contract.quantities import SPELLINGS

__all__ = ["Day", "Instant", "Interval", "day_of", "instant_of", "interval_of", "utc_ms_of", "zone_of"]

YEARS = range(2000, 2200)
"""What an instant may lie in: nanoseconds since 1970 fit 64 bits until 2262."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_OFFSET = re.compile(r"([+-])([01][0-9]|2[0-3]):([0-5][0-9])")
_LOCAL = r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?"
_DATE = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_CLOCK = r"[0-9]{2}:[0-9]{2}(?::[0-9]{2}(?:\.[0-9]{1,3})?)?"
_ZONE = r"\s*(?P<zone>[Zz]|[+-][0-9]{2}:[0-9]{2}|[A-Za-z][A-Za-z0-9_+/-]*)?"
_INSTANT = re.compile(rf"(?P<local>{_LOCAL}){_ZONE}", re.ASCII)
_DAY = re.compile(rf"(?P<date>{_DATE})(?:\s+(?P<zone>[A-Za-z][A-Za-z0-9_+/-]*))?", re.ASCII)
_INTERVAL = re.compile(
    rf"(?P<start>{_LOCAL})(?P<start_zone>[Zz]|[+-][0-9]{{2}}:[0-9]{{2}})?\s*/\s*(?P<end>{_LOCAL}|{_CLOCK}){_ZONE}",
    re.ASCII,
)


@dataclass(frozen=True, slots=True)
class Instant:
    """An instant as authored: `local` is a local time (or a bare date: its end), `zone` a name, `Z` or an offset."""

    utc_ms: int
    zone: str
    local: str

    def __str__(self) -> str:
        if "T" not in self.local:
            return self.local
        return self.local + self.zone if self.zone == "Z" or self.zone[0] in "+-" else f"{self.local} {self.zone}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return parsed_schema(cls, instant_of, "2026-12-01T09:00 America/New_York")


@dataclass(frozen=True, slots=True)
class Interval:
    """Half-open: from `start` up to, and without, `end`."""

    start: Instant
    end: Instant

    def __str__(self) -> str:
        if self.start.zone == self.end.zone:
            same_day = self.start.local[:10] == self.end.local[:10]
            end = Instant(self.end.utc_ms, self.end.zone, self.end.local)
            text = str(end)[11:] if same_day else str(end)
            return f"{self.start.local}/{text}"
        return f"{self.start}/{self.end}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return parsed_schema(cls, lambda text, _zone: interval_of(text), "2027-02-06T02:00/04:00 America/New_York")


@dataclass(frozen=True, slots=True)
class Day:
    """A date whose end is meant. `zone` None: the contract's, against which `utc_ms` (its end) is resolved."""

    date: str
    zone: str | None
    utc_ms: int

    def __str__(self) -> str:
        return self.date if self.zone is None else f"{self.date} {self.zone}"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return parsed_schema(cls, day_of, "2027-03-01")


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """The zone of a name of the IANA database, `Z`, `UTC`, or an offset such as `+02:00`. Raises Mistake."""
    if name in ("Z", "z", "UTC"):
        return UTC
    if (offset := _OFFSET.fullmatch(name)) is not None:
        sign = -1 if offset.group(1) == "-" else 1
        return timezone(sign * timedelta(hours=int(offset.group(2)), minutes=int(offset.group(3))))
    if len(name) > 64 or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_+/-]*", name, re.ASCII):
        raise Mistake("HW151", f"{shown(name)} is not the name of a zone")
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        # ZoneInfo also reports what it cannot open (a folder, an odd path) as an OSError or a ValueError.
        raise Mistake("HW151", f"there is no zone {shown(name)}") from None


def utc_ms_of(local: datetime, zone: tzinfo) -> int:
    """The UTC millisecond that a local time means: in a gap the transition's, in a fold the first.

    Args:
        local: Naive, milliseconds exact.
        zone: Any zone of `zone_of`.
    """
    first = _ms(local.replace(tzinfo=zone, fold=0))
    if datetime.fromtimestamp(first / 1000, UTC).astimezone(zone).replace(tzinfo=None, fold=0) == local:
        return first
    # In a gap the offset before the transition (fold 0) leads past it, the one after (fold 1) to before it.
    before, after = _ms(local.replace(tzinfo=zone, fold=1)), first
    offset = _offset_at(before, zone)
    while after - before > 1:
        middle = (before + after) // 2
        if _offset_at(middle, zone) == offset:
            before = middle
        else:
            after = middle
    return after


def _ms(moment: datetime) -> int:
    return (moment - _EPOCH) // timedelta(milliseconds=1)


def _offset_at(utc_ms: int, zone: tzinfo) -> timedelta | None:
    return (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(zone).utcoffset()


def local_at(utc_ms: int, zone: tzinfo) -> datetime:
    """The local time, naive, of an instant."""
    return (_EPOCH + timedelta(milliseconds=utc_ms)).astimezone(zone).replace(tzinfo=None)


def end_of_day_ms(day: date, zone: tzinfo) -> int:
    """The first instant of the next day."""
    return utc_ms_of(datetime.combine(day, time()) + timedelta(days=1), zone)


def date_of(text: str) -> date:
    """A date that exists, in the bounds. Raises Mistake."""
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Mistake("HW149", f"there is no date {shown(text)}") from None
    if day.year not in YEARS:
        raise Mistake("HW149", f"{shown(text)} is not between the years 2000 and 2199")
    return day


def _local_of(text: str, authored: str) -> datetime:
    date_of(text[:10])
    clock = text[11:]
    if clock[:2] == "24":
        raise Mistake("HW149", f"there is no time {shown(clock)}", "write 00:00 of the next day")
    try:
        return datetime.fromisoformat(f"{text[:10]}T{clock}")
    except ValueError:
        raise Mistake(
            "HW149", f"there is no time {shown(clock)}, in {shown(authored)}", "write 00:00 to 23:59"
        ) from None


def _instant(local: str, zone: str, authored: str) -> Instant:
    moment = _local_of(local, authored)
    zone = "Z" if zone == "z" else zone
    clock = moment.isoformat(timespec="minutes" if moment.second == moment.microsecond == 0 else "auto")
    if moment.microsecond:
        clock = moment.isoformat(timespec="milliseconds")
    return Instant(utc_ms_of(moment, zone_of(zone)), zone, clock)


@lru_cache(maxsize=SPELLINGS)
def instant_of(text: str, zone: str = "UTC") -> Instant:
    """An instant with its zone; a bare date is its end in `zone`, the contract's. Raises Mistake."""
    text = text.strip()
    if (day := _DAY.fullmatch(text)) is not None and day.group("zone") is None:
        return Instant(end_of_day_ms(date_of(text), zone_of(zone)), zone, text)
    match = _INSTANT.fullmatch(text) if len(text) <= 128 else None
    if match is None:
        raise Mistake("HW148", f"{shown(text)} is not an instant")
    if match.group("zone") is None:
        _local_of(match.group("local"), text)
        mend = f"write {text}Z, or {text} {zone if zone != 'UTC' else 'America/New_York'}"
        raise Mistake("HW150", f"{shown(text)} has no zone", mend)
    return _instant(match.group("local"), match.group("zone"), text)


@lru_cache(maxsize=SPELLINGS)
def interval_of(text: str) -> Interval:
    """`START/END ZONE`; the end may be a time of the same day, the start have its own offset. Raises Mistake."""
    text = text.strip()
    match = _INTERVAL.fullmatch(text) if len(text) <= 192 else None
    if match is None:
        raise Mistake("HW152", f"{shown(text)} is not an interval")
    start, start_zone, end, zone = match.group("start", "start_zone", "end", "zone")
    if zone is None:
        raise Mistake("HW150", f"{shown(text)} has no zone", f"write {text}Z, or a zone's name after it")
    if len(end) < len("2027-02-06T"):
        end = f"{start[:10]}T{end}"
    interval = Interval(_instant(start, start_zone or zone, text), _instant(end, zone, text))
    if interval.end.utc_ms <= interval.start.utc_ms:
        raise Mistake("HW153", f"{shown(text)} ends at or before its start")
    return interval


@lru_cache(maxsize=SPELLINGS)
def day_of(text: str, zone: str = "UTC") -> Day:
    """A date, perhaps with a zone of its own; else its end is that in `zone`, the contract's. Raises Mistake."""
    text = text.strip()
    match = _DAY.fullmatch(text) if len(text) <= 128 else None
    if match is None:
        raise Mistake("HW148", f"{shown(text)} is not a date", "write a date such as 2027-03-01; its end is meant")
    own = match.group("zone")
    return Day(match.group("date"), own, end_of_day_ms(date_of(match.group("date")), zone_of(own or zone)))
