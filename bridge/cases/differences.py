"""The difference between a case as it was and as it is derived, as changes with their causes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases.book import Book
from bridge.cases.calendar import plausible
from bridge.cases.changes import Cause, Fact
from bridge.cases.derive import View
from bridge.cases.facts import Answer, Facts
from bridge.cases.model import Case, CasePatient, Closure, SourceLine
from bridge.cases.patients import is_same_person, merged, patient_of
from bridge.cases.rules import case_id
from bridge.cases.snapshot import Effect
from bridge.cases.terms import ClosureReason

_T = TypeVar("_T")

VISIT_EVENTS = {
    Effect.MISSED: "missed",
    Effect.VISIT_CANCELLED: "cancelled",
    Effect.WAITLISTED: "waitlisted",
    Effect.BOOKED: "booked",
    Effect.ATTENDED: "attended",
}


def differences(
    prior: Case | None, view: View, facts: Facts, root: str, cause: Cause, book: Book
) -> list[tuple[Cause, Fact]]:
    """Return what changed from *prior* to *view*, in the order in which people read it."""
    patient = patient_of(view.patient, prior, book.known.people)
    if prior is None:
        opened = facts_of.CaseOpened(_opened(view, root, patient, book))
        return [(cause, opened), *_climbed(view, cause), *_visit_events((), facts, cause)]
    found: list[tuple[Cause, Fact]] = []
    if prior.merged_into is not None:
        found.append((cause, facts_of.CaseMerged(None)))
    if prior.sources != view.sources or prior.oddities != view.oddities:
        found.append((cause, facts_of.SourcesChanged(view.sources, view.oddities)))
    found += _visit_events(prior.sources, facts, cause)
    if prior.lane != view.lane.name:
        found.append((cause, facts_of.LaneChanged(view.lane.name, prior.lane)))
    told = (view.title, view.priority, view.requester, view.visit_at, view.opened_at)
    if told != (prior.title, prior.priority, prior.requester, prior.visit_at, prior.opened_at):
        found.append((cause, facts_of.FactsChanged(*told)))
    if prior.patient != patient:
        found.append(_patient_changed(prior, patient, cause, book))
    closure = _value(view.closure)
    if prior.closure is not None and (closure is None or _was_never(prior.closure, closure)):
        found.append((_by(view.status, cause), facts_of.CaseReopened(prior.closure)))
    found += _climbed(view, cause)
    found += _work_changed(prior, view, cause)
    if prior.local != view.local:
        found.append((cause, facts_of.LocalDecided(view.local)))
    return found


def _climbed(view: View, cause: Cause) -> list[tuple[Cause, Fact]]:
    return [
        (
            replace(cause, rule=f"{'escalate' if one.is_open else 'resolve'}:{one.trigger.value}"),
            facts_of.Escalated(one),
        )
        for one in view.escalations
    ]


def _patient_changed(prior: Case, patient: CasePatient | None, cause: Cause, book: Book) -> tuple[Cause, Fact]:
    """Return what became known of the patient; another record of the same person is told from another person."""
    people, before, after = book.known.people, prior.patient_ref, patient.ref if patient is not None else None
    if patient is None or before is None or after is None or before == after:
        return cause, facts_of.PatientKnown(patient)
    if not is_same_person(before, after, people):
        return cause, facts_of.PatientKnown(patient)
    return merged(before, patient, cause, people)


def _work_changed(prior: Case, view: View, cause: Cause) -> Iterator[tuple[Cause, Fact]]:
    blocker = _value(view.blocker)
    if blocker is not None and prior.blocker != blocker:
        yield _by(view.blocker, cause), facts_of.BlockerRaised(blocker)
    elif blocker is None and prior.blocker is not None:
        yield cause, facts_of.BlockerCleared(prior.blocker)
    status = view.status.value
    if prior.status is not status or prior.beneath is not view.beneath:
        yield _by(view.status, cause), facts_of.StatusChanged(status, prior.status, view.beneath)
    if prior.owner != view.owner.value or prior.backup != view.backup:
        yield _by(view.owner, cause), facts_of.OwnerAssigned(view.owner.value, view.backup)
    action, due = _value(view.next_action), _value(view.due_at)
    if prior.next_action != action or prior.due_at != due:
        yield _by(view.next_action, cause), facts_of.NextActionSet(action, due)
    closure = _value(view.closure)
    if closure is not None and prior.closure != closure:
        yield _by(view.closure, cause), facts_of.CaseClosed(closure)


_NEVER = frozenset({ClosureReason.ENTERED_IN_ERROR, ClosureReason.DUPLICATE})


def _was_never(was: Closure, now: Closure) -> bool:
    """Whether a case that should never have been turns out to be one after all: another life begins."""
    return was.reason in _NEVER and now.reason not in _NEVER


def _opened(view: View, root: str, patient: CasePatient | None, book: Book) -> Case:
    rules, closure = book.rules, _value(view.closure)
    return Case(
        id=case_id(rules.connection, root),
        connection=rules.connection,
        tenant=rules.tenant,
        root=root,
        lane=view.lane.name,
        status=view.status.value,
        beneath=view.beneath,
        priority=view.priority,
        patient=patient,
        title=view.title,
        requester=view.requester,
        sources=view.sources,
        owner=view.owner.value,
        backup=view.backup,
        next_action=_value(view.next_action),
        due_at=_value(view.due_at),
        blocker=_value(view.blocker),
        closure=closure,
        oddities=view.oddities,
        visit_at=view.visit_at,
        opened_at=view.opened_at,
        updated_at=book.now,
        closed_at=closure.at if closure is not None else None,
        known_at=book.now,
    )


def _visit_events(before: Sequence[SourceLine], facts: Facts, cause: Cause) -> list[tuple[Cause, Fact]]:
    visits = [one for one in facts.live if one.effect in VISIT_EVENTS]
    known = {line.ref: line.effect for line in before} if visits else {}
    return [
        (cause, facts_of.VisitHappened(VISIT_EVENTS[visit.effect], visit.ref, plausible(visit.start_at)))
        for visit in visits
        if known.get(visit.ref) is not visit.effect
    ]


def _value(answer: Answer[_T] | None) -> _T | None:
    return answer.value if answer is not None else None


def _by(answer: Answer[_T] | None, cause: Cause) -> Cause:
    """Return *cause* with the rule that drew the conclusion."""
    return replace(cause, rule=answer.rule) if answer is not None else cause
