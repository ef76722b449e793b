"""Who owns a case, what happens next and by when."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from bridge.cases import commands as do
from bridge.cases.blockers import UNBLOCKS, WAITS
from bridge.cases.lanes import Lane
from bridge.cases.snapshot import BusinessIdentifier, Party, Priority, Snapshot, When
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, ClosureReason, Status
from tests.unit.cases.builders import (
    ABORT,
    CARDIOLOGY,
    NOW,
    ORDER,
    SHIPPED,
    a_prescription,
    a_snapshot,
    a_task,
    a_visit,
    by,
    call,
    said,
    taken,
    utc,
)

# Owners ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("snapshots", "owner", "rule"),
    [
        ([a_snapshot()], "referral-coordinator", "lane-role"),
        ([a_snapshot(owner=by("Practitioner/ann"))], "ann", "performer-is-ours"),
        ([a_snapshot(owner=CARDIOLOGY)], "referral-coordinator", "lane-role"),
        ([a_snapshot(), a_task(owner=by("Practitioner/ann"))], "ann", "task-owner-is-ours"),
        ([a_snapshot(), a_task(owner=CARDIOLOGY)], "Organization/cardiology", "task-owner-in-ehr"),
        ([a_snapshot(), a_task(owner=by("Organization/us"))], "referral-coordinator", "lane-role"),
        ([a_snapshot(), a_task(owner=by("Patient/p1"))], "referral-coordinator", "lane-role"),
        (
            [a_snapshot(), a_task("completed", ref="Task/2", codes=(ABORT,), owner=CARDIOLOGY)],
            "referral-coordinator",
            "lane-role",
        ),
        (
            [a_snapshot(), a_task(owner=CARDIOLOGY), a_task("in-progress", ref="Task/2", owner=by("Practitioner/ann"))],
            "ann",
            "task-owner-is-ours",
        ),
        (
            [a_snapshot(), a_task(owner=Party(None, None, BusinessIdentifier("ann", "http://id.example")))],
            "ann",
            "task-owner-is-ours",
        ),
    ],
)
def test_who_owns_the_case(snapshots: list[Snapshot], owner: str, rule: str) -> None:
    desk = taken(*snapshots)

    assert desk.case().owner.id == owner
    assert desk.view().owner.rule == rule


@pytest.mark.parametrize(
    ("owner", "backup"),
    [("Practitioner/ann", "bob"), ("Practitioner/bob", "supervisor"), ("Organization/cardiology", "supervisor")],
)
def test_the_backup_is_the_owners_own_else_the_lanes(owner: str, backup: str) -> None:
    case = taken(a_snapshot(), a_task(owner=by(owner))).case()

    assert case.backup is not None
    assert case.backup.id == backup


def test_a_backup_does_not_back_up_itself() -> None:
    desk = taken(a_snapshot())

    case = desk.do(do.Assign(owner="supervisor"))

    assert case.backup is not None
    assert case.backup.id == "referral-coordinator"


# Next action and due time ----------------------------------------------------------------------------------


@pytest.mark.parametrize("lane", SHIPPED.all, ids=lambda lane: lane.name)
@pytest.mark.parametrize("status", [status for status in Status if status is not Status.CLOSED])
def test_every_status_of_every_lane_names_an_action_in_words(lane: Lane, status: Status) -> None:
    step = lane.next[status]

    assert step.action in Action
    assert step.words()


@pytest.mark.parametrize(
    ("snapshots", "due", "rule"),
    [
        ([a_snapshot()], utc(2), "lane-window"),
        ([a_snapshot(priority=Priority.URGENT)], utc(1), "lane-window"),
        ([a_snapshot(priority=Priority.STAT)], datetime(2026, 5, 29, 15, tzinfo=UTC), "lane-window"),
        ([a_snapshot(priority=Priority.ROUTINE), a_task(priority=Priority.URGENT)], utc(1), "lane-window"),
        ([a_snapshot(), a_task(due=When("2026-06-04"))], utc(4), "task-restriction-period"),
        ([a_snapshot(), a_task("completed", due=When("2026-06-04"), codes=(ABORT,))], utc(2), "lane-window"),
        ([a_snapshot(), a_task("cancelled", due=When("2026-06-04"))], utc(2), "lane-window"),
        (
            [a_snapshot(), a_task(due=When("2026-06-04")), a_task(ref="Task/2", due=When("2026-06-03"))],
            utc(3),
            "task-restriction-period",
        ),
        ([a_snapshot(), a_task(due=When("9999-12-31"))], utc(2), "lane-window"),
        ([a_snapshot(), a_visit("booked")], utc(22), "lane-step:scheduled"),
        ([a_snapshot(), a_visit("proposed")], utc(3), "lane-step:needs-outreach"),
        ([a_snapshot(), a_visit("fulfilled", start_at=None)], utc(2), "lane-window"),
    ],
)
def test_when_the_next_action_is_due(snapshots: list[Snapshot], due: datetime, rule: str) -> None:
    desk = taken(*snapshots)

    assert desk.case().due_at == due
    found = desk.view().due_at
    assert found is not None
    assert found.rule == rule


@pytest.mark.parametrize(
    ("start", "due"),
    [(utc(19, 14), utc(17)), (utc(1, 20), utc(1, 20)), (utc(2, 14), utc(2, 14))],
    ids=["in good time", "today", "tomorrow"],
)
def test_a_visit_at_short_notice_is_due_before_it_begins_not_before_it_was_asked_for(
    start: datetime, due: datetime
) -> None:
    desk = taken(a_visit("booked", parent=None, start_at=start, authored_at=NOW, updated_at=NOW))

    assert desk.case("Appointment/1").due_at == due


def test_a_closed_case_has_nothing_to_do_and_nothing_due() -> None:
    case = taken(a_snapshot(), a_task("completed")).case()

    assert (case.next_action, case.due_at, case.blocker) == (None, None, None)


@pytest.mark.parametrize("category", BlockerCategory)
def test_a_blocked_case_first_undoes_what_blocks_it(category: BlockerCategory) -> None:
    case = taken(a_snapshot()).do(do.RaiseBlocker(category=category, text="so it is"))

    assert case.status is WAITS[category]
    assert case.next_action is not None
    assert case.next_action.code is UNBLOCKS[category]


def test_a_promise_says_when_to_look_again() -> None:
    promised = utc(12, 15)

    case = taken(a_snapshot()).do(call(AttemptOutcome.REACHED, promised_by="patient", promised_for=promised))

    assert case.due_at == promised


def test_a_promise_does_not_put_off_what_the_ehr_says_is_due() -> None:
    desk = taken(a_snapshot(), a_task(due=When("2026-06-04")))

    case = desk.do(call(AttemptOutcome.REACHED, promised_by="patient", promised_for=utc(12)))

    assert case.due_at == utc(4)


def test_a_promise_of_an_earlier_attempt_is_over() -> None:
    desk = taken(a_snapshot())
    desk.do(call(AttemptOutcome.REACHED, promised_for=utc(12)))
    desk.pass_time(hours=1)

    case = desk.do(call(AttemptOutcome.NO_ANSWER))

    assert case.due_at == utc(3)


# Work that begins anew is not overdue at once ---------------------------------------------------------------


LONG_AGO = utc(1, month=2)


def test_an_attempt_begins_the_wait_for_the_next() -> None:
    desk = taken(a_snapshot(authored_at=LONG_AGO))
    assert desk.case().due_at == utc(4, 22, month=2)

    assert desk.do(call(AttemptOutcome.LEFT_MESSAGE)).due_at == utc(3)
    desk.pass_time(days=1)
    assert desk.do(call(AttemptOutcome.NO_ANSWER)).due_at == utc(4)


def test_an_attempt_that_does_not_decide_the_status_does_not_move_the_due_time() -> None:
    desk = taken(a_snapshot(), a_visit("booked"))
    due = desk.case().due_at

    assert desk.do(call()).due_at == due


@pytest.mark.parametrize("root", [None, ORDER], ids=["a visit alone", "a referral"])
@pytest.mark.parametrize(
    ("status", "start", "told"),
    [("noshow", utc(1, 13), NOW), ("cancelled", utc(1, month=9), NOW), ("cancelled", utc(1, 13), utc(5))],
    ids=["missed", "called off in advance", "called off afterwards"],
)
def test_a_visit_that_failed_is_followed_up_within_days_of_that(
    root: str | None, status: str, start: datetime, told: datetime
) -> None:
    visit = a_visit(status, parent=root, start_at=start, updated_at=told, authored_at=LONG_AGO)

    desk = taken(a_snapshot(authored_at=LONG_AGO), visit)

    assert desk.case(root or visit.ref).due_at in (utc(3), utc(4))


def test_a_supply_that_runs_out_is_due_from_then_not_from_when_it_was_prescribed() -> None:
    desk = taken(a_prescription(authored_at=LONG_AGO, run_out=When("2026-06-08")))
    assert desk.cases == {}

    desk.now = utc(2, 14)
    desk.look_again("MedicationRequest/1")

    assert desk.case("MedicationRequest/1").due_at == utc(5)


def test_a_refill_that_is_asked_for_is_due_from_then_not_from_when_it_was_prescribed() -> None:
    prescription = a_prescription(authored_at=LONG_AGO, run_out=When("2026-12-31"))
    asked = a_task(parent="MedicationRequest/1", title="Refill request", authored_at=NOW, updated_at=NOW)

    desk = taken(prescription, asked)

    assert desk.case("MedicationRequest/1").due_at == utc(4)


def test_a_reopened_case_is_due_from_then() -> None:
    desk = taken(a_snapshot(authored_at=LONG_AGO))
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))

    assert desk.do(do.Reopen(why="not over")).due_at == utc(3)


# Time that is somebody else's ---------------------------------------------------------------------------------


def held(version: int, status: str) -> Snapshot:
    """Return the order as it waits for documents, or as it goes on."""
    return a_snapshot(version=version, status=status, status_reason=said("documents missing"))


def test_the_window_stands_still_while_somebody_else_has_to_act() -> None:
    """Asked for on Friday, due on Tuesday at five; held from Monday at ten to Wednesday at noon: twenty open hours."""
    desk = taken(a_snapshot())
    assert desk.case().due_at == utc(2)

    desk.take(held(2, "on-hold"))
    assert desk.case().status is Status.WAITING_ON_DOCUMENTS
    desk.now = utc(3, 16)
    desk.take(held(3, "active"))

    assert desk.case().status is Status.NEW
    assert desk.case().due_at == utc(5, 14)


def test_a_window_that_had_passed_before_the_wait_stays_passed() -> None:
    desk = taken(a_snapshot())
    desk.now = utc(3)
    desk.take(held(2, "on-hold"))
    desk.now = utc(10)

    desk.take(held(3, "active"))

    assert desk.case().due_at == utc(2)


def test_waiting_is_due_from_when_it_began() -> None:
    desk = taken(a_snapshot(authored_at=LONG_AGO))
    desk.take(a_task("accepted", owner=CARDIOLOGY))

    assert desk.case().status is Status.WAITING_ON_PROVIDER
    assert desk.case().due_at == utc(8)
    desk.pass_time(days=3)
    desk.take(a_task("accepted", owner=CARDIOLOGY, version=2))
    assert desk.case().due_at == utc(8)
