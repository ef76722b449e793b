"""How the worklist is ordered, filtered and searched, whichever store keeps it. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from datetime import datetime
from types import MappingProxyType

from bridge.cases.changes import BlockerCleared, BlockerRaised, CaseOpened, Change
from bridge.cases.model import Case
from bridge.cases.terms import BlockerCategory, OwnerKind
from bridge.store.codec import NEVER, folded, micros
from bridge.store.queries import CaseFilter, CaseOrder

NOTHING: Mapping[str, None] = MappingProxyType({})


def due_order(case: Case) -> int:
    """Return the case's place by due date; closed cases and those without a due date come last."""
    return NEVER if case.due_at is None or not case.is_open else micros(case.due_at)


def place(case: Case, order: CaseOrder) -> tuple[int, int]:
    """Return where a case stands in an order; what is equal is told apart by the row's key."""
    opened = micros(case.opened_at)
    if order is CaseOrder.OLDEST:
        return opened, due_order(case)
    if order is CaseOrder.CLOSED:
        return (NEVER if case.closed_at is None else -micros(case.closed_at)), opened
    return due_order(case), opened


BLOCKING = (CaseOpened, BlockerRaised, BlockerCleared)
"""Changes that say what holds a case up."""


def begun_blockers(
    changes: Iterable[Change], holding: Mapping[str, str | None] = NOTHING
) -> dict[tuple[str, BlockerCategory], int]:
    """
    Return how often each kind of blocker began to hold a case up, by case and kind; other words are no new one.

    Args:
        holding: What kind held which case up before the first of these changes.
    """
    times: Counter[tuple[str, BlockerCategory]] = Counter()
    now = dict(holding)
    for change in changes:
        fact = change.fact
        if not isinstance(fact, BLOCKING):
            continue
        blocker = fact.blocker if isinstance(fact, BlockerRaised) else None
        if isinstance(fact, CaseOpened):
            blocker = fact.case.blocker
        kind = blocker.category if blocker is not None else None
        if kind is not None and kind != now.get(change.case_id):
            times[change.case_id, kind] += 1
        now[change.case_id] = kind
    return dict(times)


def search_text(case: Case) -> str:
    """Return the text that ``CaseFilter.q`` is looked for in."""
    return folded(f"{case.title} {case.patient.display or ''}" if case.patient else case.title)


def words(where: CaseFilter) -> list[str]:
    """Return the words that must all be in ``search_text``."""
    return folded(where.q or "").split()


def _closed_since(case: Case, since: datetime) -> bool:
    return not case.is_open and case.closed_at is not None and case.closed_at >= since


def matches(case: Case, where: CaseFilter, waiting: Collection[str] = ()) -> bool:
    """
    Return whether the case is one that the filter lets through; the SQL store says the same in SQL.

    Args:
        waiting: The ids of the cases of which something waits to be written.
    """
    due_at, blocker = case.due_at, case.blocker.category if case.blocker else None
    patient = case.patient.ref if case.patient else None
    text = search_text(case)
    return (
        (where.merged or case.merged_into is None)
        and where.tenant in (None, case.tenant)
        and where.connection in (None, case.connection)
        and where.lane in (None, case.lane)
        and where.status in (None, case.status)
        and where.owner in (None, case.owner.id)
        and (where.owners is None or case.owner.id in where.owners)
        and where.patient in (None, patient)
        and where.closure in (None, case.closure.reason if case.closure else None)
        and where.next_action in (None, case.next_action.code if case.next_action else None)
        and (where.blocker in (None, blocker) or (where.blocker == "any" and blocker is not None))
        and where.is_open in (None, case.is_open)
        and (where.overdue_at is None or (case.is_open and due_at is not None and due_at < where.overdue_at))
        and (where.due_from is None or (case.is_open and due_at is not None and due_at >= where.due_from))
        and (not where.unowned or case.owner.kind is OwnerKind.ROLE)
        and (not where.escalated or case.escalation is not None)
        and (not where.waiting_on_ehr or case.id in waiting)
        and (where.closed_since is None or _closed_since(case, where.closed_since))
        and all(word in text for word in words(where))
    )
