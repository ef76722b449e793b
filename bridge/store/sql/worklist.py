"""
Lists and counts of cases for people, with a million of them stored.

What a list is ordered and filtered by is in its index (``tables``): the index is read in order, alone, until the page
is full or the count is as high as anybody asked; only then the cases themselves are read. SQLite, which keeps no
statistics, is told which index that is: left to itself it sorted all closed cases, bodies and all, for one page (18 s
for 600,000 of them, measured 2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, literal, literal_column, select, true, tuple_, union

from bridge.store.batch import among, numbers
from bridge.store.codec import NEVER, clean, from_cursor, micros, to_cursor
from bridge.store.queries import Again, AgainPage, CaseFilter, CaseOrder, CasePage
from bridge.store.sql.cases import STATES, CasesRoom
from bridge.store.tables import CLOSED, LIVE, OPEN, QUEUED, SENDING, STUCK, care_case, case_hold, outbox
from bridge.store.worklist import words

_COUNTS = select(care_case.c.lane, care_case.c.status, func.count()).group_by(care_case.c.lane, care_case.c.status)
_PLACES: Mapping[CaseOrder, tuple[ColumnElement[int], ...]] = {
    CaseOrder.DUE: (care_case.c.due_order, care_case.c.opened_at, care_case.c.pk),
    CaseOrder.OLDEST: (care_case.c.opened_at, care_case.c.due_order, care_case.c.pk),
    CaseOrder.CLOSED: (care_case.c.closed_order, care_case.c.opened_at, care_case.c.pk),
}
# Three selects, because each state has an index of its own. "STUCK" says so to SQLite, which compares the words.
_WAITING = union(
    select(outbox.c.case_pk).where(QUEUED),
    select(outbox.c.case_pk).where(SENDING),
    select(outbox.c.case_pk).where(STUCK, outbox.c.state == literal_column("'parked'")),
)
_THESE = STATES.where(among(care_case.c.pk, numbers("pks")))
_AGAIN = and_(case_hold.c.case_pk == care_case.c.pk, case_hold.c.category == care_case.c.blocker, case_hold.c.times > 1)


class WorklistRoom(CasesRoom):
    """The cases, as people look for them."""

    def list_cases(
        self, where: CaseFilter, *, limit: int, cursor: str | None = None, up_to: int | None = None
    ) -> CasePage:
        place = _PLACES[where.order]
        query = select(care_case.c.pk, place[0].label("place"), place[1].label("then")).where(*self._conditions(where))
        if cursor is not None:
            query = query.where(tuple_(*place) > tuple_(*from_cursor(cursor)))
        total = self.count_cases([where], up_to)[0]
        few = total <= _FEW and (up_to is None or total < up_to)
        index = _index(where, few=few) if _is_in_order(where) else None
        found = self.rows(_by(query, index).order_by(*place).limit(limit + 1))
        last = found[limit - 1] if len(found) > limit else None
        known = {row.pk: row for row in self.rows(_THESE, pks=[row.pk for row in found[:limit]])}
        return CasePage(
            cases=tuple(self._known(*known[row.pk]) for row in found[:limit]),
            total=total,
            next_cursor=None if last is None else to_cursor((last.place, last.then, last.pk)),
        )

    def count_cases(self, wheres: Sequence[CaseFilter], up_to: int | None = None) -> list[int]:
        if not wheres:
            return []
        return list(self.conn.execute(select(*(self._count(where, up_to) for where in wheres))).one())

    def _count(self, where: CaseFilter, up_to: int | None) -> ColumnElement[int]:
        found = _by(select(literal(1)).select_from(care_case).where(*self._conditions(where)), _index(where))
        if up_to is not None:
            found = found.limit(up_to)
        return select(func.count()).select_from(found.subquery()).scalar_subquery()

    def blocked_again(self, where: CaseFilter, *, limit: int) -> AgainPage:
        wanted = [*self._conditions(where), care_case.c.blocker.is_not(None), OPEN]
        query = _by(select(care_case.c.pk, case_hold.c.times).join(case_hold, _AGAIN).where(*wanted), _BLOCKED)
        total = self.conn.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        found = self.rows(query.order_by(-case_hold.c.times, care_case.c.opened_at, care_case.c.pk).limit(limit))
        known = {row.pk: row for row in self.rows(_THESE, pks=[row.pk for row in found])}
        return AgainPage(tuple(Again(self._known(*known[row.pk]), row.times) for row in found), total)

    def _conditions(self, where: CaseFilter) -> list[ColumnElement[bool]]:
        columns = care_case.c
        wanted: list[ColumnElement[bool]] = [] if where.merged else [LIVE]
        if where.connection is not None:
            wanted.append(columns.connection_id == self.connection_id(where.connection))
        for column, value in (
            (columns.tenant, where.tenant),
            (columns.lane, where.lane),
            (columns.status, where.status),
            (columns.owner, where.owner),
            (columns.patient, where.patient),
            (columns.next_action, where.next_action),
            (columns.closure, where.closure),
        ):
            if value is not None:
                wanted.append(column == clean(value))
        if where.blocker is not None:
            wanted.append(columns.blocker.is_not(None))
            if where.blocker != "any":
                wanted.append(columns.blocker == clean(where.blocker))
        wanted += _in_time(where)
        if where.unowned:
            wanted.append(columns.by_role == true())
        if where.owners is not None:
            wanted.append(columns.owner.in_(list(map(clean, where.owners))) if where.owners else _NONE)
        if where.escalated:
            wanted.append(columns.escalated)
        if where.waiting_on_ehr:
            wanted.append(columns.pk.in_(_WAITING))
        return [*wanted, *(columns.search_text.contains(word, autoescape=True) for word in words(where))]

    def case_counts(self, connection: str | None = None) -> Mapping[tuple[str, str], int]:
        found: dict[tuple[str, str], int] = {}
        for which, index in ((OPEN, _OPEN), (CLOSED, _CLOSED)):
            query = _by(_COUNTS.where(which), index)
            if connection is not None:
                query = query.where(care_case.c.connection_id == self.connection_id(connection))
            found.update({(lane, status): count for lane, status, count in self.rows(query)})
        return found


def _in_time(where: CaseFilter) -> list[ColumnElement[bool]]:
    """Whether open or closed, due when, closed when."""
    columns = care_case.c
    wanted: list[ColumnElement[bool]] = []
    if where.is_open is not None:
        wanted.extend((_IS_OPEN,) if where.is_open else (_IS_CLOSED, columns.due_order == NEVER))
    if where.overdue_at is not None:
        wanted.extend((_IS_OPEN, columns.due_order < micros(where.overdue_at)))
    if where.due_from is not None:
        wanted.extend((_IS_OPEN, columns.due_order < NEVER, columns.due_order >= micros(where.due_from)))
    if where.closed_since is not None:
        wanted.extend((_IS_CLOSED, columns.closed_order <= -micros(where.closed_since)))
    return wanted


_IS_OPEN = care_case.c.status != literal_column("'closed'")
_IS_CLOSED = care_case.c.status == literal_column("'closed'")


_OPEN, _CLOSED = "INDEXED BY ix_care_case_open", "INDEXED BY ix_care_case_closed"
_ESCALATED, _BLOCKED = "INDEXED BY ix_care_case_escalated", "INDEXED BY ix_care_case_blocked"
_NONE = literal_column("1") == literal_column("0")
"""Not ``false()``, for which SQLAlchemy leaves out every other condition, and with them what the index was made for."""
_OWNED, _WHOLE = "INDEXED BY ix_care_case_owned", "NOT INDEXED"
_FEW = 5000
"""So many cases of several owners are sorted at once; of more of them the next ones are soon met in order."""


def _index(where: CaseFilter, *, few: bool = True) -> str | None:
    """
    Which index of SQLite's holds what a filter asks for and little else; ``None`` where it finds it itself.

    Args:
        few: Whether the cases of several owners are few enough to be sorted.
    """
    if where.merged or where.patient is not None or where.waiting_on_ehr:
        return None
    if where.q or where.tenant is not None:
        return _WHOLE
    if where.closed_since is not None or where.is_open is False:
        return _CLOSED
    if where.is_open or where.overdue_at is not None or where.due_from is not None:
        return _of_open(where, few)
    return _WHOLE


def _of_open(where: CaseFilter, few: bool) -> str:
    if where.escalated:
        return _ESCALATED
    if where.blocker is not None:
        return _BLOCKED
    is_owned = where.owner is not None or (where.owners is not None and (few or len(where.owners) == 1))
    return _OWNED if is_owned else _OPEN


def _is_in_order(where: CaseFilter) -> bool:
    """Whether to list by the index of ``_index``: what is neither open nor closed alone is listed by when it is due."""
    if where.q or where.tenant is not None:
        return True
    if where.closed_since is not None or where.is_open is False:
        return where.order is CaseOrder.CLOSED or where.closed_since is not None
    return bool(where.is_open) or where.overdue_at is not None or where.due_from is not None


def _by(query: Select[Any], index: str | None) -> Select[Any]:
    return query if index is None else query.with_hint(care_case, index, "sqlite")
