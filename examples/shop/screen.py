"""The live screen: for each contract its limit, its use, its ramp, and what it waits for; and what to type next."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from examples.shop.count import Said
from examples.shop.glance import Glance

BAR = 30
BLOCKS = "▁▂▃▄▅▆▇█"
SENTENCES_SHOWN = 5


def screen(glances: Sequence[Glance], said: Sequence[Said], heading: str, asks: Sequence[str]) -> RenderableType:
    """Everything at one instant.

    Args:
        glances: One panel each.
        said: Refusals, oldest first; the last few are shown.
        heading: What is going on, one line.
        asks: What a person could type now, each with its reason; shown as commands.
    """
    panels: list[RenderableType] = [Text(heading, style="bold")]
    panels += [_panel(glance) for glance in glances]
    if asks:
        lines = Text("\n".join(asks), style="bold yellow")
        panels.append(Panel(lines, title="your turn, in a second terminal", border_style="yellow"))
    lines = Text("\n".join(one.sentence for one in list(said)[-SENTENCES_SHOWN:]) or "none yet", style="red")
    panels.append(Panel(lines, title="the last refusals, as the callers read them", border_style="red"))
    return Group(*panels)


def _panel(glance: Glance) -> Panel:
    body = Table.grid(padding=(0, 2))
    body.add_column(justify="right", style="dim")
    body.add_column()
    body.add_row("in force", bar(glance))
    body.add_row("ramp", Text(f"{picture(glance)}  ") + _stages(glance))
    body.add_row("refused", Text(_refused(glance), style="red" if glance.refused else "dim"))
    for waiting in glance.waiting:
        sign = Text("✓ ", style="green") if waiting.met else Text("· ", style="yellow")
        more = "" if waiting.met or not waiting.waits_for else f": {waiting.waits_for}"
        body.add_row(f"{glance.upcoming} needs", sign + Text(waiting.what + more))
    done = "  complete" if glance.completed else ""
    return Panel(body, title=f"[bold]{glance.name}[/bold]{done}", title_align="left", border_style="cyan")


def bar(glance: Glance) -> Text:
    """Use against the limit: "██████····  5 of 6 connections at once"."""
    share = min(1.0, glance.use / glance.limit) if glance.limit > 0 else 0.0
    full = round(share * BAR)
    colour = "red" if share > 0.95 else "yellow" if share > 0.7 else "green"
    return Text.assemble(
        ("█" * full, colour), ("·" * (BAR - full), "dim"), f"  {glance.use:.0f} of {glance.limit:.5g} {glance.unit}"
    )


def picture(glance: Glance) -> str:
    """The limit over time as a row of blocks, from the first stage until now, against the last stage's limit."""
    top = max([*glance.course, *(limit for _, limit in glance.stages)])
    return "".join(BLOCKS[min(len(BLOCKS) - 1, int(level / top * (len(BLOCKS) - 1)))] for level in glance.course)


def _stages(glance: Glance) -> Text:
    text = Text()
    for name, limit in glance.stages:
        here = name == glance.stage
        arrow = "climbing to " if here and glance.climbing else ""
        text.append(f"{arrow}{name} {limit:g}", style="bold cyan" if here else "dim")
        text.append("  ")
    return text


def _refused(glance: Glance) -> str:
    by_workload = ", ".join(f"{workload} {many}" for workload, many in sorted(glance.refused.items()))
    return f"{by_workload or 'nobody'} ({glance.admitted} admitted)"
