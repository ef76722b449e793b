"""The inbox: what came in, how often, and how far each stream is read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import msgspec
import pytest

from bridge.errors import DomainError
from bridge.store.port import Store
from bridge.store.rows import Counts, Cursor, InboxState

from .builders import EHR, NOW, a_version, minutes, parked


def test_known_versions_are_those_stored_and_only_of_this_connection(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_versions([a_version("Task/1", "1"), a_version("Task/1", "2"), parked("Task/2", "1")])

    with store.reading() as tx:
        asked = [("Task/1", "1"), ("Task/1", "3"), ("Task/2", "1"), ("Task/9", "1")]
        assert tx.known_versions(EHR, asked) == {("Task/1", "1"), ("Task/2", "1")}
        assert tx.known_versions("other", asked) == set()
        assert tx.known_versions(EHR, []) == set()


def test_the_same_version_twice_is_refused_and_nothing_of_its_batch_stays(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_versions([a_version("Task/1", "1")])

    with pytest.raises(DomainError), store.transaction() as tx:
        tx.add_versions([a_version("Task/2", "1"), a_version("Task/1", "1")])

    with store.reading() as tx:
        assert [row.ref for row in tx.inbox()] == ["Task/1"]


def test_the_same_resource_of_two_connections_is_two_resources(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_versions([a_version("Task/1", "1"), a_version("Task/1", "1", connection="other")])

    with store.reading() as tx:
        assert {row.connection for row in tx.inbox()} == {EHR, "other"}
        assert [row.connection for row in tx.inbox(connection="other")] == ["other"]


def test_raw_bytes_come_back_exactly_and_only_when_asked_for(store: Store) -> None:
    raw = bytes(range(256)) * 40
    with store.transaction() as tx:
        tx.add_versions([a_version("Task/1", "1", raw=raw), a_version("Task/2", "1", raw=b"")])

    with store.reading() as tx:
        first, second = tx.inbox()
        assert (first.raw, second.raw) == (b"", b"")
        assert first.id is not None
        assert second.id is not None
        whole = tx.inbox_row(first.id)
        empty = tx.inbox_row(second.id)
        assert tx.inbox_row(12345) is None
    assert whole == msgspec.structs.replace(a_version("Task/1", "1", raw=raw), id=first.id)
    assert empty is not None
    assert empty.raw == b""


def test_a_whole_backfill_page_goes_in_at_once(store: Store) -> None:
    """Databases limit the number of parameters (SQLite 32,766, PostgreSQL 65,535); a batch must not."""
    rows = [a_version(f"Task/{n}", "1", raw=b"{}") for n in range(40_000)]

    with store.transaction() as tx:
        tx.add_versions(rows)

    with store.reading() as tx:
        asked = [(row.ref, row.version) for row in rows]
        assert len(tx.known_versions(EHR, asked)) == 40_000


def test_instants_come_back_as_utc_to_the_microsecond(store: Store) -> None:
    there = datetime(2026, 3, 1, 23, 59, 59, 999999, tzinfo=timezone(timedelta(hours=-9, minutes=-30)))
    early = datetime(1931, 1, 1, tzinfo=UTC)
    with store.transaction() as tx:
        tx.add_versions([a_version(updated_at=there, received_at=early)])

    with store.reading() as tx:
        [row] = tx.inbox()
    assert row.updated_at == there
    assert row.updated_at.utcoffset() == timedelta(0)
    assert row.received_at == early


def test_nul_in_text_is_replaced_and_the_raw_bytes_keep_it(store: Store) -> None:
    """PostgreSQL refuses NUL in text; one treatment for all keeps the page going."""
    with store.transaction() as tx:
        tx.add_versions([parked("Task/a\0b", "1\0", reason="bad\0value", raw=b"a\0b")])

    with store.reading() as tx:
        assert tx.known_versions(EHR, [("Task/a\0b", "1\0")]) == {("Task/a\0b", "1\0")}
        [row] = tx.inbox(ref="Task/a\0b")
        assert (row.ref, row.version, row.reason) == ("Task/a\ufffdb", "1\ufffd", "bad\ufffdvalue")
        assert row.id is not None
        whole = tx.inbox_row(row.id)
    assert whole is not None
    assert whole.raw == b"a\0b"


def test_hostile_text_is_only_text(store: Store) -> None:
    ref = "Task/'; DROP TABLE outbox; --%_\\\"\U0001f600\u202e"
    with store.transaction() as tx:
        tx.add_versions([a_version(ref, "v'\"")])

    with store.reading() as tx:
        assert tx.known_versions(EHR, [(ref, "v'\"")]) == {(ref, "v'\"")}


def test_a_version_that_was_not_applied_says_why(store: Store) -> None:
    with pytest.raises(DomainError), store.transaction() as tx:
        tx.add_versions([a_version(state=InboxState.IGNORED)])


def test_a_replay_gives_a_parked_row_another_state_and_leaves_its_bytes(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_versions([parked("Task/1", raw=b"kept")])
        [row] = tx.inbox()
        tx.settle_version(msgspec.structs.replace(row, state=InboxState.APPLIED, code=None, reason=None))

    with store.reading() as tx:
        assert row.id is not None
        settled = tx.inbox_row(row.id)
    assert settled is not None
    assert (settled.state, settled.code, settled.reason) == (InboxState.APPLIED, None, None)
    assert settled.raw == b"kept"


def test_inbox_filters_and_pages_by_id(store: Store) -> None:
    rows = [parked(f"Task/{n}", code="a" if n % 2 else "b") for n in range(10)]
    with store.transaction() as tx:
        tx.add_versions([*rows, a_version("Task/10"), a_version("Task/11", connection="other")])

    with store.reading() as tx:
        first = tx.inbox(state=InboxState.PARKED, limit=6)
        rest = tx.inbox(state=InboxState.PARKED, limit=6, after=first[-1].id or 0)
        odd = tx.inbox(state=InboxState.PARKED, code="a")
        applied = tx.inbox(connection=EHR, state=InboxState.APPLIED)
        assert tx.inbox(connection="unheard-of") == []
    assert [row.ref for row in [*first, *rest]] == [f"Task/{n}" for n in range(10)]
    assert [row.ref for row in odd] == [f"Task/{n}" for n in range(1, 10, 2)]
    assert [row.ref for row in applied] == ["Task/10"]


def test_parked_groups_count_by_connection_type_and_code_most_first(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_versions([parked("Task/1"), parked("Task/2"), parked("Appointment/1"), a_version("Task/3")])
        tx.add_versions([parked("Task/1", connection="other")])

    with store.reading() as tx:
        here = [(EHR, "Task", "unknown-status", 2), (EHR, "Appointment", "unknown-status", 1)]
        assert tx.parked_groups(EHR) == here
        assert tx.parked_groups() == [*here, ("other", "Task", "unknown-status", 1)]


def test_counts_add_up_over_transactions(store: Store) -> None:
    with store.transaction() as tx:
        tx.count(EHR, "Task", Counts(5, 1, 1, 1, 2))
        tx.count(EHR, "Task", Counts(3, 3, 0, 0, 0))
    with store.transaction() as tx:
        tx.count(EHR, "Appointment", Counts(1, 0, 0, 1, 0))
        tx.count(EHR, "Task", Counts(0, 1, 0, 0, -1))

    with store.reading() as tx:
        assert tx.totals(EHR) == {"Task": Counts(8, 5, 1, 1, 1), "Appointment": Counts(1, 0, 0, 1, 0)}
        assert tx.totals("other") == {}


def test_counts_that_do_not_add_up_are_refused(store: Store) -> None:
    with pytest.raises(DomainError), store.transaction() as tx:
        tx.count(EHR, "Task", Counts(received=2, applied=1))

    with store.reading() as tx:
        assert tx.totals(EHR) == {}


def test_a_cursor_comes_back_whole_and_the_last_one_counts(store: Store) -> None:
    whole = Cursor(
        connection=EHR,
        stream="Task",
        watermark=NOW,
        position=minutes(1),
        started_at=minutes(2),
        place="Patient/p1",
        read=200,
        checked_at=minutes(3),
        problem="no answer",
        warnings=("warning:processing", "warning:too-costly"),
        rung="by-patient",
        behind_since=minutes(4),
    )
    with store.transaction() as tx:
        assert tx.cursor(EHR, "Task") is None
        tx.save_cursor(Cursor(connection=EHR, stream="Task"))
        tx.save_cursor(whole)
        tx.save_cursor(Cursor(connection=EHR, stream="Appointment"))

    with store.reading() as tx:
        assert tx.cursor(EHR, "Task") == whole
        assert tx.cursor("other", "Task") is None
        assert tx.cursors(EHR) == [Cursor(connection=EHR, stream="Appointment"), whole]
