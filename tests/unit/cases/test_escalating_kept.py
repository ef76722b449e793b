"""What must not be lost on the ladder: no step, no answer, no worsening."""

from __future__ import annotations

from datetime import datetime

import pytest

from bridge.cases import commands as do
from bridge.cases.model import NextAction
from bridge.cases.terms import Action, ClosureReason, OwnerKind, Status, Trigger
from bridge.errors import CommandRefused, ConfigError
from tests.unit.cases.builders import (
    NOW,
    SHIPPED,
    Desk,
    a_snapshot,
    a_task,
    a_visit,
    by,
    some_rules,
    utc,
)
from tests.unit.cases.climbing import DUE, OVERDUE, UNOWNED, WORSE, a_desk, climbs, only, steps

# What must not be lost ----------------------------------------------------------------------------------------


def test_what_holds_again_goes_on_where_it_stood_and_asks_nobody_twice() -> None:
    """Put off, and the putting off lapsed: what was due before is due again, and the next step is taken."""
    desk = a_desk(OVERDUE)
    desk.wait(utc(3))
    desk.do(do.SetNextAction(code=Action.CALL_PATIENT, due_at=utc(10)))
    assert [one.resolved_by for one in desk.case().escalations] == ["rule:overdue"]

    desk.do(do.SetNextAction(code=Action.CALL_PATIENT, due_at=DUE))
    desk.wait(utc(4))

    assert [(level, at) for _, level, _, at in dict.fromkeys(steps(desk))] == [(1, utc(3)), (2, utc(4))]


def test_a_case_that_comes_back_is_not_late_for_the_time_in_which_it_was_closed() -> None:
    desk = a_desk(UNOWNED)
    desk.pass_time(hours=1)
    desk.do(do.Close(reason=ClosureReason.DECLINED))
    desk.now = utc(22, 14)
    desk.do(do.Reopen(why="called back"))

    assert steps(desk) == []
    desk.wait(utc(23))
    assert [at for _, _, _, at in steps(desk)] == [utc(22, 18)]


def test_a_queue_has_its_time_to_take_what_is_not_scheduled_any_longer() -> None:
    desk = a_desk(UNOWNED)
    desk.take(a_visit("booked", start_at=utc(5, 14)))
    desk.wait(utc(8, 14))
    desk.take(a_visit("fulfilled", version=300, start_at=utc(5, 14)))

    desk.wait(utc(9))

    assert [at for _, _, _, at in steps(desk)] == [utc(8, 18)]


def test_what_the_ehr_ends_waits_until_somebody_has_seen_the_clinical_question() -> None:
    desk = a_desk()
    desk.do(WORSE)

    desk.take(a_snapshot(status="completed", version=30))
    assert desk.case().status is Status.ESCALATED
    with pytest.raises(CommandRefused, match="clinical question"):
        desk.do(do.Close(reason=ClosureReason.DECLINED))

    assert desk.do(do.AcknowledgeEscalation(), by="carol").closure is not None


@pytest.mark.parametrize("decide", [True, False])
def test_a_case_that_only_the_question_keeps_open_says_so_whatever_was_to_be_done(decide: bool) -> None:
    desk = a_desk()
    desk.do(WORSE)
    desk.take(a_snapshot(status="completed", version=30))
    if decide:
        desk.do(do.SetNextAction(code=Action.CALL_PATIENT, text="Call again"))

    case = desk.case()

    assert case.is_open
    assert case.due_at is not None
    assert case.next_action == NextAction(
        Action.ESCALATE_TO_CLINICIAN,
        "Answer the clinical question: The patient reports worsening symptoms. "
        "The work has ended in the EHR; the case closes once licensed staff acknowledge this",
    )


def test_what_comes_up_after_the_end_needs_the_case_open() -> None:
    desk = a_desk()
    desk.do(do.Close(reason=ClosureReason.DECLINED))

    with pytest.raises(CommandRefused, match="reopen it first"):
        desk.do(WORSE)


def test_a_case_that_is_merged_hands_over_everybody_who_was_asked_and_asks_nobody_anew() -> None:
    desk = a_desk()
    desk.take(a_task(parent=None, codes=()))
    desk.do(WORSE, root="Task/1")
    desk.do(do.AcknowledgeEscalation(resolved=True), root="Task/1", by="carol")
    desk.do(do.Escalate(why="stuck"), root="Task/1")
    desk.pass_time(minutes=1)
    desk.do(do.Escalate(why="also stuck"))

    desk.take(a_task(version=5))

    assert desk.case("Task/1").merged_into == desk.case().id
    assert not [one for one in desk.case("Task/1").escalations if one.is_open]
    assert sorted((one.trigger.value, one.is_open) for one in desk.case().escalations) == [
        ("person", True),
        ("person", True),
        ("worsening-symptoms", False),
    ]


def test_what_a_person_asked_for_on_top_of_a_rule_only_a_person_resolves() -> None:
    desk = a_desk(OVERDUE)
    desk.wait(utc(4))
    desk.do(do.Escalate(why="she needs a decision"))

    case = desk.do(do.SetNextAction(code=Action.CALL_PATIENT, due_at=utc(20)))

    assert case.escalation is not None
    assert (case.escalation.trigger, case.escalation.level) == (Trigger.PERSON, 3)


def test_who_has_the_case_is_not_asked_to_step_in() -> None:
    desk = a_desk()
    desk.do(do.Assign(owner="supervisor"))

    with pytest.raises(CommandRefused, match="has this case already"):
        desk.do(do.Escalate(why="stuck", to="supervisor"))
    case = desk.do(do.Escalate(why="stuck"))

    assert case.escalation is not None
    assert case.escalation.to.id == "clinician"


def test_whoever_the_ehr_names_is_not_reminded_but_our_queue() -> None:
    """They do not look at our worklist."""
    desk = a_desk(OVERDUE)
    desk.take(a_task("in-progress", owner=by("Practitioner/elsewhere")))
    assert desk.case().owner.kind is OwnerKind.EHR
    assert desk.case().due_at is not None

    desk.do(do.SetNextAction(code=Action.CALL_PATIENT, due_at=utc(2)))
    desk.wait(utc(3))

    assert [to for _, _, to, _ in steps(desk)] == ["referral-coordinator"]


def test_what_had_come_due_before_a_visit_began_is_not_forgotten_when_nobody_looked() -> None:
    """A visit to prepare, and a site that was dark from before its due time until after the visit began."""
    awake, asleep = (Desk(some_rules(lanes=SHIPPED)) for _ in range(2))
    for desk in (awake, asleep):
        desk.take(a_visit("booked", parent=None, authored_at=NOW, updated_at=NOW))
    awake.wait(utc(19, 14), root="Appointment/1")

    for desk in (awake, asleep):
        desk.now = utc(19, 15)
        desk.look_again("Appointment/1")

    assert steps_of(asleep, "Appointment/1") == steps_of(awake, "Appointment/1")
    assert steps_of(asleep, "Appointment/1")


def steps_of(desk: Desk, root: str) -> set[tuple[Trigger, int, str, datetime]]:
    return {(one.trigger, one.level, one.to.id, one.since) for one in climbs(desk, root)}


@pytest.mark.parametrize("again", ["", 'priorities = ["stat"]'])
def test_one_reason_given_twice_is_refused(again: str) -> None:
    with pytest.raises(ConfigError, match="overdue is given twice"):
        only(f'[[defaults.escalates]]\nwhen = "overdue"\n[[defaults.escalates]]\nwhen = "overdue"\n{again}')
