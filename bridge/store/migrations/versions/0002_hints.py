"""Hints: what notifications say should be read again."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"connection": "SHARE ROW EXCLUSIVE"}
per_row_us: dict[str, float] = {}

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "hint",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("ref", WORDS, nullable=False),
        sa.Column("noted_at", sa.BigInteger(), nullable=False),
        sa.Column("mark", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_hint_connection_id")),
        sa.PrimaryKeyConstraint("ref", "connection_id", name=op.f("pk_hint")),
    )
