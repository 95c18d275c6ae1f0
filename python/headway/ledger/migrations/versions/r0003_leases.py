"""What gates are lent: slots by holder, and of rates what may be on loan."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.create_table(
        "lent_slots",
        sa.Column("contract", sa.String(256), primary_key=True),
        sa.Column("workload", sa.String(256), primary_key=True),
        sa.Column("holder", sa.String(32), primary_key=True),
        sa.Column("units_micro", sa.BigInteger, nullable=False),
        sa.CheckConstraint("units_micro >= 0", name="lent_is_no_debt"),
    )
    op.create_table(
        "loan_ceiling",
        sa.Column("contract", sa.String(256), primary_key=True),
        sa.Column("workload", sa.String(256), primary_key=True),
        sa.Column("units_micro", sa.BigInteger, nullable=False),
        sa.CheckConstraint("units_micro >= 0", name="ceiling_is_no_debt"),
    )


def downgrade() -> None:
    raise RuntimeError("a ledger is never taken back to an older schema; restore a copy instead")
