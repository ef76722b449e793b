"""
Connections to SQLite and PostgreSQL, set up so that a commit is durable and a read never waits for a write.

SQLite: one writer connection (threads stand in line for it, ``turnstile``) whose transactions begin with ``BEGIN
IMMEDIATE``, and read-only connections beside it under WAL. pysqlite's own habit of sending no BEGIN before a
SELECT lost 871 of 1,200 read-then-write updates, measured 2026-11. ``synchronous=FULL``: what was
acknowledged survives power loss. One process owns the file (``own``): SQLite 3.7.0 to 3.51.2 may corrupt a
WAL database that several processes checkpoint (sqlite.org/wal.html#walresetbug).

PostgreSQL: READ COMMITTED to write, one read-only snapshot to read.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import URL, Connection, Engine, create_engine, event, make_url
from sqlalchemy.dialects.sqlite.base import SQLiteCompiler
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import NullPool

from bridge.errors import ConfigError
from bridge.store.arrays import BYTEA_ARRAY, Wire

BUSY_MS = 30_000
WAL_PAGES = 16_000
"""Pages (4 KiB) in the WAL before SQLite copies them home; larger means fewer random writes and fsyncs."""
CACHE_KIB = 65_536
STATEMENT_TIMEOUT_MS = 60_000
IDLE_TIMEOUT_MS = 15_000
"""
How long PostgreSQL waits for the next statement of a transaction. A process that is frozen, or whose machine is
gone, would hold its locks for ever: nobody else could take in anything of its connection (seen 2026-11).
"""
ADVISORY_SPACE = 0x42524447
"""The first half of Bridge's advisory locks on PostgreSQL ("BRDG"); the second is a connection's key."""


class Engines(msgspec.Struct, frozen=True):
    """Where write transactions and where read transactions get their connections."""

    writing: Engine
    reading: Engine

    def dispose(self) -> None:
        """Close every connection."""
        self.writing.dispose()
        self.reading.dispose()


def parse(url: str) -> URL:
    """
    Return *url* for SQLAlchemy: ``sqlite:///PATH``, or ``postgresql://...`` with the psycopg driver.

    Raises:
        ConfigError: It is neither, or an SQLite URL without a file.
    """
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise ConfigError("database: expected a URL like sqlite:///bridge.db or postgresql://...") from error
    if parsed.get_backend_name() == "sqlite":
        if not parsed.database or parsed.database == ":memory:":
            raise ConfigError("database: an SQLite URL needs a file, like sqlite:///bridge.db")
        return parsed.set(drivername="sqlite")
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        return _password_hidden(parsed.set(drivername="postgresql+psycopg"))
    raise ConfigError(f"database: {parsed.drivername} is not supported; expected sqlite or postgresql")


def _password_hidden(url: URL) -> URL:
    """Return *url* with a password that stands in its query where passwords are looked for, and left out of words."""
    given = url.query.get("password")
    return url.difference_update_query(["password"]).set(password=given) if isinstance(given, str) else url


def told(url: URL) -> str:
    """Return which database *url* names, for words: no password, and nothing of the query, which may hold one too."""
    return url.set(query={}).render_as_string(hide_password=True)


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL, ``None`` for PostgreSQL."""
    parsed = parse(url)
    return Path(parsed.database or "") if parsed.drivername == "sqlite" else None


def _as_it_is(value: Any) -> Any:
    return value


for _kind in (type(None), bool, bytes):
    # For values of these types pysqlite looks in vain for a way to adapt them, attribute by attribute, each time:
    # 7 % of what a new resource took (measured 2026-11). A way that is known is found at once.
    sqlite3.register_adapter(_kind, _as_it_is)


def engines(url: str, *, pool_size: int = 8) -> Engines:
    """Return engines for *url*; nothing is opened yet."""
    parsed = parse(url)
    return _sqlite(parsed, pool_size) if parsed.drivername == "sqlite" else _postgresql(parsed, pool_size)


def _sqlite(url: URL, pool_size: int) -> Engines:
    writing = create_engine(url, pool_size=1, max_overflow=0, hide_parameters=True)
    reading = create_engine(url, pool_size=pool_size, max_overflow=pool_size, hide_parameters=True)
    _prepare_sqlite(writing, "BEGIN IMMEDIATE")
    _prepare_sqlite(reading, "BEGIN", read_only=True)
    return Engines(writing, reading)


class _Hinting(SQLiteCompiler):
    """SQLAlchemy keeps hints for databases that have a place for them; of SQLite it does not know (as of 2.0)."""

    def get_from_hint_text(self, table: object, text: str | None) -> str | None:
        """Return what stands after a table's name: ``INDEXED BY`` (sqlite.org/lang_indexedby.html)."""
        return text


def _prepare_sqlite(engine: Engine, begin: str, *, read_only: bool = False, references: bool = True) -> None:
    engine.dialect.statement_compiler = _Hinting

    @event.listens_for(engine, "connect")
    def connected(raw: Any, _: object) -> None:
        raw.isolation_level = None
        for pragma in (
            f"busy_timeout={BUSY_MS}",
            "journal_mode=WAL",
            "synchronous=FULL",
            f"foreign_keys={'ON' if references else 'OFF'}",
            "mmap_size=0",
            "temp_store=MEMORY",
            f"cache_size=-{CACHE_KIB}",
            f"wal_autocheckpoint={WAL_PAGES}",
            f"query_only={'ON' if read_only else 'OFF'}",
        ):
            raw.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine, "begin")
    def begun(conn: Connection) -> None:
        conn.exec_driver_sql(begin)


def schema_engine(url: str) -> Engine:
    """
    Return an engine for changing the schema: one connection, all of it one transaction.

    SQLite changes a table by copying it, which must not set off its foreign keys (sqlite.org/lang_altertable
    .html#otheralter); they are checked before the commit. PostgreSQL may take its time.
    """
    parsed = parse(url)
    engine = create_engine(parsed, poolclass=NullPool, hide_parameters=True)
    if parsed.drivername == "sqlite":
        _prepare_sqlite(engine, "BEGIN IMMEDIATE", references=False)
    return engine


def _postgresql(url: URL, pool_size: int) -> Engines:
    limits = {"statement_timeout": STATEMENT_TIMEOUT_MS, "idle_in_transaction_session_timeout": IDLE_TIMEOUT_MS}
    options = " ".join([*(f"-c {name}={ms}" for name, ms in limits.items()), "-c TimeZone=UTC", "-c jit=off"])
    engine = create_engine(
        url,
        pool_size=pool_size,
        max_overflow=pool_size,
        pool_pre_ping=True,
        hide_parameters=True,
        isolation_level="READ COMMITTED",
        connect_args={"options": options, "application_name": "bridge"},
    )
    event.listen(engine, "connect", _teach_arrays)

    @event.listens_for(engine, "checkin")
    def given_back(raw: Any, _: object) -> None:
        # SQLAlchemy leaves what was used for reading as READ WRITE, which would overrule a server that only reads.
        if raw is not None and not raw.closed:
            raw.read_only = None

    snapshot = engine.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
    return Engines(engine, snapshot)


def _teach_arrays(raw: Any, _: object) -> None:
    """Let a psycopg connection send ``arrays.Wire`` as it is."""
    from psycopg.adapt import Dumper
    from psycopg.pq import Format

    class AsItIs(Dumper):
        format, oid = Format.BINARY, BYTEA_ARRAY

        def dump(self, obj: Any) -> bytes:
            return bytes(obj)

    raw.adapters.register_dumper(Wire, AsItIs)


@contextmanager
def own(url: str) -> Iterator[None]:
    """
    Hold an SQLite database for this process; on PostgreSQL, which many processes share, do nothing.

    The lock is the kernel's, on ``FILE.lock`` beside the database, so it ends with the process however that
    ends. The file stays, and names the last owner.

    Raises:
        ConfigError: Another process owns the database; the message names the file and the process.
    """
    file = sqlite_file(url)
    if file is None:
        yield
        return
    lock = os.open(f"{file}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        hand_over(lock, file)
        _take(lock, file)
        yield
    finally:
        os.close(lock)


def hand_over(made: int | Path, like: Path) -> None:
    """
    Give a file that root has made to the owner of *like*, or where that does not exist to the owner of its folder.

    Bridge's service has a user of its own, who could open neither lock nor database once root had restored a backup.
    (SQLite does so itself with its ``-wal`` and ``-shm``.)
    """
    if os.geteuid() != 0 or os.stat(made).st_uid != 0:
        return
    owner = os.stat(like if like.exists() else like.parent)
    os.chown(made, owner.st_uid, owner.st_gid)


def _take(lock: int, file: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        owner = os.read(lock, 32).decode(errors="replace").strip() or "unknown"
        raise ConfigError(
            f"database: {file} is in use by process {owner}; one process owns an SQLite file."
            " Stop that process, or use PostgreSQL to share the work."
        ) from error
    os.truncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
