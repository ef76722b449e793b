"""A newer version that cannot be read: what the case says may no longer be so, and the case says that."""

from __future__ import annotations

from typing import Any

from bridge.cases.terms import BlockerCategory, Status
from bridge.store.rows import InboxState
from tests.unit.sync.beside import Beside
from tests.unit.sync.world import a_task, order

UNKNOWN = {"modifierExtension": [{"url": "https://clinic.example/not", "valueBoolean": True}]}


def blocked(**changes: Any) -> Beside:
    """Return Bridge after it could not read the newest version of its one order."""
    beside = Beside(order())
    beside.tell(order(**UNKNOWN, **changes))
    return beside


def test_the_case_says_that_its_newest_version_cannot_be_read() -> None:
    case = blocked(status="revoked").case()

    assert case.is_open
    assert case.blocker is not None
    assert (case.blocker.category, case.blocker.source) == (BlockerCategory.INTERNAL_QUEUE, "ServiceRequest/o1")
    assert case.blocker.text == "The newest version of ServiceRequest/o1 cannot be read; look at it in the EHR"
    assert case.oddities == ("ServiceRequest/o1: version 2 could not be read",)


def test_the_version_stays_parked_for_a_replay() -> None:
    (row,) = blocked().inbox(InboxState.PARKED)

    assert (row.ref, row.version) == ("ServiceRequest/o1", "2")


def test_a_newer_version_that_can_be_read_clears_it() -> None:
    beside = blocked()
    beside.tell(order(priority="urgent"))

    assert (beside.case().blocker, beside.case().oddities) == (None, ())


def test_an_older_version_that_comes_late_does_not_clear_it() -> None:
    beside = Beside()
    first, second, third = (beside.ehr.write(one) for one in (order(), order(priority="urgent"), order(**UNKNOWN)))
    beside.take(first)
    beside.take(third)
    beside.take(second)

    assert beside.case().blocker is not None
    assert beside.case().priority.value == "urgent"


def test_one_that_was_deleted_and_is_there_again_unreadable_is_not_called_deleted() -> None:
    """It may be work again, and only a person can tell."""
    beside = Beside(order())
    beside.ehr.delete("ServiceRequest/o1")
    beside.sweep()
    beside.sweep(minutes=6)
    assert not beside.case().is_open

    beside.tell(order(**UNKNOWN))

    case = beside.case()
    assert beside.gone_at() is None
    assert case.is_open
    assert case.blocker is not None
    assert case.oddities == ("ServiceRequest/o1: version 2 could not be read",)


def test_an_older_version_that_cannot_be_read_says_nothing() -> None:
    beside = Beside()
    first, second = beside.ehr.write(order(**UNKNOWN)), beside.ehr.write(order())
    beside.take(second)
    beside.take(first)

    assert beside.case().blocker is None


def test_it_holds_up_the_case_also_when_it_is_one_of_its_tasks() -> None:
    beside = Beside(order(), a_task(status="accepted"))
    beside.tell(a_task(status="completed", **UNKNOWN))

    case = beside.case()
    assert case.blocker is not None
    assert (case.status, case.blocker.source) == (Status.NEEDS_OUTREACH, "Task/t1")


def test_a_case_that_is_over_only_notes_it() -> None:
    beside = Beside(order(), order(status="completed"))
    beside.tell(order(**UNKNOWN))

    case = beside.case()
    assert (case.status, case.blocker) == (Status.CLOSED, None)
    assert case.oddities == ("ServiceRequest/o1: version 3 could not be read",)


def test_what_could_not_be_read_of_something_unknown_opens_nothing() -> None:
    beside = Beside()
    report = beside.tell(order(**UNKNOWN))

    assert (report.counts.parked, report.opened) == (1, 0)


def test_told_twice_it_changes_nothing() -> None:
    beside = blocked()
    before = beside.case()
    (row,) = beside.inbox(InboxState.PARKED)

    beside.take(beside.ehr.current["ServiceRequest/o1"])

    assert beside.case() == before
    assert beside.inbox(InboxState.PARKED) == [row]
