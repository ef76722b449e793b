"""
When time alone changes a case next.

The release before goes on without it, and what it changes wakes when it is looked at again.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"care_case": "ACCESS EXCLUSIVE"}
per_row_us: dict[str, float] = {"care_case": 1}


def upgrade() -> None:
    """Add a column and an index."""
    op.add_column("care_case", sa.Column("wake_at", sa.BigInteger(), nullable=True))
    wakes = sa.text("wake_at IS NOT NULL")
    op.create_index(
        "ix_care_case_wake", "care_case", ["connection_id", "wake_at"], sqlite_where=wakes, postgresql_where=wakes
    )
