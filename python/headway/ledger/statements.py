"""The statements that go to the database by the thousand, in the SQL that SQLite and PostgreSQL share.

They go to the driver as they are, for SQLAlchemy would look at every row.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from headway.ledger.long import is_name, kept_as
from headway.ledger.moves import Draw

_PARAMETER = re.compile(r":([a-z]+)")
_TYPES = {"by": "bigint", "start": "bigint", "most": "bigint", "version": "bigint", "text": "bytea"}
"""Of parameters that are no text. Numbers go as 64-bit ones, whatever their size: else PostgreSQL would plan for each size."""


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, as each database's driver has it: parameters by name."""

    sqlite: str
    postgresql: str

    @classmethod
    def of(cls, text: str) -> Statement:
        """`text` has `:name` for a parameter, and no other colon."""

        def named(match: re.Match[str]) -> str:
            name = match.group(1)
            return f"%({name})s::{_TYPES.get(name, 'text')}"

        return cls(text, _PARAMETER.sub(named, text))

    def run(self, connection: Connection, rows: Sequence[Mapping[str, Any]]) -> int:
        """Once for each row. Returns how many rows of the table it touched in all."""
        text = self.postgresql if connection.dialect.name == "postgresql" else self.sqlite
        return connection.exec_driver_sql(text, list(rows)).rowcount


_TARGET = "(SELECT target_micro FROM target WHERE meter = :meter AND key IN (:key, '') ORDER BY key DESC LIMIT 1)"
"""A key's own target goes before that of ''."""

DRAW = Statement.of(
    f"""
    INSERT INTO draw (meter, key, window_start_ns, drawn_micro)
    SELECT :meter, :key, :start, CASE WHEN :by > 0 THEN :by ELSE 0 END
     WHERE :by <= {_TARGET}
        ON CONFLICT (meter, key, window_start_ns) DO UPDATE
       SET drawn_micro = CASE WHEN draw.drawn_micro + :by > 0 THEN draw.drawn_micro + :by ELSE 0 END
     WHERE :by <= 0 OR draw.drawn_micro + :by <= {_TARGET}
    """  # noqa: S608 -- its one part is a constant
)
"""A draw, if there is room; a row count of 0 says that there was none."""


def _grown(table: str, *names: str) -> Statement:
    """Adds to a row's units, which never go below nothing."""
    key, values = ", ".join(names), ", ".join(f":{name}" for name in names)
    units = f"{table}.units_micro + :by"
    return Statement.of(
        f"INSERT INTO {table} ({key}, units_micro) VALUES ({values}, CASE WHEN :by > 0 THEN :by ELSE 0 END)"  # noqa: S608
        f" ON CONFLICT ({key}) DO UPDATE SET units_micro = CASE WHEN {units} > 0 THEN {units} ELSE 0 END"
    )


BOOKED: Mapping[str, Statement] = {
    "rate_mark": Statement.of(
        "INSERT INTO mark (meter, utc_ns) VALUES (:meter, :by) ON CONFLICT (meter) DO UPDATE"
        " SET utc_ns = CASE WHEN mark.utc_ns > excluded.utc_ns THEN mark.utc_ns ELSE excluded.utc_ns END"
    ),
    "booking": _grown("booking", "contract", "workload", "holder", "key"),
    "lent_slots": _grown("lent_slots", "contract", "workload", "holder"),
    "loan_ceiling": Statement.of(
        "INSERT INTO loan_ceiling (contract, workload, units_micro) VALUES (:contract, :workload, :by)"
        " ON CONFLICT (contract, workload) DO UPDATE SET units_micro = excluded.units_micro"
    ),
}
"""What is booked whatever there is: by a draw's kind."""

STATE = Statement.of(
    "INSERT INTO contract (name, version, state) VALUES (:name, :version, :state)"
    " ON CONFLICT (name) DO UPDATE SET version = excluded.version, state = excluded.state"
)
CALENDAR = Statement.of(
    "INSERT INTO calendar (name, document) VALUES (:name, :document)"
    " ON CONFLICT (name) DO UPDATE SET document = excluded.document"
)
TARGET = Statement.of(
    "INSERT INTO target (meter, key, target_micro) VALUES (:meter, :key, :most)"
    " ON CONFLICT (meter, key) DO UPDATE SET target_micro = excluded.target_micro"
)
CLOSED = Statement.of("DELETE FROM draw WHERE meter = :meter AND window_start_ns < :start")
LONG_TEXT = Statement.of("INSERT INTO long_text (name, text) VALUES (:name, :text) ON CONFLICT (name) DO NOTHING")


def rows_of(batch: Sequence[Draw]) -> tuple[dict[str, list[dict[str, Any]]], dict[str, bytes]]:
    """The rows of a batch, by kind, in its order; and the texts behind the names among their keys. KeyError for a kind that
    is none.
    """
    rows: dict[str, list[dict[str, Any]]] = {"quota_draw": [], **{kind: [] for kind in BOOKED}}
    texts: dict[str, bytes] = {}
    for one in batch:
        rows[one.kind].append(_ROW[one.kind](one, texts))
    return rows, texts


def key_of(key: str, texts: dict[str, bytes]) -> str:
    """A key as it is kept; what stands behind it, where it is a name, is added to `texts`."""
    kept = kept_as(key)
    if is_name(kept):
        texts[kept] = key.encode()
    return kept


def _draw(one: Draw, texts: dict[str, bytes]) -> dict[str, Any]:
    key = key_of(one.key, texts)
    return {"meter": one.meter, "key": key, "start": one.window_start_ns, "by": one.by_micro}


def _mark(one: Draw, _texts: dict[str, bytes]) -> dict[str, Any]:
    return {"meter": one.meter, "by": one.by_micro}


def _booking(one: Draw, texts: dict[str, bytes]) -> dict[str, Any]:
    workload, holder, key = one.key.split("\n", 2)
    names = {"contract": one.meter, "workload": workload, "holder": holder}
    return names | {"key": key_of(key, texts), "by": one.by_micro}


def _lent(one: Draw, _texts: dict[str, bytes]) -> dict[str, Any]:
    workload, holder = one.key.split("\n")
    return {"contract": one.meter, "workload": workload, "holder": holder, "by": one.by_micro}


def _ceiling(one: Draw, _texts: dict[str, bytes]) -> dict[str, Any]:
    return {"contract": one.meter, "workload": one.key, "by": one.by_micro}


_ROW = {"quota_draw": _draw, "rate_mark": _mark, "booking": _booking, "lent_slots": _lent, "loan_ceiling": _ceiling}
