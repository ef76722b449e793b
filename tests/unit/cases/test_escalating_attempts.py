"""Climbing the ladder because nobody is reached: after so many attempts, and for what was heard."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import pytest

from bridge.cases import commands as do
from bridge.cases.owners import Absence, OwnerBook
from bridge.cases.terms import Action, AttemptOutcome, Channel, ClosureReason, Concern, Status, Trigger
from bridge.errors import CommandRefused, ConfigError
from tests.unit.cases.builders import (
    NOW,
    OWNERS,
    SHIPPED,
    Desk,
    a_snapshot,
    a_visit,
    call,
    some_rules,
    utc,
)
from tests.unit.cases.climbing import REACHED, WORSE, a_desk, only, steps

# By attempts ----------------------------------------------------------------------------------------------


def test_attempts_that_were_enough_are_told_once() -> None:
    desk = a_desk(only('[[defaults.escalates]]\nwhen = "failed-contact"\nto = ["supervisor"]'))
    for _ in range(5):
        desk.pass_time(hours=1)
        desk.do(call(AttemptOutcome.NO_ANSWER))

    assert steps(desk) == [(Trigger.FAILED_CONTACT, 1, "supervisor", NOW + timedelta(hours=3))]


def test_each_attempt_in_vain_says_when_to_try_again_and_the_last_one_what_else_to_do() -> None:
    desk = a_desk()
    found = []
    for _ in range(3):
        case = desk.do(call(AttemptOutcome.NO_ANSWER))
        assert case.next_action is not None
        found.append((case.next_action.code, case.due_at))
        desk.pass_time(days=1)

    assert found == [
        (Action.CALL_PATIENT, utc(3)),
        (Action.CALL_PATIENT, utc(4)),
        (Action.CLOSE_WITH_REASON, utc(4)),
    ]


def test_an_answer_begins_the_count_anew() -> None:
    desk = a_desk()
    for outcome in (AttemptOutcome.NO_ANSWER, AttemptOutcome.NO_ANSWER, REACHED, AttemptOutcome.NO_ANSWER):
        desk.pass_time(hours=1)
        desk.do(call(outcome))

    action = desk.case().next_action
    assert action is not None
    assert action.code is Action.CALL_PATIENT


@pytest.mark.parametrize(
    ("concern", "to"),
    [
        (Concern.WORSENING_SYMPTOMS, "clinician"),
        (Concern.MEDICATION_CONFUSION, "clinician"),
        (Concern.COMPLAINT, "supervisor"),
        (Concern.PRIVACY_CONCERN, "supervisor"),
    ],
)
def test_a_concern_goes_to_the_right_people_at_once_and_only_people_resolve_it(concern: Concern, to: str) -> None:
    desk = a_desk()

    case = desk.do(call(REACHED, concerns=(concern,)))
    assert case.escalation is not None
    assert (case.escalation.to.id, case.escalation.since) == (to, desk.now)
    desk.take(a_visit("booked"))
    assert desk.case().status is Status.ESCALATED

    desk.do(do.AcknowledgeEscalation(resolved=True), by="carol")

    assert desk.case().status is Status.SCHEDULED


@pytest.mark.parametrize("by", ["ann", "bob", "coordinator", "supervisor", "referral-coordinator"])
@pytest.mark.parametrize("resolved", [False, True])
@pytest.mark.parametrize("concern", [Concern.WORSENING_SYMPTOMS, Concern.MEDICATION_CONFUSION])
def test_nobody_but_licensed_staff_acknowledges_or_resolves_a_clinical_question(
    concern: Concern, resolved: bool, by: str
) -> None:
    desk = a_desk()
    before = desk.do(call(REACHED, concerns=(concern,)))

    with pytest.raises(CommandRefused, match=rf"{by} is not licensed staff.*answer: Carol Reed, RN, Dave Lin"):
        desk.do(do.AcknowledgeEscalation(resolved=resolved), by=by)

    assert desk.case() == before


@pytest.mark.parametrize("by", ["carol", "dave", "clinician"])
def test_who_is_licensed_or_works_a_licensed_queue_by_name_answers(by: str) -> None:
    desk = a_desk()
    desk.do(WORSE)

    seen = desk.do(do.AcknowledgeEscalation(), by=by)
    assert seen.escalation is not None
    assert seen.escalation.acknowledged_by == by

    assert desk.do(do.AcknowledgeEscalation(resolved=True), by=by).escalation is None


def test_where_nobody_is_licensed_yet_the_refusal_says_what_to_configure() -> None:
    desk = Desk(
        some_rules(lanes=SHIPPED, owners=OwnerBook(one for one in OWNERS.entries() if one.name not in "carol dave"))
    )
    desk.take(a_snapshot())
    desk.do(WORSE)

    with pytest.raises(CommandRefused, match="add a person to the owners section with licensed = true"):
        desk.do(do.AcknowledgeEscalation(), by="ann")


def test_a_question_to_the_owner_is_no_reminder_it_is_shown_and_can_be_answered() -> None:
    desk = a_desk()
    desk.do(do.Assign(owner="clinician"))

    asked = desk.do(WORSE)
    assert asked.status is Status.ESCALATED
    assert asked.escalation is not None
    assert asked.escalation.to == asked.owner

    answered = desk.do(do.AcknowledgeEscalation(resolved=True), by="carol")
    assert answered.status is not Status.ESCALATED
    assert desk.do(do.Close(reason=ClosureReason.DECLINED)).closure is not None


def test_of_two_clinical_questions_the_one_that_nobody_acknowledged_is_shown() -> None:
    desk = a_desk()
    desk.do(WORSE)
    desk.do(do.Escalate(why="again"), by="ann")
    desk.do(do.AcknowledgeEscalation(), by="carol")
    desk.pass_time(minutes=5)

    desk.do(call(REACHED, concerns=(Concern.MEDICATION_CONFUSION,)))
    shown = desk.case().escalation
    assert shown is not None
    assert (shown.trigger, shown.level) == (Trigger.MEDICATION_CONFUSION, 1)

    desk.do(do.AcknowledgeEscalation(), by="carol")
    assert desk.do(do.Close(reason=ClosureReason.DECLINED)).closure is not None


def test_a_question_is_asked_of_licensed_staff_also_where_the_lane_names_none_and_no_rule() -> None:
    """The lane's own ladder, its backup and its owner are looked through."""
    lanes = only('[[defaults.escalates]]\nwhen = "overdue"')
    desk = a_desk(lanes)

    case = desk.do(WORSE)

    assert case.escalation is not None
    assert case.escalation.to.id == "clinician"


@pytest.mark.parametrize("when", ["worsening-symptoms", "medication-confusion"])
def test_a_lane_may_not_put_a_clinical_question_off(when: str) -> None:
    with pytest.raises(ConfigError, match=f"{when} takes no after: licensed staff hear of it at once"):
        only(f'[[defaults.escalates]]\nwhen = "{when}"\nafter = "1 business day"')

    assert only(f'[[defaults.escalates]]\nwhen = "{when}"\nafter = "0 minutes"')


def test_while_licensed_staff_is_away_others_who_are_licensed_are_asked() -> None:
    away = (Absence(date(2026, 6, 1), date(2026, 6, 5)),)
    entries = {one.name: one for one in OWNERS.entries()}
    entries["carol"] = replace(entries["carol"], backup="bob", away=away)
    lanes = only('[[defaults.escalates]]\nwhen = "worsening-symptoms"\nto = ["carol"]')
    desk = Desk(some_rules(lanes=lanes, owners=OwnerBook(entries.values())))
    desk.take(a_snapshot())

    case = desk.do(WORSE)

    assert case.escalation is not None
    assert case.escalation.to.id == "clinician"


def test_a_clinical_question_is_never_handed_to_unlicensed_staff() -> None:
    desk = a_desk(only('[[defaults.escalates]]\nwhen = "worsening-symptoms"\nto = ["supervisor", "owner"]'))

    case = desk.do(call(REACHED, concerns=(Concern.WORSENING_SYMPTOMS,)))

    assert case.escalation is not None
    assert OWNERS.is_licensed(case.escalation.to.id)
    with pytest.raises(CommandRefused, match="not licensed"):
        desk.do(do.Escalate(why="busy", to="supervisor"))


def test_the_gravest_escalation_is_the_one_that_is_shown() -> None:
    desk = a_desk()
    desk.wait(utc(9))

    case = desk.do(do.LogOutreach(channel=Channel.PHONE, outcome=REACHED, concerns=(Concern.WORSENING_SYMPTOMS,)))

    assert case.escalation is not None
    assert case.escalation.trigger is Trigger.WORSENING_SYMPTOMS
    assert case.next_action is not None
    assert case.next_action.code is Action.ESCALATE_TO_CLINICIAN
