"""Open a store: the one place that ties databases, migrations and the SQL store together."""

from __future__ import annotations

from bridge.store.engine import engines
from bridge.store.migrations import check, is_blank, migrate
from bridge.store.sql import SqlStore


def open_store(url: str, *, pool_size: int = 8) -> SqlStore:
    """
    Return the store at *url* (``sqlite:///PATH`` or ``postgresql://...``).

    Args:
        pool_size: How many read connections SQLite, or connections PostgreSQL, keeps open.

    Raises:
        ConfigError: The database cannot be reached or is not up to date (``bridge migrate``).
    """
    check(url)
    return SqlStore(engines(url, pool_size=pool_size))


def create_or_open(url: str, *, pool_size: int = 8) -> SqlStore:
    """
    Return the store at *url*; an SQLite file that does not exist yet, or in which nothing is, is made first.

    Raises:
        ConfigError: As ``open_store``; an existing database is never migrated on the way.
    """
    if is_blank(url):
        migrate(url)
    return open_store(url, pool_size=pool_size)
