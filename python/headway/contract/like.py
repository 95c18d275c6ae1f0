"""`like: NAME`: each top-level field that is absent here is taken from another contract, whole, one level.

No variables, no templates, no overlays: a reader looks at two documents at most. An abstract contract only lends. What
is never taken: the name, `like` itself, and `abstract`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.mistake import shown
from headway.contract.refusals import nearest_name
from headway.contract.text import Map

__all__ = ["TAKEN", "resolve"]

TAKEN = 1_000_000
"""Nodes that `like` may take in one run: what it multiplies is bounded, as what aliases multiply is."""

_OWN = frozenset({"contract", "like", "abstract"})
_RAMPS = frozenset({"ramp", "grow"})


def resolve(documents: Sequence[Authored]) -> list[Finding]:
    """Replaces the trees of all contracts that are like another by ones with the fields they take.

    Where that cannot be, the field is taken out, the finding says why, and `lacking` is set: what is then absent is no
    fault of its own.
    """
    contracts = {document.name: document for document in documents if document.kind == "contract" and document.name}
    names = sorted(contracts)
    findings: list[Finding] = []
    taken = 0
    for document in documents:
        if document.kind != "contract" or "like" not in document.tree:
            continue
        found = _fault(document, contracts, names)
        if found is None:
            lender = contracts[str(document.tree["like"])]
            lent = lender.written or lender.tree
            if taken <= TAKEN < taken + lent.size:
                found = document.finding("HW112", f"`like` takes more than {TAKEN} nodes in all", ("like",))
                findings.append(found)
            taken += lent.size
            if taken <= TAKEN:
                _take(document, lent, lender)
                continue
        else:
            findings.append(found)
        document.written, document.tree = document.tree, _own(document.tree)
        document.lacking = True
    return findings


def _fault(document: Authored, contracts: Mapping[str, Authored], names: Sequence[str]) -> Finding | None:
    """Why a contract cannot take its fields from the one it names, None where it can."""
    name = document.tree["like"]
    if not isinstance(name, str) or name not in contracts:
        near = nearest_name(str(name), names)
        mend = f"write `{near}`" if near else None
        return document.finding("HW230", f"there is no contract {shown(name)}", ("like",), mend=mend)
    other = contracts[name]
    if other is document:
        return document.finding("HW231", "it is like itself", ("like",))
    if "like" in (other.written or other.tree):
        return document.finding("HW231", f"`{name}` takes its fields from another one itself", ("like",))
    return None


def _own(tree: Map) -> Map:
    """A tree without its `like`."""
    own = Map(tree.at)
    for key, value in tree.items():
        if key != "like":
            own.put(key, value, tree.keys_at[key], tree.values_at[key])
    return own


def _take(document: Authored, lent: Map, lender: Authored) -> None:
    merged = _own(document.tree)
    # `ramp` and `grow` are two spellings of one field.
    kept = _OWN | _RAMPS if not _RAMPS.isdisjoint(merged) else _OWN
    for key, value in lent.items():
        if key not in merged and key not in kept:
            merged.put(key, value, lent.keys_at[key], lent.values_at[key])
            document.inherited[key] = lender.source
    document.written, document.tree = document.tree, merged
