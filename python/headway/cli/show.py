"""What commands print: JSON for programs, plain lines for pipes, colour and pictures only on a terminal."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

BARS = "▁▂▃▄▅▆▇█"


def on_terminal() -> bool:
    """Whether a person reads stdout as it comes."""
    return sys.stdout.isatty()


def coloured() -> bool:
    """Whether colour is wanted: on a terminal that has it, unless NO_COLOR is set. Source: no-color.org."""
    return on_terminal() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def say(text: str = "", *, colour: str | None = None, bold: bool = False) -> None:
    """One line on stdout; colour goes away where it is not wanted."""
    shown = printable(text)
    typer.echo(typer.style(shown, fg=colour, bold=bold) if (colour or bold) and coloured() else shown)


def printable(text: str) -> str:
    """Without control characters: what a server or a file says must not move the cursor of whoever reads it."""
    return "".join(character if character.isprintable() or character == "\n" else "\ufffd" for character in text)


def say_json(value: Any) -> None:
    """A value as JSON, indented, sorted as it is."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False))


def table(rows: Iterable[Sequence[str]]) -> list[str]:
    """Rows as lines with aligned columns, two spaces apart."""
    held = [list(row) for row in rows]
    if not held:
        return []
    widths = [max(len(row[column]) for row in held) for column in range(len(held[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in held]


def bar(levels: Sequence[float], here: int) -> str:
    """The ramp as a row of bars, the present stage in brackets; nothing for fewer than two stages."""
    if len(levels) < 2:
        return ""
    top = max(levels) or 1
    marks = [BARS[min(len(BARS) - 1, int(level / top * (len(BARS) - 1)))] for level in levels]
    return "".join(f"[{mark}]" if index == here else mark for index, mark in enumerate(marks))


def number(value: float) -> str:
    """A number for people: thousands apart, no needless decimals."""
    return f"{value:,.6f}".rstrip("0").rstrip(".")


def instant(ms: int | None) -> str:
    """An instant for people, UTC; a dash where there is none."""
    if ms is None:
        return "-"
    return datetime.fromtimestamp(ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def limit_words(limit: Mapping[str, Any]) -> str:
    """A limit by dimension, in words: `50 connections`, or `requests 100 requests a second, daily 10,000 tokens a day`."""
    parts = []
    for dimension, one in limit.items():
        words = f"{amount(one['limit'], one['unit'])}{_per(one['per'])}"
        parts.append(f"{dimension} {words}" if dimension else words)
    return ", ".join(parts)


def amount(value: float, unit: str) -> str:
    """A number with its unit, singular for exactly one."""
    return f"{number(value)} {unit if value == 1 or unit.endswith('s') else unit + 's'}"


def duration(ms: int) -> str:
    """A span of time, as documents spell it."""
    from headway.contract.quantities import render_duration

    return render_duration(ms)


def _per(per: int | str | None) -> str:
    named = {1_000: "second", 60_000: "minute", 3_600_000: "hour"}
    if per is None:
        return ""
    return f" a {per}" if isinstance(per, str) else f" a {named[per]}" if per in named else f" in {duration(per)}"
