"""What pydantic found wrong with a document, as findings at their places.

Our own parsers raise with a code; pydantic's errors of shape (a missing field, an unknown one, a word not in a list)
get theirs here, and so do the slips that only show as a wrong shape: a query that a brace cut in two, `10,000` in a
flow mapping.
"""

from __future__ import annotations

import difflib
import re
import types
from bisect import bisect
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from headway.contract.codes import CODES
from headway.contract.documents import Authored
from headway.contract.faults import FAULTS, Finding
from headway.contract.mistake import shown
from headway.contract.syntax import looks_like_promql
from headway.contract.text import Map, Quoted

__all__ = ["findings_of", "is_foreign", "nearest", "nearest_name"]

NEIGHBOURS = 100

_SHAPES = {"model_type", "model_attributes_type", "dict_type", "mapping_type"}
_LISTS = {"tuple_type", "list_type"}
_AFTER_COMMA = re.compile(r"[0-9]{3}[A-Za-z]*")


def nearest(word: str, known: Sequence[str]) -> str | None:
    """The known word that was probably meant."""
    return _nearest_field(word[:64], tuple(known))


@lru_cache(maxsize=1024)
def _nearest_field(word: str, known: tuple[str, ...]) -> str | None:
    # Who mistypes a field does so in every document, and comparing words takes longer than reading what is around them.
    return _closest(word, known, alike=0.6)


def nearest_name(name: str, ordered: Sequence[str]) -> str | None:
    """The name that was probably meant, of names in their order: among few of all, among many of the neighbours."""
    middle = bisect(ordered, name)
    return _closest(name[:64], ordered[max(0, middle - NEIGHBOURS) : middle + NEIGHBOURS], alike=0.8)


def _closest(word: str, known: Sequence[str], *, alike: float) -> str | None:
    """The most alike of some words, if it is `alike` enough (0 to 1): names, which share prefixes, want more than fields."""
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=alike)
    return close[0] if close else None


def is_foreign(key: object) -> bool:
    """Whether a field is for other tools."""
    return isinstance(key, str) and key.startswith("x-")


def findings_of(document: Authored, error: ValidationError, *, partial: bool = False) -> Iterator[Finding]:
    """The findings of a document that is not valid.

    Args:
        document: Its tree and places.
        error: What pydantic found.
        partial: The document lends its fields (`abstract`), so that missing top-level fields are no fault.
    """
    count = 0
    cut: set[tuple[str | int, ...]] = set()
    for detail in error.errors(include_url=False):
        if partial and detail["type"] == "missing" and len(detail["loc"]) == 1:
            continue
        if count >= FAULTS:
            more = f"and {error.error_count() - count} more faults from here on"
            yield document.finding("HW129", more, detail["loc"], key=True)
            return
        found = _finding(document, detail)
        # A query that was cut by a comma leaves several odd keys; one finding says it.
        if found.code in ("HW108", "HW131"):
            if detail["loc"][:-1] in cut:
                continue
            cut.add(tuple(detail["loc"][:-1]))
        count += 1
        yield found


def _finding(document: Authored, detail: ErrorDetails) -> Finding:
    kind, loc, given = detail["type"], detail["loc"], detail["input"]
    field = next((str(part) for part in reversed(loc) if isinstance(part, str) and part not in ("", "[key]")), "")
    if kind in CODES:
        return _coded(document, detail, field)
    if kind == "missing":
        return _missing(document, loc, field)
    if kind == "extra_forbidden":
        return _unknown(document, loc, given, field)
    if kind == "literal_error":
        words = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
        listed = ", ".join(words)
        if given == "" and not isinstance(given, Quoted):
            return document.finding("HW128", f"`{field}` is empty", loc, mend=f"write one of: {listed}")
        if isinstance(given, dict | list):
            return document.finding("HW125", f"`{field}` is {shown(given)}", loc, mend=f"write one of: {listed}")
        near = nearest(str(given), words)
        problem = f"`{field}` is {shown(given)}, which is not one of its words"
        mend = f"write {near}; it takes: {listed}" if near else f"write one of: {listed}"
        return document.finding("HW163", problem, loc, mend=mend)
    if given == "" and not isinstance(given, Quoted):
        empty = "write {} if it has no fields" if kind in _SHAPES else None
        return document.finding("HW128", f"`{field}` is empty", loc, key=True, mend=empty)
    if kind in _SHAPES:
        return document.finding("HW126", f"`{field}` is {shown(given)}, and a mapping is meant", loc)
    if kind in _LISTS:
        return document.finding("HW127", f"`{field}` is {shown(given)}, and a list is meant", loc)
    return document.finding("HW125", f"`{field}`: {detail['msg']}", loc)


def _coded(document: Authored, detail: ErrorDetails, field: str) -> Finding:
    """One of our own parsers spoke."""
    loc, context = detail["loc"], detail.get("ctx", {})
    code: str = detail["type"]
    problem = str(context["problem"])
    if code == "HW125" and field == "query":
        return document.finding("HW108", "a query without quotes is read as a mapping", loc)
    if code == "HW128":
        problem = f"`{field}` is empty"
        return document.finding(code, problem, loc, key=True)
    if code in ("HW125", "HW127"):
        problem = f"`{field}` is {shown(detail['input'])}, and a single value is meant"
    elif field and loc[-1] != "[key]":
        problem = f"`{field}`: {problem}"
    return document.finding(
        code, problem, loc, mend=str(context["mend"]) or None, because=str(context["because"]) or None
    )


def _missing(document: Authored, loc: tuple[str | int, ...], field: str) -> Finding:
    if loc[0] == "each":
        return document.finding("HW223", f"`each` has no `{field}`", loc)
    if len(loc) == 1 and not document.under:
        question = {
            "constraint": "what the constraint is",
            "ramp": "how capacity increases",
            "owner": "who answers for it",
        }.get(field)
        because = f"a contract answers four questions; this leaves open {question}" if question else None
        return document.finding("HW124", f"{shown(document.name)} has no `{field}`", loc, because=because)
    return document.finding("HW124", f"`{field}` is missing here", loc)


def _unknown(document: Authored, loc: tuple[str | int, ...], given: Any, field: str) -> Finding:
    parent = document.at(loc[:-1])
    if field in ("requires", "approval") and "any" in loc:
        return document.finding("HW209", f"`{field}` stands inside `any`", loc, key=True)
    if isinstance(parent, Map):
        keys = list(parent)
        query = parent.get("query")
        before = keys[keys.index(field) - 1] if field in parent and keys.index(field) > 0 else None
        if isinstance(query, str) and not isinstance(query, Quoted) and given == "" and looks_like_promql(query):
            source, at = document.place((*loc[:-1], "query"))
            problem = "a comma in a query without quotes ends it"
            return source.finding("HW108", problem, at, contract=document.contract)
        if given == "" and before is not None and _AFTER_COMMA.fullmatch(field) and str(parent[before])[-1:].isdigit():
            whole = f"{parent[before]},{field}"
            source, at = document.place((*loc[:-1], before))
            remedy = f"write it without the comma: {parent[before]}{field}"
            return source.finding("HW131", f"`{before}`: {shown(whole)} has a comma in it", at, mend=remedy,
                                  contract=document.contract)  # fmt: skip
    known = _fields(document, loc[:-1])
    near = nearest(field, known)
    mend = f"write `{near}`" if near else f"remove it; known here: {', '.join(known)}" if known else None
    return document.finding("HW123", f"{shown(field)} is not a field here", loc, key=True, mend=mend)


def _fields(document: Authored, loc: tuple[str | int, ...]) -> list[str]:
    """The fields, as authored, of the model that stands at a place."""
    here: Any = document.fields
    for part in loc:
        here = _below(_bare(here), part)
    here = _bare(here)
    if not (isinstance(here, type) and issubclass(here, BaseModel)):
        return []
    names = [info.alias or name for name, info in here.model_fields.items()]
    return [*names, "like", "grow"] if not loc and document.kind == "contract" and not document.under else names


def _bare(annotation: Any) -> Any:
    """An annotation without what is around it: `Annotated`, `… | None`."""
    while True:
        origin = get_origin(annotation)
        if origin is Annotated:
            annotation = get_args(annotation)[0]
        elif origin in (Union, types.UnionType):
            annotation = next(arg for arg in get_args(annotation) if arg is not type(None))
        else:
            return annotation


def _below(annotation: Any, part: str | int) -> Any:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.items()
        return next((info.annotation for name, info in fields if (info.alias or name) == part), None)
    args = get_args(annotation)
    if get_origin(annotation) is tuple:
        return args[0]
    return args[1] if get_origin(annotation) is dict else None
