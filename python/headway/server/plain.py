"""Anything the engine answers, as JSON values: dataclasses, mappings, tuples, enumerations, fractions.

Field names are the glossary's and carry their units, so they are kept as they are; nothing is renamed on the way out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from typing import Any

from pydantic import BaseModel


def plain(value: Any) -> Any:
    """A value as JSON knows it. TypeError for one that has no obvious form: it is our mistake, not the world's."""
    if value is None or isinstance(value, bool | int | float | str):
        return value.value if isinstance(value, Enum) else value
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    if isinstance(value, tuple) and (names := getattr(value, "_fields", None)):
        return {name: plain(item) for name, item in zip(names, value, strict=True)}
    if isinstance(value, tuple | list):
        return [plain(item) for item in value]
    if isinstance(value, frozenset | set):
        return sorted(plain(item) for item in value)
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, Fraction):
        return int(value) if value.denominator == 1 else float(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"no plain form of {type(value).__name__}")


def units(micro: int) -> int | float:
    """Micro-units as units: an integer where it is one."""
    whole, rest = divmod(micro, 1_000_000)
    return whole if rest == 0 else micro / 1_000_000
