"""
Since when the first whole read of a stream is waited for, so that one that never ends is told of.

The release before goes on without it.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"cursor": "ACCESS EXCLUSIVE"}
per_row_us: dict[str, float] = {}


def upgrade() -> None:
    """Add the column."""
    op.add_column("cursor", sa.Column("behind_since", sa.BigInteger(), nullable=True))
