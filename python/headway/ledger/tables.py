"""The tables, as SQLAlchemy Core sees them; `migrations/` makes them, and a test compares the two.

Instants are UTC, `_ms` or `_ns` since 1970; amounts are `_micro`. Texts that hold JSON hold its canonical spelling.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()

entry = Table(
    "entry",
    metadata,
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("contract", String(256), nullable=False),
    Column("kind", String(32), nullable=False),
    Column("actor", Text, nullable=False),
    Column("reason", Text, nullable=False),
    Column("evidence", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("entry_by_contract", "contract", "seq"),
)
"""The chain. Rows are only ever added."""

head = Table(
    "head",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("seq", Integer, nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    CheckConstraint("id = 1", name="head_is_one_row"),
)
"""Where the chain ends: entries cut off its end would otherwise not be missed."""

contract_version = Table(
    "contract_version",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("digest", String(64), nullable=False),
    Column("terms_digest", String(64), nullable=False),
    Column("document", Text, nullable=False),
)
"""What was agreed, in canonical form, version by version."""

contract = Table(
    "contract",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("version", Integer, nullable=False),
    Column("state", Text, nullable=False),
    ForeignKeyConstraint(["name", "version"], ["contract_version.name", "contract_version.version"]),
)
"""Where each ramp stands: a cache that must equal the fold of its entries."""

calendar = Table(
    "calendar",
    metadata,
    Column("name", String(256), primary_key=True),
    Column("document", Text, nullable=False),
)

target = Table(
    "target",
    metadata,
    Column("meter", String(512), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("target_micro", BigInteger, nullable=False),
)
"""The most a durable meter may have drawn in a window; `key` empty: every key that has no row of its own."""

draw = Table(
    "draw",
    metadata,
    Column("meter", String(512), primary_key=True),
    Column("key", String(512), primary_key=True),
    Column("window_start_ns", BigInteger, primary_key=True, autoincrement=False),
    Column("drawn_micro", BigInteger, nullable=False),
    CheckConstraint("drawn_micro >= 0", name="drawn_is_no_debt"),
)

mark = Table(
    "mark",
    metadata,
    Column("meter", String(512), primary_key=True),
    Column("utc_ns", BigInteger, nullable=False),
)
"""Up to when the use of an unkeyed rate is durable; it only moves on."""

booking = Table(
    "booking",
    metadata,
    Column("contract", String(256), primary_key=True),
    Column("workload", String(256), primary_key=True),
    Column("holder", String(32), primary_key=True),
    Column("key", String(4096), primary_key=True),
    Column("units_micro", BigInteger, nullable=False),
    CheckConstraint("units_micro >= 0", name="booked_is_no_debt"),
)
"""What gates may have in flight of a concurrency, `holder` in hex; `key` is empty where there are no keys. It grows before a
gate hears."""

lent_slots = Table(
    "lent_slots",
    metadata,
    Column("contract", String(256), primary_key=True),
    Column("workload", String(256), primary_key=True),
    Column("holder", String(32), primary_key=True),
    Column("units_micro", BigInteger, nullable=False),
    CheckConstraint("units_micro >= 0", name="lent_is_no_debt"),
)
"""Slots that gates may fill without asking. A row grows before its lease leaves."""

loan_ceiling = Table(
    "loan_ceiling",
    metadata,
    Column("contract", String(256), primary_key=True),
    Column("workload", String(256), primary_key=True),
    Column("units_micro", BigInteger, nullable=False),
    CheckConstraint("units_micro >= 0", name="ceiling_is_no_debt"),
)
"""How much of a rate may be on loan to gates: raised before it is exceeded."""

saved_marks = Table(
    "saved_marks",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("marks", LargeBinary, nullable=False),
    CheckConstraint("id = 1", name="saved_marks_is_one_row"),
)
"""The meters at a clean stop. Gone in the transaction that takes them up, so no crash can take them up twice."""

event_seen = Table(
    "event_seen",
    metadata,
    Column("source", String(1024), primary_key=True),
    Column("id", String(1024), primary_key=True),
    Column("at_ms", BigInteger, nullable=False),
    Index("event_seen_by_age", "at_ms"),
)

long_text = Table(
    "long_text",
    metadata,
    Column("name", String(65), primary_key=True),
    Column("text", LargeBinary, nullable=False),
)
"""Keys that are too long to be one, in full; see `long`."""

mandate = Table(
    "mandate",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("epoch", BigInteger, nullable=False),
    Column("renewals", BigInteger, nullable=False),
    Column("term_ms", Integer, nullable=False),
    Column("holder", String(256), nullable=False),
    Column("place", String(64), nullable=False),
    CheckConstraint("id = 1", name="mandate_is_one_row"),
)
"""Who may write: the run whose number is `epoch`, which every write is conditional on. `term_ms` is 0 where it let go."""

run = Table(
    "run",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("boot_id", String(64), nullable=False),
    Column("started_ms", BigInteger, nullable=False),
    Column("seen_ms", BigInteger, nullable=False),
    Column("seen_boot_ms", BigInteger, nullable=False),
    Column("stopped_ms", BigInteger, nullable=True),
)
"""One row a start; its `id` is the epoch of its mandate."""
