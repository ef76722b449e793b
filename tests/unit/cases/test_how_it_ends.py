"""How the EHR ends a case, takes that back, or deletes what it was about."""

from __future__ import annotations

import pytest

from bridge.cases import commands as do
from bridge.cases.snapshot import Code, Snapshot
from bridge.cases.terms import ClosureReason, Status
from tests.unit.cases.builders import (
    FULFIL,
    NOW,
    ORDER,
    a_snapshot,
    a_task,
    a_visit,
    call,
    said,
    taken,
    utc,
)

# How it ends -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("snapshot", "reason", "outcome", "evidence"),
    [
        (a_snapshot(status="completed", version=2), "completed", "Completed in the EHR", (ORDER,)),
        (a_snapshot(status="revoked", version=2), "cancelled-by-requester", "Cancelled by the requester", ()),
        (a_snapshot(status="entered-in-error", version=2), "entered-in-error", "Entered in error", ()),
        (
            a_snapshot(status="revoked", version=2, status_reason=said("patient moved")),
            "cancelled-by-requester",
            "Cancelled by the requester: patient moved",
            (),
        ),
        (
            a_task("completed", outputs=("DocumentReference/7",)),
            "completed",
            "The Task was completed",
            ("Task/1", "DocumentReference/7"),
        ),
    ],
)
def test_how_the_ehr_ends_the_work(snapshot: Snapshot, reason: str, outcome: str, evidence: tuple[str, ...]) -> None:
    desk = taken(a_snapshot())

    desk.take(snapshot)

    closure = desk.case().closure
    assert closure is not None
    assert (closure.reason, closure.outcome, closure.evidence) == (reason, outcome, evidence)
    assert (closure.by, closure.at) == (snapshot.ref, snapshot.updated_at)
    assert desk.case().closed_at == closure.at


@pytest.mark.parametrize(
    "snapshots",
    [
        [a_task("completed"), a_task(ref="Task/2")],
        [a_task("completed", parent="Task/9")],
        [a_task("completed", codes=(Code("approve", FULFIL.system),))],
        [a_task("completed", codes=(Code("call-patient", "http://local"),))],
        [a_visit("fulfilled")],
    ],
    ids=["another is open", "a step", "an approval", "another kind of task", "a visit without its report"],
)
def test_what_does_not_end_an_order_that_stands(snapshots: list[Snapshot]) -> None:
    assert taken(a_snapshot(), *snapshots).case().is_open


@pytest.mark.parametrize(
    ("snapshots", "status", "reason"),
    [
        ([a_task("completed", version=2), a_task("cancelled", "Task/2", 2)], "closed", "completed"),
        ([a_task("cancelled", version=2), a_task("rejected", "Task/2", 2)], "closed", "cancelled-by-requester"),
        ([a_task("rejected", version=2), a_task("failed", "Task/2", 2)], "closed", "declined"),
        ([a_task("failed", version=2), a_task("entered-in-error", "Task/2", 2)], "closed", "other"),
        (
            [a_task("entered-in-error", version=2), a_task("entered-in-error", "Task/2", 2)],
            "closed",
            "entered-in-error",
        ),
        ([a_task("completed", version=2)], "new", None),
    ],
)
def test_work_whose_order_is_not_known_ends_with_all_that_is_known_of_it(
    snapshots: list[Snapshot], status: str, reason: str | None
) -> None:
    desk = taken(a_task(), a_task(ref="Task/2"))

    desk.take(*snapshots)

    assert desk.case().status == status
    closure = desk.case().closure
    assert (closure.reason if closure is not None else None) == reason


def test_a_case_comes_back_when_the_ehr_takes_its_ending_back() -> None:
    desk = taken(a_snapshot())
    desk.take(a_snapshot(status="completed", version=2))

    desk.take(a_snapshot(version=3))

    case = desk.case()
    assert (case.status, case.closure, case.closed_at, case.round) == (Status.NEW, None, None, 2)
    assert "CaseReopened" in desk.facts()


def test_work_that_was_never_meant_and_is_ended_otherwise_after_all_had_another_life() -> None:
    desk = taken(a_snapshot())
    desk.take(a_snapshot(status="entered-in-error", version=2))

    desk.take(a_snapshot(status="completed", version=3))

    closure = desk.case().closure
    assert closure is not None
    assert closure.reason is ClosureReason.COMPLETED
    assert desk.case().round == 2


def test_entered_in_error_voids_the_escalation_and_keeps_the_history() -> None:
    desk = taken(a_snapshot())
    desk.do(call())
    desk.do(do.Escalate(why="no way"))

    desk.take(a_snapshot(status="entered-in-error", version=2))

    case = desk.case()
    assert (case.status, case.escalation) == (Status.CLOSED, None)
    assert len(case.outreach) == 1
    assert desk.facts().count("Escalated") == 2


def test_a_void_joins_nothing_and_does_not_speak() -> None:
    desk = taken(a_snapshot(), a_task("on-hold"))

    desk.take(a_task("entered-in-error", version=2))

    assert (desk.case().status, desk.case().blocker) == (Status.NEW, None)


# Deletion --------------------------------------------------------------------------------------------------


def test_a_deleted_order_closes_its_case_and_its_return_opens_it_again() -> None:
    desk = taken(a_snapshot(), a_task())

    desk.look_again(ORDER, gone_at=NOW)
    closure = desk.case().closure
    assert closure is not None
    assert (closure.reason, closure.outcome, closure.at) == (ClosureReason.OTHER, "Deleted in the EHR", NOW)
    assert [line.gone for line in desk.case().sources] == [True, False]

    desk.take(a_snapshot(version=2))
    assert desk.case().is_open


def test_a_deleted_task_says_nothing_any_more() -> None:
    desk = taken(a_snapshot(), a_task("in-progress"))

    desk.look_again("Task/1", gone_at=NOW)

    assert desk.case().status is Status.NEW


def test_a_case_of_which_everything_is_deleted_is_closed() -> None:
    desk = taken(a_task(), a_task(ref="Task/2"))

    desk.look_again("Task/1", gone_at=NOW)
    assert desk.case().is_open
    desk.look_again("Task/2", gone_at=NOW)

    assert desk.case().status is Status.CLOSED


# What outlives its request --------------------------------------------------------------------------------------


def test_a_visit_that_is_still_to_come_when_its_request_is_withdrawn_is_to_be_called_off() -> None:
    desk = taken(a_snapshot(), a_visit("booked"))

    desk.take(a_snapshot(status="revoked", version=2, updated_at=desk.now))

    case = desk.case()
    assert (case.status, case.closure) == (Status.SCHEDULED, None)
    assert case.next_action is not None
    assert case.next_action.text == "Call off the visit: the request was withdrawn"
    assert case.due_at == utc(3)

    desk.take(a_visit("cancelled", version=2))

    assert desk.case().closure is not None
    assert desk.case().closure.reason is ClosureReason.CANCELLED_BY_REQUESTER


def test_a_visit_that_is_over_keeps_no_withdrawn_request_open() -> None:
    desk = taken(a_snapshot(), a_visit("booked"))
    desk.take(a_snapshot(status="revoked", version=2))
    desk.now = utc(20)

    desk.look_again("Appointment/1")

    assert not desk.case().is_open
