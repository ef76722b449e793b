"""How each kind of work goes round: recovering a missed visit, confirming one, refills, results that were amended."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from bridge.cases import commands as do
from bridge.cases.snapshot import Code, Concept, Priority
from bridge.cases.terms import Action, AttemptOutcome, Barrier, ClosureReason, Status
from tests.unit.cases.builders import (
    SHIPPED,
    Desk,
    a_prescription,
    a_snapshot,
    a_task,
    a_visit,
    call,
    some_rules,
    taken,
    utc,
)

REACHED = AttemptOutcome.REACHED
AT = utc(5, 14)
"""When the visit should have been: a Friday at ten in New York."""


def a_missed_visit(**changes: Any) -> Desk:
    desk = Desk()
    desk.now = AT + timedelta(hours=1)
    desk.take(a_visit("noshow", parent=None, start_at=AT, updated_at=desk.now, **changes))
    return desk


def what_next(desk: Desk, root: str = "Appointment/1") -> tuple[str, datetime | None]:
    case = desk.case(root)
    assert case.next_action is not None
    return case.next_action.text, case.due_at


# A visit that did not take place ---------------------------------------------------------------------------------


def test_a_routine_visit_is_rebooked_in_the_lanes_own_time() -> None:
    assert what_next(a_missed_visit()) == ("Call the patient to rebook", utc(9))


@pytest.mark.parametrize(("priority", "due"), [(Priority.URGENT, utc(8)), (Priority.STAT, AT + timedelta(hours=2))])
def test_an_urgent_one_is_called_about_within_its_window(priority: Priority, due: datetime) -> None:
    desk = a_missed_visit(priority=priority)

    assert what_next(desk) == ("Call the patient now: an urgent visit did not take place", due)


@pytest.mark.parametrize(
    ("barrier", "words"),
    [
        (Barrier.COST, "Clear up the cost, then rebook"),
        (Barrier.FEAR, "Talk about what worries the patient, then rebook"),
        (Barrier.WORK_SCHEDULE, "Offer a time outside working hours"),
        (Barrier.PHONE_TAG, "Call the patient to rebook"),
    ],
)
def test_what_kept_the_patient_away_says_what_is_done_first(barrier: Barrier, words: str) -> None:
    desk = a_missed_visit()

    desk.do(call(REACHED, barrier=barrier), root="Appointment/1")

    assert what_next(desk)[0] == words


def test_a_reason_from_before_the_visit_says_nothing_about_why_it_was_missed() -> None:
    desk = taken(a_visit("booked", parent=None, start_at=AT))
    desk.do(call(REACHED, barrier=Barrier.COST), root="Appointment/1")
    desk.now = AT + timedelta(hours=1)
    desk.take(a_visit("noshow", version=200, parent=None, start_at=AT, updated_at=desk.now))

    assert what_next(desk)[0] == "Call the patient to rebook"


def test_who_missed_more_than_once_is_asked_why_first() -> None:
    desk = taken(a_snapshot(), a_visit("noshow", start_at=AT))
    assert what_next(desk, "ServiceRequest/1")[0] == "Call the patient to schedule"

    desk.take(a_visit("noshow", ref="Appointment/2", start_at=AT + timedelta(days=7)))

    assert what_next(desk, "ServiceRequest/1")[0] == "Missed more than once: find out why before rebooking"


# A visit to come -------------------------------------------------------------------------------------------------


def test_a_visit_that_the_patient_knows_of_is_confirmed_and_late_for_nothing_until_it_is_over() -> None:
    desk = Desk(some_rules(lanes=SHIPPED))
    desk.take(a_visit("booked", parent=None))
    assert what_next(desk) == ("Confirm the visit and what it needs", utc(17))

    desk.do(call(AttemptOutcome.NO_ANSWER), root="Appointment/1")
    assert what_next(desk)[0] == "Confirm the visit and what it needs"
    desk.do(call(REACHED), root="Appointment/1")

    assert what_next(desk) == ("See that the visit takes place", utc(22))


def test_a_visit_that_was_moved_is_to_be_confirmed_anew() -> None:
    desk = taken(a_visit("booked", parent=None))
    desk.do(call(REACHED), root="Appointment/1")
    desk.pass_time(hours=1)

    desk.take(a_visit("booked", version=2, parent=None, start_at=utc(25, 14), updated_at=desk.now))

    assert what_next(desk) == ("Confirm the visit and what it needs", utc(23))


# Refills ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("drug", "owner"), [("Metformin 500 mg", "refill-nurse"), ("Warfarin 5 mg", "clinician")])
def test_a_refill_that_takes_judgement_is_the_clinicians_from_the_start(drug: str, owner: str) -> None:
    desk = taken(
        a_prescription(title=drug),
        a_task(parent="MedicationRequest/1", codes=(), title="Refill"),
    )

    case = desk.case("MedicationRequest/1")
    assert (case.lane, case.owner.id) == ("medication-refill", owner)
    assert case.backup is not None
    assert case.backup.id != owner
    assert case.next_action is not None
    assert (case.next_action.code is Action.ESCALATE_TO_CLINICIAN) == (owner == "clinician")


# Results ---------------------------------------------------------------------------------------------------------


AMENDED = Concept(codes=(Code("amended", "http://hl7.org/fhir/diagnostic-report-status"),))


def a_result(status: str, version: int, **changes: Any) -> Any:
    told = {
        "parent": None,
        "codes": (),
        "title": "Abnormal result",
        "updated_at": utc(2, 14) + timedelta(hours=version),
    }
    return a_task(status, version=version, **{**told, **changes})


@pytest.mark.parametrize("by_person", [True, False], ids=["closed by a person", "ended by the EHR"])
def test_a_result_that_was_amended_after_the_end_is_reviewed_until_a_person_closes_it(by_person: bool) -> None:
    desk = taken(a_result("requested", 1))
    desk.now = utc(2, 18)
    if by_person:
        desk.do(call(REACHED, understood="to take less salt"), root="Task/1")
        desk.do(do.Close(reason=ClosureReason.COMPLETED), root="Task/1")
    desk.take(a_result("completed", 2, outputs=("DiagnosticReport/1",)))
    assert desk.case("Task/1").closure is not None

    desk.now = utc(9, 14)
    desk.take(a_result("completed", 3, outputs=("DiagnosticReport/1",), business_status=AMENDED, updated_at=desk.now))

    case = desk.case("Task/1")
    assert (case.status is not Status.CLOSED, case.round) == (True, 2)
    assert what_next(desk, "Task/1") == ("Review the amended result", utc(12))
    desk.take(a_result("completed", 4, outputs=("DiagnosticReport/1",), business_status=AMENDED, updated_at=desk.now))
    assert desk.case("Task/1").is_open

    desk.do(call(REACHED, understood="that it was another value"), root="Task/1")
    closed = desk.do(do.Close(reason=ClosureReason.COMPLETED), root="Task/1")
    assert closed.closure is not None
    desk.take(a_result("completed", 5, outputs=("DiagnosticReport/1",), business_status=AMENDED, updated_at=desk.now))
    assert desk.case("Task/1").closure == closed.closure
