"""
What a case is, given its sources and what people decided: the rules that draw the conclusion.

``derive`` is a plain function of the newest version of each source, the people's standing decisions and the
time. It never looks at the order in which versions came, so any order and any repetition of the same versions
ends in the same case. ``reconcile`` turns the difference to the case as it was into changes.

The rules are in ``facts`` (what is live, which visit counts), ``ending``, ``holding`` (blockers), ``status``,
``duties`` (owner, next action, due time) and ``decisions`` (what people decided, and when that lapses).

Each answer comes with the name of the rule that gave it, which ``bridge explain`` shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

import msgspec

from bridge.cases.changes import queued_anew, waits_after
from bridge.cases.decisions import (
    blocker_in_force,
    blocker_said,
    closure_in_force,
    closure_said,
    lapse_blocker,
    lapse_closure,
    lapse_next_action,
    lapse_owner,
    lapse_snooze,
    work_said,
)
from bridge.cases.duties import Clock, backup_of, decided_next, next_step, owner_of, work_begun_at
from bridge.cases.ending import ending
from bridge.cases.escalating import ASKS_ANEW, Climbed, Position, after, before_the_end, climb, ended, unanswered
from bridge.cases.facts import Answer, Facts, visit_at
from bridge.cases.grouping import CROSSES_PATIENTS
from bridge.cases.holding import holding
from bridge.cases.lanes import Lane
from bridge.cases.model import Attempt, Blocker, Case, Closure, Escalation, Local, NextAction, Owner, SourceLine
from bridge.cases.patients import oddities_of
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Party, Priority
from bridge.cases.sources import SourceRow
from bridge.cases.status import deciding_attempt, status_of
from bridge.cases.terms import Status

_RANK = {priority: rank for rank, priority in enumerate(Priority)}
_UNDECIDED = Local()


class View(msgspec.Struct, frozen=True, gc=False):
    """Everything about a case that follows from its sources and the people's decisions."""

    lane: Lane
    status: Answer[Status]
    beneath: Status | None
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
    escalations: tuple[Escalation, ...] = ()
    """Those that are not as they were, in the order in which they came about."""
    wake_at: datetime | None = None
    """When time alone will change the case next, as far as its lane says."""


def derive(facts: Facts, rules: Rules, prior: Case | None, now: datetime, *, revived: bool = False) -> View:
    """
    Draw every conclusion about one group; see the module's docstring.

    Args:
        revived: Whether a Task that had ended just came back to life: what a person closed goes on then.
    """
    local = prior.local if prior is not None else _UNDECIDED
    stated = holding(facts, rules)
    local = lapse_blocker(local, stated)
    blocker = blocker_in_force(local, stated)
    over = ending(facts, rules, now)
    said = work_said(facts, rules, stated) if _is_decided(local) else ""
    local = lapse_closure(local, over, _said_of_life(facts, rules, said), revived=revived)
    closure = closure_in_force(local, over)
    put_off = closure is not None and _waits_for_answer(prior, facts, closure)
    if put_off:
        closure = None
    status = status_of(facts, rules, prior, blocker, closure, now)
    owner = owner_of(facts, rules)
    local = lapse_owner(local, owner)
    if local.owner is not None:
        owner = Answer(local.owner.owner, "assigned-by-person")
    opened_at = min([row.began_at for row in facts.rows])
    priority = _priority(facts)
    last = deciding_attempt(status, facts, prior)
    begun_at = work_begun_at(facts, rules, local, opened_at, now)
    local = lapse_snooze(lapse_next_action(local, said), said)
    is_open = status.value is not Status.CLOSED
    backup = backup_of(owner.value, facts.lane, rules)
    known_at = _known_at(prior, now) if is_open else now
    waits = waits_after(prior, status.value, now) if prior is not None else ()
    clock = Clock(begun_at, _entered_at(prior, status.value, known_at, now), waits)
    step = next_step(facts, rules, status, blocker, priority, clock, last, _attempts(prior), now)
    action, due = decided_next(local, *step) if is_open else (None, None)
    position = Position(
        facts=facts,
        rules=rules,
        prior=prior,
        status=status.value,
        priority=priority,
        owner=owner.value,
        backup=backup,
        opened_at=opened_at,
        begun_at=begun_at,
        due_at=due.value if due is not None else None,
        owned_at=_owned_at(prior, owner.value, status.value, known_at, now),
        known_at=known_at,
        now=now,
    )
    climbed = climb(position) if is_open else Climbed(ended(prior, "rule:case-closed", now), None)
    gravest = after(prior, climbed, owner.value)
    beneath = None
    if is_open and gravest is not None:
        beneath = status.value
        status = Answer(Status.ESCALATED, f"escalated:{gravest.trigger.value}")
        if gravest.trigger in ASKS_ANEW:
            step = next_step(
                facts, rules, status, blocker, priority, Clock(gravest.since, gravest.since), None, (), now
            )
            action, due = decided_next(local, *step)
        if put_off:
            action = Answer(before_the_end(gravest), "clinical-question")
    return View(
        lane=facts.lane,
        status=status,
        beneath=beneath,
        priority=priority,
        title=facts.lead.title,
        requester=facts.lead.requester or _first([one.requester for one in facts.live]),
        patient=facts.patient,
        sources=tuple([_line(row) for row in facts.rows]),
        oddities=_oddities(facts),
        owner=owner,
        backup=backup,
        next_action=action,
        due_at=due,
        blocker=blocker if is_open else None,
        closure=closure,
        visit_at=visit_at(facts),
        opened_at=opened_at,
        local=local,
        escalations=climbed.changed,
        wake_at=climbed.wake_at,
    )


def _is_decided(local: Local) -> bool:
    """Whether a person decided something that lapses with what the EHR says about the work."""
    return local.closure is not None or local.next_action is not None or local.snoozed_until is not None


def _attempts(prior: Case | None) -> tuple[Attempt, ...]:
    return prior.outreach if prior is not None else ()


def _waits_for_answer(prior: Case | None, facts: Facts, closure: Answer[Closure]) -> bool:
    """
    Whether the end that the EHR tells is put off: the patient asked something that only licensed staff may answer.

    An order that is completed answers no question about a symptom; whoever acknowledges it lets the case end.
    """
    if prior is None or not prior.is_open or facts.has_died or closure.rule == "closed-by-person":
        return False
    return unanswered(prior)


def _known_at(prior: Case | None, now: datetime) -> datetime:
    """Return since when it is known, in this life of the case, that there is something to do."""
    return (prior.known_at or prior.opened_at) if prior is not None and prior.is_open else now


def _entered_at(prior: Case | None, stage: Status, known_at: datetime, now: datetime) -> datetime:
    """Return since when the work stands where it stands."""
    if prior is None or prior.stage is not stage:
        return now
    return prior.entered_at or known_at


def _owned_at(prior: Case | None, owner: Owner, stage: Status, known_at: datetime, now: datetime) -> datetime:
    """Return since when *owner* owns the case."""
    if prior is None or prior.owner.id != owner.id or queued_anew(prior, stage):
        return now
    return prior.owned_at or known_at


@dataclass(frozen=True)
class Standing:
    """What the EHR and the lane say at this moment, as the fingerprints a person's decision is held against."""

    owner: Owner
    blocker: str
    closure: str
    work: str


def standing(facts: Facts, rules: Rules, now: datetime) -> Standing:
    """Return what a person decides over."""
    stated, ended = holding(facts, rules), ending(facts, rules, now)
    return Standing(
        owner=owner_of(facts, rules).value,
        blocker=blocker_said(stated.value if stated else None),
        closure=closure_said(ended.value if ended else None),
        work=work_said(facts, rules, stated),
    )


def _said_of_life(facts: Facts, rules: Rules, said: str) -> tuple[str, ...]:
    """Return what the EHR says about the work, and what it would if the patient had not died."""
    if not facts.has_died:
        return (said,)
    return said, work_said(facts, rules, holding(facts, rules, death_counts=False))


def _priority(facts: Facts) -> Priority:
    stated = {snapshot.priority for snapshot in facts.live if snapshot.priority is not None}
    if len(stated) < 2:
        return next(iter(stated), Priority.ROUTINE)
    return max(stated, key=_RANK.__getitem__)


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
        if row.unread is not None:
            found.append(f"{row.ref}: version {row.unread.version} could not be read")
    return (*found, *oddities_of(facts.person))
