"""
When cases were closed, for the list of what was closed recently.

Expands only; the release before goes on without it. What was closed before is listed among the closed cases, not among
those closed recently.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add a column and an index."""
    op.add_column("care_case", sa.Column("closed_at", sa.BigInteger(), nullable=True))
    closed = sa.text("merged_into IS NULL AND closed_at IS NOT NULL")
    op.create_index("ix_care_case_closed", "care_case", ["closed_at"], sqlite_where=closed, postgresql_where=closed)
