"""Turns, pauses and what came late."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"connection": "SHARE ROW EXCLUSIVE", "source_version": "SHARE"}
per_row_us: dict[str, float] = {"source_version": 1}

WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def upgrade() -> None:
    """Make the tables and an index."""
    op.create_table(
        "turn",
        sa.Column("name", WORDS, nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.Column("until", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_turn")),
    )
    op.create_table(
        "pause",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("paused_by", WORDS, nullable=False),
        sa.Column("paused_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_pause_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", "type", name=op.f("pk_pause")),
    )
    op.create_table(
        "late",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("path", WORDS, nullable=False),
        sa.Column("found", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_late_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", "type", "path", name=op.f("pk_late")),
    )
    late = sa.text("code = 'late'")
    op.create_index("ix_source_version_late", "source_version", ["id"], sqlite_where=late, postgresql_where=late)
