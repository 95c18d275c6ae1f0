"""Floors that are divided among gates (`gates`), and what gates do that are cut off: only what can be kept, with its reason.

A part is a gate's own whatever becomes of the keeper. So it has to be within every limit that it would be admitted under,
and nothing that is decided elsewhere, later, or by key may be asked of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.mistake import shown
from headway.contract.model import Constraint, Contract
from headway.contract.quantities import render_decimal
from headway.contract.rules.links import World

__all__ = ["CONTRACT_RULES", "RULES"]

DRAIN_LEAST_MS = 100
"""Below it nothing is lent, and a gate decides nothing by itself."""

PARTS_MAX = 10_000
"""Parts of one floor."""

MICRO = 1_000_000


def what_is_cut_off_has_something_to_go_on_with(document: Authored, contract: Contract) -> Iterator[Finding]:
    enforce = contract.enforce
    if contract.abstract:
        return
    if enforce.gates is None:
        if enforce.when_cut_off == "floor":
            problem = "`when_cut_off: floor` has no `gates`: where there are no names nobody has a part of a floor"
            yield document.finding("HW265", problem, ("enforce", "when_cut_off"), key=True)
        return
    if enforce.floor_micro is None:
        yield document.finding("HW265", "`gates` has no `floor` to divide", ("enforce", "gates"), key=True)
        return
    for reason in _reasons(contract):
        yield document.finding("HW265", f"`{contract.name}` {reason}", ("enforce", "gates"), key=True)


def nobody_else_spends_what_is_set_aside(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    """What spends it is promised its limit, of which a part would be others'."""
    if contract.enforce.gates is not None and not contract.abstract and contract.name in world.spent:
        problem = f"`{contract.name}` is another contract's upstream, which is promised all of its limit"
        yield document.finding("HW265", problem, ("enforce", "gates"), key=True)
    for index, spend in enumerate(contract.upstream):
        above = world.running.get(spend.contract)
        if above is not None and above.enforce.gates is not None:
            problem = f"`{above.name}` runs with `gates`, and what spends it is promised all of its limit"
            yield document.finding("HW265", problem, ("upstream", index, "contract"))


def _reasons(contract: Contract) -> Iterator[str]:
    """Why a floor cannot be divided, each once."""
    enforce, gates = contract.enforce, contract.enforce.gates
    many = gates["max"] if isinstance(gates, dict) else len(gates or ())
    if not isinstance(gates, dict) and gates is not None and len(set(gates)) < len(gates):
        twice = next(name for name in gates if gates.count(name) > 1)
        yield f"names the gate {shown(twice)} twice"
    if not 1 <= many <= PARTS_MAX:
        yield f"divides its floor among {many} gates, and a floor has 1 to {PARTS_MAX} parts"
        return
    if enforce.mode != "enforce":
        yield f"has `mode: {enforce.mode}`, and where nobody is refused nobody needs a part"
    if enforce.when_cut_off in ("deny", "open"):
        yield f"has `when_cut_off: {enforce.when_cut_off}`, and a part of the floor is for nothing but being cut off"
    if contract.each is not None:
        yield "has a limit for each key, and a part would be of no key"
    if contract.upstream:
        yield "spends an upstream, whose limit a gate that is cut off does not ask"
    if len(contract.workloads) > 1:
        yield "has several workloads, and a part is of none of them"
    if any(workload.model_fields_set - {"feature"} for workload in contract.workloads.values()):
        yield "has terms for its workload, and a part is as large as it is"
    if any(bind.rlqs is not None for bind in enforce.bind):
        yield "is divided among proxies, and no gate asks for it"
    if enforce.drain_within_ms < DRAIN_LEAST_MS:
        yield "has a `drain_within` below 100ms, and then each demand is asked"
    for dimension, constraint in contract.constraint.items():
        yield from _of_constraint(contract, dimension, constraint, many)


def _of_constraint(contract: Contract, dimension: str, constraint: Constraint, many: int) -> Iterator[str]:
    floor = (contract.enforce.floor_micro or {}).get(dimension)
    if floor is None:
        return
    if constraint.measure == "quota":
        yield "is a quota, and who is cut off does not learn when its window ends or what is left of it"
        return
    if constraint.cost is not None:
        yield "has a `cost`, and what a demand really cost is settled with the keeper"
    lower = [one for one in contract.exceptions if one.limit_micro.get(dimension, floor) < floor]
    if lower:
        level = render_decimal(lower[0].limit_micro[dimension])
        yield f"has an exception of {level}, below the floor, and one that is cut off would not hear of it"
    if constraint.measure == "concurrency" and (floor % MICRO or floor < many * MICRO):
        yield f"has a floor of {render_decimal(floor)} for {many} gates, and each has a whole one at least"
    if constraint.measure == "rate" and isinstance(constraint.per, int):
        burst_ms = constraint.burst_ms if constraint.burst_ms is not None else constraint.per
        if floor * burst_ms // constraint.per < (many + 1) * MICRO:
            burst = render_decimal(floor * burst_ms // constraint.per)
            yield f"has a floor with a burst of {burst} for {many} gates, and it holds one of each and one more at least"


RULES: tuple[Callable[[Authored, Contract], Iterator[Finding]], ...] = (what_is_cut_off_has_something_to_go_on_with,)
CONTRACT_RULES: tuple[Callable[[World, Authored, Contract], Iterator[Finding]], ...] = (
    nobody_else_spends_what_is_set_aside,
)
