"""Subscriptions: how each stands on its EHR."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"connection": "SHARE ROW EXCLUSIVE"}
per_row_us: dict[str, float] = {}

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "subscription",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_subscription_connection_id")),
        sa.PrimaryKeyConstraint("key", "connection_id", name=op.f("pk_subscription")),
    )
