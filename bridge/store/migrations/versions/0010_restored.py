"""How the last restore from a backup went. Expands only; the release before does not see it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"connection": "SHARE ROW EXCLUSIVE"}
per_row_us: dict[str, float] = {}


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "restored",
        sa.Column("connection_id", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_restored_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", name=op.f("pk_restored")),
    )
