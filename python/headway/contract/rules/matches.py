"""Matches of workloads: `other` is the rest, no match is in another's shadow, and all of them together have bounds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.matching import ATTRIBUTES_MAX, PATTERNS_IN_ALL_MAX, covers
from headway.contract.mistake import shown
from headway.contract.model import OTHER, Contract
from headway.contract.rules.numbers import ENTRIES_MAX

__all__ = ["RULES"]

BYTES_MAX = 16_384
"""Of names, attributes and patterns in all: a server sends them to its gates."""


def other_is_the_rest(document: Authored, contract: Contract) -> Iterator[Finding]:
    if (other := contract.workloads.get(OTHER)) is not None and other.match is not None:
        loc = ("workloads", OTHER, "match")
        yield document.finding("HW258", f"`{OTHER}` of `{contract.name}` has a match", loc, key=True)


def every_match_may_win(document: Authored, contract: Contract) -> Iterator[Finding]:
    """Only what is certain: one match that takes all that another does, not several that do it together."""
    matches = _matches(contract)
    if not _few(matches):
        return
    names = list(matches)
    for place, name in enumerate(names):
        before = next((one for one in names[:place] if covers(matches[one], matches[name])), None)
        if before is not None:
            problem = f"{shown(before)} stands before {shown(name)}, and takes all that it takes"
            yield document.finding("HW259", problem, ("workloads", name, "match"), key=True)


def matches_are_bounded(document: Authored, contract: Contract) -> Iterator[Finding]:
    matches = _matches(contract)
    if not _few(matches):
        problem = (
            f"the matches of a contract look at {ATTRIBUTES_MAX} attributes at most, with {PATTERNS_IN_ALL_MAX} patterns "
            f"and {BYTES_MAX:,} bytes in all"
        )
        yield document.finding("HW168", problem, ("workloads",), key=True)


def _matches(contract: Contract) -> dict[str, Mapping[str, tuple[str, ...]]]:
    return {name: workload.match for name, workload in contract.workloads.items() if workload.match is not None}


def _few(matches: Mapping[str, Mapping[str, tuple[str, ...]]]) -> bool:
    attributes = {name for match in matches.values() for name in match}
    patterns = [one for match in matches.values() for wanted in match.values() for one in wanted]
    names = [*matches, *(name for match in matches.values() for name in match)]
    size = sum(len(text.encode()) for text in [*names, *patterns])
    return len(attributes) <= ATTRIBUTES_MAX and len(patterns) <= PATTERNS_IN_ALL_MAX and size <= BYTES_MAX


def a_descriptor_holds_all_that_is_looked_at(document: Authored, contract: Contract) -> Iterator[Finding]:
    """A data plane reads so many entries of a descriptor and no more: what could not be said at once would never be taken."""
    for index, bind in enumerate(contract.enforce.bind):
        if bind.rls is None or not contract.attributes:
            continue
        entries = len({*contract.attributes, *bind.rls.descriptor})
        if entries > ENTRIES_MAX:
            problem = f"with what the matches look at a descriptor would have {entries} entries, and {ENTRIES_MAX} are the most"
            yield document.finding("HW168", problem, ("enforce", "bind", index, "rls"), key=True)


RULES: tuple[Callable[[Authored, Contract], Iterator[Finding]], ...] = (
    other_is_the_rest,
    every_match_may_win,
    matches_are_bounded,
    a_descriptor_holds_all_that_is_looked_at,
)
