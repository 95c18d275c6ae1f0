"""What a bench is to reach: one bound, and all of them as a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table


@dataclass(frozen=True)
class Target:
    """One bound. `ratio` and `bound` in the unit `what` names; reached where the ratio is on the bound's right side."""

    what: str
    measured: float
    bound: float
    at_least: bool = False

    @property
    def reached(self) -> bool:
        return self.measured >= self.bound if self.at_least else self.measured <= self.bound


def table_of(targets: Sequence[Target]) -> Table:
    """Measured beside what is to be reached, for people."""
    table = Table(title="targets (design, section 10)", title_justify="left")
    table.add_column("what")
    for heading in ("measured", "to reach"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for one in targets:
        digits = f"{one.measured:,.6f}" if 0 < one.bound < 1 else f"{one.measured:,.2f}"
        bound = f"{'≥' if one.at_least else '≤'} {one.bound:g}"
        table.add_row(one.what, digits, bound, "reached" if one.reached else "NOT reached")
    return table
