"""
F38: an upgrade, and the way back, with work queued.

Rows of today are put into the schema of every revision there was, as far as it had a place for them. Migrated to the
newest, today's code does all that was queued. (``test_released`` does so with what each release itself wrote.) And what
a revision adds has to leave the code of the one before at work.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from bridge.cases.commands import LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate, pending
from bridge.store.migrations.applying import upgrade_to
from bridge.store.migrations.steps import Kind, every_step
from bridge.store.rows import InboxState
from bridge.sync.replay import replay_inbox, replay_outbox
from tests.faults.beside import FileWorld
from tests.migrations.shapes import Shape, in_the_way, shapes
from tests.unit.sync.world import a_task, order

REVISIONS = [step.revision for step in every_step()]


def migrated_to(file: Path, revision: str) -> None:
    """Make a database at a revision."""
    with schema_engine(f"sqlite:///{file}").begin() as conn:
        upgrade_to(conn, revision)


def copied(rows_of: Path, into: Path) -> dict[str, int]:
    """Put the rows of one database into another, as far as that has tables and columns for them; returns how many."""
    counts = {}
    with closing(sqlite3.connect(into)) as conn, conn:
        conn.execute("ATTACH DATABASE ? AS today", (str(rows_of),))
        tables = [name for (name,) in conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'")]
        for table in [name for name in tables if name != "alembic_version"]:
            columns = ", ".join(row[1] for row in conn.execute(f"PRAGMA main.table_info({table})"))
            found = conn.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}")
            counts[table] = found.rowcount
    return counts


def with_work_queued(folder: Path) -> FileWorld:
    """Return a world where something waits in every queue: hints, intents, one of them claimed, and what is parked."""
    world = FileWorld(folder)
    world.fill(4)
    world.sync()
    world.act("ServiceRequest/o0", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.refuses = lambda sent: sent.method == "PUT"
    world.ehr.put(order("o1", status="on-hold"))
    world.ehr.put(a_task("bad", modifierExtension=[{"url": "http://ehr.example/not", "valueBoolean": True}]))
    world.bridge.read()
    world.bridge.deliver()
    world.refuses = lambda _: False
    world.ehr.put(order("o2", status="on-hold"))
    world.bridge.read()
    world.ehr.put(order("o3", status="on-hold"))
    world.act("ServiceRequest/o0", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER), new_id="b")
    with world.store.transaction() as tx:
        tx.note_hints("main", ["ServiceRequest/o3"], world.clock(), 1)
        now = world.clock()
        claimed = tx.claim("main", now, now.replace(hour=now.hour + 1), 1)
    assert len(claimed) == 1
    states = {row.state for row in world.outbox()}
    assert {IntentState.QUEUED, IntentState.SENDING, IntentState.PARKED, IntentState.CONFIRMED} <= states
    return world


@pytest.mark.parametrize("revision", REVISIONS)
def test_what_was_queued_at_any_revision_is_done_after_an_upgrade(revision: str, tmp_path: Path) -> None:
    world = with_work_queued(tmp_path)
    before = world.outbox()
    world.store.close()
    today = world.file.rename(tmp_path / "today.sqlite3")
    migrated_to(world.file, revision)
    counts = copied(today, world.file)

    migrate(f"sqlite:///{world.file}")
    world.reopen()
    rung = world.bridge.answer().asked
    world.clock.advance(hours=2)
    parked = [row.id for row in world.outbox() if row.state is IntentState.PARKED]
    replayed = replay_outbox(world.store, parked, world.clock())
    world.sync()

    assert pending(f"sqlite:///{world.file}") == ()
    assert rung == counts.get("hint", 0)
    assert replayed == len(parked) > 0
    after = {row.intent.key: row.state for row in world.outbox()}
    assert {row.intent.key for row in before} <= after.keys()
    assert {*after.values()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}
    assert len(world.ours("Task", "urn:bridge:case")) == 4
    assert len([one for one in world.ours("Communication", "urn:bridge:message") if one["status"] == "not-done"]) == 2
    with world.store.reading() as tx:
        (unread,) = tx.inbox(connection="main", state=InboxState.PARKED)
    assert (unread.ref, replay_inbox(world.store, {"main": world.line}, [unread.id], world.clock())) == ("Task/bad", 0)
    assert world.case("ServiceRequest/o3").sources[0].status == "on-hold"
    assert world.sound()
    world.store.close()


# The way back ---------------------------------------------------------------------------------------------


def test_the_code_of_each_revision_goes_on_after_the_next_one(tmp_path: Path) -> None:
    """So nobody has to stop everything for an upgrade, and whoever goes back to the release before finds its tables."""
    file, before = tmp_path / "bridge.db", dict[str, Shape]()
    for step in every_step():
        migrated_to(file, step.revision)
        after = shapes(file)
        if step.kind is Kind.EXPAND:
            assert in_the_way(before, after) == [], step.revision
        before = after


HINT = Shape({"ref": "TEXT", "mark": "BIGINT"}, frozenset({"ref"}), frozenset({"uq_hint"}))


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ({}, "hint is gone"),
        ({"hint": replace(HINT, columns={"ref": "TEXT"})}, "hint.mark is gone"),
        ({"hint": replace(HINT, columns={"ref": "TEXT", "mark": "TEXT"})}, "hint.mark is another type"),
        ({"hint": replace(HINT, needed=frozenset({"ref", "mark"}))}, "hint.mark has to be given"),
        ({"hint": replace(HINT, rules=frozenset({"uq_hint", "ck_hint"}))}, "hint refuses by ck_hint"),
    ],
)
def test_what_would_be_in_the_way_is_named(after: dict[str, Shape], expected: str) -> None:
    assert in_the_way({"hint": HINT}, after) == [expected]
