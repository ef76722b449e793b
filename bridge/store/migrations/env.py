"""
Run the migrations on the connection that ``bridge.store.migrations`` hands over.

Where that is in a transaction already, all of them belong to it; else each has one of its own.
"""

from __future__ import annotations

from alembic import context

from bridge.store.tables import metadata

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=metadata,
    render_as_batch=True,
    transactional_ddl=True,
    transaction_per_migration=True,
)
with context.begin_transaction():
    context.run_migrations()
