"""The live screen: for each contract its limit, its use, its ramp, and what it waits for; and what to type next.

Everything fits into 24 lines, so that no terminal cuts off what the watcher is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from examples.shop.count import Said
from examples.shop.glance import Glance

BAR = 30
BLOCKS = "▁▂▃▄▅▆▇█"
SENTENCES = 2


def screen(glances: Sequence[Glance], said: Sequence[Said], heading: str, asks: Sequence[str]) -> RenderableType:
    """Everything at one instant.

    Args:
        glances: The contracts, each on at most four lines; one of a single stage on two.
        said: Refusals, oldest first; the last few are shown.
        heading: What is going on, one line.
        asks: Commands that a person could type now.
    """
    contracts = Table.grid(padding=(0, 2))
    contracts.add_column(justify="right", style="dim", no_wrap=True)
    contracts.add_column(no_wrap=True, overflow="ellipsis")
    for glance in glances:
        _add(contracts, glance)
    lines: list[RenderableType] = [Text(heading, style="bold"), contracts]
    if asks:
        lines.append(Text("your turn, in a second terminal:", style="bold yellow"))
        lines += [Text(f"  {command}", style="yellow", no_wrap=True) for command in asks]
    lines.append(Text("the last refusals, as the callers read them:", style="bold red"))
    sentences = [one.sentence for one in list(said)[-SENTENCES:]] or ["none yet"]
    lines += [Text(f"  {sentence}", style="red", no_wrap=True, overflow="ellipsis") for sentence in sentences]
    return Group(*lines)


def _add(contracts: Table, glance: Glance) -> None:
    contracts.add_row(Text(glance.name, style="bold cyan"), bar(glance))
    if len(glance.stages) > 1:
        contracts.add_row("ramp", Text(f"{picture(glance)}  ") + _stages(glance))
    contracts.add_row("refused", Text(_refused(glance), style="red" if glance.refused else "dim"))
    if glance.upcoming:
        contracts.add_row(f"{glance.upcoming} needs", _needs(glance))


def bar(glance: Glance) -> Text:
    """Use against the limit: "██████····  5 of 6 connections at once"."""
    share = min(1.0, glance.use / glance.limit) if glance.limit > 0 else 0.0
    full = round(share * BAR)
    colour = "red" if share > 0.95 else "yellow" if share > 0.7 else "green"
    numbers = f"  {glance.use:.0f} of {glance.limit:.4g} {glance.unit}"
    return Text.assemble(("█" * full, colour), ("·" * (BAR - full), "dim"), numbers)


def picture(glance: Glance) -> str:
    """The limit over time as a row of blocks, from the first stage until now, against the last stage's limit."""
    top = max([*glance.course, *(limit for _, limit in glance.stages)])
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(level / top * (len(BLOCKS) - 1)))] for level in glance.course)


def _stages(glance: Glance) -> Text:
    text = Text()
    for place, (name, limit) in enumerate(glance.stages):
        here = name == glance.stage
        climbing = "climbing to " if here and glance.climbing else ""
        text.append(f"{' → ' if place else ''}", style="dim")
        text.append(f"{climbing}{name} {limit:g}", style="bold cyan" if here else "dim")
    if glance.completed:
        text.append("  complete", style="green")
    return text


def _refused(glance: Glance) -> str:
    by_workload = ", ".join(f"{workload} {many}" for workload, many in sorted(glance.refused.items()))
    return f"{by_workload or 'nobody'} ({glance.admitted} admitted)"


def _needs(glance: Glance) -> Text:
    text = Text()
    for waiting in glance.waiting:
        if waiting.met:
            text.append(f"✓ {waiting.what}  ", style="green")
        else:
            text.append(f"· {waiting.waits_for or waiting.what}  ", style="yellow")
    return text
