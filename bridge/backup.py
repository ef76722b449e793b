"""
``bridge backup`` and ``bridge restore``: a consistent copy of the database into one file, and back from it.

SQLite: SQLite's own online backup (sqlite.org/backup.html), in one step, while Bridge serves: it holds up no writer,
and no writer makes it begin anew. The copy is looked through, and only then gets its name. PostgreSQL: ``pg_dump``
and ``pg_restore`` do it; where they are not installed the message says what to run. What a restored database does not
know of its EHR is found out by the next start (``bridge.sync.recovery``).
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Sequence
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from sqlalchemy import URL, select
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigError
from bridge.store.engine import hand_over, own, parse, schema_engine, sqlite_file
from bridge.store.migrations import check, check_known, migrate
from bridge.store.opening import open_store
from bridge.store.tables import metadata, worker
from bridge.sync.restored import mark_restored

_MAGIC = b"SQLite format 3\0"
_SEEN_WITHIN_SECONDS = 120
"""A process that was seen within this time counts as running (rule ours: the longest a worker is silent)."""

_PENDING = re.compile(r"^COPY public\.alembic_version .*?^(\S+)$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Copied:
    """A backup that was made and looked through."""

    file: Path
    size: int


@dataclass(frozen=True)
class PutBack:
    """A restore: what was migrated on the way, for which connections, and where what was there before is kept."""

    migrated: tuple[str, ...]
    connections: tuple[str, ...]
    aside: Path | None = None


# Backup ---------------------------------------------------------------------------------------------------


def back_up(url: str, file: Path) -> Copied:
    """
    Copy the database at *url* into *file*, which must not be there yet.

    Raises:
        ConfigError: The database or the file cannot be used, or the copy is not sound; nothing is left behind.
    """
    if file.exists():
        raise ConfigError(f"backup: {file} is there already; name another file, or take it away first")
    if not file.parent.is_dir():
        raise ConfigError(f"backup: the folder {file.parent} does not exist")
    source, part = sqlite_file(url), file.with_name(f".{file.name}.part-{os.getpid()}")
    try:
        if source is not None:
            _copy_sqlite(source, part)
        else:
            _dump(parse(url), part)
        _give_name(part, file)
    except OSError as error:
        raise ConfigError(f"backup: {file} cannot be written: {error.strerror}") from error
    finally:
        _drop(part)
    return Copied(file, file.stat().st_size)


def _copy_sqlite(source: Path, part: Path) -> None:
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    if not source.exists():
        raise ConfigError(f"backup: there is no database {source} yet")
    try:
        with closing(sqlite3.connect(source, timeout=30)) as here, closing(sqlite3.connect(part)) as there:
            here.execute("PRAGMA query_only=ON")
            here.backup(there, pages=-1)
    except sqlite3.Error as error:
        raise ConfigError(f"backup: {source} could not be copied: {error}") from error
    check_sound(part)
    check_known(f"sqlite:///{part}")
    _into_one_file(part)


def check_sound(file: Path) -> None:
    """
    Return quietly where *file* is an SQLite database in which SQLite finds nothing wrong.

    Raises:
        ConfigError: It is not.
    """
    with file.open("rb") as opened:
        if opened.read(len(_MAGIC)) != _MAGIC:
            raise ConfigError(f"{file} is not an SQLite database")
    try:
        with closing(sqlite3.connect(file)) as conn:
            said = [row[0] for row in conn.execute("PRAGMA integrity_check(3)")]
            broken = conn.execute("PRAGMA foreign_key_check").fetchone()
    except sqlite3.Error as error:
        raise ConfigError(f"{file} is damaged: {error}") from error
    if said != ["ok"] or broken is not None:
        raise ConfigError(f"{file} is damaged: {said[0] if said != ['ok'] else 'rows refer to what is not there'}")


def _give_name(part: Path, file: Path) -> None:
    """Make what was written durable, then give it its name, unless somebody took that meanwhile."""
    _sync(part)
    try:
        os.link(part, file)
    except FileExistsError:
        raise ConfigError(f"backup: {file} is there already; name another file, or take it away first") from None
    except OSError:
        # A file system without hard links.
        part.rename(file)
    _sync(file.parent)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


# Restore --------------------------------------------------------------------------------------------------


def put_back(url: str, file: Path, connections: Sequence[str], now: datetime) -> PutBack:
    """
    Put the backup *file* in the place of the database at *url*; what was there is kept beside it.

    An older schema is migrated. On PostgreSQL the database has to be empty.

    Args:
        connections: Those that are configured: each finds out what the backup does not know, with its next start.

    Raises:
        ConfigError: Bridge runs on the database, or the backup cannot be used; nothing was changed.
    """
    if not file.is_file():
        raise ConfigError(f"restore: there is no file {file}")
    target = sqlite_file(url)
    if target is None:
        return _put_back_postgresql(url, file, connections, now)
    target.parent.mkdir(parents=True, exist_ok=True)
    with own(url):
        return _put_back_sqlite(target, file, connections, now)


def mark(url: str, connections: Sequence[str], now: datetime) -> None:
    """
    Note that the database at *url* was put back by other means.

    Raises:
        ConfigError: Bridge runs on it, or it cannot be used.
    """
    with own(url):
        if sqlite_file(url) is None:
            _check_nobody_works(url, now)
        _mark(url, connections, now)


def _mark(url: str, connections: Sequence[str], now: datetime) -> None:
    with closing(open_store(url)) as store, store.transaction() as tx:
        mark_restored(tx, connections, now)


def _put_back_sqlite(target: Path, file: Path, connections: Sequence[str], now: datetime) -> PutBack:
    fresh = target.with_name(f".{target.name}.restoring")
    try:
        shutil.copyfile(file, fresh)
        fresh.chmod(0o600)
        hand_over(fresh, target)
        check_sound(fresh)
        url = f"sqlite:///{fresh}"
        check_known(url)
        done = migrate(url)
        _mark(url, connections, now)
        _into_one_file(fresh)
        aside = _set_aside(target, now)
        os.replace(fresh, target)
        _sync(target.parent)
    except OSError as error:
        raise ConfigError(f"restore: {error.strerror} ({error.filename}); nothing was changed") from error
    finally:
        _drop(fresh)
    return PutBack(done, tuple(connections), aside)


def _drop(file: Path) -> None:
    for rest in ("", "-wal", "-shm", "-journal"):
        file.with_name(file.name + rest).unlink(missing_ok=True)


def _into_one_file(file: Path) -> None:
    with closing(sqlite3.connect(file)) as conn:
        conn.execute("PRAGMA journal_mode=DELETE")
    _sync(file)


def _set_aside(target: Path, now: datetime) -> Path | None:
    """
    Keep what is there under another name as well, and leave no log beside it that the restored one would take for its.

    What the log holds goes into the file first, so that a crash at any point leaves a whole database.
    """
    if not target.exists():
        return None
    with suppress(sqlite3.Error), closing(sqlite3.connect(target)) as conn:
        # Damaged files are restored over as well.
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    aside = target.with_name(f"{target.name}.before-{now:%Y%m%dT%H%M%SZ}")
    for rest in ("", "-wal"):
        beside = target.with_name(target.name + rest)
        if beside.exists():
            os.link(beside, aside.with_name(aside.name + rest))
    for rest in ("-wal", "-shm"):
        target.with_name(target.name + rest).unlink(missing_ok=True)
    return aside


# PostgreSQL -----------------------------------------------------------------------------------------------


def _dump(url: URL, part: Path) -> None:
    os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    _run(["pg_dump", "--format=custom", "--no-owner", "--no-privileges", f"--file={part}"], url)
    _run(["pg_restore", "--list", str(part)])


def _put_back_postgresql(url: str, file: Path, connections: Sequence[str], now: datetime) -> PutBack:
    if _has_tables(url):
        raise ConfigError(
            "restore: the PostgreSQL database is not empty; make a new one (createdb), set database.url to it, and "
            "restore there: what is there is kept"
        )
    said = _run(["pg_restore", "--data-only", "--table=alembic_version", "--file=-", str(file)])
    found = _PENDING.search(said)
    if found is None:
        raise ConfigError(f"restore: {file} is no backup of a Bridge database")
    check_known(url, revision=found.group(1))
    options = ["--no-owner", "--no-privileges", "--exit-on-error", "--single-transaction"]
    _run(["pg_restore", *options, str(file)], parse(url))
    done = migrate(url)
    _mark(url, connections, now)
    return PutBack(done, tuple(connections))


def _has_tables(url: str) -> bool:
    engine = schema_engine(url)
    try:
        with engine.begin() as conn:
            return any(conn.dialect.has_table(conn, table) for table in metadata.tables)
    except DBAPIError as error:
        raise ConfigError(f"database: cannot be used: {str(error.orig).splitlines()[0]}") from error
    finally:
        engine.dispose()


def _check_nobody_works(url: str, now: datetime) -> None:
    check(url)
    engine = schema_engine(url)
    try:
        with engine.begin() as conn:
            latest = max((seen for (seen,) in conn.execute(select(worker.c.seen_at))), default=0)
    finally:
        engine.dispose()
    if now.timestamp() - latest / 1e6 < _SEEN_WITHIN_SECONDS:
        raise ConfigError(
            f"restore: a Bridge was at work on this database within the last {_SEEN_WITHIN_SECONDS} s; stop every one, "
            "and try again then"
        )


def _run(command: Sequence[str], url: URL | None = None) -> str:
    """
    Run a tool of PostgreSQL and return what it printed; the password is not among its arguments.

    Raises:
        ConfigError: It is not installed, or failed.
    """
    env, where = dict(os.environ), [] if url is None else _where(url)
    open_where = [] if url is None else _where(url.difference_update_query(["sslpassword"]))
    if url is not None and url.password is not None:
        env["PGPASSWORD"] = str(url.password)
    shown = " ".join([*command, *open_where])
    tool = shutil.which(command[0])
    if tool is None:
        raise ConfigError(f"{command[0]} is not installed here; where it is, run: {shown}")
    done = subprocess.run([tool, *command[1:], *where], env=env, capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()[-1:] or ["no answer"]
        raise ConfigError(f"{command[0]} failed: {last[0]}")
    return done.stdout


def _where(url: URL) -> list[str]:
    """Return how to reach the database, without the password: libpq takes a whole URI for a database's name."""
    uri = url.set(drivername="postgresql", password=None).render_as_string(hide_password=False)
    return [f"--dbname={uri}", "--no-password"]
