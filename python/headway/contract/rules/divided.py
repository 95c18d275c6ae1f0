"""Contracts that are divided among proxies (`rlqs`): only those that can be held exactly, each refusal with its reason.

A proxy is assigned a token bucket in whole tokens a second and decides alone until it expires. So the division is the
whole contract: nobody else may ask, every request counts one, and what is assigned has to end in time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.model import Constraint, Contract
from headway.contract.rules.links import World
from headway.contract.rules.numbers import ENTRIES_MAX

__all__ = ["CONTRACT_RULES", "RULES"]

DRAIN_LEAST_MS = 3_000
"""Two seconds that an assignment lives at least, and one within which it arrives."""

TOKENS_LEAST = 4
"""Of a burst: a bucket, the one it replaces, and as much again for the next."""

RESERVE_ONE_IN = 20
"""One part in 20 of a limit is assigned to nobody: it pays the first fills of later buckets."""

MICRO = 1_000_000


def divisions_are_exact(document: Authored, contract: Contract) -> Iterator[Finding]:
    for index, bind in enumerate(contract.enforce.bind):
        if bind.rlqs is None or len(bind.model_fields_set) != 1:
            continue
        loc = ("enforce", "bind", index, "rlqs")
        if not 1 <= len(bind.rlqs.bucket) <= ENTRIES_MAX:
            problem = f"a bucket has 1 to {ENTRIES_MAX} entries, not {len(bind.rlqs.bucket)}"
            yield document.finding("HW168", problem, (*loc, "bucket"))
        for reason in _reasons(contract):
            yield document.finding("HW255", f"`{contract.name}` {reason}", loc, key=True)


def nobody_else_spends_what_is_divided(world: World, document: Authored, contract: Contract) -> Iterator[Finding]:
    """Who spends it would ask beside the division; and one bucket is of one contract."""
    for index, bind in enumerate(contract.enforce.bind):
        if bind.rlqs is None or contract.abstract:
            continue
        loc = ("enforce", "bind", index, "rlqs")
        if contract.name in world.spent:
            problem = f"`{contract.name}` is another contract's upstream, which would spend beside what is assigned"
            yield document.finding("HW255", problem, loc, key=True)
        others = (
            other.name
            for other in world.contracts.values()
            if (other.name < contract.name or other.name in world.running)
            and any(one.rlqs == bind.rlqs for one in other.enforce.bind)
        )
        for other in sorted(others)[:1]:
            yield document.finding("HW256", f"`{other}` is bound to the same bucket", loc, key=True)
    for index, spend in enumerate(contract.upstream):
        above = world.running.get(spend.contract)
        if above is not None and any(bind.rlqs is not None for bind in above.enforce.bind):
            problem = f"`{above.name}` runs divided among proxies: this would spend beside what is assigned"
            yield document.finding("HW255", problem, ("upstream", index, "contract"))


def _reasons(contract: Contract) -> Iterator[str]:
    """Why a division cannot hold a contract, each once."""
    enforce = contract.enforce
    if contract.abstract:
        return
    if len(contract.constraint) > 1:
        yield "has several dimensions, and a token bucket has one"
    for constraint in contract.constraint.values():
        yield from _of_constraint(contract, constraint)
    if contract.each is not None:
        yield "has a limit for each key, and a bucket is one limit"
    if contract.upstream:
        yield "spends an upstream, which a proxy that decides alone does not ask"
    if len(enforce.bind) > 1:
        yield "has other bindings, which would spend beside what is assigned"
    if enforce.mode != "enforce":
        yield f"has `mode: {enforce.mode}`, and a proxy only enforces what it is assigned"
    if enforce.drain_within_ms < DRAIN_LEAST_MS:
        yield "has a `drain_within` below 3s: an assignment lives for two seconds at least, and arrives within one"
    if enforce.wait_ms:
        yield "has a `wait`, and a proxy lets through or refuses at once"
    if enforce.tell is not None:
        yield "has a `tell`, and a proxy tells what its own configuration says"
    if any(workload.match is not None for workload in contract.workloads.values()):
        yield "tells its workloads apart by `match`, and a proxy that decides alone tells nobody apart"
    for name, workload in contract.workloads.items():
        if workload.cost_ppm != MICRO or workload.model_fields_set - {"feature", "cost_ppm", "match"}:
            yield f"has terms for the workload `{name}`, and a proxy counts requests, each as one"


def _of_constraint(contract: Contract, constraint: Constraint) -> Iterator[str]:
    if constraint.measure == "quota":
        yield "is a quota, and what is assigned is a rate"
    if constraint.measure != "rate" or not isinstance(constraint.per, int):
        return
    if constraint.cost is not None:
        yield "has a `cost`, and a proxy counts requests, each as one"
    declared = [*(stage.limit_micro for stage in contract.ramp), *(one.limit_micro for one in contract.exceptions)]
    levels = {level for one in declared for level in one.values() if level > 0}
    if not levels:
        return
    lowest = min(levels)
    a_second = lowest * 1_000 // constraint.per
    if a_second - -(-a_second // RESERVE_ONE_IN) < MICRO:
        yield "has a limit of which, less the twentieth kept in reserve, no whole token a second is left"
        return
    burst_ms = constraint.burst_ms if constraint.burst_ms is not None else constraint.per
    if lowest * burst_ms // constraint.per < TOKENS_LEAST * MICRO:
        yield f"has a burst of fewer than {TOKENS_LEAST} at its lowest limit, and buckets that replace each other share it"


RULES: tuple[Callable[[Authored, Contract], Iterator[Finding]], ...] = (divisions_are_exact,)
CONTRACT_RULES: tuple[Callable[[World, Authored, Contract], Iterator[Finding]], ...] = (
    nobody_else_spends_what_is_divided,
)
