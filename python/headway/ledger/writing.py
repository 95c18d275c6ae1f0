"""What one transaction writes and takes up, over its connection."""

from __future__ import annotations

from collections.abc import Mapping

from sqlalchemy import Connection, and_, select

from headway.ledger import statements, tables
from headway.ledger.chain import GENESIS, canonical_json, link
from headway.ledger.moves import AtGates, Move, Run


def at_gates(connection: Connection, texts: Mapping[str, str]) -> AtGates:
    """What gates have; rows of those who have nothing any more go."""
    found = []
    for table in (tables.booking, tables.lent_slots, tables.loan_ceiling):
        connection.execute(table.delete().where(table.c.units_micro == 0))
        found.append([tuple(row) for row in connection.execute(select(table))])
    booked, lent, ceilings = found
    named = tuple((one, workload, holder, texts.get(key, key), units) for one, workload, holder, key, units in booked)
    return AtGates(named, tuple(lent), tuple(ceilings))


def long_texts(connection: Connection) -> dict[str, str]:
    """Texts by their names; those that nothing names any more go."""
    texts, keyed = tables.long_text, (tables.draw.c.key, tables.booking.c.key, tables.target.c.key)
    unnamed = and_(*(texts.c.name.not_in(select(key)) for key in keyed))
    connection.execute(texts.delete().where(unnamed))
    return {row.name: row.text.decode() for row in connection.execute(select(texts))}


def keep_texts(connection: Connection, texts: Mapping[str, bytes]) -> None:
    if texts:
        statements.LONG_TEXT.run(connection, [{"name": name, "text": text} for name, text in texts.items()])


def last_run(connection: Connection) -> Run | None:
    row = connection.execute(select(tables.run).order_by(tables.run.c.id.desc()).limit(1)).one_or_none()
    return Run(*row) if row else None


def append(connection: Connection, move: Move) -> tuple[int, ...]:
    """Entries to the chain's end."""
    if not move.entries:
        return ()
    head = connection.execute(select(tables.head)).one_or_none()
    seq, at_ms, previous = (head.seq, head.at_ms, head.hash) if head else (0, 0, GENESIS)
    rows = []
    for entry in move.entries:
        if entry.at_ms < at_ms:
            raise ValueError(f"an entry of {entry.at_ms} after one of {at_ms}: the ledger's time never runs back")
        if entry.contract and entry.contract not in move.states:
            raise ValueError(f"an entry of {entry.contract} without its state")
        state = move.states[entry.contract] if entry.contract else None
        version, digest = (state.version, state.digest) if state else (0, "")
        seq, at_ms, previous = seq + 1, entry.at_ms, link(previous, seq + 1, entry, version, digest)
        rows.append(
            {
                "seq": seq,
                "at_ms": at_ms,
                "contract": entry.contract,
                "kind": entry.kind,
                "actor": entry.actor,
                "reason": entry.reason,
                "evidence": canonical_json(dict(entry.evidence)),
                "body": canonical_json(dict(entry.body)),
                "version": version,
                "digest": digest,
                "hash": previous,
            }
        )
    connection.execute(tables.entry.insert(), rows)
    values = {"seq": seq, "at_ms": at_ms, "hash": previous}
    if head:
        connection.execute(tables.head.update().values(**values))
    else:
        connection.execute(tables.head.insert().values(id=1, **values))
    return tuple(row["seq"] for row in rows)  # type: ignore[misc]


def keep_states(connection: Connection, move: Move) -> None:
    rows = [{"name": name, "version": one.version, "state": one.as_json()} for name, one in move.states.items()]
    if rows:
        statements.STATE.run(connection, rows)


def keep_beside(connection: Connection, move: Move) -> None:
    """Calendars, targets, and windows that are over."""
    if move.calendars:
        rows = [{"name": name, "document": document} for name, document in move.calendars.items()]
        statements.CALENDAR.run(connection, rows)
    if move.targets:
        texts: dict[str, bytes] = {}
        targets = [
            {"meter": meter, "key": statements.key_of(key, texts), "most": most}
            for (meter, key), most in move.targets.items()
        ]
        keep_texts(connection, texts)
        statements.TARGET.run(connection, targets)
    if move.closed:
        statements.CLOSED.run(connection, [{"meter": one, "start": at} for one, at in move.closed.items()])
