"""
What a case is, given its sources and what people decided: the rules that draw the conclusion.

``derive`` is a plain function of the newest version of each source, the people's standing decisions and the
time. It never looks at the order in which versions came, so any order and any repetition of the same versions
ends in the same case. ``reconcile`` turns the difference to the case as it was into changes.

Each answer comes with the name of the rule that gave it, which ``bridge explain`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

import msgspec
from msgspec.structs import replace

from bridge.cases.blockers import LABELS, UNBLOCKS, WAITS, category_of_pause
from bridge.cases.calendar import plausible
from bridge.cases.grouping import CROSSES_PATIENTS
from bridge.cases.lanes import Due, Lane
from bridge.cases.model import (
    ACTION_TEXT,
    Attempt,
    AttemptOutcome,
    Blocker,
    BlockerCategory,
    Case,
    Closure,
    ClosureReason,
    Local,
    NextAction,
    Owner,
    SourceLine,
    Status,
)
from bridge.cases.owners import owner_in_ehr
from bridge.cases.rules import Rules, running_out_since
from bridge.cases.snapshot import Effect, Party, Priority, Snapshot
from bridge.cases.sources import SourceRow

_RANK = {priority: rank for rank, priority in enumerate(Priority)}
_LIVE_TASK = frozenset({Effect.ASKED, Effect.ACCEPTED, Effect.UNDER_WAY, Effect.PAUSED})
_FULFILS = "http://hl7.org/fhir/CodeSystem/task-code|fulfill"
_PATIENT_SIDE = frozenset({"Patient", "RelatedPerson"})
_FIRM_VISIT = frozenset({Effect.BOOKED, Effect.ARRIVED})


_T = TypeVar("_T")


class Answer(msgspec.Struct, Generic[_T], frozen=True, gc=False):
    """A conclusion and the rule that drew it."""

    value: _T
    rule: str


class View(msgspec.Struct, frozen=True):
    """Everything about a case that follows from its sources and the people's decisions."""

    lane: Lane
    status: Answer[Status]
    priority: Priority
    title: str
    requester: Party | None
    patient: Party | None
    sources: tuple[SourceLine, ...]
    oddities: tuple[str, ...]
    owner: Answer[Owner]
    backup: Owner | None
    next_action: Answer[NextAction] | None
    due_at: Answer[datetime] | None
    blocker: Answer[Blocker] | None
    closure: Answer[Closure] | None
    visit_at: datetime | None
    opened_at: datetime
    local: Local


class Facts(msgspec.Struct, frozen=True):
    """The sources of one group, sorted out once: the root, what is live, and the visit that counts."""

    root: SourceRow | None
    rows: tuple[SourceRow, ...]
    live: tuple[Snapshot, ...]
    tasks: tuple[Snapshot, ...]
    visit: Snapshot | None
    lead: Snapshot
    lane: Lane


def gather(root: str, rows: Sequence[SourceRow], rules: Rules, fallback: str | None) -> Facts | None:
    """
    Sort out the sources of a group; ``None`` when no lane that is switched on knows this kind of work.

    Args:
        fallback: The lane the case was in before, for work that no lane claims any longer.
    """
    ordered = tuple(sorted(rows, key=lambda row: (row.ref != root, row.ref)))
    live = tuple(row.snapshot for row in ordered if row.gone_at is None and row.snapshot.effect is not Effect.VOID)
    lead = ordered[0].snapshot if ordered[0].ref == root or not live else live[0]
    lane = rules.lanes.of(lead)
    if lane is None:
        lane = next((found for found in map(rules.lanes.of, live) if found is not None), None)
    if lane is None and fallback is not None and fallback in rules.lanes:
        lane = rules.lanes[fallback]
    if lane is None:
        return None
    return Facts(
        root=ordered[0] if ordered[0].ref == root else None,
        rows=ordered,
        live=live,
        tasks=tuple(snapshot for snapshot in live if _does_the_work(snapshot, root, lane, rules)),
        visit=visit_that_counts(live),
        lead=lead,
        lane=lane,
    )


def derive(facts: Facts, rules: Rules, prior: Case | None, now: datetime) -> View:
    """Draw every conclusion about one group; see the module's docstring."""
    local = prior.local if prior is not None else Local()
    stated = _blocker(facts, rules)
    local = _lapse_blocker(local, stated)
    blocker = _blocker_in_force(local, stated)
    ended = _closure(facts, rules, now)
    said = work_said(facts, rules, stated)
    local = _lapse_closure(local, ended, said)
    closure = _closure_in_force(local, ended)
    status = _status(facts, rules, prior, blocker, closure, now)
    owner = _owner(facts, rules)
    local = _lapse_owner(local, owner)
    if local.owner is not None:
        owner = Answer(local.owner.owner, "assigned-by-person")
    opened_at = min(row.began_at for row in facts.rows)
    priority = _priority(facts)
    last = _deciding_attempt(status, facts, prior)
    begun_at = _begun_at(facts, rules, local, last, opened_at, now)
    due = _promised(_due(facts, rules, status, priority, begun_at), last)
    local = _lapse_snooze(_lapse_next_action(local, said), said)
    is_open = status.value is not Status.CLOSED
    action = _next_action(facts.lane, status.value, blocker) if is_open else None
    action, due = _decided_next(local, action, due)
    return View(
        lane=facts.lane,
        status=status,
        priority=priority,
        title=facts.lead.title,
        requester=_first(snapshot.requester for snapshot in (facts.lead, *facts.live)),
        patient=_patient(facts),
        sources=tuple(_line(row) for row in facts.rows),
        oddities=_oddities(facts),
        owner=owner,
        backup=_backup(owner.value, facts.lane, rules),
        next_action=action if is_open else None,
        due_at=due if is_open else None,
        blocker=blocker if is_open else None,
        closure=closure,
        visit_at=_visit_at(facts),
        opened_at=opened_at,
        local=local,
    )


@dataclass(frozen=True)
class Standing:
    """What the EHR and the lane say at this moment, as the fingerprints a person's decision is held against."""

    owner: Owner
    blocker: str
    closure: str
    work: str


def standing(facts: Facts, rules: Rules, now: datetime) -> Standing:
    """Return what a person decides over."""
    stated, ended = _blocker(facts, rules), _closure(facts, rules, now)
    return Standing(
        owner=_owner(facts, rules).value,
        blocker=blocker_said(stated.value if stated else None),
        closure=closure_said(ended.value if ended else None),
        work=work_said(facts, rules, stated),
    )


# The visit ------------------------------------------------------------------------------------------------


def visit_that_counts(live: Sequence[Snapshot]) -> Snapshot | None:
    """Return the last firm visit (booked or arrived), else the last of any other kind."""
    visits = [snapshot for snapshot in live if snapshot.type == "Appointment"]
    firm = [visit for visit in visits if visit.effect in _FIRM_VISIT]
    return max(firm or visits, key=_when, default=None)


def _when(snapshot: Snapshot) -> tuple[float, str]:
    at = snapshot.start_at or snapshot.updated_at
    return (at.timestamp() if at is not None else float("-inf"), snapshot.ref)


def _visit_at(facts: Facts) -> datetime | None:
    return plausible(facts.visit.start_at) if facts.visit is not None else None


# How it ended ---------------------------------------------------------------------------------------------

_ENDS = {
    Effect.DONE: (ClosureReason.COMPLETED, "Completed in the EHR"),
    Effect.CANCELLED: (ClosureReason.CANCELLED_BY_REQUESTER, "Cancelled by the requester"),
    Effect.DECLINED: (ClosureReason.DECLINED, "Declined by the performer"),
    Effect.FAILED: (ClosureReason.OTHER, "Could not be done"),
    Effect.VOID: (ClosureReason.ENTERED_IN_ERROR, "Entered in error"),
}


def _closure(facts: Facts, rules: Rules, now: datetime) -> Answer[Closure] | None:
    """Return how the EHR says that the work ended, if it does."""
    if facts.root is not None:
        return _root_ended(facts, facts.root, rules, now)
    return _orphans_ended(facts)


def _root_ended(facts: Facts, root: SourceRow, rules: Rules, now: datetime) -> Answer[Closure] | None:
    snapshot = root.snapshot
    if root.gone_at is not None:
        closure = Closure(reason=ClosureReason.OTHER, outcome="Deleted in the EHR", by=root.ref, at=root.gone_at)
        return Answer(closure, "root-deleted")
    if snapshot.effect in _ENDS:
        return Answer(_ended_by(snapshot, *_ENDS[snapshot.effect]), f"root-{snapshot.effect.value}")
    if snapshot.type == "Appointment" and snapshot.effect is Effect.ATTENDED:
        return Answer(_ended_by(snapshot, ClosureReason.COMPLETED, "The visit took place"), "visit-attended")
    if snapshot.effect is Effect.PRESCRIBED:
        return _prescription_ended(facts, snapshot, rules, now)
    return _work_ended(facts)


def _prescription_ended(facts: Facts, snapshot: Snapshot, rules: Rules, now: datetime) -> Answer[Closure] | None:
    """A prescription in force is work only for a Task about it, or while its supply runs out unanswered."""
    ended, since = _work_ended(facts), running_out_since(snapshot, facts.lane, rules.calendar, now)
    if since is not None:
        return ended if ended is not None and ended.value.at >= since else None
    if ended is None and all(task.effect is Effect.CANCELLED for task in facts.tasks):
        return Answer(_ended_by(snapshot, ClosureReason.COMPLETED, "Prescribed"), "prescription-active")
    return ended


def _work_ended(facts: Facts) -> Answer[Closure] | None:
    """The request stands, and the Task that was to fulfil it is completed with nothing else under way."""
    done = [task for task in facts.tasks if task.effect is Effect.DONE and _is_fulfilment(task)]
    if not done or any(task.effect in _LIVE_TASK for task in facts.tasks):
        return None
    last = max(done, key=_said)
    return Answer(_ended_by(last, ClosureReason.COMPLETED, "The Task was completed"), "task-completed")


def _orphans_ended(facts: Facts) -> Answer[Closure] | None:
    """The request is not known (yet): the case ends when all that is known of it has ended."""
    rows = facts.rows
    if all(row.gone_at is not None for row in rows):
        last = max(row.gone_at for row in rows if row.gone_at is not None)
        return Answer(
            Closure(reason=ClosureReason.OTHER, outcome="Deleted in the EHR", by=rows[0].ref, at=last),
            "all-deleted",
        )
    remaining = [row.snapshot for row in rows if row.gone_at is None]
    if any(snapshot.effect not in _ENDS and snapshot.effect is not Effect.ATTENDED for snapshot in remaining):
        return None
    for effect in (Effect.DONE, Effect.ATTENDED, Effect.CANCELLED, Effect.DECLINED, Effect.FAILED, Effect.VOID):
        ended = [snapshot for snapshot in remaining if snapshot.effect is effect]
        if ended:
            reason, words = _ENDS.get(effect, (ClosureReason.COMPLETED, "The visit took place"))
            return Answer(_ended_by(max(ended, key=_said), reason, words), f"all-{effect.value}")
    return None


def _ended_by(snapshot: Snapshot, reason: ClosureReason, words: str) -> Closure:
    told = snapshot.status_reason.label() if snapshot.status_reason is not None else None
    evidence = (snapshot.ref, *snapshot.outputs) if reason is ClosureReason.COMPLETED else ()
    return Closure(
        reason=reason,
        outcome=f"{words}: {told}" if told else words,
        evidence=evidence,
        by=snapshot.ref,
        at=stated_at(snapshot),
    )


def stated_at(snapshot: Snapshot) -> datetime:
    """Return when the source says that it came to be as it is."""
    return plausible(snapshot.updated_at or snapshot.modified_at or snapshot.authored_at) or _EPOCH


_EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")


def _said(snapshot: Snapshot) -> tuple[datetime, str]:
    return stated_at(snapshot), snapshot.ref


# What holds it up -----------------------------------------------------------------------------------------


def _blocker(facts: Facts, rules: Rules) -> Answer[Blocker] | None:
    """Return what the EHR says holds the work up, the root's word first."""
    for snapshot in facts.live:
        found = _held_by(snapshot, facts, rules)
        if found is not None:
            category, text, rule = found
            return Answer(Blocker(category, text, stated_at(snapshot), snapshot.ref), rule)
    return None


def _held_by(snapshot: Snapshot, facts: Facts, rules: Rules) -> tuple[BlockerCategory, str, str] | None:
    effect = snapshot.effect
    reason = snapshot.status_reason.label() if snapshot.status_reason is not None else None
    if snapshot.type == "Task" and effect in _LIVE_TASK:
        lane = rules.lanes.of(snapshot)
        rule = lane.rule_for(snapshot) if lane is not None else None
        if rule is not None and rule.blocker is not None:
            return rule.blocker, reason or LABELS[rule.blocker], "lane-says-task-blocks"
    if effect is Effect.PAUSED and (snapshot is facts.lead or snapshot in facts.tasks):
        category = category_of_pause(snapshot)
        return category, reason or LABELS[category], "paused-in-ehr"
    if effect is Effect.UNCLEAR and snapshot is facts.lead:
        return BlockerCategory.INTERNAL_QUEUE, "The EHR does not know the status", "status-unknown-in-ehr"
    if effect in (Effect.DECLINED, Effect.FAILED) and snapshot in facts.tasks and _nobody_else_does(facts):
        words = "Declined" if effect is Effect.DECLINED else "Could not be done"
        return BlockerCategory.EXTERNAL_PROVIDER, f"{words}: {reason}" if reason else words, "task-refused"
    if effect is Effect.WAITLISTED and snapshot is facts.visit:
        category = BlockerCategory.SCHEDULING_CAPACITY
        return category, reason or LABELS[category], "on-waitlist"
    return None


def _nobody_else_does(facts: Facts) -> bool:
    booked = facts.visit is not None and facts.visit.effect in _FIRM_VISIT
    return not booked and not any(task.effect in _LIVE_TASK for task in facts.tasks)


# Where it stands ------------------------------------------------------------------------------------------


def _status(
    facts: Facts,
    rules: Rules,
    prior: Case | None,
    blocker: Answer[Blocker] | None,
    closure: Answer[Closure] | None,
    now: datetime,
) -> Answer[Status]:
    if closure is not None:
        return Answer(Status.CLOSED, closure.rule)
    if prior is not None and prior.escalation is not None:
        return Answer(Status.ESCALATED, "escalated")
    if blocker is not None:
        return Answer(WAITS[blocker.value.category], f"blocked:{blocker.rule}")
    by_sources = _status_of_visit(facts) or _status_of_work(facts, rules, now)
    if by_sources.value in (Status.NEW, Status.NEEDS_OUTREACH):
        return _status_of_outreach(prior, facts) or by_sources
    return by_sources


def _status_of_visit(facts: Facts) -> Answer[Status] | None:
    visit = facts.visit
    if visit is None:
        return None
    match visit.effect:
        case Effect.BOOKED | Effect.ARRIVED:
            return Answer(Status.SCHEDULED, f"visit-{visit.effect.value}")
        case Effect.ATTENDED:
            return Answer(Status.WAITING_ON_DOCUMENTS, "visit-attended-report-open")
        case Effect.AWAITING_REPLIES if "patient" in visit.waits_for:
            return Answer(Status.WAITING_ON_PATIENT, "patient-has-not-replied")
        case Effect.AWAITING_REPLIES:
            return Answer(Status.WAITING_ON_PROVIDER, "provider-has-not-replied")
        case Effect.PROPOSED:
            return Answer(Status.NEEDS_OUTREACH, "visit-proposed")
        case Effect.MISSED | Effect.VISIT_CANCELLED:
            return Answer(Status.NEEDS_OUTREACH, f"{visit.effect.value}-not-rebooked")
    return None


def _status_of_work(facts: Facts, rules: Rules, now: datetime) -> Answer[Status]:
    """Tasks that ask *us* say nothing by their progress: we are the ones who move them."""
    theirs = [task for task in facts.tasks if not rules.owners.is_us(task.owner)]
    live = [task for task in theirs if task.effect in _LIVE_TASK]
    if any(task.owner is not None and task.owner.type in _PATIENT_SIDE for task in live):
        return Answer(Status.WAITING_ON_PATIENT, "task-with-patient")
    if any(task.effect is Effect.UNDER_WAY for task in live):
        return Answer(Status.SCHEDULED, "task-in-progress")
    if any(task.effect is Effect.ACCEPTED for task in live):
        return Answer(Status.WAITING_ON_PROVIDER, "task-accepted")
    if facts.lead.type == "MedicationRequest":
        if facts.lead.effect is Effect.DRAFTED:
            return Answer(Status.WAITING_ON_PROVIDER, "prescription-unsigned")
        if facts.lead.effect is Effect.PRESCRIBED and running_out_since(facts.lead, facts.lane, rules.calendar, now):
            return Answer(Status.NEEDS_OUTREACH, "supply-runs-out")
    return Answer(Status.NEW, "nobody-acted-yet")


_AFTER_ATTEMPT = {
    AttemptOutcome.LEFT_MESSAGE: Status.WAITING_ON_PATIENT,
    AttemptOutcome.SENT: Status.WAITING_ON_PATIENT,
    AttemptOutcome.REACHED: Status.NEEDS_OUTREACH,
    AttemptOutcome.NO_ANSWER: Status.NEEDS_OUTREACH,
    AttemptOutcome.WRONG_NUMBER: Status.NEEDS_OUTREACH,
    AttemptOutcome.DECLINED: Status.NEEDS_OUTREACH,
    AttemptOutcome.FAILED: Status.NEEDS_OUTREACH,
}


def _status_of_outreach(prior: Case | None, facts: Facts) -> Answer[Status] | None:
    """What people did counts from when the visit was missed or called off, where it was."""
    if prior is None:
        return None
    last = _last_attempt(prior, facts)
    if last is not None:
        if last.outcome is AttemptOutcome.REACHED and last.promised_by == "patient":
            return Answer(Status.WAITING_ON_PATIENT, "outreach-promised-by-patient")
        return Answer(_AFTER_ATTEMPT[last.outcome], f"outreach-{last.outcome.value}")
    if prior.local.owner is not None or prior.local.next_action is not None:
        return Answer(Status.NEEDS_OUTREACH, "taken-up-by-person")
    return None


def _last_attempt(prior: Case, facts: Facts) -> Attempt | None:
    since = _visit_failed_at(facts.visit)
    attempts = [attempt for attempt in prior.outreach if since is None or attempt.at >= since]
    return max(attempts, key=lambda attempt: (attempt.at, attempt.id), default=None)


def _deciding_attempt(status: Answer[Status], facts: Facts, prior: Case | None) -> Attempt | None:
    """Return the attempt that put the case where it stands, if one did."""
    return _last_attempt(prior, facts) if prior is not None and status.rule.startswith("outreach-") else None


def _visit_failed_at(visit: Snapshot | None) -> datetime | None:
    """Return when the visit was missed, or called off if that was before it should have been."""
    if visit is None or visit.effect not in (Effect.MISSED, Effect.VISIT_CANCELLED):
        return None
    start, told = plausible(visit.start_at), stated_at(visit)
    return min(start, told) if start is not None else told


# Who, what next, by when ----------------------------------------------------------------------------------

_BUSIEST = {Effect.UNDER_WAY: 0, Effect.PAUSED: 1, Effect.ACCEPTED: 2, Effect.ASKED: 3}


def _owner(facts: Facts, rules: Rules) -> Answer[Owner]:
    live = [task for task in facts.tasks if task.effect in _LIVE_TASK]
    for task in sorted(live, key=lambda task: (_BUSIEST[task.effect], task.ref)):
        ours = rules.owners.find(task.owner)
        if ours is not None:
            return Answer(ours, "task-owner-is-ours")
        theirs = None if rules.owners.is_us(task.owner) else owner_in_ehr(task.owner)
        if theirs is not None:
            return Answer(theirs, "task-owner-in-ehr")
    named = rules.owners.find(facts.lead.owner)
    if named is not None:
        return Answer(named, "performer-is-ours")
    return Answer(rules.owners.owner(facts.lane.owner), "lane-role")


def _backup(owner: Owner, lane: Lane, rules: Rules) -> Owner | None:
    personal = rules.owners.backup_of(owner.id)
    if personal is not None:
        return personal
    if owner.id != lane.backup:
        return rules.owners.owner(lane.backup)
    return rules.owners.owner(lane.owner) if owner.id != lane.owner else None


def _next_action(lane: Lane, status: Status, blocker: Answer[Blocker] | None) -> Answer[NextAction]:
    if blocker is not None and status is not Status.ESCALATED:
        action = UNBLOCKS[blocker.value.category]
        return Answer(NextAction(action, ACTION_TEXT[action]), f"unblock:{blocker.value.category.value}")
    step = lane.next[status]
    return Answer(NextAction(step.action, step.words()), f"lane-step:{status.value}")


def _due(
    facts: Facts, rules: Rules, status: Answer[Status], priority: Priority, begun_at: datetime
) -> Answer[datetime] | None:
    if status.value is Status.CLOSED:
        return None
    ends = [
        rules.calendar.end_of(task.due) for task in facts.tasks if task.due is not None and task.effect in _LIVE_TASK
    ]
    if stated := [end for end in ends if end is not None]:
        return Answer(min(stated), "task-restriction-period")
    due = facts.lane.next[status.value].due
    anchor = _anchor(facts, due, rules, begun_at)
    window = rules.calendar.after(begun_at, facts.lane.window[priority])
    if due.span is None or anchor is None:
        return Answer(window, "lane-window")
    move = rules.calendar.before if due.before else rules.calendar.after
    at = move(anchor, due.span)
    if due.before and at < begun_at:
        return Answer(min(window, anchor), "asked-at-short-notice")
    return Answer(at, f"lane-step:{status.value.value}")


def _begun_at(
    facts: Facts, rules: Rules, local: Local, last: Attempt | None, opened_at: datetime, now: datetime
) -> datetime:
    """
    Return since when the step that the case is at has been waiting to be done.

    Work begins when it was asked for, and anew when a visit is missed or called off, when a supply is about to
    run out, when a person reopens the case, and with the attempt that left it waiting (rule ours).
    """
    anew = [_visit_failed_at(facts.visit), local.reopened_at, last.at if last is not None else None]
    if facts.lead.effect is Effect.PRESCRIBED:
        anew.append(running_out_since(facts.lead, facts.lane, rules.calendar, now))
    return max((opened_at, *filter(None, anew)))


def _promised(due: Answer[datetime] | None, last: Attempt | None) -> Answer[datetime] | None:
    """A promise made in the attempt that decides the status is when to look again; a limit from the EHR stands."""
    if last is None or last.promised_for is None:
        return due
    if due is not None and due.rule == "task-restriction-period" and due.value < last.promised_for:
        return due
    return Answer(last.promised_for, "promised-in-outreach")


def _anchor(facts: Facts, due: Due, rules: Rules, begun_at: datetime) -> datetime | None:
    if due.anchor == "visit":
        return _visit_failed_at(facts.visit) or _visit_at(facts)
    if due.anchor == "run-out":
        return rules.calendar.end_of(facts.lead.run_out) if facts.lead.run_out is not None else None
    return begun_at


def _decided_next(
    local: Local, action: Answer[NextAction] | None, due: Answer[datetime] | None
) -> tuple[Answer[NextAction] | None, Answer[datetime] | None]:
    decided = local.next_action
    if decided is not None and decided.next_action is not None:
        action = Answer(decided.next_action, "set-by-person")
    if decided is not None and decided.due_at is not None:
        due = Answer(decided.due_at, "set-by-person")
    if local.snoozed_until is not None and (due is None or local.snoozed_until > due.value):
        due = Answer(local.snoozed_until, "snoozed")
    return action, due


# What people decided, and when it lapses ------------------------------------------------------------------


def blocker_said(stated: Blocker | None) -> str:
    """Return the fingerprint of what the EHR says holds the case up."""
    return "" if stated is None else f"{stated.category.value} {stated.source} {stated.text}"


def closure_said(ended: Closure | None) -> str:
    """Return the fingerprint of how the EHR says the work ended."""
    return "" if ended is None else f"{ended.reason.value} {ended.by}"


def work_said(facts: Facts, rules: Rules, stated: Answer[Blocker] | None) -> str:
    """
    Return the fingerprint of what the EHR says about where the work stands.

    A Task that asks *us* is left out: its progress is our own word coming back.
    """
    lead = "" if rules.owners.is_us(facts.lead.owner) else facts.lead.status
    visit = f"{facts.visit.ref} {facts.visit.status} {facts.visit.start_at}" if facts.visit is not None else ""
    theirs = [task for task in facts.tasks if not rules.owners.is_us(task.owner)]
    tasks = " ".join(f"{task.ref} {task.status}" for task in theirs)
    return "; ".join((lead, visit, tasks, blocker_said(stated.value if stated else None)))


def _lapse_blocker(local: Local, stated: Answer[Blocker] | None) -> Local:
    if local.blocker is None or local.blocker.over == blocker_said(stated.value if stated else None):
        return local
    return replace(local, blocker=None)


def _lapse_closure(local: Local, ended: Answer[Closure] | None, said: str) -> Local:
    """A person's closing holds until the EHR shows new life; a reopening until the EHR ends it anew."""
    decided = local.closure
    if decided is None:
        return local
    if decided.closure is not None:
        holds = ended is not None or decided.over == said
    else:
        holds = decided.over == closure_said(ended.value if ended else None)
    return local if holds else replace(local, closure=None)


def _lapse_owner(local: Local, owner: Answer[Owner]) -> Local:
    if local.owner is None or local.owner.over == owner.value.id:
        return local
    return replace(local, owner=None)


def _lapse_next_action(local: Local, said: str) -> Local:
    if local.next_action is None or local.next_action.over == said:
        return local
    return replace(local, next_action=None)


def _lapse_snooze(local: Local, said: str) -> Local:
    if local.snoozed_until is None or local.snoozed_over in (None, said):
        return local
    return replace(local, snoozed_until=None, snooze_reason=None, snoozed_over=None)


def _blocker_in_force(local: Local, stated: Answer[Blocker] | None) -> Answer[Blocker] | None:
    if local.blocker is None:
        return stated
    return None if local.blocker.blocker is None else Answer(local.blocker.blocker, "raised-by-person")


def _closure_in_force(local: Local, ended: Answer[Closure] | None) -> Answer[Closure] | None:
    if local.closure is None:
        return ended
    return None if local.closure.closure is None else Answer(local.closure.closure, "closed-by-person")


# Small facts ----------------------------------------------------------------------------------------------


def _does_the_work(snapshot: Snapshot, root: str, lane: Lane, rules: Rules) -> bool:
    """Whether a Task stands for the work itself, rather than for a step of it or for a change of it."""
    if snapshot.type != "Task":
        return False
    if snapshot.ref == root:
        return True
    if snapshot.parent != root or any(coding.token in _ABOUT_THE_REQUEST for coding in snapshot.codes):
        return False
    own_lane = rules.lanes.of(snapshot)
    rule = own_lane.rule_for(snapshot) if own_lane is not None else None
    return rule is None or rule.blocker is None


_ABOUT_THE_REQUEST = frozenset(
    f"http://hl7.org/fhir/CodeSystem/task-code|{code}"
    for code in ("approve", "abort", "replace", "change", "suspend", "resume")
)
"""task-code values that ask to change or stop the request, not to do it (FHIR R4 CodeSystem task-code)."""


def _is_fulfilment(task: Snapshot) -> bool:
    return not task.codes or any(coding.token == _FULFILS for coding in task.codes)


def _priority(facts: Facts) -> Priority:
    stated = [snapshot.priority for snapshot in facts.live if snapshot.priority is not None]
    return max(stated, key=_RANK.__getitem__, default=Priority.ROUTINE)


def _patient(facts: Facts) -> Party | None:
    named = [row.snapshot.patient for row in facts.rows if row.snapshot.patient is not None]
    return next((party for party in named if party.ref is not None), named[0] if named else None)


def _first(parties: Iterable[Party | None]) -> Party | None:
    return next((party for party in parties if party is not None), None)


def _line(row: SourceRow) -> SourceLine:
    snapshot = row.snapshot
    return SourceLine(
        row.ref, snapshot.version, snapshot.status, snapshot.effect, snapshot.updated_at, row.gone_at is not None
    )


def _oddities(facts: Facts) -> tuple[str, ...]:
    found = []
    for row in facts.rows:
        found += [f"{row.ref}: {oddity}" for oddity in row.snapshot.oddities]
        if row.aside is not None:
            found.append(f"{row.ref}: {CROSSES_PATIENTS}")
    return tuple(found)
