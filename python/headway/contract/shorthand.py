"""Short spellings to long ones, before anything is checked: one value where a list is meant, a name where a mapping is.

Every function takes what was authored and returns what the model takes; what it does not know it passes on, so that the
model's own check speaks.
"""

from __future__ import annotations

import re
from typing import Any

from pydantic_core import PydanticCustomError

from headway.contract.mistake import shown

__all__ = ["approvals", "as_list", "breach", "by_dimension", "dimensions", "events"]

_CONSTRAINT_FIELDS = frozenset(
    [
        "measure",
        "unit",
        "per",
        "burst",
        "after_crash",
        "max_hold",
        "zone",
        "capacity",
        "evidence",
        "oversubscribe",
        "because",
        "cost",
    ]
)
_BREACH = re.compile(r"\s*([0-9]{1,4})\s+of\s+([0-9]{1,4})\s*", re.ASCII)


def as_list(value: Any) -> Any:
    """One thing where several may stand."""
    return value if isinstance(value, list | tuple) else (value,)


def approvals(value: Any) -> Any:
    """`dba` is `[{by: dba}]`."""
    return tuple({"by": item} if isinstance(item, str) else item for item in as_list(value))


def events(value: Any) -> Any:
    """`replica.promoted` is `[{type: replica.promoted}]`."""
    return tuple({"type": item} if isinstance(item, str) else item for item in as_list(value))


def by_dimension(value: Any) -> Any:
    """One value is that of the one dimension, which has no name."""
    return value if isinstance(value, dict) else {"": value}


def dimensions(value: Any) -> Any:
    """A constraint of one dimension, or several by name: it is one if any of a constraint's own fields stands in it."""
    if not isinstance(value, dict) or not value:
        return {"": value}
    fields = [key for key in value if key in _CONSTRAINT_FIELDS]
    several = "measure" not in value and all(isinstance(item, dict) and "measure" in item for item in value.values())
    if several and fields:
        problem = f"the dimension `{fields[0]}` has the name of a constraint's field"
        raise PydanticCustomError("HW249", "{problem}", {"problem": problem, "mend": "", "because": ""})
    if not fields:
        return {key: item for key, item in value.items() if not key.startswith("x-")}
    return {"": value}


def breach(value: Any) -> Any:
    """`3 of 5` is (3, 5)."""
    if isinstance(value, tuple) and len(value) == 2:
        return value
    match = _BREACH.fullmatch(value) if isinstance(value, str) else None
    if match is not None and 1 <= int(match.group(1)) <= int(match.group(2)) <= 100:
        return int(match.group(1)), int(match.group(2))
    raise PydanticCustomError(
        "HW165", "{problem}", {"problem": f"{shown(value)} is not `m of n`", "mend": "", "because": ""}
    )
