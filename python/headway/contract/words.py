"""Amounts and limits as people say them: `1,200 connections at once`, `100 requests a second`.

One spelling for stories, explanations and answers to verbs.
"""

from __future__ import annotations

from headway.contract.model import Constraint
from headway.contract.quantities import render_decimal, render_duration

__all__ = ["amount", "limit_in_words", "many", "number"]


def number(micro: int) -> str:
    """A number as people read it: 1,200."""
    whole, dot, rest = render_decimal(micro).partition(".")
    return f"{int(whole):,}{dot}{rest}"


def amount(micro: int, unit: str) -> str:
    """A number with its unit: `1 connection`, `1.5 connections`."""
    figure = number(micro)
    return f"{figure} {unit}" if figure == "1" else f"{figure} {many(unit)}"


def many(unit: str) -> str:
    """The plural of a unit as English forms it most of the time."""
    if unit.endswith(("s", "x", "z", "ch", "sh")):
        return f"{unit}es"
    return f"{unit[:-1]}ies" if unit.endswith("y") and unit[-2:-1] not in "aeiou" else f"{unit}s"


def limit_in_words(constraint: Constraint, micro: int) -> str:
    """A level with its unit and its span: `50 connections at once`, `100 requests a second`, `20 exports a day`."""
    units = amount(micro, constraint.unit)
    if constraint.measure == "concurrency":
        return f"{units} at once"
    per = constraint.per
    if not isinstance(per, int):
        return f"{units} a {per}"
    period = {1_000: "second", 60_000: "minute", 3_600_000: "hour", 86_400_000: "day"}.get(per)
    return f"{units} a {period}" if period else f"{units} every {render_duration(per)}"
