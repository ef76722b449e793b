"""What monitoring counts: how deliveries ended, why an EHR is away, whose clock is wrong."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"connection": "SHARE ROW EXCLUSIVE", "budget": "ACCESS EXCLUSIVE"}
per_row_us: dict[str, float] = {}

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make a table and add two columns."""
    op.create_table(
        "delivery_total",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("outcome", WORDS, nullable=False),
        sa.Column("code", WORDS, nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_delivery_total_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", "kind", "outcome", "code", name=op.f("pk_delivery_total")),
    )
    op.add_column("budget", sa.Column("cause", WORDS, nullable=True))
    op.add_column("budget", sa.Column("ahead", sa.BigInteger(), nullable=True))
