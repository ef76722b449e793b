"""Climbing the ladder: the right step, at the right minute, to the right person, once."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cases import commands as do
from bridge.cases.changes import Escalated
from bridge.cases.lanes import Lanes, parse_lanes
from bridge.cases.model import Case, Escalation, NextAction
from bridge.cases.owners import Absence, OwnerBook
from bridge.cases.snapshot import Priority
from bridge.cases.terms import Action, AttemptOutcome, Channel, ClosureReason, Concern, OwnerKind, Status, Trigger
from bridge.errors import CommandRefused, ConfigError
from tests.unit.cases.builders import (
    NOW,
    ORDER,
    OWNERS,
    SHIPPED,
    SHIPPED_TEXT,
    Desk,
    a_snapshot,
    a_task,
    a_visit,
    by,
    call,
    refolded,
    some_rules,
    utc,
)

REACHED = AttemptOutcome.REACHED
DUE = utc(2)
"""The window of a routine referral that was asked for on Friday closes on Tuesday at closing time."""


def a_desk(lanes: Lanes = SHIPPED, **changes: Any) -> Desk:
    """Return a desk where a routine order came in on Monday at ten, by the lanes as they are shipped."""
    desk = Desk(some_rules(lanes=lanes))
    desk.take(a_snapshot(**changes))
    return desk


REFERRALS_CLIMB = re.compile(r"\n\[\[lanes\.referral\.escalates\]\]\n(?:[^\[\n].*\n)*")


def only(text: str) -> Lanes:
    """Return the shipped lanes with these reasons to climb and no others, for referrals too."""
    rest = SHIPPED_TEXT.split("[[defaults.escalates]]")[0]
    own = REFERRALS_CLIMB.sub("\n", SHIPPED_TEXT[SHIPPED_TEXT.index("\n[lanes.") :])
    return parse_lanes(f"{rest}\n{text}\n{own}")


def climbs(desk: Desk, root: str = ORDER) -> list[Escalation]:
    """Return every step and answer in the order in which they were written down."""
    changes = desk.history[desk.case(root).id]
    assert refolded(changes) == desk.case(root)
    return [change.fact.escalation for change in changes if isinstance(change.fact, Escalated)]


def steps(desk: Desk) -> list[tuple[Trigger, int, str, datetime]]:
    return [(one.trigger, one.level, one.to.id, one.since) for one in climbs(desk) if one.is_open]


# By time --------------------------------------------------------------------------------------------------

OVERDUE = only('[[defaults.escalates]]\nwhen = "overdue"\nafter = "1 business day"\nevery = "1 business day"')


def test_an_overdue_case_climbs_step_by_step_to_the_right_people() -> None:
    desk = a_desk(OVERDUE)
    assert desk.case().due_at == DUE

    desk.wait(utc(30))

    assert steps(desk) == [
        (Trigger.OVERDUE, 1, "referral-coordinator", utc(3)),
        (Trigger.OVERDUE, 2, "supervisor", utc(4)),
        (Trigger.OVERDUE, 3, "clinician", utc(5)),
    ]


def test_the_first_step_reminds_the_owner_and_the_next_one_escalates() -> None:
    desk = a_desk(OVERDUE)

    reminded = desk.wait(utc(3))
    assert (reminded.status, reminded.escalation) == (Status.NEW, None)
    escalated = desk.wait(utc(4))

    assert escalated.status is Status.ESCALATED
    assert escalated.escalation is not None
    assert (escalated.escalation.to.id, escalated.escalation.by) == ("supervisor", "rule:overdue")
    assert (escalated.next_action, escalated.due_at) == (reminded.next_action, DUE)


def test_nothing_climbs_a_minute_early() -> None:
    desk = a_desk(OVERDUE)

    desk.wait(utc(3) - timedelta(seconds=1))

    assert steps(desk) == []


def test_work_that_was_late_when_bridge_first_saw_it_is_late_from_then_on() -> None:
    desk = a_desk(OVERDUE, authored_at=utc(1, month=2))

    assert steps(desk) == []
    desk.wait(utc(30))

    assert [at for _, _, _, at in steps(desk)] == [utc(2), utc(3), utc(4)]


def test_what_was_done_in_time_climbs_nowhere() -> None:
    desk = a_desk(OVERDUE)
    desk.take(a_visit("booked"))

    desk.wait(utc(18))

    assert steps(desk) == []


def test_what_is_done_late_resolves_itself_and_new_lateness_climbs_anew() -> None:
    desk = a_desk(OVERDUE)
    desk.wait(utc(4))

    case = desk.do(call(REACHED, promised_by="us", promised_for=utc(10)))
    assert (case.status, case.escalation) == (Status.NEEDS_OUTREACH, None)
    assert [one.resolved_by for one in case.escalations] == ["rule:overdue"]

    desk.wait(utc(12))
    assert steps(desk)[-1] == (Trigger.OVERDUE, 2, "supervisor", utc(12))


def test_a_remark_puts_nothing_off() -> None:
    desk, other = a_desk(OVERDUE), a_desk(OVERDUE)
    desk.do(do.Note(text="thinking about it"))

    desk.wait(utc(9))
    other.wait(utc(9))

    assert steps(desk) == steps(other)


def test_who_answers_stops_the_climbing_and_who_resolves_ends_it_for_good() -> None:
    desk = a_desk(OVERDUE)
    desk.wait(utc(4))

    desk.do(do.AcknowledgeEscalation(), by="bob")
    answered = desk.wait(utc(8))
    assert (answered.status, steps(desk)[-1][1]) == (Status.ESCALATED, 2)

    desk.do(do.AcknowledgeEscalation(resolved=True), by="bob")
    resolved = desk.wait(utc(20))

    assert resolved.escalation is None
    assert resolved.status is not Status.ESCALATED
    assert climbs(desk)[-1].resolved_by == "bob"


def test_closing_ends_every_escalation() -> None:
    desk = a_desk()
    desk.wait(utc(9))

    case = desk.do(do.Close(reason=ClosureReason.DECLINED))

    assert case.escalations
    assert all(one.resolved_at == desk.now for one in case.escalations)
    assert desk.wakes[case.id] is None


def test_reopening_begins_a_new_wait() -> None:
    desk = a_desk(OVERDUE)
    desk.wait(utc(9))
    desk.do(do.Close(reason=ClosureReason.DECLINED))
    desk.do(do.Reopen(why="called back"))

    assert desk.case().status is Status.NEW
    desk.wait(utc(30))

    assert [at for _, _, _, at in steps(desk)][-3:] == [utc(15), utc(16), utc(17)]


UNOWNED = only('[[defaults.escalates]]\nwhen = "unowned"\nwithin = "4 business hours"\nto = ["supervisor"]')


def test_a_case_that_nobody_takes_is_told_to_the_supervisor() -> None:
    desk = a_desk(UNOWNED)

    desk.wait(utc(2))

    assert steps(desk) == [(Trigger.UNOWNED, 1, "supervisor", NOW + timedelta(hours=4))]


def test_a_case_that_somebody_took_is_owned_and_one_that_is_given_back_is_not() -> None:
    desk = a_desk(UNOWNED)
    desk.wait(NOW + timedelta(hours=3))
    desk.do(do.Assign(owner="ann"))
    desk.wait(utc(2, 14))
    assert steps(desk) == []

    desk.do(do.Assign(owner="referral-coordinator"))
    desk.wait(utc(3))

    assert steps(desk) == [(Trigger.UNOWNED, 1, "supervisor", utc(2, 18))]


def test_taking_the_case_resolves_the_alarm() -> None:
    desk = a_desk(UNOWNED)
    desk.wait(utc(2))

    case = desk.do(do.Assign(owner="ann"))

    assert (case.status, case.escalation) == (Status.NEEDS_OUTREACH, None)


UNSCHEDULED = only(
    '[[defaults.escalates]]\nwhen = "not-scheduled"\nwithin = { stat = "1 hour", urgent = "2 business days" }\n'
    'priorities = ["stat", "urgent"]\nto = ["supervisor"]'
)


@pytest.mark.parametrize(
    ("priority", "at"),
    [(Priority.URGENT, utc(3)), (Priority.STAT, NOW + timedelta(hours=1)), (Priority.ROUTINE, None)],
)
def test_an_urgent_order_that_is_not_scheduled_in_time_is_told(priority: Priority, at: datetime | None) -> None:
    desk = a_desk(UNSCHEDULED, priority=priority)

    desk.wait(utc(30))

    assert [since for _, _, _, since in steps(desk)] == ([at] if at is not None else [])


def test_an_urgent_referral_as_shipped_is_scheduled_within_its_window_or_somebody_steps_in() -> None:
    """Backup, supervisor and clinician, a business day after each other; a routine one is nobody's alarm."""
    asked = {"authored_at": NOW, "updated_at": NOW}
    urgent, routine = (a_desk(priority=each, **asked) for each in (Priority.URGENT, Priority.ROUTINE))

    for desk in (urgent, routine):
        desk.do(do.Assign(owner="ann"))
        desk.wait(utc(5, 22))

    found = [[step for step in steps(desk) if step[0] is Trigger.NOT_SCHEDULED] for desk in (urgent, routine)]
    assert [(level, to, since) for _, level, to, since in found[0]] == [
        (1, "bob", utc(2)),
        (2, "supervisor", utc(3)),
        (3, "clinician", utc(4)),
    ]
    assert found[1] == []


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


# Whoever looks, however often --------------------------------------------------------------------------------


@given(st.lists(st.integers(1, 60 * 24 * 20), max_size=6), st.integers(0, 60 * 24 * 20))
def test_however_often_it_is_looked_at_every_step_is_taken_once_with_the_time_it_was_due(
    looks: list[int], note_at: int
) -> None:
    """Replicas, restarts and a night without power: the same steps, at the same times, to the same people."""
    steady, other = a_desk(), a_desk()
    end = NOW + timedelta(days=21)
    steady.wait(end)

    for minutes in sorted(looks):
        other.now = NOW + timedelta(minutes=minutes)
        other.look_again(ORDER)
        if minutes > note_at:
            other.do(do.Note(text="still waiting"))
    other.now = end
    other.look_again(ORDER)

    assert standing(other.case()) == standing(steady.case())
    assert sorted(steps(other)) == sorted(steps(steady))
    assert len(set(steps(other))) == len(steps(other))


def standing(case: Case) -> object:
    open_ones = [one for one in case.escalations if one.is_open]
    return case.status, case.due_at, case.next_action, sorted(open_ones, key=lambda one: one.trigger)


def test_after_the_last_step_nothing_is_left_to_wake_for() -> None:
    desk = a_desk()

    desk.wait(utc(30))
    before = len(desk.history[desk.case().id])
    desk.look_again(ORDER)

    assert desk.wakes[desk.case().id] is None
    assert len(desk.history[desk.case().id]) == before
    assert desk.case().owner.kind is OwnerKind.ROLE


# What must not be lost ----------------------------------------------------------------------------------------


WORSE = call(REACHED, concerns=(Concern.WORSENING_SYMPTOMS,))


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
