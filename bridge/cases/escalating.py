"""
Climbing the ladder: who is asked to step in, because of what, and when.

A lane says what makes a case climb (``[[lanes.NAME.escalates]]``): time that passed, attempts in vain, a concern
that came up in one. Each has a beginning that follows from the case alone, and each step of the ladder is due a
given time later; so the same case at the same moment stands on the same step, whichever process looks, however
often, and however long nobody looked. A step that was due meanwhile is taken with the time it was due.

Acknowledged, a case climbs no further. Where what triggered it is over, it is resolved by itself, and goes on where
it stood should the same thing hold again (a case that was put off is due when it was before, once that lapses); a
concern that a person raised, and an escalation that a person made, are resolved by people alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime

import msgspec
from msgspec.structs import replace

from bridge.cases.clinical import certain
from bridge.cases.facts import Facts, visit_at
from bridge.cases.lane_parts import Climb
from bridge.cases.model import Attempt, Case, Escalation, NextAction, Owner, gravest
from bridge.cases.outreach import in_vain
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Effect, Priority
from bridge.cases.terms import CLINICAL, Action, AttemptOutcome, Concern, OwnerKind, Status, Trigger

WORDS = {
    Trigger.OVERDUE: "The next action is overdue",
    Trigger.FAILED_CONTACT: "The patient could not be reached",
    Trigger.NOT_SCHEDULED: "No visit is scheduled yet",
    Trigger.NOT_FOLLOWED_UP: "The patient was not contacted in time",
    Trigger.UNOWNED: "Nobody has taken the case",
    Trigger.WORSENING_SYMPTOMS: "The patient reports worsening symptoms",
    Trigger.MEDICATION_CONFUSION: "The patient is unsure about a medication",
    Trigger.COMPLAINT: "The patient complained",
    Trigger.PRIVACY_CONCERN: "A privacy concern was raised",
}
"""What people read; nothing of the patient's is in it, so that it may stand in a list."""

_BY_PEOPLE = CLINICAL | {Trigger.PERSON, Trigger.COMPLAINT, Trigger.PRIVACY_CONCERN}
"""What only a person resolves."""

ASKS_ANEW = CLINICAL | {Trigger.PERSON}
"""Whoever steps in because of these has to decide something; in all other cases what was to be done still is."""


class Position(msgspec.Struct, frozen=True, gc=False):
    """What the triggers look at: the case as it is derived so far, without any escalation."""

    facts: Facts
    rules: Rules
    prior: Case | None
    status: Status
    priority: Priority
    owner: Owner
    backup: Owner | None
    opened_at: datetime
    begun_at: datetime
    due_at: datetime | None
    owned_at: datetime
    known_at: datetime
    now: datetime


class Climbed(msgspec.Struct, frozen=True, gc=False):
    """The escalations that are not as they were, in the order in which they came about, and the next moment."""

    changed: tuple[Escalation, ...]
    wake_at: datetime | None


class _Alarm(msgspec.Struct, frozen=True, gc=False):
    """One reason to climb, since a moment that may be still to come."""

    rule: Climb
    begun_at: datetime


def climb(on: Position) -> Climbed:
    """Return every step that is due, what is resolved by itself, and when the next step will be due."""
    alarms = _alarms(on)
    standing = on.prior.escalations if on.prior is not None else ()
    known = {(one.trigger, one.begun_at): one for one in standing} if standing else {}
    changed: list[Escalation] = []
    moments: list[datetime] = []
    for alarm in alarms:
        before = known.get((alarm.rule.when, alarm.begun_at)) if known else None
        if before is not None and _is_over_by_itself(before):
            changed.append(before := replace(before, resolved_by=None, resolved_at=None))
        if before is not None and (not before.is_open or before.acknowledged_at is not None):
            continue
        due, next_at = _steps(alarm, on)
        changed += [_step(alarm, *step) for step in due if before is None or step[0] > before.level]
        if next_at is not None:
            moments.append(next_at)
    changed += _over(known, alarms, on.now) if known else ()
    return Climbed(tuple(changed), min(moments, default=None))


def _over(
    known: Mapping[tuple[Trigger, datetime | None], Escalation], alarms: Iterable[_Alarm], now: datetime
) -> Iterator[Escalation]:
    """Yield as resolved what is open although what triggered it holds no longer."""
    holding = {(alarm.rule.when, alarm.begun_at) for alarm in alarms}
    for key, one in known.items():
        if key not in holding and one.is_open and one.trigger not in _BY_PEOPLE:
            yield replace(one, resolved_by=f"rule:{one.trigger.value}", resolved_at=now)


def _is_over_by_itself(one: Escalation) -> bool:
    return one.resolved_by == f"rule:{one.trigger.value}"


def unanswered(prior: Case | None) -> bool:
    """Whether a clinical question is open that nobody has acknowledged."""
    standing = prior.escalations if prior is not None else ()
    return any(one.is_open and one.trigger in CLINICAL and one.acknowledged_at is None for one in standing)


def before_the_end(question: Escalation) -> NextAction:
    """Return what is next where the EHR has ended the work and nobody has acknowledged a clinical question."""
    text = f"Answer the clinical question: {WORDS.get(question.trigger, question.why)}"
    return NextAction(Action.ESCALATE_TO_CLINICIAN, f"{text}. {_THEN}")


_THEN = "The work has ended in the EHR; the case closes once licensed staff acknowledge this"


def ended(prior: Case | None, by: str, now: datetime) -> tuple[Escalation, ...]:
    """Return every open escalation as resolved: the case is closed, and nobody has to step in any more."""
    standing = prior.escalations if prior is not None else ()
    return tuple(replace(one, resolved_by=by, resolved_at=now) for one in standing if one.is_open)


def after(prior: Case | None, climbed: Climbed, owner: Owner) -> Escalation | None:
    """Return the gravest escalation that is open once *climbed* is written down."""
    if not climbed.changed and (prior is None or not prior.escalations):
        return None
    known = {(one.trigger, one.begun_at): one for one in (prior.escalations if prior is not None else ())}
    known |= {(one.trigger, one.begun_at): one for one in climbed.changed}
    return gravest(known.values(), owner)


def _step(alarm: _Alarm, level: int, at: datetime, to: Owner) -> Escalation:
    trigger = alarm.rule.when
    return Escalation(
        level=level,
        to=to,
        why=WORDS[trigger],
        since=at,
        by=f"rule:{trigger.value}",
        trigger=trigger,
        begun_at=alarm.begun_at,
    )


def _steps(alarm: _Alarm, on: Position) -> tuple[list[tuple[int, datetime, Owner]], datetime | None]:
    """Return the steps of the ladder that are due, each with its moment and whom it asks, and when the next one is."""
    zone = on.rules.calendar.zone
    due: list[tuple[int, datetime, Owner]] = []
    at = on.rules.calendar.beyond(alarm.begun_at, alarm.rule.after)
    if at > on.now:
        return due, at
    for level, named in enumerate(_ladder(alarm.rule, on), start=1):
        if at > on.now:
            return due, at
        due.append((level, at, _acting(named, alarm.rule, on, at.astimezone(zone).date())))
        if alarm.rule.every is None:
            break
        at = on.rules.calendar.beyond(at, alarm.rule.every)
    return due, None


def _acting(named: Owner, rule: Climb, on: Position, day: date) -> Owner:
    """Return who is asked in place of *named* on a day; a clinical question stays with licensed staff then, too."""
    owners = on.rules.owners
    acting = owners.stand_in(named, on.backup, day)
    if rule.when not in CLINICAL or owners.is_licensed(acting.id):
        return acting
    there = (
        name for name in certain(on.facts.lane, rule) if owners.is_licensed(name) and not owners.is_away(name, day)
    )
    found = next(there, None)
    return named if found is None else owners.owner(found)


def _ladder(rule: Climb, on: Position) -> Sequence[Owner]:
    """Return who is asked, one after the other, nobody twice; a clinical question goes to licensed staff alone."""
    owners = on.rules.owners
    named = rule.to or ("owner", "backup", *on.facts.lane.escalates_to)
    people = [_named(name, on) for name in named]
    found = [person for person in people if person is not None]
    if rule.when in CLINICAL:
        found = [person for person in found if owners.is_licensed(person.id)]
        found = found or [owners.owner(name) for name in certain(on.facts.lane, rule) if owners.is_licensed(name)]
    return list(dict.fromkeys(found))


def _named(name: str, on: Position) -> Owner | None:
    if name == "owner":
        # Whom the EHR names does not look at our worklist: the lane's own queue is asked.
        return on.owner if on.owner.kind is not OwnerKind.EHR else on.rules.owners.owner(on.facts.lane.owner)
    if name == "backup":
        return on.backup
    return on.rules.owners.owner(name)


# What makes a case climb ----------------------------------------------------------------------------------


def _alarms(on: Position) -> list[_Alarm]:
    tried = bool(_attempts(on))
    return [
        _Alarm(rule, at)
        for rule in on.rules.lanes.climbs(on.facts.lane, on.priority)
        if tried or rule.when not in _BY_ATTEMPTS
        for at in _BEGINNINGS[rule.when](rule, on)
    ]


def _overdue(rule: Climb, on: Position) -> Iterable[datetime]:
    """Nobody is late for what was due before Bridge knew of it."""
    return () if on.due_at is None else (max(on.due_at, on.known_at),)


def _unowned(rule: Climb, on: Position) -> Iterable[datetime]:
    """A role queue owns the case, and nobody in it took it since it came there or the work began anew."""
    if on.owner.kind is not OwnerKind.ROLE or on.status is Status.SCHEDULED:
        return ()
    return (_within(rule, on, max(on.owned_at, on.known_at, on.begun_at)),)


def _not_scheduled(rule: Climb, on: Position) -> Iterable[datetime]:
    if on.status is Status.SCHEDULED or _was_seen(on) or on.facts.has_died:
        return ()
    return (_within(rule, on, max(on.begun_at, on.known_at)),)


def _not_followed_up(rule: Climb, on: Position) -> Iterable[datetime]:
    """The patient was not reached since the visit, the discharge or the result. Nobody calls one who has died."""
    if on.facts.has_died:
        return ()
    anchor = visit_at(on.facts) or on.opened_at
    reached = (one for one in _attempts(on) if one.outcome is AttemptOutcome.REACHED and one.at >= anchor)
    return () if any(reached) else (_within(rule, on, max(anchor, on.known_at)),)


def _failed_contact(rule: Climb, on: Position) -> Iterable[datetime]:
    tries = on.facts.lane.outreach if not on.facts.has_died else None
    vain = in_vain(_attempts(on), on.begun_at)
    return () if tries is None or len(vain) < tries.attempts else (vain[tries.attempts - 1].at,)


def _concern(rule: Climb, on: Position) -> Iterable[datetime]:
    return [one.at for one in _attempts(on) if rule.when.value in one.concerns]


def _attempts(on: Position) -> Sequence[Attempt]:
    return on.prior.outreach if on.prior is not None else ()


def _was_seen(on: Position) -> bool:
    return on.facts.visit is not None and on.facts.visit.effect is Effect.ATTENDED


def _within(rule: Climb, on: Position, since: datetime) -> datetime:
    span = rule.within.get(on.priority) if rule.within else None
    return since if span is None else on.rules.calendar.after(since, span)


_BY_ATTEMPTS = frozenset({Trigger.FAILED_CONTACT, *Concern})
"""What begins with an attempt to reach the patient, and so not before there is one."""

_BEGINNINGS = {
    Trigger.OVERDUE: _overdue,
    Trigger.UNOWNED: _unowned,
    Trigger.NOT_SCHEDULED: _not_scheduled,
    Trigger.NOT_FOLLOWED_UP: _not_followed_up,
    Trigger.FAILED_CONTACT: _failed_contact,
    Trigger.WORSENING_SYMPTOMS: _concern,
    Trigger.MEDICATION_CONFUSION: _concern,
    Trigger.COMPLAINT: _concern,
    Trigger.PRIVACY_CONCERN: _concern,
}
