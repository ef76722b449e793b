"""Reading cases for people: one transaction, a fixed number of queries for a page of any size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

import msgspec

from bridge.cases.changes import Change
from bridge.cases.lanes import Lane
from bridge.cases.model import Attempt, Case
from bridge.cases.sources import SourceRow
from bridge.cases.suggesting import Suggestion, offered
from bridge.store.port import Tx
from bridge.store.queries import CaseFilter
from bridge.store.rows import OutboxRow
from bridge.sync.command import attempts_elsewhere
from bridge.sync.line import READ_ORDER
from bridge.web.connections import data_as_of
from bridge.web.context import WebContext
from bridge.web.milestones import CaseDetail, detailed, loop_of
from bridge.web.problems import ApiError
from bridge.web.views import CaseView, case_view

_ROWS_AT_ONCE = 1000


class Listed(msgspec.Struct, frozen=True):
    """One page of cases as shown, the total, and the cursor of the next page."""

    cases: tuple[CaseView, ...]
    total: int
    next: str | None


class Read(msgspec.Struct, frozen=True):
    """One case with everything that is known of it."""

    case: Case
    view: CaseDetail
    changes: Sequence[Change]
    writes: Sequence[OutboxRow]
    suggestions: Sequence[Suggestion]
    sources: Sequence[SourceRow]
    elsewhere: Sequence[Attempt] = ()
    """Attempts to reach the patient on other cases of theirs."""


def list_cases(
    context: WebContext, where: CaseFilter, *, limit: int, cursor: str | None, up_to: int | None = None
) -> Listed:
    """
    Read one page of cases; with *up_to* the total is counted no further than that.

    Raises:
        ApiError: *cursor* is not one that was given out.
    """
    now = context.clock()
    with context.store.reading() as tx:
        try:
            page = tx.list_cases(where, limit=limit, cursor=cursor, up_to=up_to)
        except ValueError as error:
            raise ApiError(422, "cursor: not one that this server gave out; start from the first page") from error
        writes = writes_of(tx, [case.id for case in page.cases])
        as_of = _as_of(tx, context, {case.connection for case in page.cases})
    views = tuple(
        case_view(case, writes.get(case.id, ()), data_as_of=as_of[case.connection], now=now) for case in page.cases
    )
    return Listed(views, page.total, page.next_cursor)


def read_case(context: WebContext, case_id: str) -> Read:
    """
    Read one case whole; a merged one too.

    Raises:
        ApiError: There is no such case.
    """
    with context.store.reading() as tx:
        case = tx.case(case_id)
        if case is None:
            raise ApiError(404, "There is no such case.")
        changes = tx.history(case_id)
        writes = writes_of(tx, [case_id]).get(case_id, [])
        as_of = _as_of(tx, context, {case.connection})[case.connection]
        sources = tx.sources_of_roots(case.connection, [case.root])
        elsewhere = attempts_elsewhere(tx, case)
    lane, now = _lane_of(context, case), context.clock()
    round_ = loop_of(lane.loop, case, changes, writes, now) if lane is not None else ()
    view = detailed(case_view(case, writes, data_as_of=as_of, now=now), round_)
    found = _suggested(lane, case, sources) if case.is_open else []
    return Read(case, view, changes, writes, found, sources, elsewhere)


def _lane_of(context: WebContext, case: Case) -> Lane | None:
    line = context.lines.get(case.connection)
    return line.rules.lanes[case.lane] if line is not None and case.lane in line.rules.lanes else None


def _suggested(lane: Lane | None, case: Case, sources: Iterable[SourceRow]) -> list[Suggestion]:
    return offered(case, (row.snapshot for row in sources), lane.blockers) if lane is not None else []


def writes_of(tx: Tx, case_ids: Sequence[str]) -> dict[str, list[OutboxRow]]:
    """Return every outbox row of these cases, by id."""
    found: dict[str, list[OutboxRow]] = {}
    after = 0
    while case_ids:
        rows = tx.outbox(case_ids=case_ids, limit=_ROWS_AT_ONCE, after=after)
        for row in rows:
            found.setdefault(row.intent.case_id, []).append(row)
        if len(rows) < _ROWS_AT_ONCE:
            break
        after = rows[-1].id
    return found


def _as_of(tx: Tx, context: WebContext, connections: Iterable[str]) -> dict[str, datetime | None]:
    as_of = {}
    for name in connections:
        cursors = tx.cursors(name)
        line = context.lines.get(name)
        types = line.types if line is not None else [one.stream for one in cursors if one.stream in READ_ORDER]
        as_of[name] = data_as_of(cursors, types)
    return as_of
