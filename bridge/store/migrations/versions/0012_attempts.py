"""
Which records of an attempt to reach a patient there are, of whichever case: an attempt moves when cases are merged.

The release before goes on without it.
"""

from __future__ import annotations

from bridge.store.migrations.building import build_index

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None
kind = "expand"
concurrent = True
locks: dict[str, str] = {"outbox": "SHARE UPDATE EXCLUSIVE"}
per_row_us: dict[str, float] = {"outbox": 2}


def upgrade() -> None:
    """Make the index."""
    build_index("ix_outbox_attempt", "outbox", ["key"], where="kind = 'outreach-record'")
