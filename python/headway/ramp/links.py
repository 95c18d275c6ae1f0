"""Who requires and who spends whom, in both directions, and an order in which what is required comes first."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from headway.contract.model import Contract, Spend


@dataclass(frozen=True, slots=True)
class Links:
    """Built once for a set of contracts; every map has an entry for every contract.

    Attributes:
        required_by: Contract -> those that require it.
        requires: Contract -> those that it requires.
        spenders: Upstream -> (spender, how it spends).
        upstreams: Contract -> upstreams it spends.
        rank: A contract's place; what it requires or spends stands before it (cycles, which `check` refuses, in name order).
    """

    required_by: Mapping[str, tuple[str, ...]]
    requires: Mapping[str, tuple[str, ...]]
    spenders: Mapping[str, tuple[tuple[str, Spend], ...]]
    upstreams: Mapping[str, tuple[str, ...]]
    rank: Mapping[str, int]


def links_of(contracts: Mapping[str, Contract]) -> Links:
    """The links among contracts; one that leads out of them leads nowhere."""
    requires = {name: _required(contract, contracts) for name, contract in contracts.items()}
    upstreams = {
        name: tuple(dict.fromkeys(spend.contract for spend in contract.upstream if spend.contract in contracts))
        for name, contract in contracts.items()
    }
    required_by: dict[str, list[str]] = {name: [] for name in contracts}
    spenders: dict[str, list[tuple[str, Spend]]] = {name: [] for name in contracts}
    for name, contract in contracts.items():
        for upstream in requires[name]:
            required_by[upstream].append(name)
        for spend in contract.upstream:
            if spend.contract in contracts:
                spenders[spend.contract].append((name, spend))
    before = {name: (*requires[name], *upstreams[name]) for name in contracts}
    return Links(
        required_by={name: tuple(names) for name, names in required_by.items()},
        requires=requires,
        spenders={name: tuple(pairs) for name, pairs in spenders.items()},
        upstreams=upstreams,
        rank=_ranks(before),
    )


def _required(contract: Contract, contracts: Mapping[str, Contract]) -> tuple[str, ...]:
    names: Iterable[str] = (name for stage in contract.ramp if stage.when is not None for name in stage.when.requires)
    return tuple(dict.fromkeys(name for name in names if name in contracts))


def _ranks(before: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Depth first with an own stack: chains of contracts may be longer than Python's."""
    rank: dict[str, int] = {}
    for root in sorted(before):
        stack = [(root, iter(before[root]))]
        seen = {root}
        while stack:
            name, rest = stack[-1]
            if name in rank:
                stack.pop()
                continue
            following = next((one for one in rest if one not in rank and one not in seen), None)
            if following is None:
                rank[name] = len(rank)
                stack.pop()
            else:
                seen.add(following)
                stack.append((following, iter(before[following])))
    return rank
