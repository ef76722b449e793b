"""What is told of a case is named by the version that brought it about, however many versions were read at once."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cases.changes import fold
from bridge.cases.model import Case
from bridge.cases.snapshot import Snapshot
from bridge.cases.terms import Status
from tests.unit.cases.builders import CARDIOLOGY, Desk, a_snapshot, a_task, a_visit, utc

CANCELLED = a_visit("cancelled", "Appointment/2", start_at=utc(22))
ARRIVED = a_visit("arrived", "Appointment/3")


def brought_about_by(desk: Desk) -> str | None:
    """Return what put the case where it stands: its status, and when its visit is."""
    case: Case | None = None
    found = None
    for change in desk.history.get(desk.case().id, ()):
        before, case = case, fold(case, change)
        if before is None or (before.status, before.visit_at) != (case.status, case.visit_at):
            found = change.cause.what
    return found


@pytest.mark.parametrize("visits", [(ARRIVED, CANCELLED), (CANCELLED, ARRIVED)], ids=["before", "after"])
def test_a_visit_that_was_called_off_is_not_named_where_another_was_kept(visits: Sequence[Snapshot]) -> None:
    one_by_one, together = Desk(), Desk()

    for snapshot in (a_snapshot(), *visits):
        one_by_one.take(snapshot)
    together.take(a_snapshot(), *visits)

    assert together.case().status is one_by_one.case().status is Status.SCHEDULED
    assert brought_about_by(together) == brought_about_by(one_by_one) == "Appointment/3/_history/1"


def test_the_request_comes_before_what_belongs_to_it() -> None:
    desk = Desk()

    desk.take(a_visit(), a_snapshot())

    assert brought_about_by(desk) == "Appointment/1/_history/1"


def test_a_visit_that_was_known_in_another_group_counts_from_when_it_is_linked() -> None:
    desk = Desk()
    desk.take(a_snapshot())
    desk.take(a_visit(parent=None))

    desk.take(a_visit(version=2), a_task("requested", "Task/9"))

    assert desk.case().status is Status.SCHEDULED
    assert brought_about_by(desk) == "Appointment/1/_history/2"


_VISITS = st.sampled_from(["booked", "arrived", "cancelled", "noshow", "proposed", "fulfilled"])
_TASKS = st.sampled_from(["requested", "accepted", "in-progress", "on-hold", "completed", "rejected"])
_MEMBERS = st.lists(
    st.one_of(
        st.builds(lambda status, number: a_visit(status, f"Appointment/{number}"), _VISITS, st.integers(1, 4)),
        st.builds(
            lambda status, day: a_visit(status, f"Appointment/{day}", start_at=utc(day)), _VISITS, st.integers(5, 28)
        ),
        st.builds(lambda status, number: a_task(status, f"Task/{number}", owner=CARDIOLOGY), _TASKS, st.integers(1, 4)),
    ),
    min_size=1,
    max_size=6,
    unique_by=lambda one: one.ref,
)


@given(_MEMBERS, st.lists(st.booleans(), min_size=6, max_size=6))
def test_where_a_page_ends_changes_nothing(members: list[Snapshot], ends: list[bool]) -> None:
    one_by_one, in_pages = Desk(), Desk()
    for snapshot in (a_snapshot(), *members):
        one_by_one.take(snapshot)
    page: list[Snapshot] = [a_snapshot()]
    for snapshot, ends_here in zip(members, ends, strict=False):
        page.append(snapshot)
        if ends_here:
            in_pages.take(*page)
            page = []
    in_pages.take(*page)

    assert in_pages.case().status is one_by_one.case().status
    assert brought_about_by(in_pages) == brought_about_by(one_by_one)
