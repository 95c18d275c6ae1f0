"""A contract as meters, and a workload's way through them: what the core is told once, when a contract is taken up.

A demand of one unit charges every meter on its way: those of the upstreams (all the way up, factors multiplied, ways
that meet added), then the contract's own. The proof weighs retries; a meter charges what is really tried. A spend
across measures is proven, not metered.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Literal

from headway._core import MeterSpec, PathSpec
from headway.contract.model import Constraint, Contract
from headway.engine.shares import PPM as PPM
from headway.engine.shares import ceilings_passed, shares_of
from headway.errors import UnknownWorkload

MS = 1_000_000

DURABLE_PER_MS = 60_000
"""An unkeyed rate with a `per` of at least that keeps a durable mark."""

OTHER = "other"

STEPS_MOST = 16
"""Meters that one demand passes, ceilings among them, as the core has it."""

METERS_MOST = 100_000
"""Meters the core holds in one process. A contract that ended keeps its own: what it last admitted stays enforced."""


def total_of(meter: str) -> str:
    """The meter over all keys of a keyed one."""
    return f"{meter}#total"


def per_ms(constraint: Constraint) -> int:
    """A rate's `per`; 0 for other measures."""
    return constraint.per if constraint.measure == "rate" and isinstance(constraint.per, int) else 0


def durable(contract: Contract, dimension: str) -> bool:
    """Whether a dimension's meters ask the ledger before they admit."""
    constraint = contract.constraint[dimension]
    if constraint.measure == "quota":
        return True
    return contract.each is None and per_ms(constraint) >= DURABLE_PER_MS


def meters_count(contract: Contract) -> int:
    """How many meters a contract has."""
    totals = contract.each is not None and contract.each.total_micro is not None
    return len(contract.constraint) * (2 if totals else 1)


def meters_of(contract: Contract, *, born: Literal["full", "empty"]) -> list[MeterSpec]:
    """A contract's meters, one a dimension, and one more over all keys where it has a total.

    Args:
        contract: It.
        born: `empty` for what was in use before a crash; `after_crash: full` overrules it.
    """
    specs = []
    each = contract.each
    for dimension, constraint in contract.constraint.items():
        meter = contract.meter(dimension)
        per_ns = per_ms(constraint) * MS
        birth: Literal["full", "empty"] = "full" if constraint.after_crash == "full" else born
        specs.append(
            MeterSpec(
                meter,
                constraint.measure,
                ceiling_micro=contract.highest_micro(dimension),
                per_ns=per_ns,
                unit=constraint.unit,
                keys_max=each.count if each else None,
                scale_ppm=sorted(each.scale_ppm.items()) if each else (),
                born=birth if per_ns else "full",
                durable=durable(contract, dimension),
                shares=shares_of(contract, dimension),
            )
        )
        if each is not None and each.total_micro is not None:
            specs.append(
                MeterSpec(
                    total_of(meter),
                    constraint.measure,
                    ceiling_micro=each.total_micro[dimension],
                    per_ns=per_ns,
                    unit=constraint.unit,
                    born=birth if per_ns else "full",
                    durable=constraint.measure == "quota",
                    shares=shares_of(contract, dimension, over_all_keys=True),
                )
            )
    return specs


def path_of(contract: Contract, workload: str, contracts: Mapping[str, Contract]) -> PathSpec:
    """A workload's way: upstream meters, then its own.

    Args:
        contract: Whose limiter it is.
        workload: One of its workloads; a name it does not have is `other`'s, where there is one.
        contracts: All, by name; an upstream that is not among them is not metered.

    Raises:
        UnknownWorkload: Neither it nor `other` is declared.
        ValueError: More meters than a demand may pass.
    """
    named = contract.workloads.get(workload) or contract.workloads.get(OTHER)
    if named is None and contract.workloads:
        raise UnknownWorkload.of(workload, contract.workloads, where=contract.name)
    factors: dict[tuple[int, str, bool], int] = {}
    for dimension in contract.constraint:
        for depth, meter, factor, keyed in _steps(contract, dimension, PPM, 0, contracts, contract.each is not None):
            factors[depth, meter, keyed] = factors.get((depth, meter, keyed), 0) + factor
    # One meter reached over ways of different lengths is charged once, in its deepest place.
    deepest: dict[tuple[str, bool], int] = {}
    charges: dict[tuple[str, bool], int] = {}
    for (depth, meter, keyed), factor in factors.items():
        deepest[meter, keyed] = max(deepest.get((meter, keyed), 0), depth)
        charges[meter, keyed] = charges.get((meter, keyed), 0) + factor
    order = sorted(charges, key=lambda one: (-deepest[one], one))
    passed = len(order) + (ceilings_passed(contract, named) if named else 0)
    if passed > STEPS_MOST:
        raise ValueError(
            f"a demand of {contract.name} by {workload} would pass {passed} meters, upstreams and ceilings among them, "
            f"and it may pass {STEPS_MOST}"
        )
    settle_max = [one.cost.max_micro for one in contract.constraint.values() if one.cost is not None]
    return PathSpec(
        contract.name,
        workload,
        [(meter, charges[meter, keyed], keyed) for meter, keyed in order],
        mode=contract.enforce.mode,
        cost_ppm=named.cost_ppm if named else PPM,
        settle_max_micro=max(settle_max, default=0),
        wait_ns=contract.enforce.wait_ms * MS,
        shares_as=workload if workload in contract.workloads else OTHER,
        recall=contract.enforce.recall or "wait",
        ends_within_ns=contract.enforce.drain_within_ms * MS,
    )


def workloads_of(contract: Contract) -> tuple[str, ...]:
    """The names of a contract's workloads, as declared; `other` alone where it declares none."""
    return tuple(contract.workloads) or (OTHER,)


def workload_of(contract: Contract, workload: str | None) -> str:
    """The workload that is meant where none is named: `other`, or the only one."""
    if workload is not None:
        return workload
    return next(iter(contract.workloads)) if len(contract.workloads) == 1 else OTHER


def _steps(
    contract: Contract,
    dimension: str,
    factor_ppm: int,
    depth: int,
    contracts: Mapping[str, Contract],
    keyed: bool,
) -> Iterator[tuple[int, str, int, bool]]:
    """(how far up, meter, factor, keyed) for one unit of one dimension. Upstreams have no cycles: that was checked."""
    each, meter = contract.each, contract.meter(dimension)
    if each is None:
        yield depth, meter, factor_ppm, False
    else:
        if keyed:
            yield depth, meter, factor_ppm, True
        if each.total_micro is not None:
            yield depth, total_of(meter), factor_ppm, False
    measure = contract.constraint[dimension].measure
    for spend in contract.upstream:
        above = contracts.get(spend.contract)
        spent = spend.spends_ppm.get(dimension, 0)
        if above is None or not spent:
            continue
        theirs = dimension if dimension in above.constraint else next(iter(above.constraint))
        if above.constraint[theirs].measure != measure:
            continue
        # An upstream's key is only known where it is the same one.
        same_key = keyed and above.each is not None and each is not None and above.each.key == each.key
        # Charges round up: what is spent is never less than what was declared.
        yield from _steps(above, theirs, -(-factor_ppm * spent // PPM), depth + 1, contracts, same_key)
