"""
Changes: past-tense facts about a case, each with its cause; the case is the fold of them.

``case_change`` rows are append-only. ``fold`` is the only way a case comes to differ from what it was, so
replaying the stored changes from nothing gives the stored case back (tested).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from bridge.cases.enums import quick
from bridge.cases.model import (
    WAITING,
    Answer,
    Attempt,
    Blocker,
    Case,
    CaseNote,
    CasePatient,
    Closure,
    Escalation,
    Local,
    NextAction,
    Owner,
    SourceLine,
    Wait,
)
from bridge.cases.snapshot import Party, Priority
from bridge.cases.terms import OwnerKind, Status


@quick
class CauseKind(StrEnum):
    """Who or what brought a change about."""

    SOURCE = "source"
    PERSON = "person"
    RULE = "rule"
    TIMER = "timer"


class Cause(msgspec.Struct, frozen=True, gc=False):
    """
    Why a change happened.

    ``what`` is ``Type/id/_history/version`` for a source, the person's name, the rule's or the timer's name.
    ``rule`` names the rule that drew the conclusion, where one did.
    """

    kind: CauseKind
    what: str
    rule: str | None = None


class CaseOpened(msgspec.Struct, frozen=True, gc=False, tag="case-opened"):
    """The case came to be; holds its first state whole."""

    case: Case


class SourcesChanged(msgspec.Struct, frozen=True, gc=False, tag="sources-changed"):
    """A resource joined, left, or moved to a newer version."""

    sources: tuple[SourceLine, ...]
    oddities: tuple[str, ...] = ()


class StatusChanged(msgspec.Struct, frozen=True, gc=False, tag="status-changed", omit_defaults=True):
    """
    The case moved to another of the eight statuses.

    ``beneath`` is where the work stands while the case is escalated; it may move without the status.
    """

    status: Status
    was: Status
    beneath: Status | None = None


class LaneChanged(msgspec.Struct, frozen=True, gc=False, tag="lane-changed"):
    """The work turned out to be of another kind."""

    lane: str
    was: str


class VisitHappened(msgspec.Struct, frozen=True, gc=False, tag="visit-event"):
    """Something happened to a visit: ``missed``, ``cancelled``, ``waitlisted``, ``booked``, ``attended``."""

    event: str
    ref: str
    at: datetime | None = None


class FactsChanged(msgspec.Struct, frozen=True, gc=False, tag="facts-changed"):
    """Title, priority, requester, visit time or the time the work was asked for are known better."""

    title: str
    priority: Priority
    requester: Party | None
    visit_at: datetime | None
    opened_at: datetime


class PatientKnown(msgspec.Struct, frozen=True, gc=False, tag="patient-known"):
    """
    The patient, or more about the patient, became known.

    Where the EHR named another patient before, what was written for that one is not this one's.
    """

    patient: CasePatient | None


class PatientMerged(msgspec.Struct, frozen=True, gc=False, tag="patient-merged"):
    """
    The record of the patient was replaced by another: the same person, so what was written goes on being theirs.

    ``was`` is the record that the case named before (``Patient/id``). ``by`` are the versions that say who took its
    place, link by link; none where the EHR deleted it and names the other itself.
    """

    patient: CasePatient
    was: str
    by: tuple[str, ...] = ()


class OwnerAssigned(msgspec.Struct, frozen=True, gc=False, tag="owner-assigned"):
    """Somebody else is responsible for the next action."""

    owner: Owner
    backup: Owner | None


class NextActionSet(msgspec.Struct, frozen=True, gc=False, tag="next-action-set"):
    """What happens next, and by when."""

    next_action: NextAction | None
    due_at: datetime | None


class BlockerRaised(msgspec.Struct, frozen=True, gc=False, tag="blocker-raised"):
    """Something holds the case up."""

    blocker: Blocker


class BlockerCleared(msgspec.Struct, frozen=True, gc=False, tag="blocker-cleared"):
    """Nothing holds the case up any more."""

    was: Blocker


class OutreachLogged(msgspec.Struct, frozen=True, gc=False, tag="outreach-logged"):
    """Somebody tried to reach the patient."""

    attempt: Attempt


class Escalated(msgspec.Struct, frozen=True, gc=False, tag="escalated"):
    """Somebody was asked to step in, answered, or is no longer needed; says how that one escalation stands now."""

    escalation: Escalation


class NoteAdded(msgspec.Struct, frozen=True, gc=False, tag="note-added"):
    """A coordinator wrote a remark."""

    note: CaseNote


class SuggestionAnswered(msgspec.Struct, frozen=True, gc=False, tag="suggestion-answered"):
    """A person accepted or dismissed what a remark suggested; an accepted one is followed by its blocker."""

    answer: Answer


class LocalDecided(msgspec.Struct, frozen=True, gc=False, tag="local-decided"):
    """A person's standing decisions, whole, after one was taken or lapsed."""

    local: Local


class CaseClosed(msgspec.Struct, frozen=True, gc=False, tag="case-closed"):
    """The work ended."""

    closure: Closure


class CaseReopened(msgspec.Struct, frozen=True, gc=False, tag="case-reopened"):
    """The work was not over after all; the earlier closure stays in the history."""

    was: Closure


class CaseMerged(msgspec.Struct, frozen=True, gc=False, tag="case-merged"):
    """
    The work turned out to belong to another case, which goes on with everything known here.

    ``None``: it was split off again and is a case of its own.
    """

    into: str | None


class OddityNoted(msgspec.Struct, frozen=True, gc=False, tag="oddity-noted"):
    """Something was accepted although it is unusual, in fixed words, e.g. a Task move FHIR does not draw."""

    text: str


Fact = (
    CaseOpened
    | SourcesChanged
    | StatusChanged
    | LaneChanged
    | VisitHappened
    | FactsChanged
    | PatientKnown
    | PatientMerged
    | OwnerAssigned
    | NextActionSet
    | BlockerRaised
    | BlockerCleared
    | OutreachLogged
    | Escalated
    | NoteAdded
    | SuggestionAnswered
    | LocalDecided
    | CaseClosed
    | CaseReopened
    | CaseMerged
    | OddityNoted
)


class Change(msgspec.Struct, frozen=True, gc=False):
    """
    One fact about one case.

    ``seq`` is its place in the case's history, from 1, without gaps; ``version`` is the version of the case
    that this change is part of (changes decided together share it).
    """

    case_id: str
    seq: int
    version: int
    at: datetime
    cause: Cause
    fact: Fact


def fold(case: Case | None, change: Change) -> Case:
    """
    Return the case after *change*; the only place where a change takes effect.

    Raises:
        ValueError: The first change is not ``CaseOpened``, or a later one is.
    """
    fact = change.fact
    if case is None:
        if not isinstance(fact, CaseOpened):
            raise ValueError(f"the history of {change.case_id} does not begin with case-opened")
        return fact.case
    if isinstance(fact, CaseOpened):
        raise ValueError(f"{change.case_id} is opened twice")
    fields = _EFFECTS[type(fact)](case, fact, change)
    if case.first_response_at is None and change.cause.kind is CauseKind.PERSON:
        fields.setdefault("first_response_at", change.at)
    return msgspec.structs.replace(case, version=change.version, updated_at=change.at, **fields)


_Fields = dict[str, Any]
"""What a fact changes of a case, by field."""


def _sources(case: Case, fact: SourcesChanged, change: Change) -> _Fields:
    return {"sources": fact.sources, "oddities": fact.oddities}


def _patient(case: Case, fact: PatientKnown, _: Change) -> _Fields:
    moved = is_other_patient(case.patient, fact.patient)
    return {"patient": fact.patient, "round": case.round + moved}


def is_other_patient(before: CasePatient | None, after: CasePatient | None) -> bool:
    """Whether work that was one patient's, by the record, is so no longer."""
    return before is not None and before.ref is not None and (after is None or after.ref != before.ref)


def _facts(case: Case, fact: FactsChanged, change: Change) -> _Fields:
    return {
        "title": fact.title,
        "priority": fact.priority,
        "requester": fact.requester,
        "visit_at": fact.visit_at,
        "opened_at": fact.opened_at,
    }


def _moved(case: Case, fact: StatusChanged, change: Change) -> _Fields:
    after = fact.beneath or fact.status
    moved: _Fields = {"status": fact.status, "beneath": fact.beneath}
    if after is case.stage:
        return moved
    owned_at = change.at if queued_anew(case, after) else case.owned_at
    return moved | {"entered_at": change.at, "waits": waits_after(case, after, change.at), "owned_at": owned_at}


def queued_anew(case: Case, stage: Status) -> bool:
    """Whether a queue has something to take again: nobody needs to take what is scheduled."""
    return case.stage is Status.SCHEDULED and stage is not Status.SCHEDULED and case.owner.kind is OwnerKind.ROLE


def waits_after(case: Case, stage: Status, at: datetime) -> tuple[Wait, ...]:
    """Return when the case waited on somebody, once it comes to another stage."""
    since = case.entered_at or case.known_at or case.opened_at
    if case.stage is stage or case.stage not in WAITING or at <= since:
        return case.waits
    return (*case.waits, Wait(since, at))


def _owned(case: Case, fact: OwnerAssigned, change: Change) -> _Fields:
    since = case.owned_at if fact.owner.id == case.owner.id else change.at
    return {"owner": fact.owner, "backup": fact.backup, "owned_at": since}


def _outreach(case: Case, fact: OutreachLogged, change: Change) -> _Fields:
    first = min(case.first_response_at or fact.attempt.at, fact.attempt.at)
    return {"outreach": (*case.outreach, fact.attempt), "first_response_at": first}


def _with_escalation(known: tuple[Escalation, ...], now: Escalation) -> tuple[Escalation, ...]:
    """Return *known* with one of them as it stands now, or with a new one."""
    others = tuple(one for one in known if (one.trigger, one.begun_at) != (now.trigger, now.begun_at))
    return (*others, now)


def _reopened(case: Case, fact: CaseReopened, change: Change) -> _Fields:
    return {"closure": None, "closed_at": None, "round": case.round + 1, "waits": (), "known_at": change.at}


_EFFECTS: dict[type, Callable[[Case, Any, Change], _Fields]] = {
    SourcesChanged: _sources,
    StatusChanged: _moved,
    LaneChanged: lambda case, fact, _: {"lane": fact.lane},
    VisitHappened: lambda case, fact, _: {},
    FactsChanged: _facts,
    PatientKnown: _patient,
    PatientMerged: lambda case, fact, _: {"patient": fact.patient},
    OwnerAssigned: _owned,
    NextActionSet: lambda case, fact, _: {"next_action": fact.next_action, "due_at": fact.due_at},
    BlockerRaised: lambda case, fact, _: {"blocker": fact.blocker},
    BlockerCleared: lambda case, fact, _: {"blocker": None},
    OutreachLogged: _outreach,
    Escalated: lambda case, fact, _: {"escalations": _with_escalation(case.escalations, fact.escalation)},
    NoteAdded: lambda case, fact, _: {"notes": (*case.notes, fact.note)},
    SuggestionAnswered: lambda case, fact, _: {"answered": (*case.answered, fact.answer)},
    LocalDecided: lambda case, fact, _: {"local": fact.local},
    CaseClosed: lambda case, fact, _: {"closure": fact.closure, "closed_at": fact.closure.at},
    CaseReopened: _reopened,
    CaseMerged: lambda case, fact, _: {"merged_into": fact.into},
    OddityNoted: lambda case, fact, _: {},
}
