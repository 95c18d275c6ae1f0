"""A document between text and model: its kind, its name, its tree, and where each part of it stands.

A part that came from another document by `like` keeps its place there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from headway.contract.faults import Finding
from headway.contract.model import Calendar, Contract, Document, Frozen, Rollout, Server, Team
from headway.contract.model import Source as SourceModel
from headway.contract.text import Map, Position, Seq, Source

__all__ = ["KINDS", "Authored", "kind_of", "stands_in"]

KINDS: dict[str, type[Frozen]] = {
    "contract": Contract,
    "rollout": Rollout,
    "source": SourceModel,
    "team": Team,
    "calendar": Calendar,
    "server": Server,
}

Loc = Sequence[str | int]

NAME_SHOWN = 200
"""Characters of a name that findings carry; names have fewer."""


def kind_of(model: Document) -> str:
    """The first field of a model's document."""
    return next(kind for kind, shape in KINDS.items() if isinstance(model, shape))


def stands_in(node: object, part: str | int) -> bool:
    """Whether a part was written here, and not added by a shorthand."""
    return part in node if isinstance(node, Map) else isinstance(node, Seq) and isinstance(part, int)


@dataclass(slots=True)
class Authored:
    """One document. `model` is None while it is not valid; `inherited` names what `like` took, with its file."""

    kind: str
    name: str
    source: Source
    tree: Map = field(repr=False)
    model: Document | None = None
    inherited: dict[str, Source] = field(default_factory=dict)
    written: Map | None = field(default=None, repr=False)
    """The tree as authored, before `like` and `grow`, where those changed it."""
    lacking: bool = False
    """Fields that should have come from elsewhere did not: what is absent is no fault of its own."""
    under: tuple[str, ...] = ()
    """A part of the document that is looked at alone: places are counted from there."""
    shape: type[Frozen] | None = None
    """The model of that part; else the kind's."""

    @property
    def fields(self) -> type[Frozen]:
        """The model that says which fields there are."""
        return self.shape or KINDS[self.kind]

    @property
    def contract(self) -> str | None:
        """The name a finding carries as its contract; one too long to be one is cut."""
        return self.name[:NAME_SHOWN] if self.kind == "contract" else None

    def place(self, loc: Loc, *, key: bool = False) -> tuple[Source, Position]:
        """Where a part stands: the deepest part of `loc` that was written; the key rather than the value if asked.

        Parts that shorthands add (an empty dimension, the 0 of a single item) are not written and are passed over.
        """
        node: Any = self.tree
        at, key_at, source = self.tree.at, self.tree.at, self.source
        loc = (*self.under, *loc)
        for depth, part in enumerate(loc):
            if part == "[key]":
                at = key_at
            elif isinstance(part, int):
                if stands_in(node, part) and part < len(node):
                    at, node = node.items_at[part], node[part]
            elif stands_in(node, part):
                key_at, at = node.keys_at[part], node.values_at[part]
                node = node[part]
                source = self.inherited.get(part, source) if depth == 0 else source
                if key and depth == len(loc) - 1:
                    at = key_at
        return source, at

    def at(self, loc: Loc) -> Any:
        """What stands at `loc` as authored, None where nothing does; parts that shorthands add are passed over."""
        node: Any = self.tree
        for part in (*self.under, *loc):
            if stands_in(node, part):
                node = node[part]
            elif part not in ("", 0):
                return None
        return node

    def finding(self, code: str, problem: str, loc: Loc, *, key: bool = False, **more: Any) -> Finding:
        """A finding at a part of this document."""
        source, at = self.place(loc, key=key)
        return source.finding(code, problem, at, contract=self.contract, **more)
