"""
The coordination case: one piece of work for one patient, and everything a coordinator asks of it.

A case answers four questions at a glance: what is the status, what happens next, who owns it, what blocks
it. The value is frozen; it changes only by folding changes into it (``changes.fold``).
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

import msgspec

from bridge.cases.snapshot import BusinessIdentifier, Effect, Party, Priority
from bridge.cases.terms import (
    CLINICAL,
    Action,
    AttemptOutcome,
    Barrier,
    BlockerCategory,
    Channel,
    ClosureReason,
    Concern,
    OwnerKind,
    Status,
    Trigger,
)


class Owner(msgspec.Struct, frozen=True, gc=False):
    """
    Who acts next, or who backs them up.

    ``id`` is the name in the owners section of the configuration, or for ``ehr`` the reference, identifier
    or display by which the EHR names them. ``party`` is set where the EHR has a way to name the owner.
    """

    kind: OwnerKind
    id: str
    display: str
    party: Party | None = None


class CasePatient(msgspec.Struct, frozen=True, gc=False):
    """The patient of a case: ``ref`` is needed before anything is written; the rest is for people."""

    ref: str | None
    display: str | None = None
    identifiers: tuple[BusinessIdentifier, ...] = ()
    language: str | None = None
    contact_preference: str | None = None
    birth_on: str | None = None
    deceased: bool = False


WAITING = frozenset({Status.WAITING_ON_PATIENT, Status.WAITING_ON_PROVIDER, Status.WAITING_ON_DOCUMENTS})
"""Statuses in which somebody else has to act: the window to respond stands still."""


class Wait(msgspec.Struct, frozen=True, gc=False):
    """A time in which the case waited on somebody; half-open, aware UTC."""

    since: datetime
    until: datetime


class NextAction(msgspec.Struct, frozen=True, gc=False):
    """What happens next, as a code to sort by and words to read."""

    code: Action
    text: str


class Blocker(msgspec.Struct, frozen=True, gc=False):
    """Why the case waits. ``source`` is ``Type/id``, ``person:NAME`` or ``rule:NAME``."""

    category: BlockerCategory
    text: str
    since: datetime
    source: str
    barrier: Barrier | None = None


class Attempt(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """One outreach attempt."""

    id: str
    at: datetime
    channel: Channel
    outcome: AttemptOutcome
    by: str
    understood: str | None = None
    barrier: Barrier | None = None
    next_action: str | None = None
    promised_by: str | None = None
    promised_for: datetime | None = None
    concerns: tuple[Concern, ...] = ()
    in_quiet_hours: bool = False
    """Whether it rang at the patient's at a time at which the lane, as it was then, has nobody ring."""
    refuses: tuple[Channel, ...] = ()
    """Ways by which the patient said that they do not want to be approached, on any of their cases."""
    agrees: tuple[Channel, ...] = ()
    """Ways that the patient said are welcome again."""


class Escalation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    Who was asked to step in, why, and whether they answered.

    ``level`` is the step of the ladder, from 1; ``since`` when that step was due; ``begun_at`` when what
    triggered it began, which with ``trigger`` says which one it is. ``by`` is a person, or ``rule:TRIGGER``.
    One that is resolved stays, so that the same thing does not climb twice.
    """

    level: int
    to: Owner
    why: str
    since: datetime
    by: str
    trigger: Trigger = Trigger.PERSON
    begun_at: datetime | None = None
    acknowledged_by: str | None = None
    acknowledged_at: datetime | None = None
    resolved_by: str | None = None
    resolved_at: datetime | None = None

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to see to it."""
        return self.resolved_at is None


def gravest(escalations: Iterable[Escalation], owner: Owner) -> Escalation | None:
    """
    Return the open one that climbed highest, the newest of several, leaving out what only reminds *owner*.

    A clinical question comes before all else, also one to the owner, and first of all one that nobody acknowledged.
    """
    standing = [one for one in escalations if one.is_open and (one.trigger in CLINICAL or one.to.id != owner.id)]
    return max(standing, key=_gravity, default=None)


def _gravity(one: Escalation) -> tuple[int, int, datetime, Trigger]:
    clinical = one.trigger in CLINICAL
    return clinical + (clinical and one.acknowledged_at is None), one.level, one.since, one.trigger


class Closure(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """How a case ended, and what proves it (``evidence`` holds ``Type/id`` references)."""

    reason: ClosureReason
    outcome: str
    evidence: tuple[str, ...] = ()
    by: str
    at: datetime


class CaseNote(msgspec.Struct, frozen=True, gc=False):
    """A coordinator's remark on the case."""

    at: datetime
    by: str
    text: str


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a person said to a suggestion of a rule; ``key`` tells which (``suggesting.Suggestion``)."""

    key: str
    rule: str
    accepted: bool


class SourceLine(msgspec.Struct, frozen=True, gc=False):
    """One resource that makes up the case, at its newest known version."""

    ref: str
    version: str
    status: str
    effect: Effect
    updated_at: datetime | None
    gone: bool = False


class Override(msgspec.Struct, frozen=True, gc=False):
    """
    A person's decision about one field, and what the EHR said when it was taken.

    The decision holds until the EHR says something else than ``over`` (a newer act of a clinician); rule ours.
    ``over`` is a plain text fingerprint of the field's value as the EHR and the lane gave it.
    """

    over: str
    by: str
    at: datetime


class OwnerOverride(Override, frozen=True, gc=False):
    """A person assigned the case."""

    owner: Owner


class BlockerOverride(Override, frozen=True, gc=False):
    """A person raised a blocker, or (``blocker`` is ``None``) cleared the one the EHR stated."""

    blocker: Blocker | None


class NextActionOverride(Override, frozen=True, gc=False):
    """A person set the next action and, optionally, when it is due."""

    next_action: NextAction | None
    due_at: datetime | None


class ClosureOverride(Override, frozen=True, gc=False):
    """A person closed the case, or (``closure`` is ``None``) reopened it."""

    closure: Closure | None


class Local(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    What people decided here; no decision is overwritten by a sync.

    It lapses when the EHR says something new about what was decided over; the history keeps it. A snooze lapses
    like a next action does (``snoozed_over`` is what the EHR said then): a case that was put off comes back when
    the patient misses the visit.
    """

    owner: OwnerOverride | None = None
    blocker: BlockerOverride | None = None
    next_action: NextActionOverride | None = None
    closure: ClosureOverride | None = None
    snoozed_until: datetime | None = None
    snooze_reason: str | None = None
    snoozed_over: str | None = None
    reopened_at: datetime | None = None


class Case(msgspec.Struct, frozen=True, gc=False, kw_only=True, omit_defaults=True):
    """
    One piece of coordination work for one patient.

    ``id`` is derived from connection and root, so the same work has the same id after a restore. ``root`` is
    ``Type/id`` of the request being coordinated. Instants are aware UTC. ``version`` counts the transactions
    that changed the case, from 1. ``opened_at`` is when the work was asked for, as early as any version told.
    """

    id: str
    connection: str
    tenant: str
    root: str
    lane: str
    status: Status
    priority: Priority
    patient: CasePatient | None
    title: str
    requester: Party | None
    sources: tuple[SourceLine, ...]
    owner: Owner
    backup: Owner | None
    next_action: NextAction | None
    due_at: datetime | None
    blocker: Blocker | None
    outreach: tuple[Attempt, ...] = ()
    escalations: tuple[Escalation, ...] = ()
    """Everybody who was asked to step in, in this life of the case; what is resolved stays."""
    closure: Closure | None = None
    notes: tuple[CaseNote, ...] = ()
    answered: tuple[Answer, ...] = ()
    """What people said to suggestions: these are not made again."""
    oddities: tuple[str, ...] = ()
    visit_at: datetime | None = None
    """When the next or last visit is, from the Appointment that the case is about."""
    opened_at: datetime
    first_response_at: datetime | None = None
    """When a person first acted on the case: the earliest attempt to reach the patient, or the first command."""
    updated_at: datetime
    closed_at: datetime | None = None
    known_at: datetime | None = None
    """When Bridge first knew of the work, in this life of the case: nobody is called late for the time before."""
    entered_at: datetime | None = None
    """Since when it is at its stage; ``None`` for since it was known."""
    beneath: Status | None = None
    """Where the work stands while the case is escalated."""
    waits: tuple[Wait, ...] = ()
    """When it waited on somebody, in this life of the case; what it waits for now is not in it."""
    owned_at: datetime | None = None
    """
    Since when the owner owns it, as far as Bridge knows; ``None`` for since it was known. For a queue, anew since it
    was not scheduled any longer.
    """
    merged_into: str | None = None
    round: int = 1
    """Which life of the case this is: reopening, or another patient, begins the next, with a Task of its own."""
    local: Local = Local()
    version: int = 1

    @property
    def patient_ref(self) -> str | None:
        """Whose work it is (``Patient/id``)."""
        return self.patient.ref if self.patient is not None else None

    @property
    def is_open(self) -> bool:
        """Whether somebody still has to do something."""
        return self.status is not Status.CLOSED

    @property
    def stage(self) -> Status:
        """Where the work stands, whoever was asked to step in."""
        return self.beneath or self.status

    @property
    def escalation(self) -> Escalation | None:
        """The gravest escalation that is open: somebody other than the owner was asked to step in."""
        return gravest(self.escalations, self.owner) if self.escalations else None
