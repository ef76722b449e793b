"""Who acts next, what they do, and by when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import msgspec
from msgspec.structs import replace

from bridge.cases.blockers import UNBLOCKS
from bridge.cases.calendar import Span, Unit, plausible
from bridge.cases.facts import (
    LIVE_TASK,
    Answer,
    Facts,
    amended,
    cancellation_asked,
    complexity,
    stated_at,
    visit_at,
    visit_failed_at,
    visit_outlives_request,
)
from bridge.cases.lane_parts import Due, Step
from bridge.cases.lanes import Lane
from bridge.cases.model import Attempt, Blocker, Local, NextAction, Owner, Wait
from bridge.cases.outreach import in_vain, next_try
from bridge.cases.owners import owner_in_ehr
from bridge.cases.patients import REVIEW
from bridge.cases.rules import Rules, running_out_since
from bridge.cases.snapshot import Effect, Priority, Snapshot
from bridge.cases.terms import ACTION_TEXT, Action, AttemptOutcome, Status

_BUSIEST = {Effect.UNDER_WAY: 0, Effect.PAUSED: 1, Effect.ACCEPTED: 2, Effect.ASKED: 3}


def owner_of(facts: Facts, rules: Rules) -> Answer[Owner]:
    """Return who owns the case by what the EHR says, else the lane's role queue: an open case always has an owner."""
    live = [task for task in facts.tasks if task.effect in LIVE_TASK]
    for task in sorted(live, key=lambda task: (_BUSIEST[task.effect], task.ref)) if live else ():
        ours = rules.owners.find(task.owner)
        if ours is not None:
            return Answer(ours, "task-owner-is-ours")
        theirs = None if rules.owners.is_us(task.owner) else owner_in_ehr(task.owner)
        if theirs is not None:
            return Answer(theirs, "task-owner-in-ehr")
    named = rules.owners.find(facts.lead.owner)
    if named is not None:
        return Answer(named, "performer-is-ours")
    expert = complexity(facts)
    if expert is not None:
        return Answer(rules.owners.owner(expert.owner), "lane-complex")
    return Answer(rules.owners.owner(facts.lane.owner), "lane-role")


def backup_of(owner: Owner, lane: Lane, rules: Rules) -> Owner | None:
    """Return who is told when the owner is away: the owner's own backup, else the lane's."""
    personal = rules.owners.backup_of(owner.id)
    if personal is not None:
        return personal
    if owner.id != lane.backup:
        return rules.owners.owner(lane.backup)
    return rules.owners.owner(lane.owner) if owner.id != lane.owner else None


_STOP = NextAction(Action.CLOSE_WITH_REASON, "Stop the work: the requester asks to cancel it")
_CALL_OFF = NextAction(Action.SCHEDULE, "Call off the visit: the request was withdrawn")
_AMENDED = NextAction(Action.REVIEW_CARE_PLAN, "Review the amended result")
_HERE = NextAction(Action.CONFIRM_APPOINTMENT, "Record how the visit went: the patient has arrived")
_WENT = NextAction(Action.CONFIRM_APPOINTMENT, "Find out whether the visit took place")
AFTER_VISIT = Span(1, Unit.BUSINESS_DAYS)
"""How soon after a visit it has to be known how it went (rule ours)."""


CONFIRMED = Step(
    action=Action.CONFIRM_APPOINTMENT,
    text="See that the visit takes place",
    due=Due(AFTER_VISIT, False, "visit"),
)
"""What is left of a visit that the patient knows of (rule ours)."""


def step_of(facts: Facts, status: Answer[Status], priority: Priority, attempts: Sequence[Attempt]) -> tuple[Step, str]:
    """Return the lane's step for where the work stands, by what is known of the work, and the rule that says so."""
    lane, plain = facts.lane, facts.lane.next[status.value]
    expert = complexity(facts) if status.value in _BEGINS else None
    if expert is not None:
        return expert.next, "lane-complex"
    failed_at = visit_failed_at(facts.visit)
    if failed_at is not None and lane.recovers and status.value in _BEGINS:
        missed = sum(one.effect is Effect.MISSED for one in facts.live)
        barriers = {one.barrier for one in attempts if one.barrier is not None and one.at >= failed_at}
        for number, rule in enumerate(lane.recovers, start=1):
            if rule.fits(priority, missed, barriers):
                return rule.next, f"lane-recovery-{number}"
    if status.rule == "visit-booked" and plain.due.before and _knows_of_visit(facts, attempts):
        return CONFIRMED, "visit-confirmed"
    return plain, f"lane-step:{status.value.value}"


_BEGINS = frozenset({Status.NEW, Status.NEEDS_OUTREACH})


def _knows_of_visit(facts: Facts, attempts: Sequence[Attempt]) -> bool:
    """Whether the patient was spoken with since the visit is as it is; one that was moved is to be confirmed anew."""
    visit = facts.visit
    return visit is not None and any(
        one.outcome is AttemptOutcome.REACHED and one.at >= stated_at(visit) for one in attempts
    )


def next_action_of(
    facts: Facts,
    status: Answer[Status],
    blocker: Answer[Blocker] | None,
    lane_step: tuple[Step, str],
    now: datetime,
) -> Answer[NextAction]:
    """
    Return what happens next: to stop where that is asked, what undoes the blocker, else the lane's step.

    Nobody turns to a patient who has died: what becomes of the case is for a person to say.
    """
    if cancellation_asked(facts) is not None:
        return Answer(_STOP, "cancellation-asked")
    if facts.has_died:
        return Answer(REVIEW, "patient-deceased")
    if visit_outlives_request(facts, now):
        return Answer(_CALL_OFF, "request-withdrawn")
    if amended(facts) is not None and status.value is not Status.ESCALATED:
        return Answer(_AMENDED, "result-amended")
    if blocker is not None and status.value is not Status.ESCALATED:
        action = UNBLOCKS[blocker.value.category]
        return Answer(NextAction(action, ACTION_TEXT[action]), f"unblock:{blocker.value.category.value}")
    if _visit_began(facts, status, now):
        return Answer(_HERE if status.rule == "visit-arrived" else _WENT, "visit-began")
    step, rule = lane_step
    return Answer(NextAction(step.action, step.words()), rule)


def _visit_began(facts: Facts, status: Answer[Status], now: datetime) -> bool:
    """Whether the case stands as scheduled for a visit that has begun, or should have."""
    if status.rule not in ("visit-booked", "visit-arrived"):
        return False
    at = visit_at(facts)
    return status.rule == "visit-arrived" or (at is not None and at <= now)


class Clock(msgspec.Struct, frozen=True, gc=False):
    """
    What due times count from.

    ``begun_at`` is since when there is something to do that was not done, ``entered_at`` since when the work stands
    where it stands; in ``waits`` it was somebody else's turn.
    """

    begun_at: datetime
    entered_at: datetime
    waits: tuple[Wait, ...] = ()


def due_at(
    facts: Facts,
    rules: Rules,
    status: Answer[Status],
    priority: Priority,
    clock: Clock,
    lane_step: tuple[Step, str],
    now: datetime,
) -> Answer[datetime] | None:
    """Return when the next action is due: by the EHR's own limit, else by the lane's step, else by its window."""
    if status.value is Status.CLOSED:
        return None
    stop = cancellation_asked(facts)
    if stop is not None:
        return Answer(rules.calendar.after(stated_at(stop), facts.lane.window[priority]), "cancellation-asked")
    if visit_outlives_request(facts, now):
        return Answer(_by_visit(facts, rules, priority), "request-withdrawn")
    limits = [task.due for task in facts.tasks if task.due is not None and task.effect in LIVE_TASK]
    if limits and (stated := [end for end in map(rules.calendar.end_of, limits) if end is not None]):
        return Answer(min(stated), "task-restriction-period")
    began = visit_at(facts) if _visit_began(facts, status, now) else None
    if began is not None:
        return Answer(rules.calendar.after(began, AFTER_VISIT), "visit-began")
    due, rule = lane_step[0].due, lane_step[1]
    anchor = _anchor(facts, due, rules, clock) if due.span is not None else None
    if due.span is None or anchor is None:
        return Answer(_window_end(facts, rules, priority, clock), "lane-window")
    if due.before:
        at = rules.calendar.before(anchor, due.span)
        if at < clock.begun_at:
            return Answer(min(_window_end(facts, rules, priority, clock), anchor), "asked-at-short-notice")
    else:
        at = rules.calendar.after(anchor, due.span)
        at = _put_off(at, due.span, rules, clock) if due.anchor == "opened" else at
    return Answer(at, rule)


def _by_visit(facts: Facts, rules: Rules, priority: Priority) -> datetime:
    """Return by when a visit is to be called off: within the window, and before anybody sets out for it."""
    assert facts.root is not None
    end = rules.calendar.after(stated_at(facts.root.snapshot), facts.lane.window[priority])
    at = visit_at(facts)
    return end if at is None else min(end, at)


def _window_end(facts: Facts, rules: Rules, priority: Priority, clock: Clock) -> datetime:
    window = facts.lane.window[priority]
    return _put_off(rules.calendar.after(clock.begun_at, window), window, rules, clock)


def _put_off(at: datetime, span: Span, rules: Rules, clock: Clock) -> datetime:
    """Return a deadline put off by the times in which it was somebody else's turn."""
    for wait in clock.waits:
        at = rules.calendar.resumed(at, span.unit, max(wait.since, clock.begun_at), wait.until)
    return at


def work_begun_at(facts: Facts, rules: Rules, local: Local, opened_at: datetime, now: datetime) -> datetime:
    """
    Return since when there is something to do that was not done.

    Work begins when it was asked for (about a prescription in force: by the Tasks that ask for something now),
    and anew when a visit is missed or called off, when a supply is about to run out, and when a person reopens the
    case (rule ours).
    """
    anew = [opened_at, visit_failed_at(facts.visit), local.reopened_at]
    review = amended(facts)
    if review is not None:
        anew.append(stated_at(review))
    if facts.lead.effect is Effect.PRESCRIBED:
        anew.append(running_out_since(facts.lead, facts.lane, rules.calendar, now))
        anew.append(min((_asked_at(one) for one in facts.live if one.effect in LIVE_TASK), default=None))
    return max([at for at in anew if at is not None])


def _asked_at(task: Snapshot) -> datetime:
    return plausible(task.authored_at) or stated_at(task)


def next_step(
    facts: Facts,
    rules: Rules,
    status: Answer[Status],
    blocker: Answer[Blocker] | None,
    priority: Priority,
    clock: Clock,
    last: Attempt | None,
    attempts: Sequence[Attempt],
    now: datetime,
) -> tuple[Answer[NextAction] | None, Answer[datetime] | None]:
    """
    Return what happens next and by when, as the EHR, the lane and the attempts so far say.

    Args:
        last: The attempt that put the case where it stands, if one did.
    """
    if status.value is Status.CLOSED:
        return None, None
    lane_step = step_of(facts, status, priority, attempts)
    action = next_action_of(facts, status, blocker, lane_step, now)
    counted = clock if last is None else replace(clock, begun_at=max(clock.begun_at, last.at))
    due = promised(due_at(facts, rules, status, priority, counted, lane_step, now), last)
    if last is None or last.promised_for is not None or facts.lane.outreach is None:
        return action, due
    policy, vain = facts.lane.outreach, in_vain(attempts, clock.begun_at)
    if len(vain) >= policy.attempts:
        enough = NextAction(policy.then.action, policy.then.words())
        return Answer(enough, "outreach-exhausted"), _by_step(policy.then, facts, rules, priority, counted) or due
    if vain:
        at = Answer(next_try(vain[-1], policy, priority, rules.calendar), "outreach-cadence")
        return action, due if due is not None and due.rule in _STATED and due.value < at.value else at
    return action, due


_STATED = frozenset({"task-restriction-period", "cancellation-asked"})
"""Limits that the EHR gives: nothing of ours puts them off."""


def _by_step(step: Step, facts: Facts, rules: Rules, priority: Priority, clock: Clock) -> Answer[datetime] | None:
    if step.due.span is None:
        return Answer(_window_end(facts, rules, priority, clock), "outreach-exhausted")
    anchor = _anchor(facts, step.due, rules, clock)
    if anchor is None:
        return None
    move = rules.calendar.before if step.due.before else rules.calendar.after
    return Answer(move(anchor, step.due.span), "outreach-exhausted")


def promised(due: Answer[datetime] | None, last: Attempt | None) -> Answer[datetime] | None:
    """A promise made in the attempt that decides the status is when to look again; a limit from the EHR stands."""
    if last is None or last.promised_for is None:
        return due
    if due is not None and due.rule in _STATED and due.value < last.promised_for:
        return due
    return Answer(last.promised_for, "promised-in-outreach")


def _anchor(facts: Facts, due: Due, rules: Rules, clock: Clock) -> datetime | None:
    if due.anchor == "visit":
        return visit_failed_at(facts.visit) or visit_at(facts)
    if due.anchor == "run-out":
        return rules.calendar.end_of(facts.lead.run_out) if facts.lead.run_out is not None else None
    return clock.entered_at if due.anchor == "entered" else clock.begun_at


def decided_next(
    local: Local, action: Answer[NextAction] | None, due: Answer[datetime] | None
) -> tuple[Answer[NextAction] | None, Answer[datetime] | None]:
    """Return the next action and its due time as a person decided them, where one did."""
    decided = local.next_action
    if decided is not None and decided.next_action is not None:
        action = Answer(decided.next_action, "set-by-person")
    if decided is not None and decided.due_at is not None:
        due = Answer(decided.due_at, "set-by-person")
    if local.snoozed_until is not None and (due is None or local.snoozed_until > due.value):
        due = Answer(local.snoozed_until, "snoozed")
    return action, due
