"""What gates have booked of concurrencies."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.create_table(
        "booking",
        sa.Column("contract", sa.String(256), primary_key=True),
        sa.Column("workload", sa.String(256), primary_key=True),
        sa.Column("holder", sa.String(32), primary_key=True),
        sa.Column("key", sa.String(4096), primary_key=True),
        sa.Column("units_micro", sa.BigInteger, nullable=False),
        sa.CheckConstraint("units_micro >= 0", name="booked_is_no_debt"),
    )


def downgrade() -> None:
    raise RuntimeError("a ledger is never taken back to an older schema; restore a copy instead")
