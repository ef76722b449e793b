"""
Bring a database's schema up to date, forward only.

Each revision in ``versions`` expands the schema, so that the code of the release before goes on at work, or contracts
it a release later, when no code reads any more what it takes away; each says which (``steps``). On SQLite all that is
pending is one transaction. On PostgreSQL each revision is one, so that what it locks is given back as soon as it can
be, and one that builds an index on a busy table does so outside of any (``building``). Nobody queues behind a revision
that itself waits for a lock: it gives up after seconds, lets the others through, and tries again.

Revisions hold their own copy of what they make; a test compares the sum of them with ``tables.metadata``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigError
from bridge.store.engine import hand_over, parse, schema_engine, sqlite_file, told
from bridge.store.migrations.applying import PATIENCE, apply_all, apply_each
from bridge.store.migrations.plan import Plan, planned
from bridge.store.migrations.steps import FOLDER, Step, every_step


def migrate(url: str, *, patience: timedelta = PATIENCE, folder: Path = FOLDER) -> tuple[str, ...]:
    """
    Apply what is pending and return it; a missing SQLite file is made, readable by its owner only.

    Of several processes that do this at once one does it, and the others find it done.

    Args:
        patience: How long to go on trying to lock a table that somebody holds (PostgreSQL).
        folder: Where the revisions are; those of another release, in tests.

    Raises:
        ConfigError: The database cannot be reached, was made by a newer Bridge, or a table is held for too long. What
            was applied until then stays on PostgreSQL, and fits the code that is at work.
    """
    _make_file(url)
    if sqlite_file(url) is None:
        with _engaged(url) as conn:
            return apply_each(conn, lambda: _todo(conn, url, folder), folder, patience)
    with _connected(url) as conn:
        todo = _todo(conn, url, folder)
        apply_all(conn, todo, folder)
        if conn.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise ConfigError(f"database: migrating {told(parse(url))} would break references; nothing was changed")
    return tuple(step.revision for step in todo)


def pending(url: str) -> tuple[str, ...]:
    """
    Return the revisions that the database lacks, in the order they would be applied.

    Raises:
        ConfigError: The database cannot be reached, or was made by a newer Bridge.
    """
    with _connected(url) as conn:
        return tuple(step.revision for step in _todo(conn, url))


def plan(url: str, *, folder: Path = FOLDER) -> Plan:
    """
    Return what ``migrate`` would do to a database, changing nothing; an SQLite file that is not there counts as empty.

    Raises:
        ConfigError: The database cannot be reached, or was made by a newer Bridge.
    """
    file = sqlite_file(url)
    with _connected(url if file is None or file.exists() else None) as conn:
        todo = _todo(conn, url, folder)
        return planned(conn, _at(conn), todo, every_step(folder))


def check(url: str) -> None:
    """
    Return quietly when the database is up to date.

    Raises:
        ConfigError: It is not, or cannot be reached; the message names the command that helps.
    """
    file = sqlite_file(url)
    if file is not None and not file.exists():
        raise ConfigError(f"database: {file} does not exist; run `bridge migrate` to make it")
    todo = pending(url)
    if todo:
        raise ConfigError(
            f"database: {told(parse(url))} lacks {', '.join(todo)}; `bridge migrate --check` says what that takes;"
            " back up, then run `bridge migrate`"
        )


def check_known(url: str, revision: str | None = None) -> None:
    """
    Return quietly where a database, or a copy of one that is at *revision*, was made by this or an older Bridge.

    Raises:
        ConfigError: A newer Bridge made it, or none did.
    """
    if revision is not None:
        if revision not in [step.revision for step in every_step()]:
            raise ConfigError(
                f"database: it is at {revision}: a newer Bridge made it; install that release or a later one"
            )
        return
    if len(pending(url)) == len(every_step()):
        raise ConfigError(f"database: {told(parse(url))} was not made by Bridge")


def is_blank(url: str) -> bool:
    """
    Whether this is an SQLite database without a single table, or not even a file.

    The size of the file does not tell: a first start that is killed leaves a header without tables, and one
    killed later may have all of its tables in the write-ahead log alone.

    Raises:
        ConfigError: The file cannot be read.
    """
    file = sqlite_file(url)
    if file is None:
        return False
    if not file.exists():
        return True
    with _connected(url) as conn:
        return conn.exec_driver_sql("SELECT 1 FROM sqlite_master LIMIT 1").first() is None


def _todo(conn: Connection, url: str, folder: Path = FOLDER) -> Sequence[Step]:
    every, current = every_step(folder), _at(conn)
    if current is None:
        return every
    known = [step.revision for step in every]
    if current not in known:
        raise ConfigError(
            f"database: {told(parse(url))} is at {current}, which this Bridge does not know;"
            " a newer Bridge made it: install that release or a later one,"
            " or restore the backup that was made before the upgrade"
        )
    return every[known.index(current) + 1 :]


def _at(conn: Connection) -> str | None:
    return MigrationContext.configure(conn).get_current_revision()


def _make_file(url: str) -> None:
    file = sqlite_file(url)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        if not file.exists():
            made = os.open(file, os.O_RDWR | os.O_CREAT, 0o600)
            hand_over(made, file.parent)
            os.close(made)
    except OSError as error:
        raise ConfigError(f"database: {file} cannot be made: {error.strerror}") from error


@contextmanager
def _connected(url: str | None) -> Iterator[Connection]:
    """Give a connection in one transaction; to a database in memory, where there is no other."""
    with _engaged(url) as conn, conn.begin():
        yield conn


@contextmanager
def _engaged(url: str | None) -> Iterator[Connection]:
    engine = create_engine("sqlite://") if url is None else schema_engine(url)
    try:
        with engine.connect() as conn:
            yield conn
    except DBAPIError as error:
        reason = str(error.orig).splitlines()[0] if error.orig else "no answer"
        raise ConfigError(f"database: {told(parse(url)) if url else 'in memory'} cannot be used: {reason}") from error
    finally:
        engine.dispose()
