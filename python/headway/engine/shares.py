"""What a contract agrees with its workloads, as the core is told it: who goes first, what is guaranteed, what is the most,
and by which weights the rest is divided."""

from __future__ import annotations

from headway._core import ShareSpec
from headway.contract.model import Contract, Workload
from headway.contract.quantities import Portion

PPM = 1_000_000


def shares_of(contract: Contract, dimension: str, *, over_all_keys: bool = False) -> list[ShareSpec]:
    """The shares of a contract's workloads on a dimension's meter; empty where nothing was agreed, and all are alike.

    A workload without a priority is `normal`: it leaves room where another one is declared critical.

    Args:
        contract: It.
        dimension: Whose meter.
        over_all_keys: Of the meter over all keys. A share is one of it too; an amount is one of a key, and says nothing here.
            What is divided by weight is what all keys have together.
    """
    if not any(_is_agreed(workload) for workload in contract.workloads.values()):
        return []
    specs = []
    for name, workload in contract.workloads.items():
        guarantee, ceiling = workload.guaranteed(dimension), workload.at_most(dimension)
        if over_all_keys:
            guarantee, ceiling = _share(guarantee), _share(ceiling)
        specs.append(
            ShareSpec(
                name,
                workload.priority or "normal",
                guarantee_ppm=_ppm(guarantee),
                guarantee_micro=_micro(guarantee),
                ceiling_ppm=_ppm(ceiling),
                ceiling_micro=_micro(ceiling),
                weight=workload.weight if over_all_keys or contract.each is None else None,
            )
        )
    return specs


def ceiling_of(meter: str, workload: str) -> str:
    """The meter of what a workload may have of another one at most."""
    return f"{meter}@{workload}"


def ceilings_micro(
    contract: Contract, dimension: str, level_micro: int, *, over_all_keys: bool = False
) -> dict[str, int]:
    """The workloads with a ceiling on a dimension's meter, and what that is of a level, rounded down. See `shares_of`."""
    found = {}
    for name, workload in contract.workloads.items():
        ceiling = workload.at_most(dimension)
        if over_all_keys:
            ceiling = _share(ceiling)
        if ceiling is not None and ceiling.amount_micro is not None:
            found[name] = min(level_micro, ceiling.amount_micro)
        elif ceiling is not None:
            found[name] = level_micro * (ceiling.share_ppm or 0) // PPM
    return found


def ceilings_passed(contract: Contract, workload: Workload) -> int:
    """How many ceilings a workload's demands pass beside the meters that they are of."""
    ceilings = [workload.at_most(dimension) for dimension in contract.constraint]
    if contract.each is not None and contract.each.total_micro is not None:
        ceilings += [_share(one) for one in ceilings]
    return sum(one is not None for one in ceilings)


def _is_agreed(workload: Workload) -> bool:
    return any(one is not None for one in (workload.priority, workload.guarantee, workload.ceiling, workload.weight))


def _share(part: Portion | None) -> Portion | None:
    return None if part is None or part.share_ppm is None else part


def _ppm(part: Portion | None) -> int | None:
    return None if part is None else part.share_ppm


def _micro(part: Portion | None) -> int | None:
    return None if part is None else part.amount_micro
