"""A replica of this release works before, while and after the next one's revisions are applied beneath it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Connection

from bridge.cases.intents import IntentState
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate
from tests.contract.conftest import migrated_postgres_url, postgres_server, postgres_template
from tests.migrations.nextrelease import NEW_COLUMNS, NEW_INDEX, with_revisions
from tests.migrations.replica import PATIENCE_SECONDS, DatabaseWorld, Replica, unlike_their_histories

__all__ = ("migrated_postgres_url", "postgres_server", "postgres_template")


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    sqlite = f"sqlite:///{tmp_path / 'bridge.db'}"
    return sqlite if request.param == "sqlite" else str(request.getfixturevalue("migrated_postgres_url"))


@pytest.fixture
def replica(url: str) -> Iterator[Replica]:
    one = Replica(DatabaseWorld(url))
    yield one
    one.end()
    one.world.store.close()


def assert_nothing_is_lost_or_doubled(replica: Replica) -> None:
    world = replica.world
    assert isinstance(world, DatabaseWorld)
    roots = {f"ServiceRequest/o{number}" for number in range(replica.rounds)}
    tasks = [task["focus"]["reference"] for task in world.ours("Task", "urn:bridge:case")]
    assert sorted(tasks) == sorted(roots)
    assert {world.case(root).root for root in roots} == roots
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}
    assert unlike_their_histories(world.store) == []


def await_one_that_waits(conn: Connection) -> None:
    """Wait until somebody waits for a table to themselves."""
    deadline, never = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    waits = "SELECT 1 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND relation IS NOT NULL"
    while conn.exec_driver_sql(waits).first() is None:
        assert time.monotonic() < deadline, "nobody waits"
        never.wait(0.05)


def test_work_goes_on_while_the_schema_expands(url: str, replica: Replica, tmp_path: Path) -> None:
    """On SQLite one process owns the file and this is not done; the code of this release survives it all the same."""
    replica.goes_on()

    applied = migrate(url, folder=with_revisions(tmp_path, NEW_COLUMNS, NEW_INDEX))

    replica.goes_on()
    replica.end()
    assert applied == ("9001", "9002")
    assert_nothing_is_lost_or_doubled(replica)


@pytest.mark.postgres
def test_of_a_revision_and_a_transaction_that_want_each_others_tables_the_transaction_goes_on(
    migrated_postgres_url: str, tmp_path: Path
) -> None:
    """PostgreSQL would end either of the two; a revision can be tried again without anybody noticing."""
    folder = with_revisions(tmp_path, NEW_COLUMNS.replace('"care_case": "A', '"resource": "SHARE", "care_case": "A'))
    applied = list[str]()
    upgrade = threading.Thread(target=lambda: applied.extend(migrate(migrated_postgres_url, folder=folder)))
    engine = schema_engine(migrated_postgres_url)

    with engine.connect() as conn:
        with conn.begin():
            conn.exec_driver_sql("SELECT * FROM source_version")
            upgrade.start()
            await_one_that_waits(conn)
            for table in ("outbox", "care_case", "resource"):
                conn.exec_driver_sql(f"DELETE FROM {table}")
        upgrade.join(120)

    assert applied == ["9001"]


@pytest.mark.postgres
@pytest.mark.parametrize("url", [pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True)
def test_work_goes_on_while_a_revision_waits_for_who_holds_a_table(url: str, replica: Replica, tmp_path: Path) -> None:
    """A dump holds every table while it runs, and who wants a table to itself lets nobody past while it waits."""
    folder, applied = with_revisions(tmp_path, NEW_COLUMNS, NEW_INDEX), list[str]()
    upgrade = threading.Thread(target=lambda: applied.extend(migrate(url, folder=folder)))
    engine = schema_engine(url)
    replica.goes_on()

    with engine.begin() as dump:
        dump.exec_driver_sql("SELECT count(*) FROM outbox")
        upgrade.start()
        await_one_that_waits(dump)
        replica.goes_on(3)
        assert applied == []
    upgrade.join(120)

    replica.goes_on()
    replica.end()
    assert applied == ["9001", "9002"]
    assert_nothing_is_lost_or_doubled(replica)
