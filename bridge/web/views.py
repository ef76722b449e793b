"""
What the API answers with: one struct per shape, the single source of both the bytes and the OpenAPI schema.

The structs are msgspec's: they encode several times faster than models that validate, and ``openapi.py``
derives the schemas from the same annotations, so that the two cannot drift apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Literal

import msgspec

from bridge.cases.intents import LEVEL_KINDS, Intent, IntentKind, IntentState
from bridge.cases.model import Attempt, Blocker, Case, CasePatient, Closure, Escalation, NextAction, Owner, SourceLine
from bridge.cases.snapshot import Priority
from bridge.cases.suggesting import Suggestion
from bridge.cases.terms import OwnerKind, Status, Trigger
from bridge.store.rows import InboxRow, InboxState, OutboxRow

WriteState = Literal["queued", "sent", "confirmed", "parked", "not-writable"]

SHOWN_STATE: dict[IntentState, WriteState] = {
    IntentState.QUEUED: "queued",
    IntentState.SENDING: "sent",
    IntentState.CONFIRMED: "confirmed",
    IntentState.PARKED: "parked",
    IntentState.NOT_WRITABLE: "not-writable",
}
"""Superseded intents have no entry: a newer one of the same slot says what is so."""


class OwnerView(msgspec.Struct, frozen=True):
    """Who acts next, who stands in, or who was asked to step in."""

    kind: OwnerKind
    id: str
    display: str


class EscalationView(msgspec.Struct, frozen=True, kw_only=True):
    """Who was asked to step in, why, whether they answered, and whether it is over."""

    trigger: Trigger
    level: int
    to: OwnerView
    why: str
    since: datetime
    by: str
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    resolved_by: str | None
    resolved_at: datetime | None


class WriteBack(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where one thing that should be true in the EHR stands.

    ``resource`` is what was written (``Type/id``), ``reason`` why it was not, ``at`` when that became so.
    """

    id: int
    kind: IntentKind
    state: WriteState
    resource: str | None
    reason: str | None
    at: datetime


class CaseView(msgspec.Struct, frozen=True, kw_only=True):
    """A coordination case: what is the status, what happens next, who owns it, what blocks it."""

    id: str
    connection: str
    tenant: str
    lane: str
    status: Status
    stage: Status
    """Where the work stands, whoever was asked to step in: differs from ``status`` while that is escalated."""
    priority: Priority
    patient: CasePatient | None
    title: str
    root: str
    sources: tuple[SourceLine, ...]
    owner: OwnerView
    backup: OwnerView | None
    next_action: NextAction | None
    due_at: datetime | None
    overdue: bool
    blocker: Blocker | None
    outreach: tuple[Attempt, ...]
    escalation: EscalationView | None
    """The gravest one that is open, of ``escalations``."""
    escalations: tuple[EscalationView, ...]
    closure: Closure | None
    write_back: tuple[WriteBack, ...]
    opened_at: datetime
    first_response_at: datetime | None
    updated_at: datetime
    closed_at: datetime | None
    data_as_of: datetime | None
    """The oldest watermark among the connection's streams: no change before it is missing. ``null`` until
    every stream was read through once."""
    version: int


class CaseList(msgspec.Struct, frozen=True, kw_only=True):
    """One page of cases, soonest due first; ``next`` is the cursor of the following page."""

    cases: tuple[CaseView, ...]
    total: int
    next: str | None


class CauseView(msgspec.Struct, frozen=True):
    """Why a change happened: a source version, a person, a rule or a timer."""

    kind: str
    what: str
    rule: str | None


class Suggestions(msgspec.Struct, frozen=True):
    """What remarks on a case suggest that nobody answered yet, the newest first."""

    case: str
    suggestions: tuple[Suggestion, ...]


class TimelineEntry(msgspec.Struct, frozen=True, kw_only=True):
    """
    One thing that happened to a case, oldest first.

    ``what`` is the name of the change, or ``write``; ``fact`` holds its data. A write carries its ``write``.
    """

    at: datetime
    entry: Literal["change", "outreach", "write"]
    what: str
    text: str
    seq: int | None = None
    version: int | None = None
    cause: CauseView | None = None
    fact: dict[str, Any] | None = None
    write: OutboxView | None = None


class Timeline(msgspec.Struct, frozen=True):
    """A case's whole history: changes with their cause, outreach, and writes with their answers."""

    case: str
    entries: tuple[TimelineEntry, ...]


class OutboxView(msgspec.Struct, frozen=True, kw_only=True):
    """One intent and where it stands."""

    id: int
    connection: str
    case: str
    kind: IntentKind
    target: str | None
    state: IntentState
    attempts: int
    unsure: bool
    code: str | None
    reason: str | None
    resource: str | None
    resource_version: str | None
    created_at: datetime
    next_at: datetime | None
    settled_at: datetime | None


class OutboxList(msgspec.Struct, frozen=True, kw_only=True):
    """Outbox rows by id; ``next`` is the ``after`` of the following page."""

    rows: tuple[OutboxView, ...]
    next: int | None


class InboxView(msgspec.Struct, frozen=True, kw_only=True):
    """One received version and what became of it."""

    id: int
    connection: str
    resource: str
    type: str
    version: str
    updated_at: datetime | None
    received_at: datetime
    path: str
    state: InboxState
    code: str | None
    reason: str | None


class InboxList(msgspec.Struct, frozen=True, kw_only=True):
    """Inbox rows by id; ``next`` is the ``after`` of the following page."""

    rows: tuple[InboxView, ...]
    next: int | None


class InboxDetail(msgspec.Struct, frozen=True, kw_only=True):
    """One received version with its content: masked, or exactly as received where it was asked for."""

    row: InboxView
    masked: bool
    size_bytes: int
    raw: str


class ReplayOutcome(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What would become of one row, tried now and alone."""

    id: int
    state: str
    code: str | None = None
    reason: str | None = None


class Replayed(msgspec.Struct, frozen=True, kw_only=True):
    """
    What a replay took up, or with ``dry_run`` would take up.

    ``becomes`` and ``outcomes`` are for a dry run: how many would be in each state, and which.
    """

    dry_run: bool
    matched: int
    replayed: int
    ids: tuple[int, ...]
    becomes: dict[str, int] = {}
    outcomes: tuple[ReplayOutcome, ...] = ()


def case_view(case: Case, rows: Iterable[OutboxRow], *, data_as_of: datetime | None, now: datetime) -> CaseView:
    """Return a case as the API shows it; *rows* are its outbox rows by id."""
    return CaseView(
        id=case.id,
        connection=case.connection,
        tenant=case.tenant,
        lane=case.lane,
        status=case.status,
        stage=case.stage,
        priority=case.priority,
        patient=case.patient,
        title=case.title,
        root=case.root,
        sources=case.sources,
        owner=owner_view(case.owner),
        backup=None if case.backup is None else owner_view(case.backup),
        next_action=case.next_action,
        due_at=case.due_at,
        overdue=is_overdue(case, now),
        blocker=case.blocker,
        outreach=case.outreach,
        escalation=None if case.escalation is None else _escalation(case.escalation),
        escalations=tuple(_escalation(one) for one in case.escalations),
        closure=case.closure,
        write_back=write_back(rows),
        opened_at=case.opened_at,
        first_response_at=case.first_response_at,
        updated_at=case.updated_at,
        closed_at=case.closed_at,
        data_as_of=data_as_of,
        version=case.version,
    )


def is_overdue(case: Case, now: datetime) -> bool:
    """Whether an open case's due time has passed."""
    return case.is_open and case.due_at is not None and case.due_at < now


def owner_view(owner: Owner) -> OwnerView:
    """Return an owner without the way in which the EHR names them."""
    return OwnerView(owner.kind, owner.id, owner.display)


def write_back(rows: Iterable[OutboxRow]) -> tuple[WriteBack, ...]:
    """
    Return where each thing that should be true in the EHR stands, oldest first.

    Of a level intent only the newest row counts: it is about the same resource as those before it.
    """
    newest: dict[str, OutboxRow] = {}
    for row in rows:
        if row.state in SHOWN_STATE:
            slot = row.intent.slot if row.intent.kind in LEVEL_KINDS else row.intent.key
            newest[slot] = row
    return tuple(_written(row) for row in sorted(newest.values(), key=lambda row: row.id))


def outbox_view(row: OutboxRow) -> OutboxView:
    """Return an outbox row as the API shows it: the message it carries is left out."""
    intent: Intent = row.intent
    return OutboxView(
        id=row.id,
        connection=intent.connection,
        case=intent.case_id,
        kind=intent.kind,
        target=intent.target,
        state=row.state,
        attempts=row.attempts,
        unsure=row.unsure,
        code=row.code,
        reason=row.reason,
        resource=row.written,
        resource_version=row.written_version,
        created_at=row.created_at,
        next_at=row.next_at if row.state is IntentState.QUEUED else None,
        settled_at=row.settled_at,
    )


def inbox_view(row: InboxRow) -> InboxView:
    """Return an inbox row as the API shows it, without its content."""
    assert row.id is not None
    return InboxView(
        id=row.id,
        connection=row.connection,
        resource=row.ref,
        type=row.type,
        version=row.version,
        updated_at=row.updated_at,
        received_at=row.received_at,
        path=row.path,
        state=row.state,
        code=row.code,
        reason=row.reason,
    )


def _escalation(escalation: Escalation) -> EscalationView:
    return EscalationView(
        trigger=escalation.trigger,
        level=escalation.level,
        to=owner_view(escalation.to),
        why=escalation.why,
        since=escalation.since,
        by=escalation.by,
        acknowledged_by=escalation.acknowledged_by,
        acknowledged_at=escalation.acknowledged_at,
        resolved_by=escalation.resolved_by,
        resolved_at=escalation.resolved_at,
    )


def _written(row: OutboxRow) -> WriteBack:
    return WriteBack(
        id=row.id,
        kind=row.intent.kind,
        state=SHOWN_STATE[row.state],
        resource=row.written,
        reason=row.reason,
        at=row.settled_at or row.created_at,
    )
