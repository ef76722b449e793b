"""Climbing the ladder as time passes: the right step, at the right minute, to the right person, once."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cases import commands as do
from bridge.cases.model import Case
from bridge.cases.snapshot import Priority
from bridge.cases.terms import ClosureReason, OwnerKind, Status, Trigger
from tests.unit.cases.builders import (
    NOW,
    ORDER,
    a_visit,
    call,
    utc,
)
from tests.unit.cases.climbing import DUE, OVERDUE, REACHED, UNOWNED, UNSCHEDULED, a_desk, climbs, steps

# By time --------------------------------------------------------------------------------------------------


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
