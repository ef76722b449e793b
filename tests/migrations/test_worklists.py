"""What the worklists and the review look for is found in the cases that were there before their columns were."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Boolean, Engine, MetaData, insert, select

from bridge.cases.changes import BlockerCleared, BlockerRaised
from bridge.cases.model import Blocker, Closure, NextAction
from bridge.cases.terms import Action, BlockerCategory, ClosureReason, Status
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate
from bridge.store.migrations.applying import upgrade_to
from bridge.store.opening import create_or_open, open_store
from bridge.store.port import Store
from bridge.store.queries import CaseFilter, CaseOrder
from tests.contract.builders import NOW, a_case, a_change, minutes, with_cases
from tests.contract.conftest import postgres_server, postgres_url
from tests.contract.test_store_worklist import told

__all__ = ("postgres_server", "postgres_url")

RAISED = BlockerRaised(Blocker(category=BlockerCategory.TRANSPORT, text="no car", since=NOW, source="person:lee"))
CLEARED = BlockerCleared(RAISED.blocker)
ENDED = {"status": Status.CLOSED, "due_at": None, "opened_at": minutes(-90)}


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Engine]:
    """A database as it was before there were columns for these."""
    sqlite = f"sqlite:///{tmp_path / 'old.db'}"
    engine = schema_engine(sqlite if request.param == "sqlite" else request.getfixturevalue("postgres_url"))
    with engine.begin() as conn:
        upgrade_to(conn, "0007")
    yield engine
    engine.dispose()


def some_cases(store: Store) -> None:
    end = Closure(reason=ClosureReason.COMPLETED, outcome="seen", by="lee", at=minutes(5))
    opened = a_case("c0", blocker=RAISED.blocker)
    with_cases(
        store,
        a_case("c1", closed_at=minutes(-3000), **ENDED),
        a_case("c2", closed_at=minutes(5), closure=end, **ENDED),
        a_case("c3", next_action=NextAction(Action.CLOSE_WITH_REASON, "Close it")),
        *(a_case(f"c{number}") for number in range(4, 8)),
    )
    with store.transaction() as tx:
        tx.save_cases([opened], [a_change(opened)])
    told(store, a_case("c4"), RAISED, CLEARED, RAISED)
    told(store, told(store, a_case("c5"), RAISED), RAISED)
    told(store, told(store, a_case("c6"), RAISED), CLEARED)
    told(store, opened, CLEARED, RAISED)


def copied(today: Engine, old: Engine) -> None:
    """Put every row into the older schema, as far as that has a place for it."""
    here, there = MetaData(), MetaData()
    here.reflect(today)
    there.reflect(old)
    with today.begin() as reading, old.begin() as writing:
        for table in there.sorted_tables:
            if table.name in ("alembic_version", "case_hold"):
                continue
            flags = {column.name for column in table.c if isinstance(column.type, Boolean)}
            for row in reading.execute(select(here.tables[table.name])).mappings():
                values = {name: bool(row[name]) if name in flags else row[name] for name in table.c.keys()}  # noqa: SIM118
                writing.execute(insert(table).values(values))


def answers(store: Store) -> dict[str, object]:
    """What people are shown by it."""
    with store.reading() as tx:
        closed = CaseFilter(is_open=False, order=CaseOrder.CLOSED)
        to_close = CaseFilter(next_action="close-with-reason")
        again = tx.blocked_again(CaseFilter(), limit=10)
        return {
            "completed": tx.count_cases([CaseFilter(closure="completed")]),
            "recent": [case.id for case in tx.list_cases(CaseFilter(closed_since=NOW), limit=10).cases],
            "closed": [case.id for case in tx.list_cases(closed, limit=10).cases],
            "to close": [case.id for case in tx.list_cases(to_close, limit=10).cases],
            "again": [(one.case.id, one.times) for one in again.cases],
        }


def test_what_was_closed_is_next_or_blocks_again_is_found_after_an_upgrade(old: Engine, tmp_path: Path) -> None:
    today = create_or_open(f"sqlite:///{tmp_path / 'today.db'}")
    some_cases(today)
    expected = answers(today)
    today.close()
    assert expected == {
        "completed": [1],
        "recent": ["c2"],
        "closed": ["c2", "c1"],
        "to close": ["c3"],
        "again": [("c4", 2), ("c0", 2)],
    }
    copied(schema_engine(f"sqlite:///{tmp_path / 'today.db'}"), old)

    migrate(old.url.render_as_string(hide_password=False))

    store = open_store(old.url.render_as_string(hide_password=False))
    assert answers(store) == expected
    store.close()
    with old.begin() as conn:
        assert conn.exec_driver_sql("SELECT sum(times) FROM case_hold").scalar_one() == 6
