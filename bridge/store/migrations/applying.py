"""Apply revisions: all in one transaction, or each in one of its own that does not keep others waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigError
from bridge.store.engine import ADVISORY_SPACE
from bridge.store.migrations.steps import FOLDER, Step

MIGRATING = 0
"""The second half of the advisory lock; connections have keys from 1."""
LOCK_WAIT_MS = 3_000
"""
How long a revision waits for a table: all who want to use it queue behind it meanwhile. A transaction of Bridge takes
milliseconds, pg_dump holds every table for as long as it runs.
"""
_REST_MS = 600
PATIENCE = timedelta(minutes=2)
_BETWEEN_TRIES_SECONDS = 1.0
_BETWEEN_LOOKS_SECONDS = 0.1
_LATER = ("55P03", "40P01")
"""Lock not available, deadlock detected (postgresql.org/docs/16/errcodes-appendix.html)."""


def apply_all(conn: sa.Connection, todo: Sequence[Step], folder: Path) -> None:
    """Apply revisions in the transaction that *conn* is in."""
    if todo:
        upgrade_to(conn, todo[-1].revision, folder)


def apply_each(
    conn: sa.Connection, find_todo: Callable[[], Sequence[Step]], folder: Path, patience: timedelta
) -> tuple[str, ...]:
    """
    Apply what *find_todo* finds once nobody else is migrating, each in a transaction of its own (PostgreSQL).

    Raises:
        ConfigError: A table is held for longer than *patience*; the message names by whom, and what was applied.
    """
    _await_turn(conn)
    conn.exec_driver_sql("SET statement_timeout = 0")
    conn.exec_driver_sql(f"SET lock_timeout = {LOCK_WAIT_MS}")
    conn.commit()
    todo = find_todo()
    conn.commit()
    done: list[str] = []
    for step in todo:
        _apply(conn, step, folder, done, time.monotonic() + patience.total_seconds())
        done.append(step.revision)
    return tuple(done)


def _await_turn(conn: sa.Connection) -> None:
    """
    Wait until no other process migrates, and keep the others from it for as long as this session lasts.

    Asked again and again: an index that is built concurrently waits for every statement that has begun, also for one
    that itself waits for its turn, and PostgreSQL ends one of the two (seen 2026-11, PostgreSQL 15).
    """
    mine = sa.select(sa.func.pg_try_advisory_lock(ADVISORY_SPACE, MIGRATING))
    while not conn.execute(mine).scalar_one():
        conn.commit()
        threading.Event().wait(_BETWEEN_LOOKS_SECONDS)
    conn.commit()


def _apply(conn: sa.Connection, step: Step, folder: Path, done: Sequence[str], deadline: float) -> None:
    while True:
        try:
            if step.concurrent:
                upgrade_to(conn, step.revision, folder)
                return
            with conn.begin():
                _lock(conn, step)
                upgrade_to(conn, step.revision, folder)
            return
        except DBAPIError as error:
            conn.rollback()
            if getattr(error.orig, "sqlstate", None) not in _LATER:
                raise
            if time.monotonic() >= deadline:
                raise _held_up(conn, step, done) from error
        threading.Event().wait(_BETWEEN_TRIES_SECONDS)


def _lock(conn: sa.Connection, step: Step) -> None:
    """
    Take every lock that a step will need before it changes anything.

    While it waits for the first it holds nothing. For the rest together it waits for less than the second after which
    PostgreSQL looks for a deadlock (``deadlock_timeout``): where a transaction of Bridge has locked one of them and now
    waits for one of ours, the step is to give up and try again, not that transaction.
    """
    patience = LOCK_WAIT_MS
    for name, lock in step.locks.items():
        conn.exec_driver_sql(f"SET LOCAL lock_timeout = {patience}")
        conn.exec_driver_sql(f"LOCK TABLE {conn.dialect.identifier_preparer.quote(name)} IN {lock.value} MODE")
        patience = _REST_MS // len(step.locks)
    conn.exec_driver_sql(f"SET LOCAL lock_timeout = {LOCK_WAIT_MS}")


def upgrade_to(conn: sa.Connection, revision: str, folder: Path = FOLDER) -> None:
    """Apply revisions up to one, in the transaction that *conn* is in; each in one of its own where it is in none."""
    config = Config()
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    config.attributes["connection"] = conn
    command.upgrade(config, revision)


_HOLDERS = sa.text(
    "SELECT c.relname, l.pid, a.application_name, extract(epoch FROM now() - a.xact_start)::int"
    " FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid"
    " WHERE l.granted AND c.relname = ANY(:tables) AND l.pid <> pg_backend_pid() ORDER BY a.xact_start LIMIT 1"
)


def _held_up(conn: sa.Connection, step: Step, done: Sequence[str]) -> ConfigError:
    held = conn.execute(_HOLDERS, {"tables": [*step.locks]}).first()
    conn.commit()
    by = (
        f"{held[0]} is held by process {held[1]} ({held[2] or 'unnamed'}) for {held[3]} s"
        if held
        else "somebody has a lock"
    )
    applied = f"{', '.join(done)} applied, {step.revision} not" if done else "nothing was changed"
    return ConfigError(
        f"database: {step.revision} waits: {by}; {applied}. Let it end (a backup, a report?) and run"
        " `bridge migrate` again; Bridge goes on meanwhile"
    )
