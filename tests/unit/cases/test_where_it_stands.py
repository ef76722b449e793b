"""Where a case stands: by its visit, its Tasks and the attempts to reach the patient."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.cases.facts import visit_that_counts
from bridge.cases.snapshot import Party, Snapshot
from bridge.cases.terms import AttemptOutcome, Status
from tests.unit.cases.builders import (
    ABORT,
    NOW,
    a_snapshot,
    a_task,
    a_visit,
    by,
    call,
    said,
    taken,
    utc,
)

# The visit -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visits", "ref"),
    [
        ([], None),
        ([a_visit("noshow")], "Appointment/1"),
        ([a_visit("noshow"), a_visit("booked", "Appointment/2", start_at=utc(1))], "Appointment/2"),
        ([a_visit("booked"), a_visit("noshow", "Appointment/2", start_at=utc(30))], "Appointment/1"),
        ([a_visit("booked"), a_visit("booked", "Appointment/2", start_at=utc(30))], "Appointment/2"),
        ([a_visit("noshow"), a_visit("proposed", "Appointment/2", start_at=None)], "Appointment/1"),
        ([a_visit("booked"), a_visit("booked", "Appointment/2")], "Appointment/2"),
        ([a_visit("arrived"), a_visit("cancelled", "Appointment/2", start_at=utc(30))], "Appointment/1"),
    ],
)
def test_the_last_firm_visit_counts_else_the_last_of_any_kind(visits: list[Snapshot], ref: str | None) -> None:
    found = visit_that_counts(visits)

    assert (found.ref if found is not None else None) == ref
    assert visit_that_counts(visits[::-1]) == found


def test_a_rebooked_visit_makes_the_case_scheduled_again() -> None:
    desk = taken(a_snapshot(), a_visit("noshow"))
    assert desk.case().status is Status.NEEDS_OUTREACH

    desk.take(a_visit("booked", "Appointment/2", start_at=utc(26, 14)))

    assert desk.case().status is Status.SCHEDULED
    assert desk.case().visit_at == utc(26, 14)


def test_a_patient_who_arrived_by_mistake_is_booked_again() -> None:
    desk = taken(a_snapshot(), a_visit("booked"))

    for version, status in enumerate(("arrived", "booked", "cancelled"), 2):
        desk.take(a_visit(status, version=version))

    assert desk.case().status is Status.NEEDS_OUTREACH
    events = [change.fact.event for change in desk.history[desk.case().id] if hasattr(change.fact, "event")]
    assert events == ["booked", "booked", "cancelled"]


@pytest.mark.parametrize(
    ("status", "event"),
    [("noshow", "missed"), ("cancelled", "cancelled"), ("waitlist", "waitlisted"), ("fulfilled", "attended")],
)
def test_each_thing_that_happens_to_a_visit_is_an_event_of_its_own(status: str, event: str) -> None:
    desk = taken(a_snapshot(), a_visit("booked"))

    desk.take(a_visit(status, version=2))

    events = [change.fact.event for change in desk.history[desk.case().id] if hasattr(change.fact, "event")]
    assert events == ["booked", event]


# Status ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("owner", "status"),
    [
        (by("Patient/p1"), Status.WAITING_ON_PATIENT),
        (by("RelatedPerson/mother"), Status.WAITING_ON_PATIENT),
        (by("Organization/cardiology"), Status.SCHEDULED),
        (by("Practitioner/ann"), Status.NEW),
        (by("Organization/us"), Status.NEW),
        (None, Status.SCHEDULED),
    ],
)
def test_a_task_under_way_says_where_the_work_is_unless_it_asks_us(owner: Party | None, status: Status) -> None:
    assert taken(a_snapshot(), a_task("in-progress", owner=owner)).case().status is status


def test_a_visit_says_more_than_a_task() -> None:
    assert taken(a_snapshot(), a_task("accepted"), a_visit("booked")).case().status is Status.SCHEDULED


def test_a_blocker_says_more_than_a_visit() -> None:
    case = taken(a_snapshot(), a_task("on-hold", status_reason=said("records missing")), a_visit("booked")).case()

    assert case.status is Status.WAITING_ON_DOCUMENTS


def test_a_step_of_the_work_does_not_stand_for_the_work() -> None:
    step = a_task("in-progress", ref="Task/2", parent="Task/1")

    assert taken(a_snapshot(), a_task(), step).case().status is Status.NEW


def test_a_task_to_stop_the_order_does_not_do_it() -> None:
    assert taken(a_snapshot(), a_task("completed", codes=(ABORT,))).case().status is Status.NEW


ATTEMPTS = [
    (AttemptOutcome.LEFT_MESSAGE, Status.WAITING_ON_PATIENT),
    (AttemptOutcome.SENT, Status.WAITING_ON_PATIENT),
    (AttemptOutcome.REACHED, Status.NEEDS_OUTREACH),
    (AttemptOutcome.NO_ANSWER, Status.NEEDS_OUTREACH),
    (AttemptOutcome.WRONG_NUMBER, Status.NEEDS_OUTREACH),
    (AttemptOutcome.DECLINED, Status.NEEDS_OUTREACH),
    (AttemptOutcome.FAILED, Status.NEEDS_OUTREACH),
]


def test_every_outcome_of_an_attempt_leads_somewhere() -> None:
    assert {outcome for outcome, _ in ATTEMPTS} == set(AttemptOutcome)


@pytest.mark.parametrize(("outcome", "status"), ATTEMPTS)
@pytest.mark.parametrize(
    "visit",
    [None, a_visit("proposed"), a_visit("cancelled"), a_visit("noshow", start_at=NOW - timedelta(hours=1))],
    ids=["none", "proposed", "called off in advance", "missed"],
)
def test_the_last_attempt_decides_where_the_case_waits(
    outcome: AttemptOutcome, status: Status, visit: Snapshot | None
) -> None:
    desk = taken(a_snapshot(), *([visit] if visit is not None else []))

    case = desk.do(call(outcome))

    assert case.status is status


@pytest.mark.parametrize("failed", ["noshow", "cancelled"])
def test_an_attempt_from_before_a_visit_failed_says_nothing_about_now(failed: str) -> None:
    desk = taken(a_snapshot())
    desk.do(call())
    desk.pass_time(days=30)

    desk.take(a_visit(failed, version=9, start_at=desk.now - timedelta(days=1), updated_at=desk.now))

    assert desk.case().status is Status.NEEDS_OUTREACH


def test_a_patient_who_promised_to_act_is_waited_for() -> None:
    case = taken(a_snapshot()).do(call(AttemptOutcome.REACHED, promised_by="patient"))

    assert case.status is Status.WAITING_ON_PATIENT


def test_attempts_count_by_when_they_were_made_not_by_when_they_were_logged() -> None:
    desk = taken(a_snapshot())
    desk.do(call(AttemptOutcome.LEFT_MESSAGE))

    case = desk.do(call(AttemptOutcome.NO_ANSWER, at=NOW - timedelta(hours=3)))

    assert case.status is Status.WAITING_ON_PATIENT


@pytest.mark.parametrize("status", ["booked", "arrived", "fulfilled", "waitlist"])
def test_an_attempt_does_not_outweigh_what_the_ehr_says(status: str) -> None:
    desk = taken(a_snapshot(), a_visit(status))
    before = desk.case().status

    assert desk.do(call()).status is before
