"""Who asks, by what is said of it: the matches of contracts as the core decides them, made once for each contract."""

from __future__ import annotations

from headway._core import Matches
from headway.contract.model import Contract


def matches_of(contract: Contract) -> Matches | None:
    """The matches of a contract's workloads, in their order; None where no workload has one."""
    rules = [(name, list(one.match.items())) for name, one in contract.workloads.items() if one.match is not None]
    return Matches(rules) if rules else None


class KnownMatches:
    """Those of contracts that run, until another version of one does."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Contract, Matches | None]] = {}

    def of(self, contract: Contract) -> Matches | None:
        """As `matches_of`."""
        known = self._known.get(contract.name)
        if known is None or known[0] is not contract:
            known = self._known[contract.name] = contract, matches_of(contract)
        return known[1]
