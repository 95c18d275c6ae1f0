"""Numbers, shares, durations and sizes: text to exact integers, and back to one spelling.

Decimal all the way; nothing is ever a float. A `Mistake` carries the code and the words; `scalars` hands it to pydantic
and `read` puts a place to it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Context, Decimal, Inexact, InvalidOperation
from functools import lru_cache
from typing import Any, Literal

from pydantic_core import CoreSchema

from headway.contract.mistake import Mistake, shown
from headway.contract.parsed import parsed_schema

__all__ = [
    "Portion",
    "Threshold",
    "amount_of",
    "duration_of",
    "factor_of",
    "number_of",
    "render_decimal",
    "render_duration",
    "share_of",
    "threshold_of",
]

MICRO = 1_000_000
AMOUNT_MAX = 2**53
"""Micro-units: 9 007 199 254.740992 units. Exact as a JSON number, and far inside what a meter holds."""
FACTOR_MAX = 10**12
"""Parts per million: a factor of a million."""
DURATION_MAX_MS = 3_660 * 86_400_000
SPELLINGS = 1024
"""Parsed spellings that are remembered: the same few come again in every contract."""
LENGTH_MAX = 64
"""Characters of a number; longer ones are refused unread."""

_EXACT = Context(prec=200, Emin=-400, Emax=400, traps=[Inexact, InvalidOperation])
_PLAIN = re.compile(r"[+-]?[0-9]+")
_NUMBER = re.compile(r"([+-]?)([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE]([+-]?[0-9]+))?\s*([A-Za-z%µ/_]*)", re.ASCII)
_COMMA = re.compile(r"[+-]?[0-9]{1,3}(?:[,'_][0-9]{3})+(?:\.[0-9]+)?[A-Za-z]*")
_NOT_FINITE = re.compile(r"[+-]?\.?(?:inf|infinity|nan)", re.IGNORECASE)
_SUFFIX = {"": 1, "k": 10**3, "M": 10**6, "G": 10**9, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30}
_NEAR_SUFFIX = {
    "K": "k or Ki",
    "m": "M",
    "g": "G",
    "B": "G",
    "T": "1000G",
    "kb": "k",
    "KB": "k",
    "ki": "Ki",
    "mi": "Mi",
}
_SIZES = {
    "B": 1, "kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip
_UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([A-Za-zµ]+)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Portion:
    """A share of the limit (parts per million) or an amount (micro-units); exactly one is set."""

    share_ppm: int | None = None
    amount_micro: int | None = None

    def __str__(self) -> str:
        if self.amount_micro is not None:
            return render_decimal(self.amount_micro)
        return f"{render_decimal((self.share_ppm or 0) * 100)}%"

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return parsed_schema(cls, lambda text, _zone: portion_of(text), "40%", number=True)


@dataclass(frozen=True, slots=True)
class Threshold:
    """What a reading is compared with, in millionths of Prometheus's base unit: 1, seconds, ratio, bytes."""

    kind: Literal["number", "duration", "percent", "bytes"]
    micro: int

    def __str__(self) -> str:
        if self.kind == "duration":
            return render_duration(self.micro // 1_000)
        if self.kind == "percent":
            return f"{render_decimal(self.micro * 100)}%"
        return render_decimal(self.micro) + ("B" if self.kind == "bytes" else "")

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> CoreSchema:
        return parsed_schema(cls, lambda text, _zone: threshold_of(text), "250ms", number=True)


def number_of(text: str) -> tuple[Decimal, str]:
    """A finite number and the letters behind it. Raises Mistake."""
    text = text.strip()
    if _NOT_FINITE.fullmatch(text):
        raise Mistake("HW132", f"{shown(text)} is not a finite number")
    if _COMMA.fullmatch(text):
        plain = re.sub(r"[,'_]", "", text)
        raise Mistake("HW131", f"{shown(text)} has separators in it", f"write it without them: {plain}")
    match = _NUMBER.fullmatch(text) if len(text) <= LENGTH_MAX else None
    if match is None:
        code = "HW133" if len(text) > LENGTH_MAX and text[:LENGTH_MAX].isdigit() else "HW130"
        raise Mistake(code, f"{shown(text)} is {'too large' if code == 'HW133' else 'not a number'}")
    sign, digits, exponent, letters = match.groups()
    if exponent is not None and abs(int(exponent)) > 40:
        raise Mistake("HW133", f"{shown(text)} is out of bounds")
    return Decimal(sign + digits + (f"e{exponent}" if exponent else "")), letters


def micro_of(value: Decimal, text: str) -> int:
    """Millionths, exactly. Raises Mistake where there are finer digits."""
    scaled = _EXACT.multiply(value, Decimal(MICRO))
    if scaled != scaled.to_integral_value():
        raise Mistake("HW136", f"{shown(text)} is finer than a millionth")
    return int(scaled)


def signed_amount_of(text: str) -> int:
    """A number with an optional k, M, G, Ki, Mi, Gi, in micro-units; any sign. Raises Mistake."""
    value, letters = number_of(text)
    if letters == "%":
        raise Mistake("HW146", f"{shown(text)} is a percentage, and a number is meant")
    if letters == "m":
        milli = _EXACT.divide(value, Decimal(1000))
        mend = f"write {milli:f} if thousandths are meant, {value:f}M if millions"
        raise Mistake("HW138", f"{shown(text)} could be thousandths or millions", mend)
    if letters not in _SUFFIX:
        near = _NEAR_SUFFIX.get(letters)
        raise Mistake(
            "HW137", f"{shown(text)} has a unit that a number here does not take",
            f"write {value:f} with {near}" if near else "write the number alone, or with k, M, G, Ki, Mi, Gi",
        )  # fmt: skip
    return micro_of(_EXACT.multiply(value, Decimal(_SUFFIX[letters])), text)


@lru_cache(maxsize=SPELLINGS)
def amount_of(text: str) -> int:
    """An amount in micro-units, 0 < amount <= 2^53. Raises Mistake."""
    # Most limits are plain whole numbers; they need no Decimal.
    micro = int(text) * MICRO if len(text) <= 12 and _PLAIN.fullmatch(text) else signed_amount_of(text)
    if 0 < micro <= AMOUNT_MAX:
        return micro
    if micro == 0:
        raise Mistake("HW135", f"{shown(text)} is zero")
    if micro < 0:
        raise Mistake("HW134", f"{shown(text)} is negative")
    raise Mistake("HW133", f"{shown(text)} is more than 9 007 199 254.740992")


@lru_cache(maxsize=SPELLINGS)
def factor_of(text: str) -> int:
    """A factor above zero in parts per million; `0.25` and `25%` are the same. Raises Mistake."""
    value, letters = number_of(text)
    ppm = micro_of(_EXACT.divide(value, Decimal(100)), text) if letters == "%" else signed_amount_of(text)
    if 0 < ppm <= FACTOR_MAX:
        return ppm
    if ppm == 0:
        raise Mistake("HW135", f"{shown(text)} is zero")
    if ppm < 0:
        raise Mistake("HW134", f"{shown(text)} is negative")
    raise Mistake("HW133", f"{shown(text)} is more than a factor of 1 000 000")


@lru_cache(maxsize=SPELLINGS)
def share_of(text: str) -> int:
    """A percentage from 0% to 100%, in parts per million. Raises Mistake."""
    try:
        value, letters = number_of(text)
    except Mistake as mistake:
        if mistake.code == "HW130":
            raise Mistake("HW145", f"{shown(text)} is not a percentage") from None
        raise
    if letters == "" and 0 <= value <= 1:
        raise Mistake("HW145", f"{shown(text)} is not a percentage", f"write {(value * 100).normalize():f}%")
    if letters != "%":
        raise Mistake("HW145", f"{shown(text)} is not a percentage", f"write {value:f}% if that is meant")
    ppm = micro_of(_EXACT.divide(value, Decimal(100)), text)
    if not 0 <= ppm <= MICRO:
        raise Mistake("HW145", f"{shown(text)} is not between 0% and 100%")
    return ppm


def portion_of(text: str) -> Portion:
    """A percentage, or an amount. Raises Mistake."""
    return Portion(share_ppm=share_of(text)) if text.strip().endswith("%") else Portion(amount_micro=amount_of(text))


@lru_cache(maxsize=SPELLINGS)
def duration_of(text: str) -> int:
    """A duration in whole milliseconds, 0 <= duration <= 3 660 days. Raises Mistake."""
    text = text.strip()
    if text == "0":
        return 0
    if re.fullmatch(r"[+-]?[0-9.]+", text):
        if text.startswith("-"):
            raise Mistake("HW134", f"{shown(text)} is negative", "write a duration of zero or more")
        raise Mistake("HW142", f"{shown(text)} has no unit", f"write {text.lstrip('+')}s if seconds are meant")
    if _NOT_FINITE.fullmatch(text):
        raise Mistake("HW132", f"{shown(text)} is not a finite duration")
    total, end = Decimal(0), 0
    for part in _PART.finditer(text[:LENGTH_MAX]):
        number, unit = part.groups()
        if text[end : part.start()].strip():
            break
        if unit == "M":
            raise Mistake("HW143", f"{shown(text)} has a bare `M`")
        if unit not in _UNITS_MS:
            raise Mistake("HW137", f"{shown(text)} has the unit `{unit[:20]}`, which no duration has",
                          "write ms, s, min, h, d or w")  # fmt: skip
        total += Decimal(number) * _UNITS_MS[unit]
        end = part.end()
    if end == 0 or text[end:].strip():
        if re.fullmatch(r"-\s*[0-9.]+\s*[a-z]+", text):
            raise Mistake("HW134", f"{shown(text)} is negative", "write a duration of zero or more")
        raise Mistake("HW141", f"{shown(text)} is not a duration")
    if total != total.to_integral_value():
        raise Mistake("HW136", f"{shown(text)} is finer than a millisecond", "round it to whole milliseconds")
    if total > DURATION_MAX_MS:
        raise Mistake("HW144", f"{shown(text)} is longer than 3 660 days")
    return int(total)


def span_of(text: str) -> int:
    """A duration above zero. Raises Mistake."""
    if (ms := duration_of(text)) > 0:
        return ms
    raise Mistake("HW144", f"{shown(text)} is no time at all", "write a duration above zero")


@lru_cache(maxsize=SPELLINGS)
def threshold_of(text: str) -> Threshold:
    """A number, a duration, a size or a percentage that a reading is compared with; any sign. Raises Mistake."""
    text = text.strip()
    try:
        value, letters = number_of(text)
    except Mistake as mistake:
        if mistake.code != "HW130" or _PART.match(text) is None:
            raise Mistake("HW147", mistake.problem) from None if mistake.code == "HW130" else mistake
        return Threshold("duration", duration_of(text) * 1_000)
    if letters == "m":
        mend = f"write {value:f}ms, {value:f}min or {_EXACT.divide(value, Decimal(1000)):f}"
        raise Mistake("HW138", f"{shown(text)} could be minutes, milliseconds or thousandths", mend)
    if letters == "%":
        kind: Literal["number", "duration", "percent", "bytes"] = "percent"
        micro = micro_of(_EXACT.divide(value, Decimal(100)), text)
    elif letters in _SUFFIX:
        kind, micro = "number", signed_amount_of(text)
    elif letters in _SIZES:
        kind, micro = "bytes", micro_of(_EXACT.multiply(value, Decimal(_SIZES[letters])), text)
    elif letters in _UNITS_MS or letters == "M":
        return Threshold("duration", duration_of(text) * 1_000)
    else:
        raise Mistake("HW137", f"{shown(text)} has a unit that no reading has",
                      "write a number, or one with ms, s, min, h, B, kB, MB, KiB, MiB or GiB")  # fmt: skip
    if abs(micro) > AMOUNT_MAX * MICRO:
        raise Mistake("HW133", f"{shown(text)} is out of bounds")
    return Threshold(kind, micro)


def render_decimal(micro: int) -> str:
    """Millionths as the shortest decimal: 1 500 000 is `1.5`, -10 is `-0.00001`."""
    sign = "-" if micro < 0 else ""
    whole, rest = divmod(abs(micro), MICRO)
    return f"{sign}{whole}.{rest:06d}".rstrip("0") if rest else f"{sign}{whole}"


def render_duration(ms: int) -> str:
    """Milliseconds in the largest units, days downwards: 90 000 is `1min30s`, 0 is `0s`."""
    if ms == 0:
        return "0s"
    text = ""
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("min", 60_000), ("s", 1_000), ("ms", 1)):
        count, ms = divmod(ms, size)
        text += f"{count}{unit}" if count else ""
    return text
