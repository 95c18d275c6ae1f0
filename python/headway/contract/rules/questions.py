"""The four questions: what is bounded, who stresses it, how it grows, what each stage waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.mistake import shown
from headway.contract.model import Contract

__all__ = ["RULES"]

LABELS = 16

Rule = Callable[[Authored, Contract], Iterator[Finding]]


def at_least_one_stage(document: Authored, contract: Contract) -> Iterator[Finding]:
    if not contract.ramp:
        yield document.finding("HW241", "the ramp has no stage", ("ramp",))


def first_stage_waits_for_nothing(document: Authored, contract: Contract) -> Iterator[Finding]:
    for first in contract.ramp[:1]:
        if first.when is not None:
            yield document.finding(
                "HW203", f"the first stage, {shown(first.name)}, has a trigger", ("ramp", 0, "when"), key=True
            )
        if first.climb_ms:
            yield document.finding(
                "HW203",
                f"the first stage, {shown(first.name)}, has nothing to climb from",
                ("ramp", 0, "climb"),
                key=True,
            )


def later_stages_wait_for_something(document: Authored, contract: Contract) -> Iterator[Finding]:
    for index, stage in enumerate(contract.ramp):
        loc = ("ramp", index)
        if stage.when is None:
            if index > 0:
                yield document.finding("HW202", f"nothing says when stage {shown(stage.name)} is entered", loc)
            continue
        when = stage.when
        if not (
            when.not_before or when.soak or when.event or when.metric or when.requires or when.approval or when.any
        ):
            yield document.finding("HW238", f"stage {shown(stage.name)} waits for nothing", (*loc, "when"))
        for number, one in enumerate(when.any):
            if not (one.not_before or one.soak or one.event or one.metric):
                problem = f"an alternative of stage {shown(stage.name)} waits for nothing"
                yield document.finding("HW238", problem, (*loc, "when", "any", number))


def stages_are_named_once(document: Authored, contract: Contract) -> Iterator[Finding]:
    seen: set[str] = set()
    for index, stage in enumerate(contract.ramp):
        if stage.name in seen:
            yield document.finding("HW204", f"stage {shown(stage.name)} stands twice", ("ramp", index, "stage"))
        seen.add(stage.name)


def old_names_are_free(document: Authored, contract: Contract) -> Iterator[Finding]:
    names = {stage.name for stage in contract.ramp}
    old: set[str] = set()
    for index, stage in enumerate(contract.ramp):
        if stage.was is not None and (stage.was in names or stage.was in old):
            problem = f"stage {shown(stage.name)} was {shown(stage.was)}, which is another stage's name"
            yield document.finding("HW243", problem, ("ramp", index, "was"))
        old.add(stage.was or "")


def promises_are_in_order(document: Authored, contract: Contract) -> Iterator[Finding]:
    earlier, earlier_ms = "", 0
    for index, stage in enumerate(contract.ramp):
        if stage.promised is None:
            continue
        if stage.promised.utc_ms < earlier_ms:
            problem = f"stage {shown(stage.name)} is promised before {shown(earlier)}, which comes first"
            yield document.finding("HW242", problem, ("ramp", index, "promised"))
        earlier, earlier_ms = stage.name, stage.promised.utc_ms


def labels_are_few(document: Authored, contract: Contract) -> Iterator[Finding]:
    if len(contract.labels) > LABELS:
        yield document.finding("HW228", f"{len(contract.labels)} labels", ("labels",), key=True)


RULES: tuple[Rule, ...] = (
    at_least_one_stage,
    first_stage_waits_for_nothing,
    later_stages_wait_for_something,
    stages_are_named_once,
    old_names_are_free,
    promises_are_in_order,
    labels_are_few,
)
