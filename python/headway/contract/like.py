"""`like: NAME`: each top-level field that is absent here is taken from another contract, whole, one level.

No variables, no templates, no overlays: a reader looks at two documents at most. An abstract contract only lends. What
is never taken: the name, `like` itself, and `abstract`.
"""

from __future__ import annotations

from collections.abc import Mapping

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.mistake import shown
from headway.contract.refusals import nearest
from headway.contract.text import Map

__all__ = ["resolve"]

_OWN = frozenset({"contract", "like", "abstract"})
_RAMPS = frozenset({"ramp", "grow"})


def resolve(document: Authored, contracts: Mapping[str, Authored]) -> list[Finding]:
    """Replaces a contract's tree by one with the fields it takes; the findings if it cannot (`lacking` is then set).

    Args:
        document: A contract's document, maybe without `like`.
        contracts: All contracts' documents by name, their trees as authored (`written` where that was changed).
    """
    tree = document.tree
    if "like" not in tree:
        return []
    name = tree["like"]
    if not isinstance(name, str) or name not in contracts:
        near = nearest(str(name), list(contracts), alike=0.8)
        mend = f"write `{near}`" if near else None
        return [
            _dropped(document, document.finding("HW230", f"there is no contract {shown(name)}", ("like",), mend=mend))
        ]
    other = contracts[name]
    lent = other.written or other.tree
    if other is document or "like" in lent:
        problem = f"`{name}` takes its fields from another one itself" if other is not document else "it is like itself"
        return [_dropped(document, document.finding("HW231", problem, ("like",)))]
    merged = Map(tree.at)
    for key, value in tree.items():
        if key != "like":
            merged.put(key, value, tree.keys_at[key], tree.values_at[key])
    # `ramp` and `grow` are two spellings of one field.
    own = _OWN | _RAMPS if not _RAMPS.isdisjoint(tree) else _OWN
    for key, value in lent.items():
        if key not in merged and key not in own:
            merged.put(key, value, lent.keys_at[key], lent.values_at[key])
            document.inherited[key] = other.source
    document.written = tree
    document.tree = merged
    return []


def _dropped(document: Authored, found: Finding) -> Finding:
    """The finding, once the field that cannot be used is out of the way of the others."""
    tree = Map(document.tree.at)
    for key, value in document.tree.items():
        if key != "like":
            tree.put(key, value, document.tree.keys_at[key], document.tree.values_at[key])
    document.written = document.tree
    document.tree = tree
    document.lacking = True
    return found
