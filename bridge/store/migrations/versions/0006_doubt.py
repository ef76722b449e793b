"""
When a write was sent without an answer, and second copies of what we wrote.

The release before goes on by ``unsure`` alone.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"outbox": "ACCESS EXCLUSIVE"}
per_row_us: dict[str, float] = {"outbox": 1}


def upgrade() -> None:
    """Add a column and an index."""
    op.add_column("outbox", sa.Column("unsure_at", sa.BigInteger(), nullable=True))
    copy = sa.text("kind = 'retraction' AND target IS NOT NULL")
    op.create_index("ix_outbox_copy", "outbox", ["connection_id"], sqlite_where=copy, postgresql_where=copy)
