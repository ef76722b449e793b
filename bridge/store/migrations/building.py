"""What revisions build on tables that are large and in use."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op


def build_index(name: str, table: str, columns: Sequence[str], *, where: str | None = None) -> None:
    """
    Make an index while others write to the table; for a revision that says ``concurrent = True``.

    PostgreSQL builds it outside of a transaction (``CREATE INDEX CONCURRENTLY``) and leaves an invalid one behind
    where that fails: this is thrown away and built again. It waits for every transaction that has begun, so it must
    not give up waiting as other statements do. On SQLite, which has one writer, it is built like any other.

    Args:
        where: The condition of a partial index.
    """
    condition = sa.text(where) if where else None
    if op.get_bind().dialect.name != "postgresql":
        op.create_index(name, table, list(columns), sqlite_where=condition)
        return
    with op.get_context().autocommit_block():
        conn = op.get_bind()
        patience = conn.exec_driver_sql("SHOW lock_timeout").scalar_one()
        conn.exec_driver_sql("SET lock_timeout = 0")
        found = conn.execute(_STATE, {"name": name}).scalar()
        if found is False:
            op.drop_index(name, table_name=table, postgresql_concurrently=True)
        if found is not True:
            op.create_index(name, table, list(columns), postgresql_where=condition, postgresql_concurrently=True)
        conn.execute(sa.text("SELECT set_config('lock_timeout', :patience, false)"), {"patience": patience})


_STATE = sa.text("SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass(:name)")
