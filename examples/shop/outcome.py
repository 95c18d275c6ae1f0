"""How a run ended: what was counted, what was judged, and whether that is what was promised."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

from examples.shop import verdict
from examples.shop.app import RELAY
from examples.shop.count import read_record
from examples.shop.verdict import MICRO, Judged
from headway import Headway

PIECES_MOST = 10_000
"""Of a contract's past; a demo makes a few dozen."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """A run, or all lives on one folder.

    Attributes:
        stages: Of each contract, those entered, in order, out of all it has.
        missing: What should have been seen and was not, in words; empty where the run was not to show the whole ramp.
    """

    seed: int
    lives: int
    judged: Mapping[str, Judged]
    limits: Mapping[str, float]
    stages: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]
    missing: tuple[str, ...]

    @property
    def certain(self) -> int:
        return sum(one.certain for one in self.judged.values())

    @property
    def as_promised(self) -> bool:
        return self.certain == 0 and not self.missing


def of(hw: Headway, count: Path, seed: int, *, judge_ramp: bool, missing: Sequence[str] = ()) -> Outcome:
    """Judges a run whose count is closed and whose Headway is still open.

    Args:
        judge_ramp: Whether every stage must have been entered, and every contract must have refused, and the relay have
            served every process.
        missing: What is missing beside that.
    """
    record = read_record(count)
    running = {one.contract.name: one for one in hw.engine.all()}
    contracts = {name: one.contract for name, one in running.items()}
    pasts = {name: hw.engine.timeline(name, most=PIECES_MOST).past for name in contracts}
    judged = verdict.judge(record, contracts, pasts)
    stages = {
        name: (
            tuple(stage.name for stage in one.contract.ramp[: len(one.state.visits)]),
            tuple(stage.name for stage in one.contract.ramp),
        )
        for name, one in running.items()
    }
    lacking: list[str] = []
    if judge_ramp:
        lacking += missing
        served = {admission.workload for admission in record.admissions if admission.contract == RELAY}
        lacking += [f"{RELAY} served no {one}" for one in ("confirmations", "newsletter") if one not in served]
        for name, (entered, known) in stages.items():
            lacking += [f"{name} never entered stage {stage}" for stage in known[len(entered) :]]
        lacking += [f"{name} refused nobody" for name, one in judged.items() if one.refused == 0]
    limits = {name: past[-1].to_micro / MICRO for name, past in pasts.items()}
    return Outcome(seed, len(record.lives), judged, limits, stages, tuple(lacking))


def table(found: Outcome) -> Table:
    """The summary at the end."""
    shown = Table(title="the shop's own count")
    for heading in ("contract", "stages entered", "limit", "admitted", "refused", "over the limit", "perhaps over"):
        shown.add_column(heading, justify="left" if heading in ("contract", "stages entered") else "right")
    for name, one in found.judged.items():
        entered, known = found.stages[name]
        shown.add_row(
            name, f"{len(entered)} of {len(known)}: {' → '.join(entered)}", f"{found.limits[name]:g}",
            str(one.admitted), str(one.refused), str(one.certain), str(one.possible),
        )  # fmt: skip
    return shown


def in_words(found: Outcome) -> str:
    """The verdict in one or a few lines."""
    lines = [f"{line}." for line in found.missing]
    if found.certain:
        lines.insert(0, f"{found.certain} times the shop was surely let in over a limit: promise 1 is broken.")
    else:
        lines.insert(0, "No limit was exceeded: 0 certain violations in the shop's own count.")
    return "\n".join(lines)


def as_json(found: Outcome) -> dict[str, Any]:
    """For the result file."""
    contracts = verdict.as_json(found.judged)
    for name, (entered, known) in found.stages.items():
        contracts[name] |= {"stages_entered": list(entered), "stages": list(known)}
    return {
        "seed": found.seed,
        "lives": found.lives,
        "as_promised": found.as_promised,
        "certain_violations": found.certain,
        "missing": list(found.missing),
        "contracts": contracts,
    }
