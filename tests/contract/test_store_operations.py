"""What people pause, whose turn it is, and what came late."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bridge.store.engine import engines
from bridge.store.port import Store
from bridge.store.rows import InboxRow, InboxState, Late, Pause

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def minutes(count: float) -> datetime:
    return NOW + timedelta(minutes=count)


def a_pause(type_: str | None = None, connection: str = "main", by: str = "Ana") -> Pause:
    return Pause(connection=connection, type=type_, by=by, at=NOW)


def test_a_pause_stands_as_it_was_first_noted(store: Store) -> None:
    with store.transaction() as tx:
        assert tx.pause(a_pause("Task"))
        assert tx.pause(a_pause())
        assert not tx.pause(a_pause(by="Ben"))
        assert tx.pause(a_pause(connection="other"))

    with store.reading() as tx:
        assert tx.pauses("main") == [a_pause(), a_pause("Task")]
        assert tx.pauses("nowhere") == []


def test_only_the_pause_that_is_named_is_taken_back(store: Store) -> None:
    with store.transaction() as tx:
        tx.pause(a_pause())
        tx.pause(a_pause("Task"))

    with store.transaction() as tx:
        assert tx.resume("main", None)
        assert not tx.resume("main", None)
        assert not tx.resume("other", "Task")

    with store.reading() as tx:
        assert tx.pauses("main") == [a_pause("Task")]


def test_one_has_the_turn_until_it_ends(store: Store) -> None:
    with store.transaction() as tx:
        mine = tx.take_turn("read", NOW, minutes(2))
        assert mine is not None
        assert tx.take_turn("read", minutes(1), minutes(3)) is None
        assert tx.take_turn("sweep", minutes(1), minutes(3)) is not None

        assert tx.keep_turn("read", mine, minutes(4))
        assert tx.take_turn("read", minutes(3), minutes(5)) is None
        assert tx.keep_turn("read", mine, minutes(3))
        assert tx.take_turn("read", minutes(3), minutes(5)) not in (None, mine)


def test_who_was_overtaken_keeps_no_turn(store: Store) -> None:
    with store.transaction() as tx:
        mine = tx.take_turn("read", NOW, minutes(2))
        theirs = tx.take_turn("read", minutes(2), minutes(4))
    assert mine is not None
    assert theirs is not None

    with store.transaction() as tx:
        assert not tx.keep_turn("read", mine, minutes(9))
        assert tx.keep_turn("read", theirs, minutes(6))
        assert tx.take_turn("read", minutes(5), minutes(9)) is None


def test_a_turn_that_ran_out_and_that_nobody_took_goes_on(store: Store) -> None:
    with store.transaction() as tx:
        mine = tx.take_turn("read", NOW, minutes(2))
        assert mine is not None
        assert tx.keep_turn("read", mine, minutes(20))


def test_a_turn_that_was_never_taken_is_not_kept(store: Store) -> None:
    with store.transaction() as tx:
        assert not tx.keep_turn("read", 1, minutes(2))


def test_what_came_late_is_counted_by_type_and_path(store: Store) -> None:
    with store.transaction() as tx:
        tx.count_late("main", {("Task", "sweep"): 1, ("Task", "notify"): 1})
    with store.transaction() as tx:
        tx.count_late("main", {("Task", "sweep"): 2})
        tx.count_late("other", {("Task", "sweep"): 5})
        tx.count_late("main", {})

    with store.reading() as tx:
        assert tx.late("main") == [
            Late(type="Task", path="sweep", found=3),
            Late(type="Task", path="notify", found=1),
        ]
        assert tx.late("nowhere") == []


def test_late_versions_are_listed_by_their_code(store: Store) -> None:
    rows = [
        InboxRow(
            connection="main",
            ref=f"Task/{number}",
            type="Task",
            version="1",
            updated_at=NOW,
            received_at=NOW,
            path="sweep",
            state=InboxState.APPLIED,
            code=code,
            raw=b"{}",
        )
        for number, code in ((1, None), (2, "late"))
    ]
    with store.transaction() as tx:
        tx.add_versions(rows)

    with store.reading() as tx:
        assert [row.ref for row in tx.inbox(code="late")] == ["Task/2"]


def test_hints_of_types_that_are_left_out_do_not_stand_in_the_way(store: Store) -> None:
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1", "Task", "Taskforce/1"], NOW, 1)
        tx.note_hints("main", ["Appointment/1", "Appointment"], minutes(1), 1)

    with store.reading() as tx:
        assert [hint.ref for hint in tx.hints("main", 1, but=["Task"])] == ["Taskforce/1"]
        assert [hint.ref for hint in tx.hints("main", 9, but=["Task", "Taskforce"])] == ["Appointment", "Appointment/1"]
        assert len(tx.hints("main", 9)) == 5


@pytest.mark.postgres
def test_postgresql_ends_a_transaction_whose_process_is_frozen(migrated_postgres_url: str) -> None:
    """Its locks would keep all others from taking anything in."""
    both = engines(migrated_postgres_url)

    with both.writing.connect() as conn:
        assert conn.exec_driver_sql("SHOW idle_in_transaction_session_timeout").scalar() == "15s"

    both.dispose()
