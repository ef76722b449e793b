"""The worklist: filters, order, paging."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import cycle, product
from typing import Any

import msgspec
import pytest

from bridge.cases.changes import BlockerCleared, BlockerRaised, Fact
from bridge.cases.intents import IntentState
from bridge.cases.model import Blocker, Case, CasePatient, Closure, Escalation, NextAction, Owner
from bridge.cases.terms import Action, BlockerCategory, ClosureReason, OwnerKind, Status
from bridge.store.port import Store
from bridge.store.queries import CaseFilter, CaseOrder
from bridge.store.worklist import matches, place

from .builders import EHR, NOW, a_case, a_change, a_level, minutes, settlement, with_cases

QUEUE = Owner(kind=OwnerKind.ROLE, id="referral-desk", display="Referral desk")
BLOCKED = Blocker(category=BlockerCategory.AUTHORIZATION, text="waits", since=NOW, source="rule:x")
ENDED = Closure(reason=ClosureReason.COMPLETED, outcome="seen", by="lee", at=NOW)
CLOSE = NextAction(Action.CLOSE_WITH_REASON, "Close it")
ESCALATED = Escalation(level=1, to=QUEUE, why="late", since=NOW, by="rule:x")


def listed(store: Store, **fields: Any) -> list[str]:
    """The ids that a filter lets through, and that the total agrees."""
    with store.reading() as tx:
        page = tx.list_cases(CaseFilter(**fields), limit=100)
        counted = tx.count_cases([CaseFilter(**fields), CaseFilter(merged=True), CaseFilter(lane="unheard-of")])
        assert counted == [page.total, len(tx.list_cases(CaseFilter(merged=True), limit=100).cases), 0]
        assert tx.count_cases([]) == []
        assert tx.count_cases([CaseFilter(**fields)], up_to=2) == [min(page.total, 2)]
        assert tx.list_cases(CaseFilter(**fields), limit=100, up_to=2).total == min(page.total, 2)
    assert page.total == len(page.cases)
    assert page.next_cursor is None
    return [case.id for case in page.cases]


def some_cases(store: Store) -> None:
    with_cases(
        store,
        a_case("c1", due_at=minutes(1)),
        a_case("c2", due_at=minutes(2), lane="medication-refill", owner=QUEUE, blocker=BLOCKED, next_action=CLOSE),
        a_case("c3", due_at=None, status=Status.ESCALATED, escalations=(ESCALATED,), tenant="north"),
        a_case("c4", due_at=minutes(1), status=Status.CLOSED, closed_at=NOW, closure=ENDED, opened_at=minutes(-9)),
        a_case("c5", due_at=minutes(9), connection="other", patient=CasePatient(ref="Patient/2")),
    )
    with store.transaction() as tx:
        tx.save_cases([a_case("c6", root="Task/6", merged_into="c1")], [])


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        ({}, ["c1", "c2", "c5", "c4", "c3"]),
        ({"merged": True}, ["c1", "c2", "c5", "c6", "c4", "c3"]),
        ({"connection": EHR}, ["c1", "c2", "c4", "c3"]),
        ({"connection": "unheard-of"}, []),
        ({"tenant": "north"}, ["c3"]),
        ({"lane": "medication-refill"}, ["c2"]),
        ({"status": "closed"}, ["c4"]),
        ({"owner": "referral-desk"}, ["c2"]),
        ({"patient": "Patient/2"}, ["c5"]),
        ({"blocker": "authorization"}, ["c2"]),
        ({"blocker": "any"}, ["c2"]),
        ({"blocker": "transport"}, []),
        ({"is_open": True}, ["c1", "c2", "c5", "c3"]),
        ({"is_open": False}, ["c4"]),
        ({"overdue_at": minutes(2)}, ["c1"]),
        ({"overdue_at": minutes(2.1), "lane": "referral"}, ["c1"]),
        ({"due_from": minutes(2)}, ["c2", "c5"]),
        ({"due_from": minutes(1), "overdue_at": minutes(9), "is_open": True}, ["c1", "c2"]),
        ({"next_action": "close-with-reason"}, ["c2"]),
        ({"next_action": "schedule", "is_open": True}, []),
        ({"closure": "completed", "closed_since": NOW}, ["c4"]),
        ({"closure": "declined"}, []),
        ({"unowned": True}, ["c2"]),
        ({"escalated": True}, ["c3"]),
        ({"owners": ("referral-desk", "nobody")}, ["c2"]),
        ({"owners": ("referral-desk", "lee"), "is_open": True}, ["c1", "c2", "c5", "c3"]),
        ({"owners": ()}, []),
        ({"closed_since": NOW}, ["c4"]),
        ({"closed_since": minutes(0.1)}, []),
        ({"order": CaseOrder.OLDEST}, ["c4", "c1", "c2", "c5", "c3"]),
        ({"order": CaseOrder.CLOSED, "connection": EHR}, ["c4", "c1", "c2", "c3"]),
        ({"is_open": True, "connection": EHR, "unowned": False, "q": "quill"}, ["c1", "c2", "c3"]),
    ],
)
def test_every_filter_narrows_and_the_soonest_due_open_ones_come_first(
    store: Store, fields: dict[str, Any], expected: list[str]
) -> None:
    some_cases(store)

    assert listed(store, **fields) == expected


_CHOICES: Mapping[str, Sequence[Any]] = {
    "is_open": (None, True, False),
    "escalated": (False, True),
    "blocker": (None, "any"),
    "overdue_at": (None, minutes(2)),
    "due_from": (None, minutes(1.5)),
    "closed_since": (None, NOW),
    "merged": (False, True),
}


_OWNERS = (None, (), ("lee",), ("lee", "referral-desk"), ("nobody",))
"""Five, so that they fall on every combination of the others."""


@pytest.mark.parametrize("more", [{}, {"q": "ada"}, {"tenant": "default"}, {"waiting_on_ehr": True}], ids=str)
def test_any_filters_together_let_through_what_each_lets_through(store: Store, more: dict[str, Any]) -> None:
    """Whichever index a database takes, or is told to take, for them."""
    some_cases(store)
    with store.transaction() as tx:
        tx.add_intents([a_level("c2"), a_level("c4")], NOW)
    chosen = [dict(zip(_CHOICES, values, strict=True)) for values in product(*_CHOICES.values())]
    changing = zip(chosen, cycle(CaseOrder), cycle(_OWNERS), strict=False)
    wheres = [CaseFilter(**fields, **more, order=order, owners=owners) for fields, order, owners in changing]

    with store.reading() as tx:
        every = tx.list_cases(CaseFilter(merged=True), limit=100).cases
        totals = [total for some in batched(wheres, 20) for total in tx.count_cases(some)]
        for where, total in zip(wheres, totals, strict=True):
            passed = [case for case in every if matches(case, where, {"c2", "c4"})]
            first, *_ = *sorted({place(case, where.order) for case in passed}), None
            page = tx.list_cases(where, limit=100)
            assert {case.id for case in page.cases} == {case.id for case in passed}, where
            assert (page.total, total) == (len(passed), len(passed)), where
            assert first is None or place(page.cases[0], where.order) == first, where


def batched(wheres: Sequence[CaseFilter], size: int) -> Iterator[Sequence[CaseFilter]]:
    return (wheres[start : start + size] for start in range(0, len(wheres), size))


TRANSPORT = BlockerCategory.TRANSPORT


def told(store: Store, case: Case, *facts: Fact) -> Case:
    """Record changes of a case in a transaction of their own."""
    with store.transaction() as tx:
        seq = tx.change_counts([case.id])[case.id]
        after = msgspec.structs.replace(case, version=case.version + 1)
        for fact in facts:
            blocker = fact.blocker if isinstance(fact, BlockerRaised) else None
            after = msgspec.structs.replace(after, blocker=blocker)
        changes = [a_change(after, seq + number, fact) for number, fact in enumerate(facts, 1)]
        tx.save_cases([after], changes)
    return after


def again(store: Store, **fields: Any) -> list[tuple[str, int]]:
    with store.reading() as tx:
        page = tx.blocked_again(CaseFilter(**fields), limit=10)
    assert page.total == len(page.cases)
    return [(one.case.id, one.times) for one in page.cases]


def test_what_blocks_a_case_again_is_counted_from_when_it_began(store: Store) -> None:
    raised = BlockerRaised(Blocker(category=TRANSPORT, text="no car", since=NOW, source="person:lee"))
    reworded = BlockerRaised(Blocker(category=TRANSPORT, text="no bus either", since=NOW, source="person:lee"))
    other = BlockerRaised(BLOCKED)
    gone = BlockerCleared(raised.blocker)
    once, twice, opened = a_case("c1"), a_case("c2"), a_case("c3", blocker=raised.blocker)
    for case in (once, twice, opened):
        with store.transaction() as tx:
            tx.save_cases([case], [a_change(case)])

    once = told(store, once, raised)
    told(store, once, reworded, reworded)
    twice = told(store, twice, raised, gone, raised)
    assert again(store) == [("c2", 2)]

    twice = told(store, told(store, told(store, twice, gone), other), raised)
    told(store, told(store, opened, other), raised)

    assert again(store) == [("c2", 3), ("c3", 2)]
    assert again(store, lane="none") == []
    assert again(store, connection=EHR, is_open=True) == [("c2", 3), ("c3", 2)]
    with store.reading() as tx:
        page = tx.blocked_again(CaseFilter(), limit=1)
    assert ([one.case.id for one in page.cases], page.total) == (["c2"], 2)

    told(store, twice, gone)
    assert again(store) == [("c3", 2)]


def test_a_closed_case_is_not_blocked_again(store: Store) -> None:
    case = a_case("c1")
    raised, gone = BlockerRaised(BLOCKED), BlockerCleared(BLOCKED)
    with_cases(store, case)
    case = told(store, case, raised, gone, raised)
    assert again(store) == [("c1", 2)]

    with store.transaction() as tx:
        tx.save_cases([msgspec.structs.replace(case, status=Status.CLOSED, closed_at=NOW, version=3)], [])

    assert again(store) == []


def test_cases_wait_on_the_ehr_while_something_is_to_be_written_or_parked(store: Store) -> None:
    with_cases(store, *(a_case(f"c{n}", due_at=minutes(n)) for n in range(6)))
    with store.transaction() as tx:
        tx.add_intents([a_level(f"c{n}") for n in range(1, 6)], NOW)
        rows = tx.claim(EHR, NOW, minutes(5), 10)
        ends = dict(zip(["c1", "c2", "c3"], _ENDS, strict=True))
        tx.settle([settlement(row, ends[row.intent.case_id]) for row in rows if row.intent.case_id in ends])
        again = [row for row in rows if row.intent.case_id == "c5"]
        tx.settle([settlement(row, IntentState.QUEUED, next_at=minutes(1)) for row in again])

    assert listed(store, waiting_on_ehr=True) == ["c2", "c4", "c5"]


_ENDS = (IntentState.CONFIRMED, IntentState.PARKED, IntentState.NOT_WRITABLE)


def test_what_was_closed_last_comes_first_page_by_page(store: Store) -> None:
    closed = {"status": Status.CLOSED, "opened_at": minutes(-90)}
    with_cases(store, *(a_case(f"c{n}", closed_at=minutes(n // 2), **closed) for n in range(5)), a_case("open"))

    seen, cursor = [], None
    with store.reading() as tx:
        while not seen or cursor is not None:
            where = CaseFilter(closed_since=minutes(1), order=CaseOrder.CLOSED)
            page = tx.list_cases(where, limit=2, cursor=cursor)
            assert page.total == 3
            seen += [case.id for case in page.cases]
            cursor = page.next_cursor

    assert seen == ["c4", "c2", "c3"]


def test_a_case_that_is_open_again_was_not_closed_recently(store: Store) -> None:
    case = a_case("c1", status=Status.CLOSED, closed_at=NOW, due_at=None)
    with_cases(store, case)
    assert listed(store, closed_since=NOW) == ["c1"]

    again = msgspec.structs.replace(case, status=Status.NEW, closed_at=None, version=2)
    with store.transaction() as tx:
        tx.save_cases([again], [])

    assert listed(store, closed_since=NOW) == []


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("CARDIO quill", True),
        ("quill ada referral", True),
        ("stra\xdfe", True),
        ("STRASSE", True),
        ("o\u0308", True),
        ("100%", True),
        ("100_", False),
        ("a%a", False),
        ("\\", False),
        ("neuro", False),
        ("", True),
        ("'; --", False),
    ],
)
def test_words_are_found_in_title_and_patient_without_regard_to_case(store: Store, words: str, found: bool) -> None:
    with_cases(store, a_case(title="Cardiology referral, 100%, Hauptstra\xdfe, \xf6"))

    assert listed(store, q=words) == (["c1"] if found else [])


def test_pages_follow_each_other_without_gap_or_repeat(store: Store) -> None:
    with_cases(store, *(a_case(f"c{n:02}", due_at=minutes(n // 5) if n % 7 else None) for n in range(23)))

    seen: list[str] = []
    cursor = None
    with store.reading() as tx:
        while True:
            page = tx.list_cases(CaseFilter(), limit=4, cursor=cursor)
            assert page.total == 23
            seen += [case.id for case in page.cases]
            cursor = page.next_cursor
            if cursor is None:
                break
        whole = [case.id for case in tx.list_cases(CaseFilter(), limit=100).cases]
    assert seen == whole
    assert len(set(seen)) == 23


def test_a_cursor_holds_while_cases_come_and_go(store: Store) -> None:
    with_cases(store, *(a_case(f"c{n}", due_at=minutes(n)) for n in range(1, 7)))
    with store.reading() as tx:
        cursor = tx.list_cases(CaseFilter(), limit=3).next_cursor
    with_cases(store, a_case("c0", due_at=minutes(0)))
    gone = msgspec.structs.replace(a_case("c3", due_at=minutes(30)), version=2)
    with store.transaction() as tx:
        tx.save_cases([gone], [])

    with store.reading() as tx:
        page = tx.list_cases(CaseFilter(), limit=3, cursor=cursor)
    assert [case.id for case in page.cases] == ["c4", "c5", "c6"]


@pytest.mark.parametrize("cursor", ["", "x", "!!!!", "k80BAgM", "zzzzzzzzzzzz", "\xe4", "A" * 1_000])
def test_a_cursor_that_was_not_given_out_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(ValueError, match="cursor"), store.reading() as tx:
        tx.list_cases(CaseFilter(), limit=10, cursor=cursor)


def test_a_list_beyond_the_last_page_is_empty(store: Store) -> None:
    with_cases(store, a_case("c1"))

    with store.reading() as tx:
        page = tx.list_cases(CaseFilter(lane="none"), limit=10)
    assert (page.cases, page.total, page.next_cursor) == ((), 0, None)
