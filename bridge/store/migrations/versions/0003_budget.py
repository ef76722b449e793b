"""Budgets: how an EHR is to be asked, shared by every process."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"connection": "SHARE ROW EXCLUSIVE"}
per_row_us: dict[str, float] = {}

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "budget",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=True),
        sa.Column("asked_until", sa.BigInteger(), nullable=True),
        sa.Column("away_since", sa.BigInteger(), nullable=True),
        sa.Column("open_until", sa.BigInteger(), nullable=True),
        sa.Column("trips", sa.Integer(), nullable=False),
        sa.Column("recovered_at", sa.BigInteger(), nullable=True),
        sa.Column("reason", WORDS, nullable=True),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_budget_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_budget")),
        sa.CheckConstraint("(open_until IS NULL) = (away_since IS NULL)", name=op.f("ck_budget_away_while_open")),
        sa.CheckConstraint("(open_until IS NULL) = (trips = 0)", name=op.f("ck_budget_trips_while_open")),
    )
    op.create_table(
        "worker",
        sa.Column("name", WORDS, nullable=False),
        sa.Column("seen_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_worker")),
    )
