"""Every release there was is upgraded with all that it left behind, and what its code reads is left to it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.cases.intents import IntentState
from bridge.store.migrations import migrate, pending, plan
from bridge.store.migrations.steps import every_step
from bridge.store.tables import metadata
from bridge.sync.replay import replay_outbox
from tests.contract.conftest import postgres_server
from tests.migrations.nextrelease import NEW_COLUMNS, TAKES_AWAY, with_revisions
from tests.migrations.released import Rows, ehr_of, on_postgres, on_sqlite, reads_of, releases, rows_of
from tests.migrations.replica import DatabaseWorld, unlike_their_histories
from tests.migrations.shapes import Shape, in_the_way, shapes

__all__ = ("postgres_server",)


@pytest.fixture(params=releases())
def release(request: pytest.FixtureRequest) -> str:
    """Each release."""
    return str(request.param)


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def url(request: pytest.FixtureRequest, release: str, tmp_path: Path) -> Iterator[str]:
    """The database that it left behind, of each kind."""
    if request.param == "sqlite":
        yield on_sqlite(release, tmp_path / "bridge.db")
        return
    with on_postgres(release, request.getfixturevalue("postgres_server")) as one:
        yield one


def as_far_as(before: Rows, after: Rows) -> Rows:
    """Return what is in the columns that were there before; a contract step takes away none that holds anything."""
    return {table: {name: after[table][name] for name in columns} for table, columns in before.items()}


def beside_its_ehr(release: str, url: str) -> DatabaseWorld:
    """Start this release over the database, two days later."""
    world = DatabaseWorld(url)
    for resource in ehr_of(release):
        world.ehr.put(resource)
    world.clock.advance(days=2)
    return world


def test_a_release_left_something_in_every_table(url: str) -> None:
    assert [table for table, columns in rows_of(url).items() if not next(iter(columns.values()))] == []


def test_a_release_is_upgraded_without_a_row_lost_and_its_work_is_done(release: str, url: str) -> None:
    before = rows_of(url)

    migrate(url)

    assert as_far_as(before, rows_of(url)) == before
    world = beside_its_ehr(release, url)
    assert unlike_their_histories(world.store) == []
    with world.store.transaction() as tx:
        assert tx.resume("main", "Appointment")
    replay_outbox(world.store, [row.id for row in world.outbox()], world.clock())
    world.sync()
    world.clock.advance(hours=1)
    world.sync()
    assert {row.state for row in world.outbox()} == {IntentState.CONFIRMED, IntentState.SUPERSEDED}
    roots = [task["focus"]["reference"] for task in world.ours("Task", "urn:bridge:case")]
    assert len(roots) == len(set(roots)) > 4
    assert unlike_their_histories(world.store) == []
    assert pending(url) == ()
    world.store.close()


def test_the_newest_release_is_at_a_revision_that_there_is(tmp_path: Path) -> None:
    assert plan(on_sqlite(releases()[-1], tmp_path / "bridge.db")).at in [step.revision for step in every_step()]


# What the last release reads --------------------------------------------------------------------------------


def as_read_by(release: str, tmp_path: Path) -> dict[str, Shape]:
    """Return the schema of a release as far as its code reads it."""
    on_sqlite(release, tmp_path / "release.db")
    found, reads = shapes(tmp_path / "release.db"), reads_of(release)
    return {
        table: replace(found[table], columns={name: found[table].columns[name] for name in names})
        for table, names in reads.items()
    }


def test_the_code_of_the_last_release_goes_on_after_every_revision_there_is(tmp_path: Path) -> None:
    """Also after those that contract; what an earlier release read may be gone."""
    migrate(f"sqlite:///{tmp_path / 'bridge.db'}")

    assert in_the_way(as_read_by(releases()[-1], tmp_path), shapes(tmp_path / "bridge.db")) == []


@pytest.mark.parametrize(("column", "expected"), [("settled_reason", []), ("unsure_at", ["outbox.unsure_at is gone"])])
def test_a_step_that_takes_away_what_the_last_release_reads_is_found(
    column: str, expected: list[str], tmp_path: Path
) -> None:
    adds = NEW_COLUMNS.replace('"novelty", sa.Text()', '"settled_reason", sa.Text()')
    folder = with_revisions(tmp_path, adds, TAKES_AWAY, after="9001", column=column)
    migrate(f"sqlite:///{tmp_path / 'bridge.db'}", folder=folder)

    assert in_the_way(as_read_by(releases()[-1], tmp_path), shapes(tmp_path / "bridge.db")) == expected


def test_what_a_release_reads_is_what_it_was_written_for() -> None:
    """The newest release reads no column that its schema did not have, and this code still has those it reads."""
    here = {table.name: set(table.columns.keys()) for table in metadata.sorted_tables}
    read = {table: set(names) for table, names in reads_of(releases()[-1]).items()}

    assert {table: names - here.get(table, set()) for table, names in read.items() if names - here[table]} == {}
