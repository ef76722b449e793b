"""
What a team looks at once a week: what is oldest, stuck, late, stuck again and nearly done.

Every case is asked for, however many there are, by what the store keeps an index of; lists are cut to what fits on
paper, and say how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from bridge.cases.model import Case
from bridge.cases.terms import Action, BlockerCategory, ClosureReason, Status
from bridge.store.port import Tx
from bridge.store.queries import AgainPage, CaseFilter, CaseOrder
from bridge.web.context import WebContext

T = TypeVar("T")

SHOWN = 15
"""Lines of a list."""
WEEK = timedelta(days=7)


class Listed(msgspec.Struct, frozen=True):
    """The first cases of a list, and how many there are."""

    cases: Sequence[Case]
    total: int


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """The week in lists."""

    total: int
    """Open cases."""
    unowned: int
    oldest: Listed
    escalated: Listed
    overdue: Listed
    blocked: Listed
    blockers: Sequence[tuple[BlockerCategory, int]]
    """How many open cases each kind of blocker holds up, most first."""
    again: AgainPage
    """Cases that the same kind of blocker holds up for the second time, or more."""
    to_close: Listed
    """All that is left to do is to close them."""
    scheduled: Listed
    """Their visit is arranged."""
    closed: int
    """Closed within a week."""
    reasons: Sequence[tuple[ClosureReason, int]]
    """Why, most often first."""


def review(context: WebContext, *, connection: str | None = None, lane: str | None = None) -> Review:
    """Return what there is to review, of one connection or lane alone where they are given."""
    now = context.clock()
    base = CaseFilter(connection=connection, lane=lane, is_open=True)

    def those(**narrowed: object) -> CaseFilter:
        return replace(base, **narrowed)

    with context.store.reading() as tx:
        closed = those(is_open=None, closed_since=now - WEEK)
        total, unowned, ended = tx.count_cases([base, those(unowned=True), closed])
        return Review(
            total=total,
            unowned=unowned,
            oldest=_listed(tx, those(order=CaseOrder.OLDEST)),
            escalated=_listed(tx, those(escalated=True, order=CaseOrder.OLDEST)),
            overdue=_listed(tx, those(overdue_at=now)),
            blocked=_listed(tx, those(blocker="any", order=CaseOrder.OLDEST)),
            blockers=_counted(tx, {kind: those(blocker=kind.value) for kind in BlockerCategory}),
            again=tx.blocked_again(base, limit=SHOWN),
            to_close=_listed(tx, those(next_action=Action.CLOSE_WITH_REASON.value)),
            scheduled=_listed(tx, those(status=Status.SCHEDULED.value)),
            closed=ended,
            reasons=_counted(tx, {why: replace(closed, closure=why.value) for why in ClosureReason}),
        )


def late_by(case: Case, now: datetime) -> float:
    """Return for how many seconds a case's next step has been overdue."""
    return max(0.0, (now - case.due_at).total_seconds()) if case.due_at is not None else 0.0


def _listed(tx: Tx, where: CaseFilter) -> Listed:
    page = tx.list_cases(where, limit=SHOWN)
    return Listed(page.cases, page.total)


def _counted(tx: Tx, wheres: Mapping[T, CaseFilter]) -> list[tuple[T, int]]:
    """How many cases there are of each kind of which there are any, most first."""
    counts = Counter(dict(zip(wheres, tx.count_cases(list(wheres.values())), strict=True)))
    return [(kind, count) for kind, count in counts.most_common() if count]
