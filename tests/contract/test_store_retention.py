"""What nobody needs any more is dropped a step at a time; what is needed, and that it was, stays."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.model import Closure
from bridge.cases.terms import ClosureReason, Status
from bridge.store.port import Store
from bridge.store.rows import InboxRow, InboxState, OutboxRow

from .builders import (
    EHR,
    NOW,
    a_case,
    a_level,
    a_message,
    a_source,
    a_version,
    claim,
    minutes,
    parked,
    settlement,
    with_cases,
    with_intents,
)

DAY = timedelta(days=1)


def bodies(store: Store) -> dict[tuple[str, str], bytes]:
    with store.reading() as tx:
        rows = [tx.inbox_row(row.id) for row in tx.inbox(limit=1000) if row.id is not None]
    return {(row.ref, row.version): row.raw for row in rows if row is not None}


def receive(store: Store, *rows: InboxRow) -> None:
    with store.transaction() as tx:
        tx.add_versions(rows)


def forget_bodies(store: Store, limit: int = 10) -> int:
    """Drop what is older than a day, step by step, and return how many bodies went."""
    total, after = 0, 0
    while True:
        with store.transaction() as tx:
            done = tx.forget_bodies(NOW - DAY, after=after, limit=limit)
        total += done.rows
        if done.next is None:
            return total
        assert done.next > after
        after = done.next


def old(ref: str, version: str = "1", **fields: object) -> InboxRow:
    return a_version(ref, version, received_at=NOW - 2 * DAY, raw=f"body of {ref} {version}".encode(), **fields)


def test_old_bodies_go_and_the_versions_stay(store: Store) -> None:
    receive(store, old("Task/1"), old("Task/2"))
    receive(store, a_version("Task/3", raw=b"new"))

    assert forget_bodies(store) == 2

    assert bodies(store) == {("Task/1", "1"): b"", ("Task/2", "1"): b"", ("Task/3", "1"): b"new"}
    with store.reading() as tx:
        asked = [("Task/1", "1"), ("Task/2", "1"), ("Task/9", "1")]
        assert tx.known_versions(EHR, asked) == {("Task/1", "1"), ("Task/2", "1")}
        assert tx.inbox(ref="Task/1")[0].state is InboxState.APPLIED
    assert forget_bodies(store) == 0


def test_what_is_parked_and_what_open_work_rests_on_keeps_its_body_in_the_midst_of_others(store: Store) -> None:
    closed = {"status": Status.CLOSED, "closure": Closure(reason=ClosureReason.COMPLETED, outcome="", by="lee", at=NOW)}
    over = a_case("c2", next_action=None, due_at=None, closed_at=NOW, **closed)
    with_cases(store, a_case("c1"), over)
    with store.transaction() as tx:
        tx.save_sources([a_source("Task/c1"), a_source("Appointment/1", "Task/c1"), a_source("Task/c2")])
    stay = [
        old("Task/c1"),
        old("Task/c1", "2"),
        old("Appointment/1"),
        old("Task/8", state=InboxState.PARKED, code="odd", reason="odd"),
    ]
    go = [old("Task/c2"), old("Task/5"), old("Task/6", state=InboxState.IGNORED, code="older-version")]
    receive(store, go[0], stay[0], go[1], stay[1], stay[2], go[2], stay[3])

    assert forget_bodies(store) == len(go)

    assert bodies(store) == {
        **{(row.ref, row.version): row.raw for row in stay},
        **{(row.ref, row.version): b"" for row in go},
    }


def test_each_step_is_bounded_and_they_come_to_an_end(store: Store) -> None:
    for number in range(7):
        receive(store, old(f"Task/{number}"))
    receive(store, parked("Task/7", received_at=NOW - 2 * DAY, raw=b"parked"))

    with store.transaction() as tx:
        first = tx.forget_bodies(NOW - DAY, after=0, limit=3)

    assert (first.rows, first.size) == (3, 3 * len(b"body of Task/1 1"))
    assert first.next is not None
    assert forget_bodies(store, limit=3) == 4
    assert [raw for raw in bodies(store).values() if raw] == [b"parked"]


def test_how_much_there_is(store: Store) -> None:
    receive(store, old("Task/1"), a_version("Task/2", raw=b"new"))
    with_intents(store, a_level("c1"), a_message("c1"))
    forget_bodies(store)

    with store.reading() as tx:
        sizes = tx.sizes()

    assert (sizes.versions, sizes.bodies, sizes.writes, sizes.cases, sizes.changes) == (2, 1, 2, 1, 1)
    assert sizes.body_bytes > 0


# Writes ---------------------------------------------------------------------------------------------------


def deliver(store: Store, intent: Intent, number: int, written: str = "Task/9", *, sure: bool = True) -> None:
    """Queue an intent and confirm it."""
    with_intents(store, intent, at=minutes(number))
    (row,) = claim(store, at=minutes(number))
    doubt = {} if sure else {"unsure_at": minutes(number)}
    done = settlement(
        row, IntentState.CONFIRMED, written=written, written_version=str(number), at=minutes(number), **doubt
    )
    with store.transaction() as tx:
        assert tx.settle([done]) == 1


def rows(store: Store) -> list[OutboxRow]:
    with store.reading() as tx:
        return tx.outbox(limit=1000)


def forget_writes(store: Store, limit: int = 100) -> int:
    total, after = 0, 0
    while True:
        with store.transaction() as tx:
            done = tx.forget_writes(NOW + DAY, after=after, limit=limit)
        total += done.rows
        if done.next is None:
            return total
        after = done.next


@pytest.mark.parametrize("limit", [1, 2, 100])
def test_the_last_word_on_each_resource_stays(limit: int, store: Store) -> None:
    for number in range(1, 5):
        deliver(store, a_level(version=number), number)
    deliver(store, a_level(version=5), 5, written="Task/10")
    deliver(store, a_level("c2"), 6, written="Task/11")

    assert forget_writes(store, limit) == 3

    assert [(row.written, row.written_version) for row in rows(store)] == [
        ("Task/9", "4"),
        ("Task/10", "5"),
        ("Task/11", "6"),
    ]
    with store.reading() as tx:
        assert tx.our_tasks(EHR, ["Task/9", "Task/10", "Task/12"]) == {"Task/9", "Task/10"}
        assert [row.written for row in tx.written("c1", [IntentKind.COORDINATION_TASK])] == ["Task/9", "Task/10"]


def test_what_was_superseded_goes_when_a_later_one_is_there(store: Store) -> None:
    with_intents(store, a_level(version=1))
    with_intents(store, a_level(version=2), a_level("c2"))
    (row,) = [one for one in claim(store) if one.intent.case_id == "c2"]
    with store.transaction() as tx:
        tx.settle([settlement(row, IntentState.SUPERSEDED, code="root-gone", reason="gone")])

    assert forget_writes(store) == 1

    assert [(row.intent.key, row.state) for row in rows(store)] == [
        ("c1/task/2", IntentState.SENDING),
        ("c2/task/1", IntentState.SUPERSEDED),
    ]


def test_messages_doubts_copies_and_what_waits_for_a_person_stay(store: Store) -> None:
    copy = a_level(kind=IntentKind.RETRACTION, slot="copy/Task/7", target="Task/7")
    deliver(store, a_message(number=1), 1, "Communication/1")
    deliver(store, a_message(number=2), 2, "Communication/2")
    deliver(store, copy, 3, "Task/7")
    deliver(store, a_level(version=1), 4, sure=False)
    deliver(store, a_level(version=2), 5)
    with_intents(store, a_level("c2"))
    (row,) = claim(store, at=minutes(6))
    with store.transaction() as tx:
        tx.settle([settlement(row, IntentState.PARKED, code="conflict", reason="conflict")])

    assert forget_writes(store) == 0

    assert len(rows(store)) == 6


def test_what_ended_lately_stays(store: Store) -> None:
    deliver(store, a_level(version=1), 1)
    deliver(store, a_level(version=2), 2)

    with store.transaction() as tx:
        assert tx.forget_writes(NOW, after=0, limit=100).rows == 0


def test_numbers_are_not_given_out_again(store: Store) -> None:
    """A row's number is part of what others are called by."""
    for number in range(1, 4):
        deliver(store, a_level(version=number), number)
    before = max(row.id or 0 for row in rows(store))

    forget_writes(store)
    deliver(store, a_level(version=4), 5)

    assert max(row.id or 0 for row in rows(store)) == before + 1
