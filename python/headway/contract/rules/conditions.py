"""Conditions and exceptions of one contract: thresholds that can hold, intervals that do not collide."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise

from headway.contract.documents import Authored, Loc
from headway.contract.faults import Finding
from headway.contract.mistake import shown
from headway.contract.model import Alternative, ApprovalNeed, Contract, Measured, Soak, When
from headway.contract.quantities import render_decimal

__all__ = ["RULES"]

Rule = Callable[[Authored, Contract], Iterator[Finding]]


def triggers(contract: Contract) -> Iterator[tuple[Loc, Alternative | When]]:
    """Every group of conditions with its place: `when` of each stage, and each of its alternatives."""
    for index, stage in enumerate(contract.ramp):
        if stage.when is not None:
            yield ("ramp", index, "when"), stage.when
            for number, one in enumerate(stage.when.any):
                yield ("ramp", index, "when", "any", number), one


def measured(contract: Contract) -> Iterator[tuple[Loc, Measured]]:
    """Every metric of a trigger and every `keep` of a guard, with its place."""
    for loc, group in triggers(contract):
        for number, metric in enumerate(group.metric):
            yield (*loc, "metric", number), metric
    for name, guard in contract.guards.items():
        yield ("guards", name, "keep"), guard.keep


def approvals(contract: Contract) -> Iterator[tuple[Loc, Sequence[ApprovalNeed]]]:
    """Every list of approvals with its place: of a stage, and of an exception."""
    for index, stage in enumerate(contract.ramp):
        if stage.when is not None:
            yield ("ramp", index, "when", "approval"), stage.when.approval
    for index, exception in enumerate(contract.exceptions):
        yield ("exceptions", index, "approval"), exception.approval


def approver_twice(document: Authored, loc: Loc, needs: Sequence[ApprovalNeed]) -> Iterator[Finding]:
    """A group that stands more than once in one list of approvals."""
    seen: set[str] = set()
    for index, need in enumerate(needs):
        if need.by in seen:
            yield document.finding("HW252", f"{shown(need.by)} is asked twice", (*loc, index, "by"))
        seen.add(need.by)


def _soaks(contract: Contract) -> Iterator[tuple[Loc, Soak]]:
    for loc, group in triggers(contract):
        for number, soak in enumerate(group.soak):
            yield (*loc, "soak", number), soak


def metrics_state_health(document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, metric in measured(contract):
        low, high = metric.above, metric.below
        if low is None and high is None:
            yield document.finding("HW236", "this measurement has neither `below` nor `above`", loc)
        elif low is not None and high is not None:
            # Zero is zero of any kind.
            if low.kind != high.kind and low.micro != 0 and high.micro != 0:
                problem = f"`above: {low}` and `below: {high}` are of different kinds"
                yield document.finding("HW236", problem, (*loc, "above"))
            elif low.micro >= high.micro:
                problem = f"nothing is above {low} and below {high}"
                yield document.finding("HW236", problem, (*loc, "above"))


def percentages_are_relative(document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, metric in measured(contract):
        for name, threshold in (("below", metric.below), ("above", metric.above)):
            if threshold is not None and threshold.kind == "percent" and metric.relative is None:
                ratio = render_decimal(threshold.micro)
                percent = render_decimal(threshold.micro * 100)
                mend = f"write {ratio} if the query gives a ratio, {percent} if it gives percent"
                problem = f"`{name}: {threshold}` is a percentage, and a number is meant"
                yield document.finding("HW237", problem, (*loc, name), mend=mend)


def soaks_can_pass(document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, soak in _soaks(contract):
        if soak.above_ppm >= 1_000_000:
            yield document.finding("HW235", "use is never above 100% of the limit", (*loc, "above"))


def exceptions_are_in_order(document: Authored, contract: Contract) -> Iterator[Finding]:
    for index, (one, two) in enumerate(pairwise(contract.exceptions), start=1):
        loc = ("exceptions", index, "during")
        if two.during.start.utc_ms < one.during.start.utc_ms:
            yield document.finding("HW218", f"{shown(two.during)} begins before the one that stands before it", loc)
    # Overlaps are looked for in the order of time, so that a list out of order is told about both.
    ordered = sorted(enumerate(contract.exceptions), key=lambda item: item[1].during.start.utc_ms)
    for (_, one), (index, two) in pairwise(ordered):
        if two.during.start.utc_ms < one.during.end.utc_ms:
            problem = f"{shown(two.during)} overlaps {shown(one.during)}"
            yield document.finding("HW217", problem, ("exceptions", index, "during"))


def raising_exceptions_are_approved(document: Authored, contract: Contract) -> Iterator[Finding]:
    # Between the lowest and the highest stage an exception without approval only ever lowers; above all it would raise.
    for index, exception in enumerate(contract.exceptions):
        if exception.approval:
            continue
        for dimension, limit in exception.limit_micro.items():
            highest = max((stage.limit_micro.get(dimension, 0) for stage in contract.ramp), default=limit)
            if limit > highest:
                problem = f"a limit of {render_decimal(limit)} is above every stage, and nobody approves it"
                yield document.finding("HW219", problem, ("exceptions", index, "limit"), key=True)
                break


def approvers_are_asked_once(document: Authored, contract: Contract) -> Iterator[Finding]:
    for loc, needs in approvals(contract):
        yield from approver_twice(document, loc, needs)


RULES: tuple[Rule, ...] = (
    metrics_state_health,
    percentages_are_relative,
    soaks_can_pass,
    exceptions_are_in_order,
    raising_exceptions_are_approved,
    approvers_are_asked_once,
)
