"""What a person can ask the store for, and the pages it answers with."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from bridge.cases.changes import Change
from bridge.cases.model import Case


class CaseOrder(StrEnum):
    """Which cases come first."""

    DUE = "due"
    """Soonest due, then oldest; closed cases and those without a due date come last."""
    OLDEST = "oldest"
    """Asked for the longest time ago."""
    CLOSED = "closed"
    """Closed last; open cases come after them, oldest first."""


class CaseFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which cases to list; every field narrows. Merged cases are never listed unless ``merged``."""

    tenant: str | None = None
    connection: str | None = None
    lane: str | None = None
    status: str | None = None
    owner: str | None = None
    """An owner's id."""
    owners: tuple[str, ...] | None = None
    """The ids of several owners, of whom one has the case."""
    patient: str | None = None
    """``Patient/id``."""
    blocker: str | None = None
    """A blocker category, or ``any``."""
    is_open: bool | None = None
    next_action: str | None = None
    """The code of what happens next."""
    closure: str | None = None
    """The reason why it was closed."""
    overdue_at: datetime | None = None
    """Only open cases due before this instant."""
    due_from: datetime | None = None
    """Only open cases due at this instant or later."""
    unowned: bool = False
    """Only cases owned by a role queue rather than a person."""
    escalated: bool = False
    waiting_on_ehr: bool = False
    """Only cases of which something is still to be written, is being written, or is parked."""
    closed_since: datetime | None = None
    """Only closed cases that were closed at this instant or later, as far as that was noted."""
    q: str | None = None
    """Words looked for in title and patient display, without regard to case."""
    merged: bool = False
    order: CaseOrder = CaseOrder.DUE


class CasePage(msgspec.Struct, frozen=True):
    """One page of cases in the order asked for, the total, and where the next page starts."""

    cases: tuple[Case, ...]
    total: int
    next_cursor: str | None


class Again(msgspec.Struct, frozen=True):
    """A case, and how often what blocks it now has begun to hold it up: more than once."""

    case: Case
    times: int


class AgainPage(msgspec.Struct, frozen=True):
    """The first of the cases that are blocked again, most often first, and how many there are."""

    cases: tuple[Again, ...]
    total: int


class HistoryPage(msgspec.Struct, frozen=True):
    """Some cases' histories, each in order, and after which the next page begins (``None``: there is none)."""

    histories: tuple[tuple[Change, ...], ...]
    next: int | None
