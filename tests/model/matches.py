"""The slow twin of the core's matches: a pattern takes a value where any way of reading its wildcards does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Rule = tuple[str, Sequence[tuple[str, Sequence[str]]]]
"""A workload, and the patterns of each attribute that has to be said."""

VALUE_BYTES_MAX = 1_024


def takes(pattern: str, value: str) -> bool:
    """Every way is tried."""
    if not pattern:
        return not value
    if pattern[0] == "*":
        return any(takes(pattern[1:], value[taken:]) for taken in range(len(value) + 1))
    return bool(value) and pattern[0] in ("?", value[0]) and takes(pattern[1:], value[1:])


def workload_of(rules: Sequence[Rule], said: Mapping[str, str]) -> str | None:
    """The first workload all of whose attributes are said as it wants; None: the rest."""
    for workload, wanted in rules:
        if all(
            name in said
            and len(said[name].encode()) <= VALUE_BYTES_MAX
            and any(takes(pattern, said[name]) for pattern in patterns)
            for name, patterns in wanted
        ):
            return workload
    return None
