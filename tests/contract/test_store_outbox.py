"""The outbox: queueing, claims and leases, how attempts end."""

from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace

from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.errors import DomainError
from bridge.store.port import Store

from .builders import (
    EHR,
    NOW,
    a_level,
    a_message,
    claim,
    minutes,
    settlement,
    states,
    with_intents,
)

QUEUED, SENDING, CONFIRMED = IntentState.QUEUED, IntentState.SENDING, IntentState.CONFIRMED
SUPERSEDED, PARKED, NOT_WRITABLE = IntentState.SUPERSEDED, IntentState.PARKED, IntentState.NOT_WRITABLE


def settle(store: Store, *settlements: object) -> int:
    with store.transaction() as tx:
        return tx.settle(settlements)  # type: ignore[arg-type]


def test_a_queued_intent_comes_back_whole(store: Store) -> None:
    message = a_message(target="Task/5")
    with_intents(store, message)

    with store.reading() as tx:
        [row] = tx.outbox()
        assert tx.outbox_row(row.id) == row
        assert tx.outbox_row(12345) is None
    assert row.intent == message
    assert (row.state, row.attempts, row.token, row.unsure) == (QUEUED, 0, 0, False)
    assert (row.next_at, row.created_at, row.settled_at) == (NOW, NOW, None)


def test_a_known_key_is_a_no_op_even_when_it_was_confirmed(store: Store) -> None:
    with_intents(store, a_message(number=1), a_message(number=1))
    [row] = claim(store)
    settle(store, settlement(row, CONFIRMED))

    with_intents(store, a_message(number=1), a_message(number=2))

    assert states(store) == [("c1/1", CONFIRMED), ("c1/2", QUEUED)]


def test_a_known_key_supersedes_nothing(store: Store) -> None:
    with_intents(store, a_level(version=1), a_level(version=2))

    with_intents(store, a_level(version=1))

    assert states(store) == [("c1/task/1", SUPERSEDED), ("c1/task/2", QUEUED)]


def test_a_key_repeated_in_one_batch_is_queued_once(store: Store) -> None:
    with_intents(store, a_message(number=1), a_message(number=2), a_message(number=1))

    assert states(store) == [("c1/1", QUEUED), ("c1/2", QUEUED)]


def test_of_two_level_intents_in_one_batch_the_last_is_tried(store: Store) -> None:
    with_intents(store, a_level(version=2), a_level(version=3))

    assert states(store) == [("c1/task/2", SUPERSEDED), ("c1/task/3", QUEUED)]


def test_a_newer_level_intent_supersedes_the_unsent_one_of_its_slot_only(store: Store) -> None:
    with_intents(store, a_level(version=1), a_level(slot="source/Task/1"), a_level("c2"), a_message())

    with_intents(store, a_level(version=2), a_message(number=2), at=minutes(1))

    assert dict(states(store)) == {
        "c1/task/1": SUPERSEDED,
        "c1/source/Task/1/1": QUEUED,
        "c2/task/1": QUEUED,
        "c1/1": QUEUED,
        "c1/task/2": QUEUED,
        "c1/2": QUEUED,
    }
    with store.reading() as tx:
        [old] = tx.outbox(state=SUPERSEDED)
    assert old.settled_at == minutes(1)


@pytest.mark.parametrize("given_up", [PARKED, NOT_WRITABLE])
def test_a_newer_level_intent_takes_the_place_of_one_that_was_given_up(store: Store, given_up: IntentState) -> None:
    with_intents(store, a_level(version=1))
    settle(store, *(settlement(row, given_up, code="refused") for row in claim(store)))

    with_intents(store, a_level(version=2))

    assert states(store) == [("c1/task/1", SUPERSEDED), ("c1/task/2", QUEUED)]


def test_a_parked_message_stays_parked_when_a_newer_message_comes(store: Store) -> None:
    with_intents(store, a_message(number=1))
    settle(store, *(settlement(row, PARKED, code="refused") for row in claim(store)))

    with_intents(store, a_message(number=2))

    assert states(store) == [("c1/1", PARKED), ("c1/2", QUEUED)]


def test_a_newer_level_intent_takes_over_the_doubt_of_the_one_it_supersedes(store: Store) -> None:
    """The older write may have reached the EHR: whoever comes next has to look first."""
    with_intents(store, a_level(version=1))
    settle(store, *(settlement(r, QUEUED, unsure_at=NOW, next_at=minutes(5)) for r in claim(store)))

    with_intents(store, a_level(version=2))

    [row] = claim(store)
    assert (row.intent.key, row.unsure_at) == ("c1/task/2", NOW)


def test_an_attempt_that_fails_while_a_newer_one_waits_is_superseded(store: Store) -> None:
    with_intents(store, a_level(version=1))
    [sent] = claim(store)
    with_intents(store, a_level(version=2))

    assert settle(store, settlement(sent, QUEUED, unsure_at=NOW, next_at=minutes(5))) == 1

    assert states(store) == [("c1/task/1", SUPERSEDED), ("c1/task/2", QUEUED)]
    [newer] = claim(store)
    assert newer.unsure_at == NOW


def test_an_attempt_that_succeeds_while_a_newer_one_waits_is_confirmed(store: Store) -> None:
    with_intents(store, a_level(version=1))
    [sent] = claim(store)
    with_intents(store, a_level(version=2))

    settle(store, settlement(sent, CONFIRMED))

    assert states(store) == [("c1/task/1", CONFIRMED), ("c1/task/2", QUEUED)]


def test_an_intent_without_its_case_is_refused(store: Store) -> None:
    with pytest.raises(DomainError), store.transaction() as tx:
        tx.add_intents([a_message("nobody")], NOW)


def test_a_claim_takes_one_of_each_case_those_due_longest_first(store: Store) -> None:
    with_intents(store, a_message("c1", 1), a_message("c1", 2), at=minutes(-1))
    with_intents(store, a_message("c2", 1), at=minutes(-2))
    with_intents(store, a_message("c3", 1), at=minutes(1))

    rows = claim(store)

    assert [row.intent.key for row in rows] == ["c2/1", "c1/1"]
    assert all(row.state is SENDING and row.token == 1 and not row.unsure for row in rows)
    assert claim(store) == []


def test_a_claim_keeps_to_its_limit_and_its_connection(store: Store) -> None:
    with_intents(store, *(a_message(f"c{n}") for n in range(5)), a_message("c9", connection="other"))

    assert [row.intent.key for row in claim(store, limit=2)] == ["c0/1", "c1/1"]
    assert [row.intent.key for row in claim(store, limit=9)] == ["c2/1", "c3/1", "c4/1"]


def test_a_case_with_many_intents_does_not_hold_up_the_others_for_good(store: Store) -> None:
    with_intents(store, *(a_message("c1", n) for n in range(50)))
    with_intents(store, a_message("c2"))

    seen: list[str] = []
    while rows := claim(store, limit=2):
        seen += [row.intent.key for row in rows]
        settle(store, *(settlement(row, CONFIRMED) for row in rows))

    assert len(seen) == 51
    assert [key for key in seen if key.startswith("c1")] == [f"c1/{n}" for n in range(50)]


def test_a_lease_that_ran_out_is_claimed_again_unsure_with_a_new_token(store: Store) -> None:
    with_intents(store, a_message(number=1), a_message(number=2))
    [first] = claim(store, until=minutes(1))
    assert claim(store, at=minutes(0.9)) == []

    [again] = claim(store, at=minutes(1))

    assert (again.id, again.unsure_at, again.attempts) == (first.id, minutes(1), 0)
    assert again.token != first.token


def test_a_settle_without_the_lease_changes_nothing(store: Store) -> None:
    with_intents(store, a_message())
    [first] = claim(store, until=minutes(1))
    [again] = claim(store, at=minutes(2))

    assert settle(store, settlement(first, CONFIRMED)) == 0
    assert states(store) == [("c1/1", SENDING)]
    assert settle(store, settlement(again, CONFIRMED)) == 1
    assert settle(store, settlement(again, PARKED)) == 0
    assert states(store) == [("c1/1", CONFIRMED)]


def test_a_settlement_is_kept_whole(store: Store) -> None:
    with_intents(store, a_message(number=1))
    [row] = claim(store)

    settle(
        store,
        settlement(
            row,
            CONFIRMED,
            at=minutes(2),
            code="written",
            reason="Communication/7 was made",
            written="Communication/7",
            written_version="3",
        ),
    )

    with store.reading() as tx:
        settled = tx.outbox_row(row.id)
    assert settled is not None
    assert (settled.written, settled.written_version) == ("Communication/7", "3")
    assert (settled.code, settled.reason) == ("written", "Communication/7 was made")
    assert (settled.settled_at, settled.lease_until, settled.attempts) == (minutes(2), None, 1)


def test_waiting_uses_up_no_attempt_and_failing_does(store: Store) -> None:
    with_intents(store, a_message())
    [row] = claim(store)
    settle(store, settlement(row, QUEUED, next_at=minutes(5), spent=False, code="outage"))
    assert claim(store, at=minutes(4)) == []
    [row] = claim(store, at=minutes(5))
    assert row.attempts == 0

    settle(store, settlement(row, QUEUED, next_at=minutes(6)))

    [row] = claim(store, at=minutes(6))
    assert row.attempts == 1


def test_released_leases_can_be_claimed_now_and_their_holders_are_fenced_off(store: Store) -> None:
    with_intents(store, a_message("c1"), a_message("c2"))
    old = claim(store, until=minutes(60))

    with store.transaction() as tx:
        assert tx.release_leases(minutes(1)) == 2

    assert settle(store, *(settlement(row, CONFIRMED) for row in old)) == 0
    assert [row.unsure_at for row in claim(store, at=minutes(1))] == [minutes(1)] * 2


def test_what_is_not_due_yet_is_left_until_it_is(store: Store) -> None:
    with_intents(store, a_level(version=1))
    with store.transaction() as tx:
        tx.add_intents([a_message(number=1)], NOW, minutes(5))
    settle(store, *(settlement(row, CONFIRMED) for row in claim(store)))

    assert claim(store, at=minutes(4)) == []
    [row] = claim(store, at=minutes(5))
    assert (row.intent.key, row.created_at) == ("c1/1", NOW)


def test_the_last_doubt_of_a_case_is_that_of_what_is_not_confirmed(store: Store) -> None:
    with_intents(store, a_level(version=1), a_message(number=1))
    [first] = claim(store)
    settle(store, settlement(first, QUEUED, unsure_at=NOW, next_at=minutes(60)))
    [second] = claim(store)
    settle(store, settlement(second, PARKED, unsure_at=minutes(2)))
    both = (first.intent.kind, second.intent.kind)

    with store.reading() as tx:
        assert tx.doubted_at("c1", both) == minutes(2)
        assert tx.doubted_at("c1", [first.intent.kind]) == NOW
        assert tx.doubted_at("another", both) is None
    settle(store, *(settlement(row, CONFIRMED) for row in claim(store, at=minutes(60))))
    with store.reading() as tx:
        assert tx.doubted_at("c1", [first.intent.kind]) is None


def test_when_a_slot_was_given_up_last_for_a_reason_is_told_as_long_as_it_was_tried(store: Store) -> None:
    with_intents(store, a_level(version=1))
    settle(store, *(settlement(row, PARKED, code="stuck", at=minutes(1)) for row in claim(store)))
    with_intents(store, a_level(version=2), at=minutes(2))
    settle(
        store,
        *(settlement(row, PARKED, code="stuck", at=minutes(3), spent=False) for row in claim(store, at=minutes(2))),
    )

    with store.reading() as tx:
        assert tx.given_up_at("c1", "task", "stuck") == minutes(2), "when the newer one took its place"
        assert tx.given_up_at("c1", "task", "other") is None
        assert tx.given_up_at("c1", "source/Task/1", "stuck") is None


def test_second_copies_are_counted_once_each_by_where_they_stand(store: Store) -> None:
    def copy(ref: str, mark: str) -> Intent:
        return Intent(
            connection=EHR,
            case_id="c1",
            kind=IntentKind.RETRACTION,
            slot=f"copy/{ref}",
            key=f"c1/copy/{ref}/{mark}",
            case_version=1,
            target=ref,
        )

    for mark in ("a", "b"):
        with_intents(store, copy("Task/9", mark))
        settle(store, *(settlement(row, CONFIRMED) for row in claim(store)))
    with_intents(store, copy("Task/8", "a"), a_level(kind=IntentKind.RETRACTION, slot="retraction"))

    with store.reading() as tx:
        assert dict(tx.copies(EHR)) == {CONFIRMED: 1, QUEUED: 1}
        assert dict(tx.copies("other")) == {}


def test_next_due_is_when_something_may_be_tried(store: Store) -> None:
    def due() -> object:
        with store.reading() as tx:
            return tx.next_due(EHR)

    assert due() is None
    with_intents(store, a_message("c1", 1), a_message("c1", 2), at=minutes(3))
    assert due() == minutes(3)
    [row] = claim(store, at=minutes(3), until=minutes(9))
    assert due() == minutes(9)
    with_intents(store, a_message("c2", 1), at=minutes(5))
    assert due() == minutes(5)
    settle(store, settlement(row, QUEUED, next_at=minutes(4)))
    assert due() == minutes(3)


def test_our_tasks_are_those_that_were_written_on_that_connection(store: Store) -> None:
    with_intents(store, a_level("c1"), a_message("c1"), a_level("c2"))
    while rows := claim(store):
        settle(store, *(settlement(row, CONFIRMED, written=f"Task/{row.intent.key[:4]}") for row in rows))

    with store.reading() as tx:
        assert tx.our_tasks(EHR, ["Task/c1/t", "Task/c1/1", "Task/c2/t", "Task/c3"]) == {"Task/c1/t", "Task/c2/t"}
        assert tx.our_tasks("other", ["Task/c1/t"]) == set()
        assert tx.our_tasks(EHR, []) == set()


def test_written_is_what_of_a_case_stands_on_the_ehr(store: Store) -> None:
    with_intents(store, a_level("c1"), a_message("c1"), a_level("c2"))
    while rows := claim(store):
        settle(store, *(settlement(row, CONFIRMED, written="Task/1") for row in rows))
    with_intents(store, a_level("c1", version=2))

    with store.reading() as tx:
        tasks = tx.written("c1", [IntentKind.COORDINATION_TASK])
        both = tx.written("c1", [IntentKind.COORDINATION_TASK, IntentKind.OUTREACH_RECORD])
        assert tx.written("c1", []) == []
    assert [row.intent.key for row in tasks] == ["c1/task/1"]
    assert [row.intent.key for row in both] == ["c1/task/1", "c1/1"]


def test_a_person_can_requeue_what_was_given_up_and_nothing_else(store: Store) -> None:
    with_intents(store, a_message("c1"), a_message("c2"), a_message("c3"), a_message("c4"))
    rows = claim(store)
    outcomes = [PARKED, NOT_WRITABLE, CONFIRMED]
    settle(store, *(settlement(row, state, code="x") for row, state in zip(rows, outcomes, strict=False)))

    with store.transaction() as tx:
        assert tx.requeue([row.id for row in rows] * 2, minutes(7)) == 2

    assert [state for _, state in states(store)] == [QUEUED, QUEUED, CONFIRMED, SENDING]
    with store.reading() as tx:
        first = tx.outbox_row(rows[0].id)
    assert first is not None
    assert (first.attempts, first.next_at, first.code, first.settled_at) == (0, minutes(7), None, None)


def test_outbox_filters_and_pages_by_id(store: Store) -> None:
    with_intents(store, *(a_message(f"c{n}") for n in range(4)), a_message("c9", connection="other"))
    claim(store, limit=1)

    with store.reading() as tx:
        everything = tx.outbox()
        first = tx.outbox(limit=3)
        rest = tx.outbox(limit=3, after=first[-1].id)
        assert [*first, *rest] == everything
        assert [row.intent.key for row in tx.outbox(case_ids=["c2", "c9", "none"])] == ["c2/1", "c9/1"]
        assert [row.intent.key for row in tx.outbox(connection="other")] == ["c9/1"]
        assert [row.intent.key for row in tx.outbox(state=SENDING)] == ["c0/1"]
        assert tx.outbox(case_ids=[]) == []
        assert tx.outbox_counts(EHR) == {QUEUED: 3, SENDING: 1}


def test_intents_without_end_go_in_at_once(store: Store) -> None:
    with_intents(store, *(a_message(f"c{n % 100}", n) for n in range(5_000)))

    with store.reading() as tx:
        assert tx.outbox_counts(EHR) == {QUEUED: 5_000}


def test_a_lease_is_compared_to_the_microsecond(store: Store) -> None:
    with_intents(store, a_message())
    claim(store, until=minutes(1))

    assert claim(store, at=minutes(1) - timedelta(microseconds=1)) == []
    assert len(claim(store, at=minutes(1))) == 1


def test_the_records_of_one_attempt_are_found_in_every_case_that_had_it(store: Store) -> None:
    first, second = (replace(a_message(case_id), key="outreach/a1") for case_id in ("c1", "c2"))
    with_intents(store, first, replace(a_message("c3"), key="outreach/a2"))
    with_intents(store, second)
    with_intents(store, replace(a_message("c4", kind=IntentKind.STATUS_MESSAGE), key="outreach/a1"))

    with store.reading() as tx:
        assert [row.intent for row in tx.records_of(EHR, "outreach/a1")] == [first, second]
        assert tx.records_of("other", "outreach/a1") == []
