"""
Which versions' contents are kept, in the order they came, for the timer that drops old ones.

The release before goes on without it, and shows no content for a version whose content was dropped.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"source_version": "SHARE"}
per_row_us: dict[str, float] = {"source_version": 1}


def upgrade() -> None:
    """Make the index."""
    held = sa.text("raw_size > 0")
    op.create_index("ix_source_version_raw", "source_version", ["raw_id"], sqlite_where=held, postgresql_where=held)
