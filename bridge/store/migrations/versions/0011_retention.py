"""
Which versions' contents are kept, in the order they came, for the timer that drops old ones.

The release before goes on without it, and shows no content for a version whose content was dropped.
"""

from __future__ import annotations

from bridge.store.migrations.building import build_index

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None
kind = "expand"
concurrent = True
locks: dict[str, str] = {"source_version": "SHARE UPDATE EXCLUSIVE"}
per_row_us: dict[str, float] = {"source_version": 2}


def upgrade() -> None:
    """Make the index."""
    build_index("ix_source_version_raw", "source_version", ["raw_id"], where="raw_size > 0")
