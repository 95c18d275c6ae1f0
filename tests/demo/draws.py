"""The durable count of the exports: what was drawn before a kill counts after it, and is never less than was admitted.

The rows are read from the ledger's file as they are, without the code that writes them.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path

from examples.shop.app import EXPORTS
from examples.shop.count import Admission
from examples.shop.verdict import DAY_MS, MS, Clocks
from headway.contract.model import Contract
from tests.demo.hand import FirstUse

MICRO = 1_000_000

Draws = Mapping[tuple[str, int], int]
"""(tenant, start of the UTC day in ms) -> micro-units drawn."""


def draws_of(data: Path) -> Draws:
    """What the ledger says was drawn of the exports."""
    query = "SELECT key, window_start_ns, drawn_micro FROM draw WHERE meter = ?"
    with closing(sqlite3.connect(data / "ledger.db")) as database:
        return {(key, start_ns // MS): drawn for key, start_ns, drawn in database.execute(query, (EXPORTS,))}


def undrawn(before: Draws, now: Draws) -> list[str]:
    """Draws of the latest day that were there and are less now: nothing here gives an export back."""
    latest_ms = max((day_ms for _, day_ms in now), default=0)
    return [
        f"{tenant} had drawn {drawn} and has drawn {now.get((tenant, day_ms), 0)}"
        for (tenant, day_ms), drawn in before.items()
        if day_ms >= latest_ms and now.get((tenant, day_ms), 0) < drawn
    ]


def underdrawn(admissions: Sequence[Admission], clocks: Clocks, now: Draws) -> list[str]:
    """Tenants that were admitted more on the latest day than was drawn for them first."""
    latest_ms = max((day_ms for _, day_ms in now), default=0)
    admitted: Counter[str] = Counter()
    for one in admissions:
        # Near midnight it is not certain which day an export belongs to; it is left to the count.
        sure_ms = clocks.utc_ms(one.before_ns - clocks.unsure_ns)
        if one.contract == EXPORTS and one.key is not None and sure_ms >= latest_ms:
            admitted[one.key] += one.units
    return [
        f"{tenant} was admitted {units} exports, and {now.get((tenant, latest_ms), 0)} micro-exports were drawn"
        for tenant, units in admitted.items()
        if units * MICRO > now.get((tenant, latest_ms), 0)
    ]


def forgotten_draws(before: Draws, first: FirstUse, contract: Contract) -> list[str]:
    """What a life forgot that starts after a kill: all that was drawn before counts as used from its first moment.

    The use that is told is that of the tenants who share one limit; those with a scale of their own are not in it.
    """
    today_ms = first.now_ms // DAY_MS * DAY_MS
    scaled = contract.each.scale_ppm if contract.each else {}
    most = max(
        (drawn for (tenant, day_ms), drawn in before.items() if day_ms == today_ms and tenant not in scaled), default=0
    )
    if first.use_micro >= most:
        return []
    return [f"a life began with {first.use_micro} micro-exports used, and {most} were drawn before it"]
