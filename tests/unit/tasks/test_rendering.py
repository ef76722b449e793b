"""What is sent: valid FHIR, the answer in the narrative, no more than is needed."""

from __future__ import annotations

from datetime import UTC, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bridge.cases.intents import Intent, IntentKind, Message
from bridge.cases.model import (
    Attempt,
    Blocker,
    Case,
    Closure,
    ClosureOverride,
    Local,
    NextAction,
    NextActionOverride,
    Owner,
)
from bridge.cases.snapshot import BusinessIdentifier, Party
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, Channel, ClosureReason, OwnerKind, Status
from bridge.errors import DomainError
from bridge.tasks.check import checked
from bridge.tasks.communication import render_message
from bridge.tasks.coordination_task import Form, render_task
from bridge.tasks.intents import message_text
from tests.unit.tasks.builders import AT, a_case

FORMS = [Form("R4"), Form("R4B"), Form("R5")]
CLOSURE = Closure(
    reason=ClosureReason.COMPLETED, outcome="Seen", evidence=("Appointment/7", "a letter"), by="ann", at=AT
)
CASES = [
    {},
    {"status": Status.WAITING_ON_PATIENT, "blocker": Blocker(BlockerCategory.TRANSPORT, "No ride", AT, "person:ann")},
    {"status": Status.CLOSED, "closure": CLOSURE, "next_action": None, "due_at": None},
    {"requester": None, "backup": None, "due_at": None},
    {"requester": Party("Group", "Group/1", None, "Not allowed here")},
    {"owner": Owner(OwnerKind.EHR, "x", "Clinic", Party("HealthcareService", "HealthcareService/1", None, "Clinic"))},
    {"owner": Owner(OwnerKind.EHR, "y", "Lab", Party(None, None, BusinessIdentifier("9", "urn:lab"), None))},
    {"opened_at": AT + timedelta(days=3)},
]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.fhir_version)
@pytest.mark.parametrize("changes", CASES)
@pytest.mark.parametrize("status", ["ready", "on-hold", "completed", "failed", "entered-in-error"])
def test_every_task_is_valid_and_within_our_rules(form: Form, changes: dict[str, Any], status: str) -> None:
    task = render_task(a_case(**changes), status, form, lane_title="Referral", part_of=["Task/t1"])

    assert checked(task, form.fhir_version)


def attempt(outcome: AttemptOutcome) -> Attempt:
    return Attempt(id="a1", at=AT, channel=Channel.PHONE, outcome=outcome, by="ann")


def an_intent(kind: IntentKind, **message: Any) -> Intent:
    return Intent(
        connection="main",
        case_id="c0ffee",
        kind=kind,
        slot="told",
        key="c0ffee/told/scheduled/3",
        case_version=3,
        message=Message(at=AT, text="Referral: scheduled.", **message),
    )


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.fhir_version)
@pytest.mark.parametrize("outcome", [None, *AttemptOutcome])
def test_every_message_is_valid(form: Form, outcome: AttemptOutcome | None) -> None:
    case = a_case(outreach=(attempt(outcome),)) if outcome else a_case()
    kind = IntentKind.OUTREACH_RECORD if outcome else IntentKind.STATUS_MESSAGE
    intent = an_intent(kind, attempt_id="a1" if outcome else None)

    message = render_message(case, intent, form, part_of="Task/5")

    assert checked(message, form.fhir_version)
    assert ("contentString" in message["payload"][0]) is (form.fhir_version != "R5")
    assert (message["status"] == "not-done") is ("statusReason" in message)


def test_a_patient_who_asked_is_not_sent_our_internal_status() -> None:
    case = a_case(requester=Party("Patient", "Patient/p1", None, None))

    message = render_message(case, an_intent(IntentKind.STATUS_MESSAGE), Form(), part_of=None)

    assert "recipient" not in message


def test_the_narrative_alone_says_status_next_step_owner_due_date_and_blocker() -> None:
    case = a_case(blocker=Blocker(BlockerCategory.TRANSPORT, "No <ride> & no bus", AT, "person:ann"))

    text = render_task(case, "on-hold", Form(), lane_title="Referral")["text"]

    assert text["status"] == "generated"
    assert paragraphs(text["div"]) == [
        "Referral to cardiology.",
        "New: schedule the visit by 2026-06-03.",
        "Blocked: transport needed. No &lt;ride&gt; &amp; no bus.",
        "Responsible: Referral coordinators (backup: Supervisor).",
    ]


def paragraphs(div: str) -> list[str]:
    """Return the paragraphs of a narrative."""
    return [part.partition("</p>")[0] for part in div.split("<p>")[1:]]


def test_the_narrative_names_the_kind_of_work_where_the_title_does_not() -> None:
    text = render_task(a_case(title="MRI of the knee"), "ready", Form(), lane_title="Referral")["text"]

    assert paragraphs(text["div"])[0] == "MRI of the knee (Referral)."


@pytest.mark.parametrize(
    ("reason", "outcome", "sentences", "line"),
    [
        (ClosureReason.COMPLETED, "Seen", "Closed: completed. Seen.", "completed: Seen"),
        (ClosureReason.DECLINED, "declined", "Closed: declined.", "declined"),
        (ClosureReason.UNABLE_TO_REACH, "unable-to-reach", "Closed: unable to reach.", "unable to reach"),
        (
            ClosureReason.DECLINED,
            "Declined by the performer",
            "Closed: declined by the performer.",
            "Declined by the performer",
        ),
        (
            ClosureReason.CANCELLED_BY_REQUESTER,
            "Cancelled by the requester: moved.",
            "Closed. Cancelled by the requester: moved.",
            "Cancelled by the requester: moved.",
        ),
        (ClosureReason.OTHER, "Deleted in the EHR", "Closed: other. Deleted in the EHR.", "other: Deleted in the EHR"),
    ],
)
def test_nothing_about_how_it_ended_is_said_twice(
    reason: ClosureReason, outcome: str, sentences: str, line: str
) -> None:
    closure = Closure(reason=reason, outcome=outcome, by="ann", at=AT)
    case = a_case(status=Status.CLOSED, closure=closure, next_action=None, due_at=None)

    task = render_task(case, "failed", Form(), lane_title="Referral")

    assert paragraphs(task["text"]["div"]) == ["Referral to cardiology.", sentences]
    assert task["output"][0]["valueString"] == line
    assert task["statusReason"]["text"] == line


@pytest.mark.parametrize("control", ["\u061c", "\u200e", "\u200f", "\u202e", "\u2066", "\u2069"])
def test_characters_that_turn_the_direction_of_words_are_taken_out(control: str) -> None:
    task = render_task(a_case(title=f"Referral{control} to cardiology"), "ready", Form(), lane_title="Referral")

    assert task["description"] == "Referral to cardiology"
    assert control not in task["text"]["div"]


def closed_case(reason: ClosureReason, outcome: str, *, by_person: bool) -> Case:
    closure = Closure(reason=reason, outcome=outcome, by="ann", at=AT)
    local = Local(closure=ClosureOverride(over="", by="ann", at=AT, closure=closure)) if by_person else Local()
    return a_case(status=Status.CLOSED, closure=closure, next_action=None, due_at=None, local=local)


@pytest.mark.parametrize(
    ("case", "said"),
    [
        (closed_case(ClosureReason.COMPLETED, "Seen on 3 June", by_person=True), "Outcome: completed. Seen on 3 June."),
        (closed_case(ClosureReason.DECLINED, "declined", by_person=True), "Outcome: declined."),
        (
            closed_case(ClosureReason.COMPLETED, "The visit took place", by_person=False),
            "Outcome: completed. The visit took place.",
        ),
        (
            closed_case(ClosureReason.CANCELLED_BY_REQUESTER, "Cancelled by the requester: cancer", by_person=False),
            "Outcome: cancelled by requester.",
        ),
    ],
)
def test_the_closing_message_tells_the_outcome_and_no_reason_of_the_ehr(case: Case, said: str) -> None:
    assert message_text(case, UTC) == f"Referral: closed. {said}"


def test_a_message_names_the_next_step_in_the_lanes_words_and_never_in_a_persons() -> None:
    lanes = a_case(next_action=NextAction(Action.SCHEDULE, "Take up the referral"))
    decided = NextActionOverride(
        over="", by="ann", at=AT, next_action=NextAction(Action.SCHEDULE, "HIV clinic"), due_at=None
    )
    persons = a_case(next_action=decided.next_action, local=Local(next_action=decided))
    only_due = a_case(
        next_action=lanes.next_action,
        local=Local(next_action=NextActionOverride(over="", by="ann", at=AT, next_action=None, due_at=AT)),
    )

    assert "Next: take up the referral by 2026-06-03." in message_text(lanes, UTC)
    assert "Next: schedule the visit by 2026-06-03." in message_text(persons, UTC)
    assert "Next: take up the referral by 2026-06-03." in message_text(only_due, UTC)


@settings(deadline=None)
@given(st.text(max_size=60), st.text(max_size=60))
def test_no_text_makes_an_invalid_resource(title: str, reason: str) -> None:
    case = a_case(title=title, blocker=Blocker(BlockerCategory.LANGUAGE, reason, AT, "person:ann"))

    task = render_task(case, "on-hold", Form(), lane_title="Referral")

    assert checked(task, "R4")


@pytest.mark.parametrize(
    ("change", "place"),
    [
        ({"status": "doing"}, "status"),
        ({"statusReason": {}, "status": "failed"}, "statusReason"),
        ({"lastModified": "2020-01-01T00:00:00Z"}, "inv-1"),
        ({"for": {"display": "Somebody"}}, "for"),
        ({"focus": {"reference": "http://elsewhere.example/ServiceRequest/1"}}, "not relative"),
        ({"note": [{"time": "2026-06-01T14:00:00Z"}]}, "note"),
        ({"unknown": 1}, "unknown"),
    ],
)
def test_what_breaks_a_rule_is_not_sent_and_the_element_is_named(change: dict[str, Any], place: str) -> None:
    task = {**render_task(a_case(), "ready", Form(), lane_title="Referral"), **change}

    with pytest.raises(DomainError, match=place):
        checked(task, "R4")


def test_a_message_names_no_diagnosis_drug_or_reason() -> None:
    case = a_case(title="Lithium level", blocker=Blocker(BlockerCategory.AUTHORIZATION, "HIV drug", AT, "x"))

    words = message_text(case, UTC)

    assert "ithium" not in words
    assert "HIV" not in words
    assert "authorization pending" in words
