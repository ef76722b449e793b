"""Cases: current state and append-only history, written together; lists and counts for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, takewhile
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    ColumnElement,
    Executable,
    and_,
    bindparam,
    func,
    literal_column,
    select,
    true,
    tuple_,
    union,
    update,
)

from bridge.cases.changes import CaseOpened, Change
from bridge.cases.model import Case, OwnerKind, Status
from bridge.errors import DomainError, StaleVersion
from bridge.store.batch import among, change, insert, numbers, texts, upsert
from bridge.store.codec import NEVER, clean, from_cursor, maybe_clean, maybe_micros, micros, pack, to_cursor
from bridge.store.port import CaseFilter, CaseOrder, CasePage, HistoryPage
from bridge.store.sql.work import Work
from bridge.store.tables import (
    CLOSED,
    LIVE,
    OPEN,
    OWNED_IN_EHR,
    QUEUED,
    SENDING,
    STUCK,
    WAKES,
    care_case,
    case_change,
    case_state,
    outbox,
    resource,
)
from bridge.store.worklist import due_order, search_text, words

_case = msgspec.msgpack.Decoder(Case)
_change = msgspec.msgpack.Decoder(Change)

_Wakes = Mapping[str, datetime | None]

_VARYING = (
    "version",
    "merged_into",
    "lane",
    "status",
    "owner",
    "owner_ref",
    "by_role",
    "patient",
    "blocker",
    "escalated",
    "due_order",
    "opened_at",
    "wake_at",
    "closed_at",
    "search_text",
)
_ADD = insert(care_case, "pk", "id", "connection_id", "tenant", *_VARYING, ignore=True)
_CHANGE = change(care_case, *_VARYING, "pk", by="pk", step="version")
_WAKE = change(care_case, "wake_at", "pk", by="pk")
_TO_WAKE = (
    select(resource.c.ref)
    .join(care_case, care_case.c.pk == resource.c.id)
    .where(care_case.c.connection_id == bindparam("connection"), WAKES, care_case.c.wake_at <= bindparam("now"))
    .order_by(care_case.c.wake_at, care_case.c.pk)
    .limit(bindparam("limit"))
)
_WAKE_OPEN = update(care_case).where(care_case.c.connection_id == bindparam("of"), OPEN).values(wake_at=bindparam("at"))
_ADD_STATE = insert(case_state, "case_pk", "body")
_CHANGE_STATE = upsert(case_state, "case_pk", "body")
_APPEND = insert(case_change, "case_pk", "seq", "body")

_as_opened = and_(case_change.c.case_pk == care_case.c.pk, case_change.c.seq == 1, case_state.c.body.is_(None))
_STATES = select(care_case.c.pk, case_state.c.body, case_change.c.body.label("opening")).select_from(
    care_case.outerjoin(case_state, case_state.c.case_pk == care_case.c.pk).outerjoin(case_change, _as_opened)
)
_OF_ROOTS = _STATES.where(among(care_case.c.pk, numbers("roots"))).order_by(care_case.c.pk)
# A union, because SQLite reads the whole table where two indexed lists are joined by OR.
_OF_PEOPLE = _STATES.where(
    care_case.c.connection_id == bindparam("connection"),
    care_case.c.pk.in_(
        union(
            select(care_case.c.pk).where(LIVE, among(care_case.c.patient, texts("refs"))),
            select(care_case.c.pk).where(OWNED_IN_EHR, among(care_case.c.owner_ref, texts("refs"))),
        )
    ),
).order_by(care_case.c.pk)
_PATIENTS = (
    select(care_case.c.patient)
    .where(LIVE, care_case.c.connection_id == bindparam("connection"), care_case.c.patient.is_not(None))
    .distinct()
)
_ONE = _STATES.where(care_case.c.id == bindparam("case_id"))
# Locked before they are read: what waits for another writer would see that writer's version of the locked rows only,
# while a statement that begins afterwards sees all that was committed (PostgreSQL 15, 13.2.1 Read Committed).
_LOCKS = select(care_case.c.pk).order_by(care_case.c.pk).with_for_update(key_share=True)
_LOCK_ROOTS = _LOCKS.where(among(care_case.c.pk, numbers("roots")))
_LOCK_ONE = _LOCKS.where(care_case.c.id == bindparam("case_id"))
_LAST_SEQ = (
    select(care_case.c.id, func.max(case_change.c.seq))
    .join(case_change, case_change.c.case_pk == care_case.c.pk)
    .where(among(care_case.c.id, texts("ids")))
    .group_by(care_case.c.id)
)
_HISTORY = (
    select(case_change.c.body)
    .join(care_case, care_case.c.pk == case_change.c.case_pk)
    .where(care_case.c.id == bindparam("case_id"))
    .order_by(case_change.c.seq)
)
_BEGUN = (
    select(care_case.c.pk, care_case.c.status)
    .where(
        care_case.c.connection_id == bindparam("connection"),
        care_case.c.pk > bindparam("after"),
        care_case.c.opened_at < bindparam("before"),
    )
    .order_by(care_case.c.pk)
    .limit(bindparam("limit"))
)
_HISTORIES = (
    select(case_change.c.case_pk, case_change.c.body)
    .where(among(case_change.c.case_pk, numbers("pks")))
    .order_by(case_change.c.case_pk, case_change.c.seq)
)
_COUNTS = select(care_case.c.lane, care_case.c.status, func.count()).group_by(care_case.c.lane, care_case.c.status)
_PLACES: Mapping[CaseOrder, tuple[ColumnElement[int], ...]] = {
    CaseOrder.DUE: (care_case.c.due_order, care_case.c.opened_at, care_case.c.pk),
    CaseOrder.OLDEST: (care_case.c.opened_at, care_case.c.due_order, care_case.c.pk),
    CaseOrder.CLOSED: (func.coalesce(-care_case.c.closed_at, NEVER), care_case.c.opened_at, care_case.c.pk),
}
# Three selects, because each state has an index of its own. "STUCK" says so to SQLite, which compares the words.
_WAITING = union(
    select(outbox.c.case_pk).where(QUEUED),
    select(outbox.c.case_pk).where(SENDING),
    select(outbox.c.case_pk).where(STUCK, outbox.c.state == literal_column("'parked'")),
)


class CasesRoom(Work):
    """The coordination cases."""

    def cases_of_roots(self, connection: str, roots: Iterable[str]) -> dict[str, Case]:
        known = list(self.known_resources(connection, map(clean, roots)).values())
        if not known:
            return {}
        self._lock(_LOCK_ROOTS, roots=known)
        return {case.root: case for case in (self._known(*row) for row in self.rows(_OF_ROOTS, roots=known))}

    def cases_of_people(self, connection: str, refs: Iterable[str]) -> list[Case]:
        found = self.rows(_OF_PEOPLE, connection=self.connection_id(connection), refs=list(map(clean, refs)))
        return [self._known(*row) for row in found]

    def patients(self, connection: str) -> list[str]:
        return sorted(row.patient for row in self.rows(_PATIENTS, connection=self.connection_id(connection)))

    def case(self, case_id: str) -> Case | None:
        row = self.row(_ONE, case_id=clean(case_id))
        return None if row is None else self._known(*row)

    def case_for_update(self, case_id: str) -> Case | None:
        self._lock(_LOCK_ONE, case_id=clean(case_id))
        return self.case(case_id)

    def _lock(self, cases: Executable, **parameters: Any) -> None:
        """Hold cases until the end of a transaction that writes; SQLite has one of these at a time."""
        if self.writing and self.on_postgresql:
            self.rows(cases, **parameters)

    def _known(self, pk: int, body: bytes | None, opening: bytes | None) -> Case:
        case = _opened(opening) if body is None else _case.decode(body)
        self.knows_case(case.id, pk)
        return case

    def change_counts(self, case_ids: Iterable[str]) -> dict[str, int]:
        wanted = list(case_ids)
        last = dict(tuple(row) for row in self.rows(_LAST_SEQ, ids=wanted))
        return {case_id: last.get(case_id, 0) for case_id in wanted}

    def cases_to_wake(self, connection: str, now: datetime, limit: int) -> list[str]:
        found = self.rows(_TO_WAKE, connection=self.connection_id(connection), now=micros(now), limit=limit)
        return [row.ref for row in found]

    def set_wakes(self, wakes: Mapping[str, datetime | None]) -> None:
        pks = self.case_pks(wakes)
        self.write(_WAKE, [(maybe_micros(wakes[case_id]), pk) for case_id, pk in pks.items()])

    def wake_open(self, connection: str, at: datetime) -> None:
        self.conn.execute(_WAKE_OPEN, {"of": self.connection_id(connection), "at": micros(at)})

    def save_cases(
        self, cases: Sequence[Case], changes: Sequence[Change], wakes: Mapping[str, datetime | None] | None = None
    ) -> None:
        wakes = wakes or {}
        fresh = [case for case in cases if case.version == 1]
        moved = [case for case in cases if case.version != 1]
        if fresh:
            self._add_cases(fresh, changes, wakes)
        if moved:
            self._change_cases(moved, wakes)
        if changes:
            self._append(changes)

    def _add_cases(self, cases: Sequence[Case], changes: Sequence[Change], wakes: _Wakes) -> None:
        keys = self.keys_of((case.connection, case.root) for case in cases)
        keyed = list(zip(keys, cases, strict=True))
        rows = [
            (pk, clean(case.id), self.connection_id(case.connection), clean(case.tenant), *_varying(case, wakes))
            for pk, case in keyed
        ]
        if self.write(_ADD, rows) != len(rows):
            raise StaleVersion("a case given as new exists already, or its root has another case")
        opened = {id(change.fact.case) for change in changes if isinstance(change.fact, CaseOpened)}
        self.write(_ADD_STATE, [(pk, pack(case)) for pk, case in keyed if id(case) not in opened])
        for pk, case in keyed:
            self.knows_case(case.id, pk)
        self.new_cases.update(case.id for case in cases)

    def _change_cases(self, cases: Sequence[Case], wakes: _Wakes) -> None:
        pks = self.case_pks(case.id for case in cases)
        rows = [(*_varying(case, wakes), pks[case.id]) for case in cases if case.id in pks]
        if len(rows) != len(cases) or self.write(_CHANGE, rows) != len(rows):
            raise StaleVersion("a case is not at the version before the one given")
        self.write(_CHANGE_STATE, [(pks[case.id], pack(case)) for case in cases])

    def _append(self, changes: Sequence[Change]) -> None:
        pks = self.case_pks(change.case_id for change in changes)
        try:
            self.write(_APPEND, [(pks[change.case_id], change.seq, pack(change)) for change in changes])
        except KeyError as error:
            raise DomainError(f"a change belongs to case {error.args[0]}, which is not stored") from error

    def history(self, case_id: str) -> list[Change]:
        return [_change.decode(row[0]) for row in self.rows(_HISTORY, case_id=clean(case_id))]

    def histories(
        self, connection: str, *, since: datetime, before: datetime, limit: int, after: int = 0
    ) -> HistoryPage:
        known = self.connection_id(connection)
        begun = self.rows(_BEGUN, connection=known, before=micros(before), after=after, limit=limit)
        closed = {pk for pk, status in begun if status == Status.CLOSED.value}
        entries = self.rows(_HISTORIES, pks=[pk for pk, _ in begun])
        found = []
        for pk, rows in groupby(entries, key=itemgetter(0)):
            bodies = [body for _, body in rows]
            if pk in closed and _change.decode(bodies[-1]).at < since:
                continue
            told = tuple(takewhile(lambda change: change.at < before, map(_change.decode, bodies)))
            if told:
                found.append(told)
        return HistoryPage(tuple(found), begun[-1].pk if len(begun) == limit else None)

    def list_cases(self, where: CaseFilter, *, limit: int, cursor: str | None = None) -> CasePage:
        wanted, place = self._conditions(where), _PLACES[where.order]
        total = self._count(where, wanted)
        if cursor is not None:
            wanted.append(tuple_(*place) > tuple_(*from_cursor(cursor)))
        shown = (place[0].label("place"), place[1].label("then"))
        query = _STATES.add_columns(*shown).where(*wanted).order_by(*place).limit(limit + 1)
        found = self.rows(query)
        last = found[limit - 1] if len(found) > limit else None
        return CasePage(
            cases=tuple(self._known(row.pk, row.body, row.opening) for row in found[:limit]),
            total=total,
            next_cursor=None if last is None else to_cursor((last.place, last.then, last.pk)),
        )

    def count_cases(self, wheres: Sequence[CaseFilter]) -> list[int]:
        if not wheres:
            return []
        counts = [func.count().filter(and_(true(), *self._conditions(where))) for where in wheres]
        return list(self.conn.execute(select(*counts).select_from(care_case)).one())

    def _count(self, where: CaseFilter, wanted: Sequence[ColumnElement[bool]]) -> int:
        """
        Return how many cases there are.

        SQLite prefers a partial index to the narrow table even where it then looks up every row: 140 ms
        instead of 16 ms for 100,000 cases. A FILTER takes the choice away where no index can help.
        """
        dated = where.overdue_at is not None or where.closed_since is not None
        one_of_few = dated or where.patient is not None or where.waiting_on_ehr
        if one_of_few or self.on_postgresql:
            query = select(func.count()).select_from(care_case).where(*wanted)
        else:
            query = select(func.count().filter(and_(true(), *wanted))).select_from(care_case)
        return self.conn.execute(query).scalar_one()

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
        ):
            if value is not None:
                wanted.append(column == clean(value))
        if where.blocker is not None:
            some = where.blocker == "any"
            wanted.append(columns.blocker.is_not(None) if some else columns.blocker == clean(where.blocker))
        if where.is_open is not None:
            closed = and_(columns.status == literal_column("'closed'"), columns.due_order == NEVER)
            wanted.append(columns.status != literal_column("'closed'") if where.is_open else closed)
        if where.overdue_at is not None:
            wanted.extend((OPEN, columns.due_order < micros(where.overdue_at)))
        if where.unowned:
            wanted.append(columns.by_role == true())
        if where.owners is not None:
            wanted.append(columns.owner.in_(list(map(clean, where.owners))))
        if where.escalated:
            wanted.append(columns.escalated == true())
        if where.waiting_on_ehr:
            wanted.append(columns.pk.in_(_WAITING))
        if where.closed_since is not None:
            wanted.extend((CLOSED, columns.closed_at >= micros(where.closed_since)))
        return [*wanted, *(columns.search_text.contains(word, autoescape=True) for word in words(where))]

    def case_counts(self, connection: str | None = None) -> Mapping[tuple[str, str], int]:
        query = _COUNTS.where(LIVE)
        if connection is not None:
            query = query.where(care_case.c.connection_id == self.connection_id(connection))
        return {(lane, status): count for lane, status, count in self.rows(query)}


def _opened(entry: bytes | None) -> Case:
    """Return the state that the first entry of a history holds."""
    first = _change.decode(entry or b"")
    assert isinstance(first.fact, CaseOpened), "a history begins with case-opened"
    return first.fact.case


def _varying(case: Case, wakes: _Wakes) -> tuple[Any, ...]:
    return (
        case.version,
        maybe_clean(case.merged_into),
        clean(case.lane),
        case.status.value,
        clean(case.owner.id),
        clean(case.owner.id) if case.owner.kind is OwnerKind.EHR else None,
        case.owner.kind is OwnerKind.ROLE,
        maybe_clean(case.patient.ref if case.patient else None),
        case.blocker.category.value if case.blocker else None,
        case.escalation is not None,
        due_order(case),
        micros(case.opened_at),
        maybe_micros(wakes.get(case.id)),
        maybe_micros(case.closed_at),
        search_text(case),
    )
