"""A document's tree to its model: validated once, its faults as findings, fields of other tools dropped.

Whether a field is foreign (`x-…` where the model knows no names of its own) is told by the model, so that a workload or
a label may be called `x-ray`; only documents that have such fields are validated twice.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import ValidationError

from headway.contract.documents import KINDS, Authored, stands_in
from headway.contract.faults import Finding
from headway.contract.instants import zone_of
from headway.contract.mistake import Mistake
from headway.contract.refusals import findings_of, is_foreign
from headway.contract.text import Map, Seq

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
    return kind.model_validate(_without(tree, _by_parent(tree, foreign)), context=context, by_alias=True, by_name=False)


def _by_parent(tree: Map, places: Iterable[tuple[int | str, ...]]) -> dict[int, set[str]]:
    """The fields to leave out, by the identity of the mapping they stand in; parts that shorthands add are passed over."""
    gone: dict[int, set[str]] = {}
    for *parents, name in places:
        node: Any = tree
        for part in parents:
            node = node[part] if stands_in(node, part) else node
        gone.setdefault(id(node), set()).add(str(name))
    return gone


def _without(node: Any, gone: Mapping[int, set[str]]) -> Any:
    """A copy of a tree without some fields. Which ones are foreign was told by the model, so names stay."""
    if isinstance(node, Map):
        names = gone.get(id(node), set())
        return {key: _without(value, gone) for key, value in node.items() if key not in names}
    return [_without(item, gone) for item in node] if isinstance(node, Seq) else node


def _zone(tree: Map) -> str:
    zone = tree.get("zone")
    if not isinstance(zone, str) or not zone:
        return "UTC"
    try:
        zone_of(zone)
    except Mistake:
        return "UTC"  # the field itself is reported
    return zone
