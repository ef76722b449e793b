"""What people decided holds, for as long as it is meant to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

import pytest

from bridge.cases import commands as do
from bridge.cases.model import Case
from bridge.cases.snapshot import When
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, ClosureReason, OwnerKind, Status
from bridge.errors import CommandRefused
from tests.unit.cases.builders import (
    NOW,
    ORDER,
    Desk,
    a_snapshot,
    a_task,
    a_visit,
    by,
    call,
    said,
    taken,
    utc,
)
from tests.unit.cases.test_act import LATER

# Decisions and how long they hold -------------------------------------------------------------------------


def test_a_person_takes_a_case_and_keeps_it_until_the_ehr_names_another_owner() -> None:
    desk = taken(a_snapshot())

    case = desk.do(do.Assign(owner="bob"))
    assert (case.owner.id, case.owner.kind, case.status) == ("bob", OwnerKind.PERSON, Status.NEEDS_OUTREACH)

    desk.take(a_snapshot(version=2, title="A new title"))
    assert desk.case().owner.id == "bob"

    desk.take(a_task(owner=by("Practitioner/ann")))
    assert desk.case().owner.id == "ann"
    assert desk.case().local.owner is None


def test_a_persons_blocker_holds_until_the_ehr_says_something_else_about_blockers() -> None:
    desk = taken(a_snapshot())
    desk.do(do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"))

    desk.take(a_visit("booked"))
    assert desk.case().blocker is not None
    assert desk.case().status is Status.WAITING_ON_PATIENT

    desk.take(a_snapshot(status="on-hold", version=2))
    blocker = desk.case().blocker
    assert blocker is not None
    assert blocker.category is BlockerCategory.CLINICAL_REVIEW


def test_a_blocker_that_a_person_cleared_stays_cleared_until_the_ehr_gives_another_reason() -> None:
    desk = taken(a_snapshot(status="on-hold", status_reason=said("Forms missing")))

    assert desk.do(do.ClearBlocker()).blocker is None

    desk.take(a_snapshot(status="on-hold", version=2, status_reason=said("Forms missing")))
    assert desk.case().blocker is None

    desk.take(a_snapshot(status="on-hold", version=3, status_reason=said("Coverage ended")))
    assert desk.case().blocker is not None


def test_a_persons_own_blocker_is_cleared_without_a_trace_of_a_decision() -> None:
    desk = taken(a_snapshot())
    desk.do(do.RaiseBlocker(category=BlockerCategory.LANGUAGE, text="speaks Portuguese"))

    case = desk.do(do.ClearBlocker())

    assert (case.blocker, case.local.blocker) == (None, None)


def test_a_next_action_of_a_person_holds_until_the_work_moves() -> None:
    desk = taken(a_snapshot())

    case = desk.do(do.SetNextAction(code=Action.SEND_INSTRUCTION, text="Send the leaflet", due_at=LATER))
    assert case.next_action is not None
    assert (case.next_action.code, case.next_action.text, case.due_at) == (
        Action.SEND_INSTRUCTION,
        "Send the leaflet",
        LATER,
    )

    desk.take(a_snapshot(version=2, title="A new title"))
    assert desk.case().next_action == case.next_action

    desk.take(a_visit("booked"))
    action = desk.case().next_action
    assert action is not None
    assert action.code is Action.CONFIRM_APPOINTMENT


def test_a_next_action_without_words_or_time_takes_the_usual_ones() -> None:
    desk = taken(a_snapshot())
    before = desk.case()

    case = desk.do(do.SetNextAction(code=Action.REQUEST_DOCUMENT))

    assert case.next_action is not None
    assert case.next_action.text == "Request the missing document"
    assert case.due_at is not None
    assert before.due_at is not None
    assert case.due_at >= before.due_at


def test_a_snooze_puts_off_what_is_due_but_never_brings_it_forward() -> None:
    desk = taken(a_snapshot())
    due = desk.case().due_at

    assert desk.do(do.Snooze(until=NOW + timedelta(hours=1), reason="lunch")).due_at == due
    assert desk.do(do.Snooze(until=LATER, reason="on holiday")).due_at == LATER


def test_a_snoozed_case_comes_back_when_the_patient_misses_the_visit() -> None:
    desk = taken(a_snapshot(), a_visit("booked"))
    desk.do(do.Snooze(until=LATER + timedelta(days=60), reason="nothing to do until then"))

    desk.take(a_visit("noshow", version=2))

    assert desk.case().due_at == utc(3)
    assert desk.case().local.snoozed_until is None


def test_a_decided_next_action_ends_a_snooze() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Snooze(until=LATER, reason="on holiday"))

    case = desk.do(do.SetNextAction(code=Action.CALL_PATIENT, due_at=utc(4)))

    assert case.due_at == utc(4)


def test_an_escalation_climbs_the_lanes_ladder_and_stops_at_its_top() -> None:
    desk = taken(a_snapshot())

    found = [desk.do(do.Escalate(why="stuck")).escalation for _ in range(3)]

    assert [(one.level, one.to.id) for one in found if one is not None] == [
        (1, "supervisor"),
        (2, "clinician"),
        (3, "clinician"),
    ]


def test_an_escalation_is_acknowledged_and_then_resolved() -> None:
    desk = taken(a_snapshot(), a_task(due=When("2026-06-04")))
    desk.do(do.Escalate(why="stuck", to="bob"))
    desk.pass_time(hours=1)

    case = desk.do(do.AcknowledgeEscalation(), by="bob")
    assert case.status is Status.ESCALATED
    assert case.escalation is not None
    assert (case.escalation.acknowledged_by, case.escalation.acknowledged_at) == ("bob", desk.now)

    with pytest.raises(CommandRefused, match="bob has acknowledged this already; resolve it, or write a note"):
        desk.do(do.AcknowledgeEscalation(), by="ann")
    assert desk.case() == case

    case = desk.do(do.AcknowledgeEscalation(resolved=True), by="bob")
    assert (case.status, case.escalation) == (Status.NEW, None)


def test_an_attempt_is_kept_whole() -> None:
    desk = taken(a_snapshot())

    attempt = desk.do(
        call(
            AttemptOutcome.REACHED,
            at=NOW - timedelta(hours=2),
            understood="fasting before the visit",
            next_action="call again",
            promised_by="desk",
            promised_for=LATER,
        )
    ).outreach[0]

    assert (attempt.by, attempt.understood, attempt.promised_for) == ("ann", "fasting before the visit", LATER)
    assert desk.case().first_response_at == NOW - timedelta(hours=2)


def _with_attempt_logged_late(desk: Desk) -> Case:
    desk.do(do.Note(text="seen"))
    return desk.do(call(at=NOW - timedelta(days=1)))


def _with_a_note(desk: Desk) -> Case:
    return desk.do(do.Note(text="seen"))


@pytest.mark.parametrize(("act", "first"), [(_with_a_note, NOW), (_with_attempt_logged_late, NOW - timedelta(days=1))])
def test_the_first_response_is_the_earliest_act_of_a_person(act: Callable[[Desk], Case], first: datetime) -> None:
    assert act(taken(a_snapshot())).first_response_at == first


def test_what_the_ehr_does_is_no_response() -> None:
    desk = taken(a_snapshot())

    desk.take(a_visit("booked"))

    assert desk.case().first_response_at is None
    assert desk.case(ORDER).status is Status.SCHEDULED


def test_what_cannot_be_meant_is_refused() -> None:
    desk = taken(a_snapshot())
    before = desk.case()

    for command, words in (
        (call(promised_for=NOW - timedelta(days=9000)), "promised_for lies before"),
        (do.SetNextAction(code=Action.CALL_PATIENT, due_at=utc(1) - timedelta(days=9000)), "due_at lies before"),
        (do.Close(reason=ClosureReason.COMPLETED, evidence=("Observation/1",) * 21), "at most 20"),
        (do.Note(text="\u202e \x00\x07"), "must not be empty"),
    ):
        with pytest.raises(CommandRefused, match=words):
            desk.do(command)
    assert desk.case() == before
