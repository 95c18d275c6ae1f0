"""`match` of a workload: attributes of whoever asks, and the patterns that their values have to fit.

A pattern is a text in which `*` stands for any characters or none and `?` for one. What takes what is decided by the core
on every demand; here is how a match is written, and what can be said of two patterns before anybody asks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import PlainSerializer, PlainValidator, WithJsonSchema

from headway.contract import shorthand
from headway.contract.mistake import Mistake, shown
from headway.contract.parsed import authored, refused
from headway.contract.scalars import text_of

__all__ = ["ATTRIBUTES_MAX", "PATTERNS_IN_ALL_MAX", "Match", "covers"]

ATTRIBUTES_MAX = 16
"""Attributes of one match, and of all matches of a contract."""
PATTERNS_MAX = 64
"""Patterns for one attribute."""
PATTERNS_IN_ALL_MAX = 512
"""Patterns of all matches of a contract."""
PATTERN_BYTES_MAX = 256

_ATTRIBUTE = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,63}", re.ASCII)
_HEADER = "header."
_WILDCARDS = re.compile(r"[*?]{2,}")


def _attribute(value: Any) -> str:
    text = authored(value)
    if _ATTRIBUTE.fullmatch(text) is None:
        raise Mistake("HW169", f"{shown(text)} is not an attribute's name")
    lowered = _HEADER + text[len(_HEADER) :].lower()
    if text.lower().startswith(_HEADER) and text != lowered:
        raise Mistake("HW169", f"{shown(text)} is never said: a header's name is in lower case", f"write {lowered}")
    return str(text)


def _pattern(value: Any) -> str:
    text = text_of(authored(value))
    if len(text.encode()) > PATTERN_BYTES_MAX:
        raise Mistake("HW162", f"this pattern has more than {PATTERN_BYTES_MAX} bytes")
    return text


def _match(value: Any) -> dict[str, tuple[str, ...]]:
    try:
        if not isinstance(value, Mapping):
            raise Mistake("HW126", f"{shown(value)} stands where a mapping is meant")
        if not 1 <= len(value) <= ATTRIBUTES_MAX:
            raise Mistake("HW168", f"a match has 1 to {ATTRIBUTES_MAX} attributes, not {len(value)}")
        match = {_attribute(name): tuple(map(_pattern, shorthand.as_list(item))) for name, item in value.items()}
        for name, patterns in match.items():
            if not 1 <= len(patterns) <= PATTERNS_MAX:
                raise Mistake("HW168", f"{shown(name)} has 1 to {PATTERNS_MAX} patterns, not {len(patterns)}")
        return match
    except Mistake as mistake:
        raise refused(mistake) from None


def _written(match: dict[str, tuple[str, ...]]) -> dict[str, Any]:
    return {name: patterns[0] if len(patterns) == 1 else list(patterns) for name, patterns in match.items()}


_TEXT = {"type": ["string", "number"], "minLength": 1}
Match = Annotated[
    dict[str, tuple[str, ...]],
    PlainValidator(_match),
    PlainSerializer(_written),
    WithJsonSchema(
        {
            "type": "object",
            "additionalProperties": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]},
            "examples": [{"user": "checkout_*"}],
        }
    ),
]
"""Attributes, all of which must be said, and the patterns of which one must take what is said."""


def covers(earlier: Mapping[str, tuple[str, ...]], later: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the first match certainly takes everything that the second one takes."""
    return all(
        name in later and all(any(_contains(one, other) for one in patterns) for other in later[name])
        for name, patterns in earlier.items()
    )


def _contains(wide: str, narrow: str) -> bool:
    """Whether one pattern takes every value that another takes: never true where it does not.

    The narrow one is read as a value in which a wildcard is a character of its own: only a `*` takes a `*`.
    """
    wide, narrow = _settled(wide), _settled(narrow)
    at, here, star, since = 0, 0, -1, 0
    while here < len(narrow):
        wanted, found = wide[at : at + 1], narrow[here]
        if wanted == "*":
            star, since = at, here
            at += 1
        elif wanted and found != "*" and wanted in ("?", found):
            at, here = at + 1, here + 1
        elif star >= 0:
            since += 1
            at, here = star + 1, since
        else:
            return False
    return not wide[at:].strip("*")


def _settled(pattern: str) -> str:
    """Wildcards that stand side by side in one order: `*?*` is `?*`."""
    return _WILDCARDS.sub(lambda run: "?" * run[0].count("?") + "*" * ("*" in run[0]), pattern)
