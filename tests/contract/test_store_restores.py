"""How a restore went is kept for each connection; what was found to be sent already is confirmed."""

from __future__ import annotations

from datetime import timedelta

from msgspec.structs import replace

from bridge.cases.intents import IntentState
from bridge.store.port import Store
from bridge.store.rows import Adrift, Differing, Restored
from bridge.sync.restored import mark_restored

from .builders import EHR, NOW, a_level, a_message, claim, minutes, with_intents

ROW = Restored(
    connection=EHR,
    restored_at=NOW,
    known_until=NOW - timedelta(hours=2),
    changes=7,
    differing=(Differing(case_id="c1", ref="Task/1", words="closed there", held=True),),
    adrift=(
        Adrift(root="ServiceRequest/1", ref="Communication/1", is_last=True, beside=("Communication/2",), waits=True),
    ),
    problems=("Communication: refused",),
)


def test_a_restore_is_replaced_whole_and_for_one_connection(store: Store) -> None:
    with store.transaction() as tx:
        tx.save_restored(ROW)
        tx.save_restored(replace(ROW, connection="other"))

    with store.transaction() as tx:
        assert tx.restored(EHR) == ROW
        tx.save_restored(replace(ROW, ready_at=NOW))

    with store.reading() as tx:
        assert tx.restored(EHR) == replace(ROW, ready_at=NOW)
        assert tx.restored("other") == replace(ROW, connection="other")
        assert tx.restored("third") is None


def test_what_was_found_sent_is_confirmed_and_not_claimed(store: Store) -> None:
    with_intents(store, a_message(number=1), a_message("c2", number=2), a_level("c3"))
    with store.reading() as tx:
        first, second, third = tx.outbox()
    with store.transaction() as tx:
        done = tx.found_sent({first.id: ("Communication/1", "3"), second.id: ("Communication/2", None)}, minutes(1))

    with store.reading() as tx:
        row = tx.outbox_row(first.id)
    assert done == 2
    assert row is not None
    assert (row.state, row.written, row.written_version, row.settled_at) == (
        IntentState.CONFIRMED,
        "Communication/1",
        "3",
        minutes(1),
    )
    assert [one.id for one in claim(store, at=minutes(2))] == [third.id]


def test_what_is_not_queued_is_not_confirmed(store: Store) -> None:
    with_intents(store, a_message())
    (row,) = claim(store)

    with store.transaction() as tx:
        assert tx.found_sent({row.id: ("Communication/1", "1"), 99: ("Communication/2", "1")}, NOW) == 0

    with store.reading() as tx:
        assert [one.state for one in tx.outbox()] == [IntentState.SENDING]


def test_turns_that_somebody_had_are_free_and_theirs_no_more(store: Store) -> None:
    with store.transaction() as tx:
        mine = tx.take_turn("read/main/Task", NOW, minutes(10))
        assert mine is not None
        tx.end_turns(minutes(1))

    with store.transaction() as tx:
        assert not tx.keep_turn("read/main/Task", mine, minutes(20))
        assert tx.take_turn("read/main/Task", minutes(1), minutes(11)) is not None


def test_nobody_has_what_was_on_its_way_or_a_turn_when_the_backup_was_made(store: Store) -> None:
    with_intents(store, a_message())
    (sent,) = claim(store, until=minutes(60))
    with store.transaction() as tx:
        tx.take_turn("read/main/Task", NOW, minutes(10))

    with store.transaction() as tx:
        mark_restored(tx, [EHR], minutes(1))

    (row,) = claim(store, at=minutes(1))
    with store.transaction() as tx:
        assert tx.take_turn("read/main/Task", minutes(1), minutes(11)) is not None
    assert (row.id, row.unsure_at) == (sent.id, minutes(1))
