"""Who may write, and texts of any length as keys."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from headway.ledger.long import kept_as

revision = "0004"
down_revision = "0003"

_KEYED = ("draw", "target", "booking")


def upgrade() -> None:
    op.create_table(
        "mandate",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("epoch", sa.BigInteger, nullable=False),
        sa.Column("renewals", sa.BigInteger, nullable=False),
        sa.Column("term_ms", sa.Integer, nullable=False),
        sa.Column("holder", sa.String(256), nullable=False),
        sa.Column("place", sa.String(64), nullable=False),
        sa.CheckConstraint("id = 1", name="mandate_is_one_row"),
    )
    op.execute(
        "INSERT INTO mandate (id, epoch, renewals, term_ms, holder, place)"
        " SELECT 1, COALESCE(MAX(id), 0), 0, 0, '', '' FROM run"
    )
    op.create_table(
        "long_text",
        sa.Column("name", sa.String(65), primary_key=True),
        sa.Column("text", sa.LargeBinary, nullable=False),
    )
    _shorten()


def _shorten() -> None:
    """Keys that were kept in full go by a name of their own from now on."""
    connection, texts = op.get_bind(), sa.table("long_text", sa.column("name"), sa.column("text"))
    for table in _KEYED:
        keyed = sa.table(table, sa.column("key"))
        for key in connection.scalars(sa.select(keyed.c.key).distinct()).all():
            if (name := kept_as(key)) != key:
                known = connection.scalar(sa.select(texts.c.name).where(texts.c.name == name))
                if known is None:
                    connection.execute(texts.insert().values(name=name, text=key.encode()))
                connection.execute(keyed.update().where(keyed.c.key == key).values(key=name))
    seen = sa.table("event_seen", sa.column("source"), sa.column("id"))
    for source, id in connection.execute(sa.select(seen.c.source, seen.c.id)).all():
        if (kept_as(source), kept_as(id)) != (source, id):
            row = seen.update().where(seen.c.source == source, seen.c.id == id)
            connection.execute(row.values(source=kept_as(source), id=kept_as(id)))


def downgrade() -> None:
    raise RuntimeError("a ledger is never taken back to an older schema; restore a copy instead")
