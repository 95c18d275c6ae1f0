"""What one document says about another: upstreams, requirements, calendars, sources, teams, demand."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from headway.contract.documents import Authored, Loc, kind_of
from headway.contract.faults import FAULTS, Finding
from headway.contract.mistake import shown
from headway.contract.model import Contract, Document, Rollout, Server
from headway.contract.refusals import nearest, nearest_name
from headway.contract.rules.conditions import approvals, approver_twice, measured

__all__ = ["CONTRACT_RULES", "DOCUMENT_RULES", "World"]


@dataclass(frozen=True)
class World:
    """All documents of a run. Names count as known where the document is not valid: its own faults say enough.

    `agreed` is what runs already: it is linked to like the rest and not checked again.
    """

    documents: Sequence[Authored]
    agreed: Sequence[Document] = ()

    @cached_property
    def names(self) -> Mapping[str, frozenset[str]]:
        """Names by kind."""
        kinds: dict[str, set[str]] = {}
        for document in self.documents:
            kinds.setdefault(document.kind, set()).add(document.name)
        for model in self.agreed:
            kinds.setdefault(kind_of(model), set()).add(model.name)
        return {kind: frozenset(names) for kind, names in kinds.items()}

    @cached_property
    def contracts(self) -> Mapping[str, Contract]:
        """Valid contracts, abstract ones included."""
        models = [*self.agreed, *(document.model for document in self.documents)]
        return {model.name: model for model in models if isinstance(model, Contract)}

    @cached_property
    def running(self) -> Mapping[str, Contract]:
        """Contracts that run already and are not in front of the author: what is amiss is told at what links to them."""
        agreed = (one for one in self.agreed if isinstance(one, Contract))
        return {one.name: one for one in agreed if one.name not in self.names_here}

    @cached_property
    def names_here(self) -> frozenset[str]:
        """Names of contracts that the author has in front."""
        return frozenset(document.name for document in self.documents if document.kind == "contract")

    @cached_property
    def abstract(self) -> frozenset[str]:
        """Contracts that only lend their fields."""
        documents = (d for d in self.documents if d.kind == "contract")
        return frozenset(d.name for d in documents if str(d.tree.get("abstract", "")) == "true")

    @cached_property
    def spent(self) -> frozenset[str]:
        """Contracts whose capacity some other spends, as far as it can be told."""
        names: set[str] = set()
        for document in self.documents:
            listed = document.tree.get("upstream") if document.kind == "contract" else None
            if isinstance(listed, list):
                names |= {str(entry["contract"]) for entry in listed if isinstance(entry, dict) and "contract" in entry}
        names |= {spend.contract for model in self.agreed if isinstance(model, Contract) for spend in model.upstream}
        return frozenset(names)

    @cached_property
    def circular(self) -> Mapping[str, Sequence[str]]:
        """Contracts that spend each other in a circle: each with one circle through it, itself first."""
        spends = {
            name: [s.contract for s in one.upstream if s.contract in self.contracts]
            for name, one in self.contracts.items()
        }
        circles = {}
        for circle in _circles(spends):
            # Told where a document can be mended: one that runs already is not in front of the author.
            start = next((index for index, name in enumerate(circle) if name in self.names_here), 0)
            circles[circle[start]] = [*circle[start:], *circle[:start]]
        return circles

    @cached_property
    def ordered(self) -> Mapping[str, Sequence[str]]:
        """Names by kind, sorted."""
        return {kind: sorted(names) for kind, names in self.names.items()}

    def known(self, kind: str) -> frozenset[str]:
        return self.names.get(kind, frozenset())

    def missing(self, document: Authored, code: str, kind: str, name: str, loc: Loc, *, key: bool = False) -> Finding:
        """The finding of a name that no document of a kind has."""
        near = nearest_name(name, self.ordered.get(kind, ()))
        mend = f"write `{near}`" if near else None
        return document.finding(code, f"there is no {kind} {shown(name)}", loc, key=key, mend=mend)


Rule = Callable[[World, Authored, Contract], Iterator[Finding]]
DocumentRule = Callable[[World, Authored, Any], Iterator[Finding]]


def somebody_stresses_it(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    if not contract.workloads and contract.name not in world.spent and not contract.abstract:
        yield document.finding("HW201", f"nothing says who stresses `{contract.name}`", ("contract",), key=True)


def upstreams_exist(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, spend in enumerate(contract.upstream):
        loc = ("upstream", index, "contract")
        if spend.contract not in world.known("contract"):
            yield world.missing(document, "HW205", "contract", spend.contract, loc)
        elif spend.contract in world.abstract:
            yield document.finding("HW244", f"`{spend.contract}` is abstract and has no capacity", loc)
        if spend.contract in seen:
            yield document.finding("HW239", f"`{spend.contract}` stands twice under `upstream`", loc)
        seen.add(spend.contract)
    circle = world.circular.get(contract.name)
    # Of several documents of one name, which is a finding of its own, the circle runs through one.
    if circle is not None and world.contracts[contract.name] is contract:
        index = next(i for i, spend in enumerate(contract.upstream) if spend.contract == circle[1 % len(circle)])
        path = " spends ".join(f"`{name}`" for name in [*circle, circle[0]])
        yield document.finding("HW208", path, ("upstream", index, "contract"), witness=list(circle))


def requirements_exist(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    for index, stage in enumerate(contract.ramp):
        for name, wanted in (stage.when.requires if stage.when else {}).items():
            loc = ("ramp", index, "when", "requires", name)
            if name == contract.name:
                yield document.finding("HW251", f"stage {shown(stage.name)} requires its own contract", loc, key=True)
            else:
                yield from _requirement(world, document, name, wanted, loc)


def _requirement(
    world: World, document: Authored, name: str, wanted: str | dict[str, int], loc: Loc
) -> Iterator[Finding]:
    if name not in world.known("contract"):
        yield world.missing(document, "HW206", "contract", name, loc, key=True)
        return
    if name in world.abstract:
        yield document.finding("HW244", f"`{name}` is abstract and never has a stage", loc, key=True)
        return
    other = world.contracts.get(name)
    if other is None:
        return
    if isinstance(wanted, str):
        stages = [stage.name for stage in other.ramp]
        if wanted not in stages:
            near = nearest(wanted, stages)
            mend = f"write `{near}`" if near else f"its stages are: {', '.join(stages[:20])}"
            yield document.finding("HW207", f"`{name}` has no stage {shown(wanted)}", loc, mend=mend)
    elif not set(wanted) <= set(other.constraint):
        odd = sorted(set(wanted) - set(other.constraint))[0]
        names = ", ".join(sorted(other.constraint))
        problem = f"`{name}` has no dimension {shown(odd)}" if odd else f"`{name}` has several dimensions: {names}"
        mend = f"name them: {names}" if names else "write a single number"
        yield document.finding("HW207", problem, loc, mend=mend)


def calendars_exist(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    if contract.raise_in is not None and contract.raise_in not in world.known("calendar"):
        yield world.missing(document, "HW225", "calendar", contract.raise_in, ("raise_in",))


def sources_exist(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, metric in measured(contract):
        if metric.source is not None and metric.source not in world.known("source"):
            yield world.missing(document, "HW226", "source", metric.source, (*loc, "from"))


def teams_exist(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    teams = world.known("team")
    if not teams:
        return
    if contract.owner not in teams:
        yield world.missing(document, "HW227", "team", contract.owner, ("owner",))
    for loc, needs in approvals(contract):
        for index, need in enumerate(needs):
            if need.by not in teams:
                yield world.missing(document, "HW227", "team", need.by, (*loc, index, "by"))


def rollouts_fit(world: World, document: Authored, rollout: Any) -> Iterator[Finding]:
    if not isinstance(rollout, Rollout):
        return
    for name in rollout.demand_micro:
        if name not in world.known("contract"):
            yield world.missing(document, "HW246", "contract", name, ("demand", name), key=True)
    for index, step in enumerate(rollout.steps):
        if index > 0 and step.share_ppm <= rollout.steps[index - 1].share_ppm:
            yield document.finding("HW247", "this share is not above the one before", ("steps", index, "share"))
        if step.when is not None:
            yield from approver_twice(document, ("steps", index, "when", "approval"), step.when.approval)
        for name, wanted in step.requires.items():
            yield from _requirement(world, document, name, wanted, ("steps", index, "requires", name))


def one_server_with_its_tokens(world: World, document: Authored, server: Any) -> Iterator[Finding]:
    if not isinstance(server, Server):
        return
    first = next(other for other in world.documents if other.kind == "server")
    if first is not document:
        yield document.finding("HW245", f"there is another server, `{first.name}`", ("server",))
    seen: set[str] = set()
    for index, token in enumerate(server.tokens):
        if token.name in seen:
            yield document.finding("HW248", f"a token {shown(token.name)} stands twice", ("tokens", index, "name"))
        seen.add(token.name)


def _circles(links: Mapping[str, Sequence[str]]) -> list[Sequence[str]]:
    """Circles, one through every set of nodes that reach each other, up to a bound; no recursion."""
    found: list[Sequence[str]] = []
    done: set[str] = set()
    for start in links:
        path: list[str] = []
        on_path: set[str] = set()
        stack: list[tuple[str, Iterator[str]]] = [(start, iter(links[start]))] if start not in done else []
        if stack:
            path.append(start)
            on_path.add(start)
        while stack:
            node, rest = stack[-1]
            onward = next(rest, None)
            if onward is None:
                stack.pop()
                path.pop()
                on_path.discard(node)
                done.add(node)
            elif onward in on_path and len(found) >= FAULTS:
                return found
            elif onward in on_path:
                found.append(path[path.index(onward) :])
            elif onward not in done:
                path.append(onward)
                on_path.add(onward)
                stack.append((onward, iter(links[onward])))
    return found


CONTRACT_RULES: tuple[Rule, ...] = (
    somebody_stresses_it,
    upstreams_exist,
    requirements_exist,
    calendars_exist,
    sources_exist,
    teams_exist,
)
DOCUMENT_RULES: tuple[DocumentRule, ...] = (rollouts_fit, one_server_with_its_tokens)
