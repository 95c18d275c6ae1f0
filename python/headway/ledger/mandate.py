"""The mandate in the ledger: one row that says which run may write, and counts its renewals.

Every write keeps the row as it is until it is committed, and whoever takes the mandate waits for that: no write of the run
before comes after. No clock stands in it: who watches it counts, on its own clock, for how long it has not changed.

Source: docs/leases.md, *Keepers*; docs/operate.md.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from headway.ledger import tables


@dataclass(frozen=True, slots=True)
class Held:
    """Who has the mandate.

    Attributes:
        epoch: The number of the run that has it; 0: nobody ever had.
        renewals: How often it was renewed.
        term_ms: How long it lasts from when a renewal was sent; 0 where it was let go, or never needed renewing.
        holder: Who that is, for people.
        place: The copy of the database whose whole past is known, or has ended; see `Store.place`.
    """

    epoch: int
    renewals: int
    term_ms: int
    holder: str
    place: str


def held(connection: Connection, *, keep: bool = False) -> Held:
    """The row. `keep`: nobody takes the mandate before this transaction has ended; renewals go on."""
    row = tables.mandate.c
    query = select(row.epoch, row.renewals, row.term_ms, row.holder, row.place)
    if keep:
        query = query.with_for_update(read=True, key_share=True)
    return Held(*connection.execute(query).one())


def take(connection: Connection, holder: str, term_ms: int, place: str, seen: Held | None = None) -> int | None:
    """Takes it, if it still stands as it was seen; None where not. Returns the epoch, above those of all runs."""
    row = tables.mandate.c
    found = Held(
        *connection.execute(select(row.epoch, row.renewals, row.term_ms, row.holder, row.place).with_for_update()).one()
    )
    if seen not in (None, found):
        return None
    epoch = max(found.epoch, connection.execute(select(func.max(tables.run.c.id))).scalar() or 0) + 1
    row_now = {"epoch": epoch, "renewals": 0, "term_ms": term_ms, "holder": holder, "place": place}
    connection.execute(tables.mandate.update().values(**row_now))
    return epoch


def renew(connection: Connection, epoch: int, place: str | None = None) -> bool:
    """Counts a renewal of the run's, and notes its place if one is named. False: it is not the run's any more."""
    row = tables.mandate
    renewed = row.update().where(row.c.epoch == epoch).values(renewals=row.c.renewals + 1)
    if place is not None:
        renewed = renewed.values(place=place)
    return connection.execute(renewed).rowcount == 1


def let_go(connection: Connection) -> None:
    """Whoever comes next need not wait."""
    connection.execute(tables.mandate.update().values(term_ms=0))
