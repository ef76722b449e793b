"""Each revision says what it does to those at work, which is true, and `bridge migrate --check` passes it on."""

from __future__ import annotations

import threading
from datetime import timedelta
from pathlib import Path
from types import ModuleType

import pytest
from sqlalchemy import Connection, inspect
from sqlalchemy.exc import DBAPIError

from bridge.errors import ConfigError
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate, plan
from bridge.store.migrations.applying import upgrade_to
from bridge.store.migrations.steps import Kind, Lock, Step, declared, every_step
from tests.contract.conftest import postgres_server, postgres_template, postgres_url
from tests.migrations.nextrelease import HEAD, NEW_COLUMNS, NEW_INDEX, TAKES_AWAY, with_revisions

__all__ = ("postgres_server", "postgres_template", "postgres_url")


def a_module(**changes: object) -> ModuleType:
    module = ModuleType("revision")
    given = {"kind": "expand", "locks": {}, "per_row_us": {}, "__doc__": "What it is for.\n\nMore of it.", **changes}
    for name, value in given.items():
        if value is not None:
            setattr(module, name, value)
    return module


# What a revision says ---------------------------------------------------------------------------------------


def test_what_a_revision_says_is_read() -> None:
    module = a_module(locks={"outbox": "ACCESS EXCLUSIVE"}, per_row_us={"outbox": 2})

    assert declared("0009", module) == Step(
        revision="0009",
        title="What it is for.",
        kind=Kind.EXPAND,
        locks={"outbox": Lock.ALL},
        per_row_us={"outbox": 2},
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"kind": None}, 'kind has to be "expand" or "contract"'),
        ({"kind": "both"}, 'kind has to be "expand" or "contract"'),
        ({"locks": None}, "locks and per_row_us have to be given"),
        ({"per_row_us": None}, "locks and per_row_us have to be given"),
        ({"locks": {"outbox": "some"}}, "'some' is no lock"),
        ({"kind": "contract"}, "a contract step, and no other, says after which"),
        ({"after": "0007"}, "a contract step, and no other, says after which"),
        ({"__doc__": ""}, "its docstring has to say what it is for"),
    ],
)
def test_a_revision_that_does_not_say_all_is_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(ValueError, match=rf"revision 0009: .*{expected}"):
        declared("0009", a_module(**changes))


def test_every_revision_of_this_release_says_all_and_they_only_expand() -> None:
    """Before the first release nothing can be taken away: there is no release yet that could have stopped reading."""
    assert {step.kind for step in every_step()} == {Kind.EXPAND}


def test_a_migration_that_does_not_say_all_is_not_applied(tmp_path: Path) -> None:
    folder = with_revisions(tmp_path, NEW_COLUMNS.replace('kind = "expand"', ""))

    with pytest.raises(ValueError, match="revision 9001: kind has to be"):
        migrate(f"sqlite:///{tmp_path / 'bridge.db'}", folder=folder)


def test_a_step_comes_after_one_that_there_is(tmp_path: Path) -> None:
    folder = with_revisions(tmp_path, TAKES_AWAY, after="9001", column="reason")

    with pytest.raises(ValueError, match="revision 9001: it comes after '9001', which is none before it"):
        every_step(folder)


_ORDER = {"AccessExclusiveLock": Lock.ALL, "ShareRowExclusiveLock": Lock.WRITING, "ShareLock": Lock.WRITING_SHARED}
"""PostgreSQL's names of the locks for which others wait, the strongest first."""


def seen_locks(conn: Connection, tables: set[str]) -> dict[str, Lock]:
    """Return the strongest lock that this transaction has on each table, where others wait for it."""
    rows = conn.exec_driver_sql(
        "SELECT c.relname, l.mode FROM pg_locks l JOIN pg_class c ON c.oid = l.relation"
        " WHERE l.pid = pg_backend_pid() AND l.granted AND c.relkind = 'r'"
    ).all()
    found: dict[str, Lock] = {}
    for mode, lock in reversed(_ORDER.items()):
        found.update({table: lock for table, has in rows if has == mode and table in tables})
    return found


@pytest.mark.postgres
def test_what_each_revision_locks_is_what_it_says(postgres_url: str) -> None:
    engine = schema_engine(postgres_url)

    for step in every_step():
        with engine.connect() as conn:
            there = set(inspect(conn).get_table_names()) - {"alembic_version"}
            if step.concurrent:
                conn.commit()
            upgrade_to(conn, step.revision)
            expected = {} if step.concurrent else step.locks
            assert seen_locks(conn, there) == expected, step.revision
            conn.commit()


# What would be done -----------------------------------------------------------------------------------------


def test_of_a_database_that_is_not_there_all_is_to_be_done_and_nothing_is_made(tmp_path: Path) -> None:
    found = plan(f"sqlite:///{tmp_path / 'bridge.db'}")

    assert [step.revision for step in found.steps] == [step.revision for step in every_step()]
    assert (found.at, found.may_stay) == (None, True)
    assert "the database is empty: nobody is at work in it" in found.text
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_to_be_done_where_all_was(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    migrate(url)

    found = plan(url)

    assert (found.text, found.steps, found.seconds, found.at) == ("up to date", (), 0, HEAD)


def test_on_sqlite_bridge_has_to_be_stopped(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'bridge.db'}"
    migrate(url)

    found = plan(url, folder=with_revisions(tmp_path, NEW_COLUMNS))

    assert (found.may_stay, found.steps[0].held) == (False, ())
    assert "stop Bridge first: one process owns an SQLite file" in found.text


@pytest.fixture
def current(postgres_server: str, postgres_template: str, postgres_url: str) -> str:
    """A PostgreSQL database at this release."""
    migrate(postgres_url)
    return postgres_url


@pytest.mark.postgres
def test_who_waits_for_how_long_is_said_and_replicas_may_stay(current: str, tmp_path: Path) -> None:
    with schema_engine(current).begin() as conn:
        conn.exec_driver_sql("INSERT INTO connection (name) VALUES ('main')")
        conn.exec_driver_sql(
            "INSERT INTO resource (connection_id, ref) SELECT 1, 'r' || n FROM generate_series(1, 9) n"
        )
    slow = NEW_COLUMNS.replace("per_row_us: dict[str, float] = {{}}", 'per_row_us = {{"resource": 2_000_000}}')

    found = plan(current, folder=with_revisions(tmp_path, slow, NEW_INDEX))

    columns, index = found.steps
    assert found.may_stay
    assert columns.held[0].table == "care_case"
    assert columns.held[0].waits == "reading and writing wait"
    assert (columns.seconds, columns.held[0].seconds) == (18.05, 18.05)
    assert {one.waits for one in index.held} == {"nobody waits"}
    assert "outbox: nobody waits (SHARE UPDATE EXCLUSIVE; 0 rows)" in found.text
    assert "care_case: reading and writing wait about 18 s (ACCESS EXCLUSIVE; 0 rows)" in found.text
    assert "replicas of the release that is at work may stay" in found.text
    assert '"may_stay": true' in found.json


@pytest.mark.postgres
@pytest.mark.parametrize(("after", "may_stay"), [("0007", True), (HEAD, True), ("9001", False)])
def test_replicas_that_read_what_is_taken_away_may_not_stay(
    after: str, may_stay: bool, current: str, tmp_path: Path
) -> None:
    """Who leaves out a release may meet a step that the release at work does not survive."""
    folder = with_revisions(tmp_path, NEW_COLUMNS, TAKES_AWAY, after=after, column="novelty")

    found = plan(current, folder=folder)

    assert (found.may_stay, found.steps[-1].may_stay) == (may_stay, may_stay)
    assert ("stop every replica first" in found.text) is not may_stay


# Who holds a table ------------------------------------------------------------------------------------------


@pytest.mark.postgres
def test_a_table_that_stays_held_is_named_with_who_holds_it_and_nothing_is_changed(
    current: str, tmp_path: Path
) -> None:
    folder = with_revisions(tmp_path, NEW_COLUMNS)
    engine = schema_engine(current)
    with engine.begin() as conn:
        conn.exec_driver_sql("SET application_name = 'nightly dump'")
        conn.exec_driver_sql("SELECT * FROM outbox")

        with pytest.raises(ConfigError, match=r"9001 waits: outbox is held by process \d+ \(nightly dump\)") as said:
            migrate(current, folder=folder, patience=timedelta(0))
    assert isinstance(said.value.__cause__, DBAPIError), "the command line ends with 3 then: try again later"

    assert plan(current).steps == ()
    assert migrate(current, folder=folder) == ("9001",)


@pytest.mark.postgres
def test_of_many_that_migrate_at_once_one_does_it(current: str, tmp_path: Path) -> None:
    """An index that is built concurrently waits for whoever waits inside of a statement."""
    folder = with_revisions(tmp_path, NEW_COLUMNS, NEW_INDEX)
    done: list[tuple[str, ...]] = []
    threads = [threading.Thread(target=lambda: done.append(migrate(current, folder=folder))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)

    assert sorted(done) == [(), (), (), ("9001", "9002")]


@pytest.mark.postgres
def test_an_index_that_was_left_half_built_is_built_again(current: str, tmp_path: Path) -> None:
    folder = with_revisions(tmp_path, NEW_COLUMNS, NEW_INDEX)
    migrate(current, folder=with_revisions(tmp_path / "first", NEW_COLUMNS))
    with schema_engine(current).begin() as conn:
        conn.exec_driver_sql("CREATE INDEX ix_outbox_novelty ON outbox (novelty)")
        conn.exec_driver_sql("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_outbox_novelty'::regclass")

    assert migrate(current, folder=folder) == ("9002",)

    with schema_engine(current).begin() as conn:
        found = {one["name"]: one["column_names"] for one in inspect(conn).get_indexes("outbox")}
        valid = conn.exec_driver_sql("SELECT bool_and(indisvalid) FROM pg_index").scalar_one()
    assert (found["ix_outbox_novelty"], valid) == (["novelty", "id"], True)
