"""Protobuf by hand, apart from what the data plane reads and writes it with: fields as (number, value)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeAlias

Value: TypeAlias = "int | bytes"


def varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def message(*fields: tuple[int, int | bytes | str]) -> bytes:
    """Numbers as varints, everything else with its length before it."""
    out = b""
    for number, value in fields:
        if isinstance(value, int):
            out += varint(number << 3) + varint(value)
        else:
            raw = value.encode() if isinstance(value, str) else value
            out += varint(number << 3 | 2) + varint(len(raw)) + raw
    return out


def fields(raw: bytes) -> Iterator[tuple[int, Value]]:
    """The fields of a message of varints, doubles (as their eight bytes) and texts, in their order."""
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = raw[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(raw):
        key = number()
        if key & 7 == 0:
            yield key >> 3, number()
            continue
        size = 8 if key & 7 == 1 else number()
        assert key & 7 in (1, 2) and at + size <= len(raw)
        yield key >> 3, raw[at : at + size]
        at += size


def only(raw: bytes, number: int, default: Value = 0) -> Value:
    """The last value of a field; `default` where it is not there."""
    return dict(fields(raw)).get(number, default)
