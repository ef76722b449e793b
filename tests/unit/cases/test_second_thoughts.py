"""What the EHR says after the fact: do it not, stop it, refill it, and visits whose time has come."""

from __future__ import annotations

from datetime import timedelta

import pytest

from bridge.cases import commands as do
from bridge.cases.snapshot import Code, Party
from bridge.cases.terms import Action, BlockerCategory, ClosureReason, Status
from tests.unit.cases.builders import ABORT, NOW, a_prescription, a_snapshot, a_task, a_visit, by, said, taken, utc

APPROVE = Code("approve", "http://hl7.org/fhir/CodeSystem/task-code")
DRUG = "MedicationRequest/1"

# Do not perform -----------------------------------------------------------------------------------------------


def test_a_request_that_is_turned_into_its_opposite_ends_the_work() -> None:
    desk = taken(a_snapshot())

    desk.take(a_snapshot(version=2, do_not_perform=True))

    closure = desk.case().closure
    assert closure is not None
    assert (closure.reason, closure.by) == (ClosureReason.CANCELLED_BY_REQUESTER, "ServiceRequest/1")


def test_a_task_that_asks_for_what_must_not_be_done_waits_for_a_clinician() -> None:
    desk = taken(a_snapshot(), a_task())

    desk.take(a_snapshot(version=2, do_not_perform=True))

    case = desk.case()
    assert case.is_open
    assert case.blocker is not None
    assert case.blocker.category is BlockerCategory.CLINICAL_REVIEW


def test_once_the_task_is_cancelled_too_the_work_ends() -> None:
    desk = taken(a_snapshot(do_not_perform=True), a_task())

    desk.take(a_task("cancelled", version=2))

    assert desk.case().status is Status.CLOSED


# A request to cancel ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("more", [(), (a_visit(),), (a_task("in-progress"),), (a_task("on-hold"),)])
def test_whoever_is_asked_to_stop_stops(more: tuple[object, ...]) -> None:
    desk = taken(a_snapshot(), *more)  # type: ignore[arg-type]
    asked_at = NOW

    desk.take(a_task(ref="Task/stop", codes=(ABORT,), updated_at=asked_at))

    case = desk.case()
    assert case.is_open
    assert case.next_action is not None
    assert case.next_action.code is Action.CLOSE_WITH_REASON
    assert case.due_at == utc(3)


def test_a_request_to_stop_that_is_withdrawn_changes_nothing_more() -> None:
    desk = taken(a_snapshot(), a_task(ref="Task/stop", codes=(ABORT,)))

    desk.take(a_task("cancelled", "Task/stop", 2, codes=(ABORT,)))

    assert desk.case().next_action == taken(a_snapshot()).case().next_action


# Prescriptions in force ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("title", ["Refill request", "Approve refill", "Something else"])
def test_leave_asked_for_a_prescription_in_force_is_work(title: str) -> None:
    desk = taken(a_prescription(), a_task(parent=DRUG, codes=(APPROVE,), title=title))

    case = desk.case(DRUG)

    assert (case.lane, case.is_open) == ("medication-refill", True)


def test_a_payers_leave_for_a_prescription_in_force_is_prior_authorization() -> None:
    task = a_task(parent=DRUG, codes=(APPROVE,), title="Prior authorization needed")

    case = taken(a_prescription(), task).case(DRUG)

    assert (case.lane, case.is_open) == ("prior-authorization", True)
    assert case.blocker is not None
    assert case.blocker.category is BlockerCategory.AUTHORIZATION


@pytest.mark.parametrize("ended", ["completed", "cancelled", "rejected"])
def test_once_leave_is_given_or_refused_nothing_is_left_to_do(ended: str) -> None:
    desk = taken(a_prescription(), a_task(parent=DRUG, codes=(APPROVE,), title="Approve refill"))

    desk.take(a_task(ended, version=2, parent=DRUG, codes=(APPROVE,), title="Approve refill"))

    assert desk.case(DRUG).status is Status.CLOSED


# Visits whose time has come -----------------------------------------------------------------------------------


@pytest.mark.parametrize("with_order", [True, False])
def test_a_visit_that_should_have_begun_is_asked_after(with_order: bool) -> None:
    parent = "ServiceRequest/1" if with_order else None
    desk = taken(*([a_snapshot()] if with_order else []), a_visit(parent=parent))
    root = parent or "Appointment/1"
    before = desk.case(root).next_action
    assert desk.sources["Appointment/1"].watch_at == utc(19, 14)

    desk.pass_time(days=18, hours=1)
    desk.look_again("Appointment/1")

    case = desk.case(root)
    assert case.next_action != before
    assert case.next_action is not None
    assert "took place" in case.next_action.text
    assert case.due_at == utc(22)
    assert desk.sources["Appointment/1"].watch_at is None


def test_a_patient_who_is_here_needs_no_confirmation() -> None:
    desk = taken(a_visit("arrived", parent=None, start_at=NOW + timedelta(minutes=10)))

    action = desk.case("Appointment/1").next_action

    assert action is not None
    assert "has arrived" in action.text


def test_a_visit_that_is_moved_ahead_is_confirmed_again() -> None:
    desk = taken(a_visit(parent=None, start_at=NOW - timedelta(days=1)))
    assert desk.case("Appointment/1").due_at == utc(2)

    desk.take(a_visit(parent=None, version=2, start_at=utc(19, 14), reasons=(said("moved"),)))

    case = desk.case("Appointment/1")
    assert case.next_action is not None
    assert case.next_action.text == "Confirm the visit and what it needs"
    assert desk.sources["Appointment/1"].watch_at == utc(19, 14)


# Back from its end ------------------------------------------------------------------------------------------


US = by("Organization/us")


@pytest.mark.parametrize("owner", [US, by("Organization/other")], ids=["asks us", "asks others"])
def test_a_task_that_is_taken_out_of_its_end_opens_what_a_person_closed(owner: Party) -> None:
    """Bridge completed it when the case was closed; only the EHR's people take a Task back from its end."""
    desk = taken(a_task("in-progress", parent=None, owner=owner))
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen"), "Task/1")
    desk.take(a_task("completed", version=2, parent=None, owner=owner))
    assert not desk.case("Task/1").is_open

    desk.take(a_task("in-progress", version=3, parent=None, owner=owner))

    assert desk.case("Task/1").is_open
    assert desk.case("Task/1").round == 2


def test_what_is_read_late_of_a_task_before_its_end_opens_nothing() -> None:
    desk = taken(a_task("requested", parent=None, owner=US))
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen"), "Task/1")
    desk.take(a_task("completed", version=3, parent=None, owner=US))

    desk.take(a_task("in-progress", version=2, parent=None, owner=US))

    assert not desk.case("Task/1").is_open


def test_our_own_steps_towards_the_end_open_nothing() -> None:
    desk = taken(a_task("requested", parent=None, owner=US))
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen"), "Task/1")

    for number, status in enumerate(("accepted", "in-progress", "completed"), 2):
        desk.take(a_task(status, version=number, parent=None, owner=US))
        assert not desk.case("Task/1").is_open


def test_what_was_entered_in_error_was_never_work_however_a_person_closed_it() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen elsewhere"))

    desk.take(a_snapshot(status="entered-in-error", version=2))

    closure = desk.case().closure
    assert closure is not None
    assert (closure.reason, closure.by) == (ClosureReason.ENTERED_IN_ERROR, "ServiceRequest/1")


def test_what_is_revoked_after_a_person_completed_it_stays_completed() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen elsewhere"))

    desk.take(a_snapshot(status="revoked", version=2))

    closure = desk.case().closure
    assert closure is not None
    assert closure.outcome == "seen elsewhere"


# Taken back to a draft --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"status": "draft"}, "The request is a draft: it waits to be signed"),
        ({"intent": "plan"}, "The request is now only a plan"),
        ({"intent": "proposal"}, "The request is now only a proposal"),
    ],
)
def test_a_request_that_is_no_order_any_more_waits_for_a_clinician(changes: dict[str, str], words: str) -> None:
    desk = taken(a_snapshot())

    desk.take(a_snapshot(version=2, **changes))

    case = desk.case()
    assert case.blocker is not None
    assert (case.status, case.blocker.text) == (Status.WAITING_ON_PROVIDER, words)
    desk.take(a_snapshot(version=3))
    assert (desk.case().status, desk.case().blocker) == (Status.NEW, None)


def test_a_draft_that_a_task_asks_for_is_asked_for() -> None:
    desk = taken(a_snapshot(status="draft"), a_task())

    assert desk.case().blocker is None
