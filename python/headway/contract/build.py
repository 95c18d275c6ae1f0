"""A document's tree to its model: validated once, its faults as findings, fields of other tools dropped.

Whether a field is foreign (`x-…` where the model knows no names of its own) is told by the model, so that a workload or
a label may be called `x-ray`; only documents that have such fields are validated twice.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

from headway.contract.documents import KINDS, Authored
from headway.contract.faults import Finding
from headway.contract.instants import zone_of
from headway.contract.mistake import Mistake
from headway.contract.refusals import findings_of, is_foreign
from headway.contract.text import Map

__all__ = ["built"]


def built(document: Authored, *, without: str | None = None) -> list[Finding]:
    """Sets a document's model, or says what is wrong.

    Args:
        document: `like` and `grow` resolved.
        without: A field that failed before, and is not missed again.
    """
    context = {"zone": _zone(document.tree)}
    abstract = document.kind == "contract" and str(document.tree.get("abstract", "")) == "true"
    try:
        document.model = _model(KINDS[document.kind], document.tree, context)
    except ValidationError as error:
        found = findings_of(document, error, partial=abstract or document.lacking)
        return [one for one in found if without is None or not _misses(one, without)]
    return []


def _misses(found: Finding, field: str) -> bool:
    return (found.code == "HW124" and found.problem.endswith(f"`{field}`")) or (
        found.code == "HW123" and found.problem == "`grow` is not a field here"
    )


def _model(kind: type[Any], tree: Map, context: dict[str, str]) -> Any:
    try:
        return kind.model_validate(tree, context=context, by_alias=True, by_name=False)
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        foreign = [d["loc"] for d in details if d["type"] == "extra_forbidden" and is_foreign(d["loc"][-1])]
        if not foreign:
            raise
    # Only a document that has `x-` fields is validated twice, so that the others pay nothing for them.
    return kind.model_validate(_without(tree, set(foreign), ()), context=context, by_alias=True, by_name=False)


def _without(node: Any, gone: set[tuple[int | str, ...]], loc: tuple[int | str, ...]) -> Any:
    """A tree's copy without foreign fields. Which fields are foreign was told by the model, so names stay."""
    if isinstance(node, dict):
        parents = {place[:-1] for place in gone}
        here = [place for place in parents if _same(place, loc)]
        names = {place[-1] for place in gone if place[:-1] in here}
        return {key: _without(value, gone, (*loc, key)) for key, value in node.items() if key not in names}
    if isinstance(node, list):
        return [_without(item, gone, (*loc, index)) for index, item in enumerate(node)]
    return node


def _same(place: tuple[int | str, ...], loc: tuple[int | str, ...]) -> bool:
    """Whether a place in the model is a place in the tree, parts that shorthands add (`""`, a 0) passed over."""
    rest: Iterator[int | str] = iter(loc)
    part = next(rest, None)
    for step in place:
        if step == part:
            part = next(rest, None)
        elif step not in ("", 0):
            return False
    return part is None


def _zone(tree: Map) -> str:
    zone = tree.get("zone")
    if not isinstance(zone, str) or not zone:
        return "UTC"
    try:
        zone_of(zone)
    except Mistake:
        return "UTC"  # the field itself is reported
    return zone
