"""
Bring a database's schema up to date; forward only, all or nothing.

Each revision in ``versions`` is expanded first and contracted a release later, so that the code of the
release before survives it. Revisions hold their own copy of what they make; a test compares the sum of them
with ``tables.metadata``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, func, select
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigError
from bridge.store.engine import ADVISORY_SPACE, parse, schema_engine, sqlite_file

_MIGRATING = 0
"""The second half of the advisory lock; connections have keys from 1."""


def migrate(url: str) -> tuple[str, ...]:
    """
    Apply what is pending and return it; a missing SQLite file is made, readable by its owner only.

    Raises:
        ConfigError: The database cannot be reached, or was made by a newer Bridge.
    """
    _make_file(url)
    with _connected(url) as conn:
        if conn.dialect.name == "postgresql":
            conn.execute(select(func.pg_advisory_xact_lock(ADVISORY_SPACE, _MIGRATING)))
        todo = _pending(conn, url)
        if todo:
            config = _config()
            config.attributes["connection"] = conn
            command.upgrade(config, "head")
        if conn.dialect.name == "sqlite" and conn.exec_driver_sql("PRAGMA foreign_key_check").first():
            raise ConfigError(f"database: migrating {_shown(url)} would break references; nothing was changed")
    return todo


def pending(url: str) -> tuple[str, ...]:
    """
    Return the revisions that the database lacks, in the order they would be applied.

    Raises:
        ConfigError: The database cannot be reached, or was made by a newer Bridge.
    """
    with _connected(url) as conn:
        return _pending(conn, url)


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
            f"database: {_shown(url)} lacks {', '.join(todo)}; stop Bridge, back up, run `bridge migrate`"
        )


def check_known(url: str, revision: str | None = None) -> None:
    """
    Return quietly where a database, or a copy of one that is at *revision*, was made by this or an older Bridge.

    Raises:
        ConfigError: A newer Bridge made it, or none did.
    """
    if revision is not None:
        if revision not in _every():
            raise ConfigError(
                f"database: it is at {revision}: a newer Bridge made it; install that release or a later one"
            )
        return
    if len(pending(url)) == len(_every()):
        raise ConfigError(f"database: {_shown(url)} was not made by Bridge")


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


def _pending(conn: Connection, url: str) -> tuple[str, ...]:
    current = MigrationContext.configure(conn).get_current_revision()
    every = _every()
    if current is None:
        return tuple(every)
    if current not in every:
        raise ConfigError(
            f"database: {_shown(url)} is at {current}, which this Bridge does not know;"
            " a newer Bridge made it: install that release or a later one"
        )
    return tuple(every[every.index(current) + 1 :])


def _every() -> list[str]:
    scripts = ScriptDirectory.from_config(_config())
    return [script.revision for script in reversed(list(scripts.walk_revisions()))]


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent).replace("%", "%%"))
    return config


def _make_file(url: str) -> None:
    file = sqlite_file(url)
    if file is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(file, os.O_RDWR | os.O_CREAT, 0o600))
    except OSError as error:
        raise ConfigError(f"database: {file} cannot be made: {error.strerror}") from error


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = schema_engine(url)
    try:
        with engine.begin() as conn:
            yield conn
    except DBAPIError as error:
        reason = str(error.orig).splitlines()[0] if error.orig else "no answer"
        raise ConfigError(f"database: {_shown(url)} cannot be used: {reason}") from error
    finally:
        engine.dispose()


def _shown(url: str) -> str:
    return parse(url).render_as_string(hide_password=True)
