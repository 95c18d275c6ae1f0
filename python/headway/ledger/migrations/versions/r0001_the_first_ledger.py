"""The first ledger: the chain, contracts, durable draws and marks, events seen, runs."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None


def upgrade() -> None:
    op.create_table(
        "entry",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("contract", sa.String(256), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("evidence", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("entry_by_contract", "entry", ["contract", "seq"])
    op.create_table(
        "head",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("seq", sa.Integer, nullable=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="head_is_one_row"),
    )
    op.create_table(
        "contract_version",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("digest", sa.String(64), nullable=False),
        sa.Column("terms_digest", sa.String(64), nullable=False),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "contract",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("state", sa.Text, nullable=False),
        sa.ForeignKeyConstraint(["name", "version"], ["contract_version.name", "contract_version.version"]),
    )
    op.create_table(
        "calendar",
        sa.Column("name", sa.String(256), primary_key=True),
        sa.Column("document", sa.Text, nullable=False),
    )
    op.create_table(
        "target",
        sa.Column("meter", sa.String(512), primary_key=True),
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("target_micro", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "draw",
        sa.Column("meter", sa.String(512), primary_key=True),
        sa.Column("key", sa.String(512), primary_key=True),
        sa.Column("window_start_ns", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("drawn_micro", sa.BigInteger, nullable=False),
        sa.CheckConstraint("drawn_micro >= 0", name="drawn_is_no_debt"),
    )
    op.create_table(
        "mark",
        sa.Column("meter", sa.String(512), primary_key=True),
        sa.Column("utc_ns", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "saved_marks",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
        sa.Column("marks", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("id = 1", name="saved_marks_is_one_row"),
    )
    op.create_table(
        "event_seen",
        sa.Column("source", sa.String(1024), primary_key=True),
        sa.Column("id", sa.String(1024), primary_key=True),
        sa.Column("at_ms", sa.BigInteger, nullable=False),
    )
    op.create_index("event_seen_by_age", "event_seen", ["at_ms"])
    op.create_table(
        "run",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("boot_id", sa.String(64), nullable=False),
        sa.Column("started_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_ms", sa.BigInteger, nullable=False),
        sa.Column("seen_boot_ms", sa.BigInteger, nullable=False),
        sa.Column("stopped_ms", sa.BigInteger, nullable=True),
    )


def downgrade() -> None:
    raise RuntimeError("a ledger is never taken back to an older schema; restore a copy instead")
