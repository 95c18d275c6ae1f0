"""Growth laws: `grow: {start: 500, step: 50%, every: 5m, until: 100k}` as the ladder of stages it stands for.

Stages are named by their level. A step is a percentage of the level before, an amount, or a list of those taken in
turn, the last of which repeats. The last stage is `until` exactly, whatever the step would give. Each step soaks for
`every` above half of the limit, unless the law says `when:`. Levels are exact to a millionth, rounded down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import BeforeValidator, PlainValidator, ValidationError

from headway.contract import shorthand
from headway.contract.documents import Authored
from headway.contract.faults import Finding
from headway.contract.mistake import Mistake, shown
from headway.contract.model import Frozen
from headway.contract.parsed import authored, refused
from headway.contract.quantities import Portion, amount_of, factor_of, render_decimal, render_duration
from headway.contract.refusals import findings_of, is_foreign
from headway.contract.scalars import Amount, Span
from headway.contract.text import NODES, Map, Quoted, Seq

__all__ = ["STAGES", "Endless", "Grow", "expand", "ladder"]

STAGES = 500
"""Stages of one law; a longer ladder is refused as one that does not arrive."""


class Endless(ValueError):
    """The law needs more than `STAGES` stages, does not rise, or begins at or above its end."""


def _step(value: Any) -> Portion:
    """A step: a percentage of any size above zero, or an amount."""
    try:
        text = authored(value)
        if text.strip().endswith("%"):
            return Portion(share_ppm=factor_of(text))
        return Portion(amount_micro=amount_of(text))
    except Mistake as mistake:
        raise refused(mistake) from None


class Grow(Frozen):
    """A law as authored. `when` stays as written: it becomes the trigger of every stage."""

    start: Amount
    step: Annotated[tuple[Annotated[Portion, PlainValidator(_step)], ...], BeforeValidator(shorthand.as_list)]
    every: Span
    until: Amount
    when: Any = None
    climb: Any = None


def ladder(start_micro: int, steps: Sequence[Portion], until_micro: int) -> list[int]:
    """The levels of a law, in micro-units, first and last included; strictly rising.

    Raises:
        Endless: More than 500 stages, a step that does not rise, `until` not above `start`, or no steps.
    """
    if not steps or until_micro <= start_micro:
        raise Endless("the law does not rise")
    levels = [start_micro]
    while levels[-1] < until_micro:
        step = steps[min(len(levels), len(steps)) - 1]
        rise = step.amount_micro if step.amount_micro is not None else levels[-1] * (step.share_ppm or 0) // 1_000_000
        if rise <= 0:
            raise Endless("the law stands still")
        if len(levels) == STAGES:
            raise Endless(f"the law needs more than {STAGES} stages")
        levels.append(min(levels[-1] + rise, until_micro))
    return levels


def expand(document: Authored) -> list[Finding]:
    """Replaces `grow` in a contract's tree by the stages it stands for; the findings if it cannot."""
    tree = document.tree
    if "grow" not in tree:
        return []
    if "ramp" in tree:
        return [document.finding("HW232", "`grow` and `ramp` both say what the stages are", ("grow",), key=True)]
    law = tree["grow"]
    if not isinstance(law, Map):
        return [document.finding("HW126", f"`grow` is {shown(law)}, and a mapping is meant", ("grow",))]
    for name in ("start", "until"):
        if isinstance(law.get(name), Map):
            return [document.finding("HW234", f"`{name}` is a mapping, and a law grows one number", ("grow", name))]
    try:
        own = {key: value for key, value in law.items() if not is_foreign(key)}
        grow = Grow.model_validate(own, by_alias=True, by_name=False)
    except ValidationError as error:
        return list(findings_of(replace(document, under=("grow",), shape=Grow), error))
    try:
        levels = ladder(grow.start, grow.step, grow.until)
    except Endless as endless:
        return [document.finding("HW233", f"`grow`: {endless}", ("grow",), key=True)]
    trigger = law.get("when")
    if isinstance(trigger, Map) and trigger.size * len(levels) > NODES:
        problem = f"`when` in {len(levels)} stages makes more than {NODES} nodes"
        return [document.finding("HW112", problem, ("grow", "when"), key=True)]
    document.tree = _with_ramp(document, law, grow, levels)
    return []


def _with_ramp(document: Authored, law: Map, grow: Grow, levels: Sequence[int]) -> Map:
    """The tree with `ramp` in the place of `grow`; every stage stands where the law does."""
    old, at = document.tree, document.tree.keys_at["grow"]
    ramp = Seq(at)
    soak = Map(at)
    soak.put("for", Quoted(render_duration(grow.every)), at, at)
    soak.put("above", "50%", at, at)
    implied = Map(at)
    implied.put("soak", soak, at, at)
    for index, level in enumerate(levels):
        stage = Map(at)
        stage.put("stage", render_decimal(level), at, at)
        stage.put("limit", render_decimal(level), at, at)
        if index > 0:
            stage.put("when", law.get("when", implied), at, law.values_at.get("when", at))
            if "climb" in law:
                stage.put("climb", law["climb"], at, law.values_at["climb"])
        ramp.append(stage)
        ramp.items_at.append(at)
    tree = Map(old.at)
    for key, value in old.items():
        if key == "grow":
            tree.put("ramp", ramp, at, at)
        else:
            tree.put(key, value, old.keys_at[key], old.values_at[key])
    if "grow" in document.inherited:
        document.inherited["ramp"] = document.inherited["grow"]
    document.written = document.written or old
    return tree
