"""What is work and what is not, and when time alone makes it so."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from bridge.cases.rules import Opening, case_id, opening
from bridge.cases.snapshot import Snapshot, When
from bridge.cases.terms import Status
from tests.unit.cases.builders import NOW, OFFICE, RULES, Desk, a_prescription, a_snapshot, a_task, a_visit, some_rules

PRESCRIPTION = "MedicationRequest/1"


def supply_until(text: str, **changes: Any) -> Snapshot:
    """Return a signed, active prescription whose supply ends on a day."""
    return a_prescription("active", run_out=When(text), **changes)


@pytest.mark.parametrize(
    ("snapshot", "opens"),
    [
        (a_snapshot(), True),
        (a_snapshot(status="on-hold"), True),
        (a_snapshot(status="unknown"), True),
        (a_snapshot(status="draft"), False),
        (a_snapshot(status="completed"), False),
        (a_snapshot(status="revoked"), False),
        (a_snapshot(status="entered-in-error"), False),
        (a_snapshot(do_not_perform=True), False),
        (a_snapshot(intent="order"), True),
        (a_snapshot(intent="proposal"), False),
        (a_snapshot(intent="plan"), False),
        (a_task(), True),
        (a_task("in-progress"), True),
        (a_task("draft"), False),
        (a_task("completed"), False),
        (a_task("rejected"), False),
        (a_task(intent="plan"), False),
        (a_visit("booked"), True),
        (a_visit("noshow"), True),
        (a_visit("cancelled"), True),
        (a_visit("fulfilled"), False),
        (a_prescription("draft"), True),
        (a_prescription("on-hold"), True),
        (a_prescription("active"), False),
        (a_prescription("stopped"), False),
    ],
)
def test_what_opens_a_case(snapshot: Snapshot, opens: bool) -> None:
    desk = Desk()

    outcome = desk.take(snapshot)

    assert opening(snapshot, RULES, NOW).opens is opens
    assert bool(desk.cases) is opens
    assert (snapshot.ref in outcome.idle) is not opens


@pytest.mark.parametrize("intent", ["proposal", "plan"])
def test_proposals_open_cases_where_that_is_switched_on(intent: str) -> None:
    desk = Desk(some_rules(open_proposals=True))

    desk.take(a_snapshot(intent=intent))

    assert desk.case().is_open


def test_do_not_perform_opens_nothing_even_then() -> None:
    assert not opening(a_snapshot(do_not_perform=True), some_rules(open_proposals=True), NOW).opens


@pytest.mark.parametrize(
    ("snapshot", "reason"),
    [
        (a_snapshot(do_not_perform=True), "do-not-perform"),
        (a_snapshot(intent="plan"), "not-an-order"),
        (a_snapshot(status="draft"), "no-work:drafted"),
        (a_prescription(), "no-work:prescribed"),
    ],
)
def test_why_something_is_no_work_is_told(snapshot: Snapshot, reason: str) -> None:
    assert Desk().take(snapshot).idle == {snapshot.ref: reason}


def test_an_older_version_that_was_work_opens_the_case_whichever_comes_first() -> None:
    asked, done = a_snapshot(), a_snapshot(status="completed", version=2)

    for page in ([asked, done], [done, asked]):
        desk = Desk()
        for snapshot in page:
            desk.take(snapshot)
        assert desk.case().status is Status.CLOSED


@pytest.mark.parametrize(
    ("until", "expected"),
    [
        ("2026-07-01", Opening(False, datetime(2026, 6, 24, 21, tzinfo=UTC))),
        ("2026-06-09", Opening(False, datetime(2026, 6, 2, 21, tzinfo=UTC))),
        ("2026-06-08", Opening(False, datetime(2026, 6, 1, 21, tzinfo=UTC))),
        ("2026-06-07", Opening(True)),
        ("2026-05-15", Opening(True)),
        ("2026-05-01", Opening(False)),
        ("2025", Opening(False)),
    ],
)
def test_a_supply_is_work_from_a_week_before_its_end_until_a_month_after(until: str, expected: Opening) -> None:
    """A prescription that ended long ago and stayed active is history, not work."""
    assert opening(supply_until(until), RULES, NOW) == expected


@pytest.mark.parametrize("until", ["0001-01-01", "9999-12-31"])
def test_a_supply_without_a_real_end_is_not_watched(until: str) -> None:
    assert opening(supply_until(until), RULES, NOW) == Opening(False)


def test_a_supply_becomes_work_by_time_alone() -> None:
    desk = Desk()
    desk.take(supply_until("2026-06-20"))
    assert desk.sources[PRESCRIPTION].watch_at == OFFICE.end_of(When("2026-06-13"))

    desk.now = datetime(2026, 6, 14, 4, tzinfo=UTC)
    desk.look_again(PRESCRIPTION)

    case = desk.case(PRESCRIPTION)
    assert (case.status, case.lane) == (Status.NEEDS_OUTREACH, "medication-refill")
    assert desk.sources[PRESCRIPTION].watch_at is None


def test_a_renewed_supply_ends_the_work_and_is_watched_again() -> None:
    desk = Desk()
    desk.take(supply_until("2026-06-05"))

    desk.take(supply_until("2026-09-05", version=2))

    assert desk.case(PRESCRIPTION).status is Status.CLOSED
    assert desk.sources[PRESCRIPTION].watch_at == datetime(2026, 8, 30, 3, 59, 59, tzinfo=UTC)

    desk.now = datetime(2026, 8, 31, tzinfo=UTC)
    desk.look_again(PRESCRIPTION)

    assert desk.case(PRESCRIPTION).status is Status.NEEDS_OUTREACH
    assert desk.case(PRESCRIPTION).round == 2


def test_an_open_refill_is_not_closed_because_nobody_acted_for_long() -> None:
    """Only a new prescription, a completed Task or a person ends it; that it is stale does not."""
    desk = Desk()
    desk.take(supply_until("2026-06-05"))

    desk.pass_time(days=90)
    desk.take(supply_until("2026-06-05", version=2))

    assert desk.case(PRESCRIPTION).status is Status.NEEDS_OUTREACH


def test_a_task_completed_for_the_last_refill_does_not_answer_the_next() -> None:
    about: Any = {"parent": PRESCRIPTION}
    desk = Desk()
    desk.take(supply_until("2026-07-20"), a_task(**about))
    desk.take(a_task("completed", version=2, **about))
    assert desk.case(PRESCRIPTION).status is Status.CLOSED

    desk.now = datetime(2026, 7, 15, tzinfo=UTC)
    desk.look_again(PRESCRIPTION)
    assert desk.case(PRESCRIPTION).status is Status.NEEDS_OUTREACH

    desk.take(a_task("completed", ref="Task/2", updated_at=desk.now + timedelta(hours=1), **about))
    assert desk.case(PRESCRIPTION).status is Status.CLOSED


@pytest.mark.parametrize(
    ("task", "status"),
    [
        ("requested", Status.NEW),
        ("cancelled", Status.CLOSED),
        ("completed", Status.CLOSED),
        ("rejected", Status.WAITING_ON_PROVIDER),
        ("failed", Status.WAITING_ON_PROVIDER),
    ],
)
def test_a_prescription_in_force_is_work_as_long_as_a_task_about_it_is(task: str, status: Status) -> None:
    """A refused refill stays open: somebody must tell the patient."""
    desk = Desk()
    desk.take(a_prescription(), a_task(parent=PRESCRIPTION))

    desk.take(a_task(task, version=2, parent=PRESCRIPTION))

    assert desk.case(PRESCRIPTION).status is status


def test_the_same_work_has_the_same_id_and_other_work_another() -> None:
    ids = {case_id("main", "Task/1"), case_id("main", "Task/2"), case_id("other", "Task/1")}

    assert len(ids) == 3
    assert case_id("main", "Task/1") in ids
    assert all(len(one) == 32 and one[0] == "c" for one in ids)
