"""What a contract agrees with its workloads, as the core is told it: who goes first, what is guaranteed, what is the most,
and by which weights the rest is divided."""

from __future__ import annotations

from headway._core import ShareSpec
from headway.contract.model import Contract, Workload
from headway.contract.quantities import Portion

PPM = 1_000_000


def shares_of(contract: Contract) -> list[ShareSpec]:
    """The shares of a contract's workloads on each of its meters; empty where nothing was agreed, and all are alike.

    A workload without a priority is `normal`: it leaves room where another one is declared critical.
    """
    if not any(_is_agreed(workload) for workload in contract.workloads.values()):
        return []
    return [
        ShareSpec(
            name,
            workload.priority or "normal",
            guarantee_ppm=_ppm(workload.guarantee),
            guarantee_micro=_micro(workload.guarantee),
            ceiling_ppm=_ppm(workload.ceiling),
            ceiling_micro=_micro(workload.ceiling),
            weight=workload.weight,
        )
        for name, workload in contract.workloads.items()
    ]


def ceiling_of(meter: str, workload: str) -> str:
    """The meter of what a workload may have of another one at most."""
    return f"{meter}@{workload}"


def ceilings_micro(contract: Contract, level_micro: int) -> dict[str, int]:
    """The workloads with a ceiling, and what that is of a level, rounded down."""
    return {
        name: min(level_micro, workload.ceiling.amount_micro)
        if workload.ceiling.amount_micro is not None
        else level_micro * (workload.ceiling.share_ppm or 0) // PPM
        for name, workload in contract.workloads.items()
        if workload.ceiling is not None
    }


def _is_agreed(workload: Workload) -> bool:
    return any(one is not None for one in (workload.priority, workload.guarantee, workload.ceiling, workload.weight))


def _ppm(part: Portion | None) -> int | None:
    return None if part is None else part.share_ppm


def _micro(part: Portion | None) -> int | None:
    return None if part is None else part.amount_micro
