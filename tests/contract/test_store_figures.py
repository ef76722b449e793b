"""What monitoring counts."""

from __future__ import annotations

from datetime import timedelta

from bridge.cases.intents import IntentState
from bridge.cases.model import Status
from bridge.store.port import Store
from bridge.store.rows import Budget, Delivered, Unfinished

from .builders import EHR, a_case, a_level, claim, minutes, parked, settlement, with_cases, with_intents


def test_deliveries_are_summed_up_by_how_they_ended(store: Store) -> None:
    with store.transaction() as tx:
        tx.count_deliveries(EHR, {("outreach-record", "again", "http-503"): 2, ("outreach-record", "confirmed", ""): 1})
        tx.count_deliveries("other", {("outreach-record", "confirmed", ""): 7})
        tx.count_deliveries(EHR, {})
    with store.transaction() as tx:
        tx.count_deliveries(EHR, {("outreach-record", "again", "http-503"): 3})

    with store.reading() as tx:
        assert tx.deliveries(EHR) == [
            Delivered(kind="outreach-record", outcome="again", code="http-503", found=5),
            Delivered(kind="outreach-record", outcome="confirmed", code="", found=1),
        ]
        assert tx.deliveries("nowhere") == []


def test_unfinished_intents_are_told_by_state_reason_and_age(store: Store) -> None:
    with_intents(store, *(a_level(f"c{number}") for number in range(5)))
    with_intents(store, a_level("late"), at=minutes(3))
    rows = {row.intent.case_id: row for row in claim(store, limit=6, at=minutes(4))}
    with store.transaction() as tx:
        refused = [
            settlement(rows[case], IntentState.PARKED, code="http-422", reason="refused", at=minutes(at))
            for case, at in (("c0", 5), ("c1", 6))
        ]
        tx.settle([*refused, settlement(rows["c2"], IntentState.CONFIRMED, written="Task/1")])
        again = settlement(rows["late"], IntentState.QUEUED, next_at=minutes(9), code="unanswered", reason="no answer")
        tx.settle([again, settlement(rows["c3"], IntentState.NOT_WRITABLE, code="no-route", reason="none")])

    with store.reading() as tx:
        assert tx.unfinished(EHR) == [
            Unfinished(state=IntentState.NOT_WRITABLE, code="no-route", found=1, since=minutes(0)),
            Unfinished(state=IntentState.PARKED, code="http-422", found=2, since=minutes(5)),
            Unfinished(state=IntentState.QUEUED, code="unanswered", found=1, since=minutes(3)),
            Unfinished(state=IntentState.SENDING, code=None, found=1, since=minutes(0)),
        ]
        assert tx.unfinished("nowhere") == []


def test_what_is_parked_longest_is_known(store: Store) -> None:
    with store.transaction() as tx:
        tx.add_versions([parked("Task/1", received_at=minutes(2)), parked("Task/2", received_at=minutes(1))])

    with store.reading() as tx:
        assert tx.parked_since(EHR) == minutes(1)
        assert tx.parked_since("other") is None


def test_open_cases_that_are_late_are_counted_by_lane(store: Store) -> None:
    with_cases(
        store,
        a_case("early", due_at=minutes(10)),
        a_case("late", due_at=minutes(-1)),
        a_case("later", due_at=minutes(-9), lane="discharge"),
        a_case("closed", due_at=minutes(-9), status=Status.CLOSED),
        a_case("never", due_at=None),
        a_case("elsewhere", due_at=minutes(-9), connection="other", root="Task/elsewhere"),
    )

    with store.reading() as tx:
        assert tx.overdue_counts(EHR, minutes(0)) == {"referral": 1, "discharge": 1}
        assert tx.overdue_counts("nowhere", minutes(0)) == {}


def test_why_an_ehr_is_away_and_what_its_clock_says_comes_back(store: Store) -> None:
    row = Budget(connection=EHR, cause="credentials", ahead=timedelta(seconds=-3, microseconds=7))
    with store.transaction() as tx:
        tx.save_budget(row)

    with store.reading() as tx:
        assert tx.budget(EHR) == row
