"""What people can do to a case, what they are refused, and how long their decisions hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import get_args

import pytest

from bridge.cases import commands as do
from bridge.cases.changes import CauseKind
from bridge.cases.commands import AnyCommand
from bridge.cases.lanes import Lane, Lanes, parse_lanes
from bridge.cases.snapshot import Priority, Snapshot
from bridge.cases.suggesting import Said, suggestions
from bridge.cases.terms import Action, AttemptOutcome, BlockerCategory, Channel, ClosureReason, Status
from bridge.errors import CommandRefused
from tests.unit.cases.builders import (
    NOW,
    ORDER,
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
    taken,
    utc,
)

LATER = NOW + timedelta(days=10)
RIDE = suggestions([Said("Has no ride.", "note:1", NOW)])[0].key
COMMANDS: list[AnyCommand] = [
    do.Assign(owner="ann"),
    call(),
    do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="no car"),
    do.ClearBlocker(),
    do.SetNextAction(code=Action.CALL_PATIENT),
    do.Snooze(until=LATER, reason="on holiday"),
    do.Escalate(why="stuck"),
    do.Claim(),
    do.AcceptSuggestion(key=RIDE),
    do.DismissSuggestion(key=RIDE),
    do.AcknowledgeEscalation(),
    do.Note(text="prefers mornings"),
    do.Close(reason=ClosureReason.COMPLETED, outcome="seen"),
    do.Reopen(why="not over"),
]


def refused(desk: Desk, command: AnyCommand, message: str) -> None:
    """Check that a command is refused with a message and changes nothing."""
    before = dict(desk.cases)
    with pytest.raises(CommandRefused, match=message):
        desk.do(command)
    assert desk.cases == before


def closed() -> Desk:
    """Return a desk with a case that a person closed."""
    desk = taken(a_snapshot())
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen by Dr House"))
    return desk


def test_every_command_is_tried_here() -> None:
    assert {type(command) for command in COMMANDS} == set(get_args(AnyCommand))


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_what_a_person_does_is_in_the_history_under_their_name_and_a_first_response(command: AnyCommand) -> None:
    desk = taken(a_snapshot())
    match command:
        case do.ClearBlocker():
            desk = taken(a_snapshot(status="on-hold"))
        case do.AcceptSuggestion() | do.DismissSuggestion():
            desk.do(do.Note(text="Has no ride."), by="bob")
        case do.AcknowledgeEscalation():
            desk.do(do.Escalate(why="stuck"), by="bob")
        case do.Reopen():
            desk.take(a_snapshot(status="completed", version=2))
    before = desk.case()
    desk.pass_time(minutes=5)

    after = desk.do(command)

    mine = [change for change in desk.history[after.id] if change.version == after.version]
    assert mine
    assert {(change.cause.kind, change.cause.what, change.at) for change in mine} == {
        (CauseKind.PERSON, "ann", desk.now)
    }
    assert after.version == before.version + 1
    assert after.first_response_at == (before.first_response_at or desk.now)
    assert refolded(desk.history[after.id]) == after


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: type(command).__name__)
def test_a_closed_case_only_takes_notes_attempts_and_reopening(command: AnyCommand) -> None:
    desk = closed()

    if isinstance(command, do.Reopen | do.Note | do.LogOutreach):
        assert desk.do(command).is_open is isinstance(command, do.Reopen)
    else:
        refused(desk, command, "closed; reopen it first")


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (do.Assign(owner="nobody"), "no owner called 'nobody'.*ann, bob"),
        (call(at=NOW + timedelta(minutes=1)), "cannot lie in the future"),
        (call(at=datetime(1, 1, 1, tzinfo=UTC)), "at must lie between"),
        (call(promised_for=datetime(9999, 12, 31, tzinfo=UTC)), "promised_for must lie between"),
        (do.RaiseBlocker(category=BlockerCategory.TRANSPORT, text="  "), "text must not be empty"),
        (do.ClearBlocker(), "Nothing holds this case up"),
        (do.AcceptSuggestion(key=RIDE), "Nothing that was written on this case suggests that"),
        (do.DismissSuggestion(key=RIDE), "Nothing that was written on this case suggests that"),
        (do.SetNextAction(code=Action.SCHEDULE, due_at=datetime(9999, 12, 31, tzinfo=UTC)), "due_at must lie between"),
        (do.Snooze(until=NOW, reason="later"), "still to come"),
        (do.Snooze(until=LATER, reason=" "), "reason must not be empty"),
        (do.Snooze(until=datetime(9999, 12, 31, tzinfo=UTC), reason="never"), "until must lie between"),
        (do.Escalate(why=""), "why must not be empty"),
        (do.Escalate(why="stuck", to="nobody"), "no owner called 'nobody'"),
        (do.AcknowledgeEscalation(), "not escalated"),
        (do.Note(text=" \n"), "text must not be empty"),
        (do.Close(reason=ClosureReason.COMPLETED), "needs an outcome in words, or a visit"),
        (do.Close(reason=ClosureReason.COMPLETED, outcome=" ", evidence=("", " ")), "needs an outcome in words"),
        (do.Close(reason=ClosureReason.OTHER), "Other needs an outcome"),
        (do.Close(reason=ClosureReason.OTHER, evidence=(ORDER,)), "Other needs an outcome"),
        (do.Close(reason=ClosureReason.COMPLETED, evidence=(ORDER, "Appointment/12")), "Appointment/12 is not part of"),
        (do.Close(reason=ClosureReason.COMPLETED, outcome="seen", evidence=("Patient/1",)), "Patient/1 proves no"),
        (do.Close(reason=ClosureReason.UNABLE_TO_REACH), "needs 3 logged attempts in vain; there are 0"),
        (do.Reopen(why="why not"), "is open"),
    ],
)
def test_what_does_not_fit_is_refused_and_changes_nothing(command: AnyCommand, message: str) -> None:
    refused(taken(a_snapshot()), command, message)


def test_a_case_of_a_lane_that_is_switched_off_says_so() -> None:
    desk = taken(a_snapshot())
    off = SHIPPED_TEXT.replace('title = "Referral"', 'title = "Referral"\nenabled = false')
    desk.rules = some_rules(lanes=parse_lanes(off))

    refused(desk, do.Note(text="hello"), "lane referral is switched off")


# Closing and reopening ------------------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", AttemptOutcome)
def test_one_attempt_never_closes_a_case_nor_does_a_case_close_by_it(outcome: AttemptOutcome) -> None:
    desk = taken(a_snapshot())

    assert desk.do(call(outcome)).is_open
    refused(desk, do.Close(reason=ClosureReason.UNABLE_TO_REACH), "needs 3 logged attempts in vain")


def test_a_hundred_voicemails_leave_a_case_open() -> None:
    desk = taken(a_snapshot())

    for _ in range(100):
        desk.do(call())

    assert desk.case().status is Status.WAITING_ON_PATIENT


def test_as_many_attempts_in_vain_as_the_lane_makes_are_enough_to_give_up() -> None:
    desk = taken(a_snapshot())
    desk.do(call())
    desk.do(call(AttemptOutcome.NO_ANSWER))
    desk.do(call(AttemptOutcome.NO_ANSWER))

    case = desk.do(do.Close(reason=ClosureReason.UNABLE_TO_REACH))

    assert (case.status, case.closed_at) == (Status.CLOSED, NOW)
    assert case.closure is not None
    assert case.closure.outcome == "unable-to-reach"


def test_a_patient_who_answered_was_reached() -> None:
    desk = taken(a_snapshot())
    desk.do(call(AttemptOutcome.REACHED))
    desk.do(call(AttemptOutcome.LEFT_MESSAGE))

    refused(desk, do.Close(reason=ClosureReason.UNABLE_TO_REACH), "there are 1")


@pytest.mark.parametrize(
    "command",
    [
        do.Close(reason=ClosureReason.COMPLETED, outcome="seen"),
        do.Close(reason=ClosureReason.COMPLETED, evidence=(ORDER, "Encounter/3", "Appointment slip, on paper")),
        do.Close(reason=ClosureReason.DECLINED),
        do.Close(reason=ClosureReason.REDIRECTED),
        do.Close(reason=ClosureReason.CANCELLED_BY_REQUESTER),
        do.Close(reason=ClosureReason.ENTERED_IN_ERROR),
        do.Close(reason=ClosureReason.DUPLICATE),
        do.Close(reason=ClosureReason.OTHER, outcome="patient moved"),
    ],
    ids=lambda command: command.reason.value,
)
def test_a_person_closes_a_case_with_a_reason(command: do.Close) -> None:
    case = taken(a_snapshot()).do(command)

    assert case.closure is not None
    assert (case.status, case.closure.reason, case.closure.by) == (Status.CLOSED, command.reason, "ann")
    assert (case.next_action, case.due_at) == (None, None)


def test_a_lane_may_allow_fewer_reasons() -> None:
    few = SHIPPED_TEXT.replace('title = "Referral"', 'title = "Referral"\ncloses_with = ["completed"]')
    desk = Desk(some_rules(lanes=parse_lanes(few)))
    desk.take(a_snapshot())

    refused(desk, do.Close(reason=ClosureReason.DECLINED), "not closed as declined; it may be completed")


def test_closing_ends_the_escalation() -> None:
    desk = taken(a_snapshot())
    desk.do(do.Escalate(why="stuck"))

    case = desk.do(do.Close(reason=ClosureReason.DECLINED))

    assert (case.status, case.escalation) == (Status.CLOSED, None)


def test_a_reopened_case_begins_another_round_and_says_why() -> None:
    case = closed().do(do.Reopen(why="patient called back"))

    assert (case.status, case.closure, case.closed_at, case.round) == (Status.NEW, None, None, 2)
    assert case.notes[-1].text == "Reopened: patient called back"


def test_a_case_that_the_ehr_ended_can_be_reopened_until_the_ehr_ends_it_otherwise() -> None:
    desk = taken(a_snapshot())
    desk.take(a_snapshot(status="completed", version=2))

    assert desk.do(do.Reopen(why="report is missing")).is_open

    desk.take(a_snapshot(status="completed", version=3, title="A new title"))
    assert desk.case().is_open

    desk.take(a_snapshot(status="revoked", version=4))
    assert desk.case().status is Status.CLOSED


@pytest.mark.parametrize(
    "news",
    [a_snapshot(status="on-hold", version=3), a_visit("booked"), a_task()],
    ids=["on hold", "a visit", "a task"],
)
def test_a_persons_closing_holds_until_the_ehr_shows_new_life(news: Snapshot) -> None:
    desk = closed()
    desk.take(a_snapshot(version=2, title="A new title"))
    assert not desk.case().is_open

    desk.take(news)

    assert desk.case().is_open
    assert "CaseReopened" in desk.facts()


def test_a_persons_closing_stays_theirs_when_the_ehr_ends_the_work_too() -> None:
    desk = closed()

    desk.take(a_snapshot(status="completed", version=2))

    closure = desk.case().closure
    assert closure is not None
    assert closure.by == "ann"


def test_our_own_progress_on_a_task_that_asks_us_is_no_news() -> None:
    desk = taken(a_snapshot(), a_task(owner=by("Organization/us")))
    desk.do(do.Close(reason=ClosureReason.COMPLETED, outcome="seen"))

    desk.take(a_task("completed", version=2, owner=by("Organization/us")))

    assert not desk.case().is_open


# What proves an outcome ----------------------------------------------------------------------------------------


def a_call_after_discharge() -> Desk:
    desk = Desk()
    desk.take(a_snapshot("Task/1", "requested", title="Discharge call"))
    return desk


@pytest.mark.parametrize("understood", [None, "knows which tablets to stop"])
def test_a_follow_up_is_complete_only_once_it_was_checked_what_the_patient_understood(understood: str | None) -> None:
    desk = a_call_after_discharge()
    desk.do(call(AttemptOutcome.REACHED, understood=understood), "Task/1")
    close = do.Close(reason=ClosureReason.COMPLETED, outcome="all well")

    if understood is None:
        with pytest.raises(CommandRefused, match="with what they understood, or a visit"):
            desk.do(close, "Task/1")
    else:
        assert desk.do(close, "Task/1").status is Status.CLOSED


def test_a_visit_that_took_place_or_a_report_proves_a_referral() -> None:
    seen = taken(a_snapshot(), a_visit("fulfilled"))
    reported = taken(a_snapshot())

    assert not seen.do(do.Close(reason=ClosureReason.COMPLETED)).is_open
    assert not reported.do(do.Close(reason=ClosureReason.COMPLETED, evidence=("DocumentReference/1",))).is_open


# Taking a case --------------------------------------------------------------------------------------------------


def test_of_two_who_take_a_case_one_has_it_and_the_other_is_told_who() -> None:
    desk = taken(a_snapshot())

    case = desk.do(do.Claim(), by="ann")

    assert (case.owner.id, case.backup.id if case.backup else None) == ("ann", "bob")
    with pytest.raises(CommandRefused, match="Ann Weber has this case"):
        desk.do(do.Claim(), by="bob")
    with pytest.raises(CommandRefused, match="You have this case already"):
        desk.do(do.Claim(), by="ann")


def test_only_people_who_are_known_take_cases() -> None:
    desk = taken(a_snapshot())

    for stranger, message in (("zoe", "no owner called 'zoe'"), ("supervisor", "does not take cases")):
        with pytest.raises(CommandRefused, match=message):
            desk.do(do.Claim(), by=stranger)


# By which way, and at what hour ---------------------------------------------------------------------------


@pytest.mark.parametrize("lane", SHIPPED.all, ids=lambda lane: lane.name)
@pytest.mark.parametrize("channel", Channel)
def test_an_attempt_is_made_by_a_way_that_the_lane_allows_or_refused_with_those_that_it_does(
    lane: Lane, channel: Channel
) -> None:
    desk = Desk(some_rules(lanes=Lanes([lane.model_copy(update={"opens": REFERRALS})])))
    desk.take(a_snapshot())
    before = desk.case()
    assert lane.outreach is not None

    if channel in lane.outreach.channels:
        assert desk.do(do.LogOutreach(channel=channel, outcome=AttemptOutcome.SENT)).outreach[0].channel is channel
        return
    with pytest.raises(CommandRefused) as refused:
        desk.do(do.LogOutreach(channel=channel, outcome=AttemptOutcome.SENT))
    assert (
        f"lane {lane.name} are not approached by {channel.value}; they may be by {lane.outreach.channels[0]}, "
        in str(refused.value)
    )
    assert desk.case() == before


REFERRALS = SHIPPED["referral"].opens


def test_the_shipped_lanes_differ_in_the_ways_that_they_allow() -> None:
    allowed = {lane.name: set(lane.outreach.channels) for lane in SHIPPED.all if lane.outreach is not None}

    assert allowed["referral"] == set(Channel)
    assert allowed["missed-call"] == {Channel.PHONE, Channel.VOICEMAIL, Channel.PORTAL, Channel.TEXT}
    assert Channel.EMAIL not in allowed["care-gap"]


def test_a_lane_that_says_nothing_of_outreach_takes_every_way() -> None:
    desk = Desk(
        some_rules(lanes=Lanes([SHIPPED["missed-call"].model_copy(update={"opens": REFERRALS, "outreach": None})]))
    )
    desk.take(a_snapshot())

    assert desk.do(do.LogOutreach(channel=Channel.EMAIL, outcome=AttemptOutcome.SENT)).outreach


@pytest.mark.parametrize(
    ("channel", "at", "marked"),
    [
        (Channel.PHONE, utc(2, 1), True),
        (Channel.VOICEMAIL, utc(2, 1), True),
        (Channel.TEXT, utc(2, 11), True),
        (Channel.TEXT, utc(2, 12), False),
        (Channel.PHONE, utc(2, 1) - timedelta(seconds=1), False),
        (Channel.EMAIL, utc(2, 1), False),
        (Channel.PORTAL, utc(2, 6), False),
    ],
)
def test_an_attempt_that_rang_in_quiet_hours_is_kept_and_marked(channel: Channel, at: datetime, marked: bool) -> None:
    """From nine in the evening to eight in the morning in New York: 01 to 12 UTC in June."""
    desk = taken(a_snapshot())
    desk.now = utc(3)

    case = desk.do(do.LogOutreach(channel=channel, outcome=AttemptOutcome.NO_ANSWER, at=at))

    assert [one.in_quiet_hours for one in case.outreach] == [marked]


@pytest.mark.parametrize(
    ("at", "due"),
    [
        (utc(1, 23), utc(2, 0)),
        (utc(2, 0) + timedelta(minutes=1), utc(2, 12)),
        (utc(2, 10), utc(2, 12)),
        (utc(2, 11), utc(2, 12)),
        (utc(2, 11) + timedelta(minutes=1), utc(2, 12) + timedelta(minutes=1)),
    ],
)
def test_the_next_attempt_is_not_due_in_quiet_hours_but_when_they_are_over(at: datetime, due: datetime) -> None:
    """A stat case is tried again after an hour."""
    desk = taken(a_snapshot(priority=Priority.STAT))
    desk.now = at

    assert desk.do(call(AttemptOutcome.NO_ANSWER)).due_at == due


def test_what_was_promised_for_the_evening_is_due_then() -> None:
    desk = taken(a_snapshot())

    assert desk.do(call(AttemptOutcome.REACHED, promised_by="us", promised_for=utc(2, 2))).due_at == utc(2, 2)
