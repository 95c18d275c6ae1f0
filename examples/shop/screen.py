"""The live screen: for each contract its limit, its use, its ramp, and what it waits for; and what to type next.

Everything fits into 24 lines, so that no terminal cuts off what the watcher is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
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
        glances: The contracts, each on at most four lines; one of a single stage on one.
        said: Refusals, oldest first; the last few are shown.
        heading: What is going on, one line.
        asks: Commands that a person could type now.
    """
    contracts = Table.grid(padding=(0, 2), expand=True)
    # The first column is never cut: on a narrow terminal it is the sentences beside the names that end in "…".
    widest = max(len(label) for glance in glances for label in (glance.name, needs_label(glance), "refused"))
    contracts.add_column(justify="right", style="dim", no_wrap=True, width=widest)
    contracts.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    for glance in glances:
        _add(contracts, glance)
    lines: list[RenderableType] = [Text(heading, style="bold", no_wrap=True, overflow="ellipsis"), contracts]
    if asks:
        lines.append(Text("your turn, in a second terminal:", style="bold yellow"))
        lines += [Typed(command) for command in asks]
    lines.append(Text("the last refusals, as the callers read them:", style="bold red"))
    sentences = [one.sentence for one in list(said)[-SENTENCES:]] or ["none yet"]
    lines += [Text(f"  {sentence}", style="red", no_wrap=True, overflow="ellipsis") for sentence in sentences]
    return Group(*lines)


class Typed:
    """A command, whole on any width: what is too long for a line goes on after a backslash, as a shell reads it."""

    def __init__(self, command: str) -> None:
        self._command = command

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for line in shell_lines(self._command, options.max_width):
            yield Text(line, style="yellow", no_wrap=True, overflow="ignore")


def shell_lines(command: str, width: int) -> list[str]:
    """A command as lines of at most `width` columns, indented, each but the last continued; a longer word stands alone."""
    lines = [""]
    for word in command.split(" "):
        # Room is kept for the backslash.
        if lines[-1] and len(lines[-1]) + len(word) + 5 > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".lstrip()
    return [f"  {line} \\" for line in lines[:-1]] + [f"  {lines[-1]}"]


def _add(contracts: Table, glance: Glance) -> None:
    refused = Text(_refused(glance), style="red" if glance.refused else "dim")
    if len(glance.stages) == 1:
        contracts.add_row(
            Text(glance.name, style="bold cyan"), Text.assemble(bar(glance, BAR // 3), "; refused ", refused)
        )
        return
    contracts.add_row(Text(glance.name, style="bold cyan"), bar(glance))
    contracts.add_row("ramp", Text(f"{picture(glance)}  ") + _stages(glance))
    contracts.add_row("refused", refused)
    if glance.upcoming:
        contracts.add_row(needs_label(glance), _needs(glance))


def needs_label(glance: Glance) -> str:
    """What stands before the conditions of the next stage."""
    return f"{glance.upcoming} needs"


def bar(glance: Glance, width: int = BAR) -> Text:
    """Use against the limit: "██████····  5 of 6 connections at once"."""
    share = min(1.0, glance.use / glance.limit) if glance.limit > 0 else 0.0
    full = round(share * width)
    colour = "red" if share > 0.95 else "yellow" if share > 0.7 else "green"
    numbers = f"  {glance.use:.0f} of {glance.limit:.4g} {glance.unit}"
    return Text.assemble(("█" * full, colour), ("·" * (width - full), "dim"), numbers)


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
