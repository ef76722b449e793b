"""A release after this one, as far as its schema goes: this one's revisions and some more."""

from __future__ import annotations

import shutil
from pathlib import Path

from bridge.store.migrations.steps import FOLDER, every_step

HEAD = every_step()[-1].revision

NEW_COLUMNS = '''"""A table, and columns of tables that are in use."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"
kind = "expand"
locks = {{"care_case": "ACCESS EXCLUSIVE", "outbox": "ACCESS EXCLUSIVE", "source_version": "ACCESS EXCLUSIVE"}}
per_row_us: dict[str, float] = {{}}


def upgrade() -> None:
    op.create_table("novelty", sa.Column("id", sa.BigInteger(), primary_key=True))
    for table in ("outbox", "source_version", "care_case"):
        op.add_column(table, sa.Column("novelty", sa.Text(), nullable=True))
    op.add_column("care_case", sa.Column("rank", sa.BigInteger(), server_default="0", nullable=False))
'''

NEW_INDEX = '''"""An index of tables that are large and in use."""

from bridge.store.migrations.building import build_index

revision = "{revision}"
down_revision = "{before}"
kind = "expand"
concurrent = True
locks = {{"outbox": "SHARE UPDATE EXCLUSIVE", "care_case": "SHARE UPDATE EXCLUSIVE"}}
per_row_us: dict[str, float] = {{"outbox": 1, "care_case": 1}}


def upgrade() -> None:
    build_index("ix_outbox_novelty", "outbox", ["novelty", "id"])
    build_index("ix_care_case_rank", "care_case", ["rank"], where="merged_into IS NULL")
'''

TAKES_AWAY = '''"""What nobody reads any more."""

from alembic import op

revision = "{revision}"
down_revision = "{before}"
kind = "contract"
after = "{after}"
locks = {{"outbox": "ACCESS EXCLUSIVE"}}
per_row_us: dict[str, float] = {{}}


def upgrade() -> None:
    op.drop_column("outbox", "{column}")
'''


def with_revisions(folder: Path, *templates: str, **more: str) -> Path:
    """Copy this release's revisions and add some; returns the folder."""
    target = folder / "migrations"
    shutil.copytree(FOLDER, target, ignore=shutil.ignore_patterns("__pycache__"))
    return add_revisions(target, *templates, **more)


def add_revisions(migrations: Path, *templates: str, **more: str) -> Path:
    """Add revisions to a copy of this release's, numbered from 9001; returns its folder."""
    before = HEAD
    for number, template in enumerate(templates, start=9001):
        text = template.format(revision=number, before=before, **more)
        (migrations / "versions" / f"{number}_next.py").write_text(text)
        before = str(number)
    return migrations
