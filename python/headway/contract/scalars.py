"""The types of single values in documents: text in, integers with a unit out, and one normal spelling back.

Every type is an `Annotated` over what the rest of Headway sees (an int of micro-units, of milliseconds, a `str`), or a
class that parses itself (`Instant`, `Interval`, `Day`, `Threshold`, `Portion`). Bounds stand with the parsers.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer, PlainValidator, ValidationInfo, WithJsonSchema

from headway.contract import shorthand
from headway.contract.addresses import SECRET, address_of, link_of, store_of, url_of
from headway.contract.hours import hours_of
from headway.contract.instants import Day, Instant, Interval, instant_of, zone_of
from headway.contract.mistake import TEXT_MAX, Mistake, shown
from headway.contract.parsed import authored, refused, zone_in
from headway.contract.quantities import (
    Portion,
    Threshold,
    amount_of,
    duration_of,
    factor_of,
    number_of,
    render_decimal,
    render_duration,
    share_of,
    span_of,
)

__all__ = [
    "Address",
    "Amount",
    "Amounts",
    "Day",
    "Duration",
    "Expect",
    "Factor",
    "Factors",
    "Flag",
    "Gates",
    "Hash",
    "Hours",
    "Instant",
    "Interval",
    "Label",
    "Link",
    "Name",
    "Per",
    "Plain",
    "Portion",
    "Portions",
    "Requirement",
    "Secret",
    "Share",
    "Span",
    "StageName",
    "StoreUrl",
    "Text",
    "Threshold",
    "Url",
    "Words",
    "Zone",
    "narrowed",
    "text_of",
    "whole",
]  # fmt: skip

HOURS_MAX = 200
"""Entries of a calendar's `open` or `closed`."""
WINDOWS = ("hour", "day", "week", "month")

_NAME = re.compile(r"[a-z0-9](?:[a-z0-9_-]{0,61}[a-z0-9])?", re.ASCII)
_STAGE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}", re.ASCII)
_UNSEEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ufffe\uffff\ud800-\udfff]")
_LEVEL = re.compile(r"[0-9.]+(?:[eE][0-9]+)?(?:k|M|G|Ki|Mi|Gi)?", re.ASCII)
_HASH = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})", re.ASCII)
_HIDDEN = re.compile(r"secret|password|token|webhook|slack", re.IGNORECASE)


def _checked(parse: Callable[[str], Any], passes: type | None = None) -> PlainValidator:
    """A field's validator: text through `parse`; a value of `passes` is taken as it is."""

    def validate(value: Any) -> Any:
        if passes is not None and isinstance(value, passes):
            return value
        try:
            return parse(authored(value))
        except Mistake as mistake:
            raise refused(mistake) from None

    return PlainValidator(validate)


def _described(example: str, pattern: str | None = None, number: bool = False) -> WithJsonSchema:
    """What an editor is told: how the value is authored, not how we keep it."""
    text: dict[str, Any] = {"type": ["string", "number"] if number else "string", "examples": [example]}
    return WithJsonSchema(text if pattern is None else {**text, "pattern": pattern})


# --- words --------------------------------------------------------------------------------------------------------


def _name(text: str) -> str:
    if _NAME.fullmatch(text):
        return str(text)
    near = re.sub(r"[^a-z0-9_-]+", "-", text[:63].lower()).strip("-_")
    raise Mistake("HW160", f"{shown(text)} is not a name", f"write {near}" if near else None)


def _stage_name(text: str) -> str:
    if _STAGE.fullmatch(text):
        return str(text)
    near = re.sub(r"[^A-Za-z0-9._-]+", "-", text[:63]).strip("-_.")
    raise Mistake("HW161", f"{shown(text)} is not a stage's name", f"write {near}" if near else None)


def text_of(text: str) -> str:
    """Text without characters that nobody sees. Raises Mistake."""
    if (unseen := _UNSEEN.search(text)) is not None:
        raise Mistake("HW162", f"this text holds the character U+{ord(unseen.group()):04X}")
    return str(text)


def _secret(text: str) -> str:
    if SECRET.fullmatch(text):
        return str(text)
    raise Mistake("HW164", "a secret stands here in the open")


def _hash(text: str) -> str:
    if (match := _HASH.fullmatch(text)) is not None:
        return match.group(1).lower()
    raise Mistake("HW167", "this is not the SHA-256 of a token")


def _flag(text: str) -> bool:
    if text in ("true", "True"):
        return True
    if text in ("false", "False"):
        return False
    raise Mistake("HW139", f"{shown(text)} is not true or false")


def _zone(text: str) -> str:
    zone_of(text)
    return str(text)


def _label(text: str) -> str | int:
    return int(text) if re.fullmatch(r"-?(?:0|[1-9][0-9]{0,14})", text, re.ASCII) else text_of(text)


Name = Annotated[str, _checked(_name), _described("orders-db", "^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$")]
StageName = Annotated[
    str,
    _checked(_stage_name),
    WithJsonSchema(
        {"type": ["string", "number"], "pattern": "^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$", "examples": ["replica"]}
    ),
]
Text = Annotated[
    str, _checked(text_of), WithJsonSchema({"type": ["string", "number"], "minLength": 1, "maxLength": TEXT_MAX})
]
Label = Annotated[str | int, _checked(_label), WithJsonSchema({"type": ["string", "number"]})]
Secret = Annotated[str, _checked(_secret), _described("env:PROM_TOKEN", "^(env:[A-Za-z_]|file:)")]
Hash = Annotated[str, _checked(_hash), _described("64 hexadecimal digits", "^(sha256:)?[0-9a-fA-F]{64}$")]
Address = Annotated[str, _checked(address_of), _described("127.0.0.1:7700", ":[0-9]{1,5}$")]
Url = Annotated[str, _checked(url_of), _described("https://prometheus.example:9090", "^https?://")]
StoreUrl = Annotated[
    str, _checked(store_of), _described("postgresql://headway@db.example/headway", "^(sqlite:///|postgresql://)")
]
Link = Annotated[str, _checked(link_of), _described("https://wiki.example/orders-db", "^https?://")]
Flag = Annotated[bool, _checked(_flag), WithJsonSchema({"type": "boolean"})]
Zone = Annotated[str, _checked(_zone), _described("America/New_York")]


# --- numbers ------------------------------------------------------------------------------------------------------


def whole(low: int, high: int) -> Any:
    """A whole number within bounds, both included."""

    def parse(text: str) -> int:
        value, letters = number_of(text)
        factor = {"": 1, "k": 1_000, "M": 1_000_000}.get(letters)
        if factor is None or value != value.to_integral_value():
            raise Mistake("HW140", f"{shown(text)} is not a whole number")
        number = int(value) * factor
        if low <= number <= high:
            return number
        if number < 0:
            raise Mistake("HW134", f"{shown(text)} is negative", f"write a number from {low} to {high}")
        raise Mistake("HW168", f"{shown(text)} is not from {low} to {high}", f"write a number from {low} to {high}")

    return _Both(parse, low, high)


class _Both:
    """A count's validator and what an editor is told about it, as one annotation."""

    def __init__(self, parse: Callable[[str], int], low: int, high: int) -> None:
        self._validator = _checked(parse)
        self._bounds = {"type": ["integer", "string"], "minimum": low, "maximum": high}

    def __get_pydantic_core_schema__(self, source: Any, handler: Any) -> Any:
        return self._validator.__get_pydantic_core_schema__(source, handler)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        return self._bounds


def _number(micro: int) -> int | str:
    """A JSON number where it is whole; a decimal stays text, so that no reader makes a float of it."""
    text = render_decimal(micro)
    return int(text) if "." not in text else text


def _percent(ppm: int) -> str:
    return f"{render_decimal(ppm * 100)}%"


def _per(text: str) -> int | str:
    if text in WINDOWS:
        return str(text)
    try:
        return span_of(text)
    except Mistake as mistake:
        if mistake.code == "HW141":
            raise Mistake("HW154", f"{shown(text)} is not a period") from None
        raise


def _write_per(value: int | str) -> str:
    return render_duration(value) if isinstance(value, int) else value


def _expect(value: Any, info: ValidationInfo) -> Any:
    if isinstance(value, Instant):
        return value
    try:
        text = authored(value)
        return instant_of(text, zone_in(info)) if re.match(r"[0-9]{4}-", text) else duration_of(text)
    except Mistake as mistake:
        raise refused(mistake) from None


_AMOUNT = "^[0-9]*\\.?[0-9]+([eE][+-]?[0-9]+)?\\s*(k|M|G|Ki|Mi|Gi)?$"
_DURATION = "^(0|([0-9]+(\\.[0-9]+)?\\s*(ms|s|min|m|h|d|w)\\s*)+)$"

Amount = Annotated[int, _checked(amount_of), PlainSerializer(_number), _described("100", _AMOUNT, number=True)]
Factor = Annotated[int, _checked(factor_of), PlainSerializer(_number), _described("0.25", None, number=True)]
Share = Annotated[int, _checked(share_of), PlainSerializer(_percent), _described("60%", "^[0-9]*\\.?[0-9]+\\s*%$")]
Duration = Annotated[int, _checked(duration_of), PlainSerializer(render_duration), _described("24h", _DURATION)]
Span = Annotated[int, _checked(span_of), PlainSerializer(render_duration), _described("24h", _DURATION)]
Per = Annotated[int | str, _checked(_per), PlainSerializer(_write_per), _described("1s")]
Expect = Annotated[
    Instant | int,
    PlainValidator(_expect),
    PlainSerializer(lambda value: render_duration(value) if isinstance(value, int) else str(value)),
    _described("2026-12-01T09:00 America/New_York"),
]


# --- maps by dimension --------------------------------------------------------------------------------------------


def narrowed(value: dict[str, Any]) -> Any:
    """The one value of the one dimension without its empty name."""
    return value[""] if set(value) == {""} else value


def _write_numbers(value: dict[str, int]) -> Any:
    return narrowed({key: _number(micro) for key, micro in value.items()})


def _write_portions(value: dict[str, Portion]) -> Any:
    return narrowed({key: str(portion) for key, portion in value.items()})


def _dimension(text: Any) -> str:
    if text == "":
        return ""
    try:
        return _name(authored(text))
    except Mistake as mistake:
        raise refused(mistake) from None


class _OneOrMap:
    """Tells an editor that one value may stand for the map of the one dimension."""

    def __get_pydantic_json_schema__(self, schema: Any, handler: Any) -> dict[str, Any]:
        whole: dict[str, Any] = handler(schema)
        return {"anyOf": [whole["additionalProperties"], whole]}


Dimension = Annotated[str, PlainValidator(_dimension), WithJsonSchema({"type": "string"})]
_WIDE = BeforeValidator(shorthand.by_dimension)
Amounts = Annotated[dict[Dimension, Amount], _WIDE, PlainSerializer(_write_numbers), _OneOrMap()]
Portions = Annotated[dict[Dimension, Portion], _WIDE, PlainSerializer(_write_portions), _OneOrMap()]
Factors = Annotated[dict[Dimension, Factor], _WIDE, PlainSerializer(_write_numbers), _OneOrMap()]


def _requirement(value: Any) -> Any:
    """A stage's name, or levels: a mapping, or one number. A stage named like a number is required by a level."""
    try:
        if isinstance(value, dict):
            return {_name(authored(key)) if key else "": _amount(item) for key, item in value.items()}
        text = authored(value)
        if _STAGE.fullmatch(text) and not _LEVEL.fullmatch(text):
            return str(text)
        return {"": amount_of(text)} if re.match(r"[0-9.+-]", text) else _stage_name(text)
    except Mistake as mistake:
        raise refused(mistake) from None


def _amount(value: Any) -> int:
    return amount_of(authored(value))


def _write_requirement(value: Any) -> Any:
    return value if isinstance(value, str) else _write_numbers(value)


Requirement = Annotated[
    str | dict[str, int],
    PlainValidator(_requirement),
    PlainSerializer(_write_requirement),
    WithJsonSchema({"anyOf": [{"type": ["string", "number"]}, {"type": "object"}]}),
]


def _gates(value: Any) -> Any:
    """Names of gates, or `{max: N}`."""
    try:
        if isinstance(value, dict):
            if set(value) != {"max"}:
                raise Mistake("HW123", "`gates` is a list of names, or {max: N}", "write {max: 10} or [gate-a, gate-b]")
            most = int(number_of(authored(value["max"]))[0])
            if not 1 <= most <= 100_000:
                raise Mistake("HW168", f"{shown(value['max'])} is not from 1 to 100000")
            return {"max": most}
        return tuple(_name(authored(item)) for item in shorthand.as_list(value))
    except Mistake as mistake:
        raise refused(mistake) from None


def _write_gates(value: Any) -> Any:
    return dict(value) if isinstance(value, dict) else list(value)


Gates = Annotated[
    tuple[str, ...] | dict[str, int],
    PlainValidator(_gates),
    PlainSerializer(_write_gates),
    WithJsonSchema({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"type": "object"}]}),
]


def plain(value: Any) -> Any:
    """Fields of other protocols, kept as authored text; what looks like a secret must be a reference to one."""
    if isinstance(value, dict):
        for key, item in value.items():
            if isinstance(item, str) and _HIDDEN.search(key) and not SECRET.fullmatch(item):
                raise refused(Mistake("HW164", f"a secret stands in the open under {shown(key)}"))
        return {str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value == "":
        return ""
    try:
        return text_of(authored(value))
    except Mistake as mistake:
        raise refused(mistake) from None


def _plain_map(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise refused(Mistake("HW126", f"{shown(value)} stands where a mapping is meant"))
    out: dict[str, Any] = plain(value)
    return out


Plain = Annotated[dict[str, Any], PlainValidator(_plain_map), WithJsonSchema({"type": "object"})]


def _hours(text: str) -> str:
    hours_of(text)
    return str(text)


def _few(value: tuple[str, ...]) -> tuple[str, ...]:
    if len(value) > HOURS_MAX:
        raise refused(Mistake("HW168", f"{len(value)} entries, and {HOURS_MAX} is the bound"))
    return value


Hours = Annotated[
    tuple[Annotated[str, _checked(_hours), _described("Mon-Fri 09:00-17:00")], ...],
    BeforeValidator(shorthand.as_list),
    AfterValidator(_few),
]
Words = Annotated[tuple[Text, ...], BeforeValidator(shorthand.as_list)]
