"""${message}."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = ${repr(up_revision)}
down_revision = ${repr(down_revision)}
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {}
per_row_us: dict[str, float] = {}


def upgrade() -> None:
    """Bring the schema forward; code of the release before must survive it."""
    ${upgrades if upgrades else "pass"}
