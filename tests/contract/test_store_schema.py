"""PostgreSQL's schema, and what its trigger refuses."""

from __future__ import annotations

import threading

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect
from sqlalchemy.exc import IntegrityError

from bridge.errors import ConfigError
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate
from bridge.store.opening import open_store
from bridge.store.tables import metadata

pytestmark = pytest.mark.postgres


def test_all_migrations_together_make_the_tables_of_the_code(postgres_url: str) -> None:
    migrate(postgres_url)

    engine = schema_engine(postgres_url)
    with engine.begin() as conn:
        context = MigrationContext.configure(conn, opts={"target_metadata": metadata})
        assert compare_metadata(context, metadata) == []
        found = inspect(conn)
        for table in metadata.sorted_tables:
            checks = {str(check["name"]) for check in found.get_check_constraints(table.name)}
            expected = {str(c.name) for c in table.constraints if type(c).__name__ == "CheckConstraint"}
            assert checks == expected, table.name


def test_history_is_append_only_in_the_database_itself(migrated_postgres_url: str) -> None:
    engine = schema_engine(migrated_postgres_url)
    with engine.begin() as conn:
        conn.exec_driver_sql("ALTER TABLE case_change DROP CONSTRAINT fk_case_change_case_pk")
        conn.exec_driver_sql("INSERT INTO case_change VALUES (1, 1, '')")

    for statement in ("UPDATE case_change SET seq = 2", "DELETE FROM case_change"):
        with pytest.raises(IntegrityError, match="append-only"), engine.begin() as conn:
            conn.exec_driver_sql(statement)


def test_two_processes_may_migrate_at_once(postgres_url: str) -> None:
    done: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(postgres_url))) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=30)

    first, second = sorted(done)
    assert (first, second[0]) == ((), "0001")


def test_a_database_that_is_not_migrated_is_not_opened(postgres_url: str) -> None:
    with pytest.raises(ConfigError, match="bridge migrate"):
        open_store(postgres_url)


def test_a_database_that_is_not_there_is_named_without_its_password(postgres_url: str) -> None:
    url = postgres_url.replace("bridge@", "bridge:hunter2@") + "_not"

    with pytest.raises(ConfigError, match="cannot be used") as raised:
        open_store(url)

    assert "hunter2" not in str(raised.value)
