"""What commands print: JSON for programs, plain lines for pipes, colour and pictures only on a terminal."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import typer

BARS = "▁▂▃▄▅▆▇█"


def on_terminal() -> bool:
    """Whether a person reads stdout as it comes."""
    return sys.stdout.isatty()


def say(text: str = "", *, colour: str | None = None, bold: bool = False) -> None:
    """One line on stdout; colour goes away in a pipe."""
    styled = typer.style(text, fg=colour, bold=bold) if (colour or bold) and on_terminal() else text
    typer.echo(styled)


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
    """A limit by dimension, in words: `50 connections`, or `requests 100, tokens 2,000`."""
    parts = []
    for dimension, one in limit.items():
        amount = number(one["limit"])
        parts.append(f"{dimension} {amount} {one['unit']}" if dimension else f"{amount} {one['unit']}")
    return ", ".join(parts)
