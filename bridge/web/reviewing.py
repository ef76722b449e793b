"""
What a team looks at once a week: what is oldest, stuck, late, stuck again and nearly done.

Everything is read from the cases as they stand; lists are cut to what fits on paper, and say how many there are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from bridge.cases.changes import BlockerCleared, BlockerRaised, CaseOpened, Change
from bridge.cases.model import Action, BlockerCategory, Case, ClosureReason, Status
from bridge.store.port import CaseFilter, CaseOrder, Tx
from bridge.web.context import WebContext

SHOWN = 15
"""Lines of a list."""
LOOKED_AT = 2000
"""Open cases that are looked at one by one, the soonest due first: for what no index knows."""
AGAIN_AT = 200
"""Blocked cases whose histories are read."""
WEEK = timedelta(days=7)
_AT_ONCE = 200


class Listed(msgspec.Struct, frozen=True):
    """The first cases of a list, and how many there are."""

    cases: Sequence[Case]
    total: int


class Again(msgspec.Struct, frozen=True):
    """A case that the same kind of blocker holds up for the second time, or more."""

    case: Case
    category: BlockerCategory
    times: int


class Review(msgspec.Struct, frozen=True, kw_only=True):
    """The week in lists."""

    total: int
    """Open cases."""
    looked_at: int
    """Of these so many were looked at one by one."""
    unowned: int
    oldest: Listed
    escalated: Listed
    overdue: Listed
    blocked: Listed
    blockers: Sequence[tuple[BlockerCategory, int]]
    """How many open cases each kind of blocker holds up, most first."""
    again: Sequence[Again]
    to_close: Listed
    """All that is left to do is to close them."""
    scheduled: Listed
    """Their visit is arranged."""
    closed: int
    """Closed within a week."""
    reasons: Sequence[tuple[ClosureReason, int]]
    """Why, of the newest of these."""


def review(context: WebContext, *, connection: str | None = None, lane: str | None = None) -> Review:
    """Return what there is to review, of one connection or lane alone where they are given."""
    now = context.clock()
    base = CaseFilter(connection=connection, lane=lane, is_open=True)

    def those(**narrowed: object) -> CaseFilter:
        return msgspec.structs.replace(base, **narrowed)

    with context.store.reading() as tx:
        looked = _looked_at(tx, base)
        blocked = _listed(tx, those(blocker="any", order=CaseOrder.OLDEST))
        total, unowned, *held = tx.count_cases(
            [base, those(unowned=True), *(those(blocker=kind.value) for kind in BlockerCategory)]
        )
        kinds = Counter(dict(zip(BlockerCategory, held, strict=True)))
        closed = _closed(tx, those(is_open=None, closed_since=now - WEEK, order=CaseOrder.CLOSED))
        to_close = [case for case in looked if _is_to_close(case)]
        return Review(
            total=total,
            looked_at=len(looked),
            unowned=unowned,
            oldest=_listed(tx, those(order=CaseOrder.OLDEST)),
            escalated=_listed(tx, those(escalated=True, order=CaseOrder.OLDEST)),
            overdue=_listed(tx, those(overdue_at=now)),
            blocked=blocked,
            blockers=[(kind, count) for kind, count in kinds.most_common() if count],
            again=_again(tx, [case for case in looked if case.blocker is not None][:AGAIN_AT]),
            to_close=Listed(to_close[:SHOWN], len(to_close)),
            scheduled=_listed(tx, those(status=Status.SCHEDULED.value)),
            closed=closed.total,
            reasons=Counter(case.closure.reason for case in closed.cases if case.closure is not None).most_common(),
        )


def late_by(case: Case, now: datetime) -> float:
    """Return for how many seconds a case's next step has been overdue."""
    return max(0.0, (now - case.due_at).total_seconds()) if case.due_at is not None else 0.0


def _is_to_close(case: Case) -> bool:
    return case.next_action is not None and case.next_action.code is Action.CLOSE_WITH_REASON


def _listed(tx: Tx, where: CaseFilter) -> Listed:
    page = tx.list_cases(where, limit=SHOWN)
    return Listed(page.cases, page.total)


def _closed(tx: Tx, where: CaseFilter) -> Listed:
    page = tx.list_cases(where, limit=_AT_ONCE)
    return Listed(page.cases, page.total)


def _looked_at(tx: Tx, where: CaseFilter) -> list[Case]:
    found: list[Case] = []
    cursor: str | None = None
    while len(found) < LOOKED_AT:
        page = tx.list_cases(where, limit=_AT_ONCE, cursor=cursor)
        found += page.cases
        cursor = page.next_cursor
        if cursor is None:
            break
    return found


def _again(tx: Tx, blocked: Sequence[Case]) -> list[Again]:
    found = []
    for case in blocked:
        assert case.blocker is not None
        times = _times(tx.history(case.id), case.blocker.category)
        if times > 1:
            found.append(Again(case, case.blocker.category, times))
    return sorted(found, key=lambda one: -one.times)


def _times(history: Iterable[Change], category: BlockerCategory) -> int:
    """How often a kind of blocker began to hold the case up; other words about it are no new one."""
    times, holds = 0, None
    for change in history:
        match change.fact:
            case CaseOpened(case=opened):
                raised = opened.blocker.category if opened.blocker is not None else None
            case BlockerRaised(blocker=blocker):
                raised = blocker.category
            case BlockerCleared():
                raised = None
            case _:
                continue
        times += raised is category and holds is not category
        holds = raised
    return times
