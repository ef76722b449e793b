"""What should be read again: noted once for each resource, dropped only as it was read."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from bridge.store.port import Store

NOW = datetime(2026, 11, 2, 9, tzinfo=UTC)


def waiting(store: Store, connection: str = "main", limit: int = 10) -> list[str]:
    with store.reading() as tx:
        return [hint.ref for hint in tx.hints(connection, limit)]


def test_what_is_noted_often_waits_once(store: Store) -> None:
    for mark in (1, 2, 3):
        with store.transaction() as tx:
            tx.note_hints("main", ["Task/1", "Task/1"], NOW, mark)

    assert waiting(store) == ["Task/1"]


def test_what_waits_longest_comes_first(store: Store) -> None:
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1"], NOW + timedelta(seconds=2), 1)
        tx.note_hints("main", ["Appointment", "Task/2"], NOW + timedelta(seconds=1), 2)

    assert waiting(store) == ["Appointment", "Task/2", "Task/1"]
    assert waiting(store, limit=1) == ["Appointment"]


def test_any_text_comes_back_as_it_was(store: Store) -> None:
    odd = ["", "null", "NULL", "{a,b}", 'say "no"', "C:\\n", "line\nnext\ttab\x01\x7f", "ü\u2028\U0001f600", "a,b", " "]
    with store.transaction() as tx:
        tx.note_hints("main", odd, NOW, 1)
        sources = tx.sources("main", odd)

    assert sorted(waiting(store, limit=20)) == sorted(odd)
    assert sources == {}


def test_hints_of_one_connection_are_not_those_of_another(store: Store) -> None:
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1"], NOW, 1)

    assert waiting(store, "other") == []


def test_a_hint_that_was_read_is_dropped(store: Store) -> None:
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1", "Task/2"], NOW, 1)
        read = tx.hints("main", 1)
        tx.drop_hints("main", read)

    assert waiting(store) == ["Task/2"]


def test_a_hint_noted_again_while_it_was_read_stays(store: Store) -> None:
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1"], NOW, 1)
    with store.reading() as tx:
        read = tx.hints("main", 10)
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1"], NOW, 2)

    with store.transaction() as tx:
        tx.drop_hints("main", read)

    assert waiting(store) == ["Task/1"]


def test_dropping_nothing_changes_nothing(store: Store) -> None:
    with store.transaction() as tx:
        tx.note_hints("main", ["Task/1"], NOW, 1)
        tx.drop_hints("main", [])

    assert waiting(store) == ["Task/1"]
