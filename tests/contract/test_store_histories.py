"""Histories page by page, for measures."""

from __future__ import annotations

from datetime import datetime

from bridge.cases.changes import Change
from bridge.cases.terms import Status
from bridge.store.port import Store

from .builders import EHR, NOW, a_case, a_change, minutes, with_cases


def read(store: Store, since: datetime, before: datetime, *, limit: int = 10, connection: str = EHR) -> list[list[int]]:
    """Every page, each in a transaction of its own: the ``seq`` of what was told of each case."""
    found: list[tuple[Change, ...]] = []
    after: int | None = 0
    while after is not None:
        with store.reading() as tx:
            page = tx.histories(connection, since=since, before=before, limit=limit, after=after)
        found += page.histories
        after = page.next
    return [[change.seq for change in history] for history in found]


def note(store: Store, case_id: str, seq: int, at: datetime, status: Status = Status.NEW) -> None:
    """Append a change recorded at *at*, and let the case be in *status* since."""
    case = a_case(case_id, version=seq, status=status)
    one = a_change(case, seq)
    with store.transaction() as tx:
        tx.save_cases([case], [Change(case_id, seq, seq, at, one.cause, one.fact)])


def test_histories_end_before_an_instant(store: Store) -> None:
    with_cases(store, a_case("c1"), a_case("c2"))
    note(store, "c1", 2, minutes(1))
    note(store, "c1", 3, minutes(2))

    assert read(store, NOW, minutes(2)) == [[1, 2], [1]]
    assert read(store, NOW, minutes(3)) == [[1, 2, 3], [1]]


def test_cases_that_had_not_begun_are_left_out(store: Store) -> None:
    with_cases(store, a_case("c1"), a_case("c2", opened_at=minutes(5)))

    assert read(store, NOW, minutes(5)) == [[1]]
    assert read(store, NOW, NOW) == []


def test_closed_cases_of_which_nothing_was_recorded_since_are_left_out(store: Store) -> None:
    with_cases(store, a_case("closed"), a_case("open"))
    note(store, "closed", 2, minutes(1), Status.CLOSED)

    assert read(store, minutes(1), minutes(9)) == [[1, 2], [1]]
    assert read(store, minutes(2), minutes(9)) == [[1]]


def test_pages_of_any_size_hold_every_case_once(store: Store) -> None:
    with_cases(store, *(a_case(f"c{number}") for number in range(7)))
    note(store, "c3", 2, NOW, Status.CLOSED)

    for limit in (1, 2, 3, 7, 8):
        assert len(read(store, minutes(1), minutes(9), limit=limit)) == 6


def test_histories_are_those_of_one_connection_merged_cases_too(store: Store) -> None:
    with_cases(store, a_case("heir"), a_case("there", connection="other"))
    with_cases(store, a_case("gone", merged_into="heir"))

    assert len(read(store, NOW, minutes(1))) == 2
    assert len(read(store, NOW, minutes(1), connection="other")) == 1
    assert read(store, NOW, minutes(1), connection="unknown") == []


def test_a_change_comes_back_whole(store: Store) -> None:
    case = a_case("c1", title="Umlaut \xe4 \U0001f600")
    with_cases(store, case)

    with store.reading() as tx:
        page = tx.histories(EHR, since=NOW, before=minutes(1), limit=5)
    assert page.histories == ((a_change(case),),)
    assert page.next is None
