"""The schema that migrations make is the one the code expects."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory

from bridge.errors import ConfigError
from bridge.store import migrations
from bridge.store.engine import schema_engine
from bridge.store.migrations import check, migrate, pending
from bridge.store.opening import create_or_open, open_store
from bridge.store.tables import metadata

SCRIPTS = ScriptDirectory(str(Path(migrations.__file__).parent))


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'bridge.db'}"


@contextmanager
def _raw(url: str) -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as conn, conn:
        yield conn


def schema(url: str) -> dict[str, list[str]]:
    """Every table, index and trigger with its clauses, in no particular order."""
    with schema_engine(url).begin() as conn:
        rows = conn.exec_driver_sql(
            "SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL AND name <> 'alembic_version'"
        ).all()
    return {name: sorted(line.strip().rstrip(",") for line in _lines(sql)) for name, sql in rows}


def _lines(sql: str) -> list[str]:
    """Return the clauses, each on a line; SQLite puts columns that were added later on the line of the last one."""
    return re.sub(r"(?<=[A-Z]), (?=\w+ [A-Z]+)", ",\n", sql).splitlines()


def test_all_migrations_together_make_the_tables_of_the_code(url: str, tmp_path: Path) -> None:
    expected = f"sqlite:///{tmp_path / 'expected.db'}"
    with schema_engine(expected).begin() as conn:
        metadata.create_all(conn)

    migrate(url)

    assert schema(url) == schema(expected)


def test_autogenerate_finds_nothing_left_to_do(url: str) -> None:
    migrate(url)

    with schema_engine(url).begin() as conn:
        context = MigrationContext.configure(conn, opts={"target_metadata": metadata})
        assert compare_metadata(context, metadata) == []


def test_migrating_twice_does_it_once(url: str) -> None:
    first = migrate(url)

    assert first == tuple(script.revision for script in reversed(list(SCRIPTS.walk_revisions())))
    assert migrate(url) == ()
    assert pending(url) == ()


def test_revisions_form_one_line() -> None:
    assert len(SCRIPTS.get_heads()) == 1


def test_a_first_start_that_was_killed_before_its_tables_is_taken_up_again(url: str) -> None:
    """Setting WAL mode writes the file's header, so the file is not empty then."""
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as conn:
        conn.execute("PRAGMA journal_mode=WAL")
    assert Path(url.removeprefix("sqlite:///")).stat().st_size > 0

    create_or_open(url).close()

    check(url)


def test_a_new_sqlite_file_is_made_for_its_owner_only(url: str, tmp_path: Path) -> None:
    create_or_open(url).close()

    assert (tmp_path / "bridge.db").stat().st_mode & 0o077 == 0


def test_a_database_that_is_not_there_is_not_opened(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="bridge migrate"):
        open_store(url)

    assert list(tmp_path.iterdir()) == []


def test_a_database_that_lags_behind_is_not_opened_and_not_changed(url: str) -> None:
    with _raw(url) as conn:
        conn.execute("CREATE TABLE something (id INTEGER)")

    with pytest.raises(ConfigError, match=r"lacks 0001.*bridge migrate"):
        create_or_open(url)

    assert list(schema(url)) == ["something"]


def test_a_database_of_a_newer_bridge_is_not_touched(url: str) -> None:
    migrate(url)
    with schema_engine(url).begin() as conn:
        conn.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")

    for use in (check, migrate, open_store):
        with pytest.raises(ConfigError, match="newer"):
            use(url)


def test_a_file_that_is_no_database_is_named(url: str, tmp_path: Path) -> None:
    (tmp_path / "bridge.db").write_text("not a database, but long enough to look like one" * 40)

    with pytest.raises(ConfigError, match="cannot be used"):
        open_store(url)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")

    with pytest.raises(ConfigError, match="cannot be made"):
        migrate(f"sqlite:///{tmp_path / 'file' / 'bridge.db'}")


def test_a_migration_that_fails_leaves_nothing(url: str) -> None:
    """SQLite has transactional schema changes only when BEGIN is really sent."""
    with _raw(url) as conn:
        conn.execute("CREATE TABLE outbox (id INTEGER)")

    with pytest.raises(ConfigError, match="outbox already exists"):
        migrate(url)

    assert list(schema(url)) == ["outbox"]


def test_history_is_append_only_in_the_database_itself(url: str) -> None:
    migrate(url)
    with schema_engine(url).begin() as conn:
        conn.exec_driver_sql("INSERT INTO case_change VALUES (1, 1, x'00')")

    for statement in ("UPDATE case_change SET seq = 2", "DELETE FROM case_change"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"), _raw(url) as conn:
            conn.execute(statement)
