"""Cases: current state and append-only history, written together."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby, takewhile
from operator import itemgetter
from typing import Any

import msgspec
from sqlalchemy import (
    Executable,
    and_,
    bindparam,
    func,
    select,
    union,
    update,
)

from bridge.cases.changes import CaseOpened, Change
from bridge.cases.model import Case
from bridge.cases.terms import BlockerCategory, OwnerKind, Status
from bridge.errors import DomainError, StaleVersion
from bridge.store.batch import among, change, insert, numbers, texts, upsert
from bridge.store.codec import clean, maybe_clean, maybe_micros, micros, pack
from bridge.store.queries import CaseOrder, HistoryPage
from bridge.store.sql.work import Work
from bridge.store.tables import (
    LIVE,
    OPEN,
    OWNED_IN_EHR,
    WAKES,
    care_case,
    case_change,
    case_hold,
    case_state,
    resource,
)
from bridge.store.worklist import BLOCKING, begun_blockers, due_order, place, search_text

_case = msgspec.msgpack.Decoder(Case)
_change = msgspec.msgpack.Decoder(Change)

_Wakes = Mapping[str, datetime | None]

VARYING = (
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
    "closed_order",
    "next_action",
    "closure",
    "search_text",
)
_ADD = insert(care_case, "pk", "id", "connection_id", "tenant", *VARYING, ignore=True)
_CHANGE = change(care_case, *VARYING, "pk", by="pk", step="version")
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
_HOLD = upsert(case_hold, "case_pk", "category", "times", add=True)
_HOLDING = select(care_case.c.id, care_case.c.blocker).where(among(care_case.c.id, texts("ids")))
_APPEND = insert(case_change, "case_pk", "seq", "body")

_as_opened = and_(case_change.c.case_pk == care_case.c.pk, case_change.c.seq == 1, case_state.c.body.is_(None))
STATES = select(care_case.c.pk, case_state.c.body, case_change.c.body.label("opening")).select_from(
    care_case.outerjoin(case_state, case_state.c.case_pk == care_case.c.pk).outerjoin(case_change, _as_opened)
)
_OF_ROOTS = STATES.where(among(care_case.c.pk, numbers("roots"))).order_by(care_case.c.pk)
# A union, because SQLite reads the whole table where two indexed lists are joined by OR.
_OF_PEOPLE = STATES.where(
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
_ONE = STATES.where(care_case.c.id == bindparam("case_id"))
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
        raised = self._raised(changes)
        fresh = [case for case in cases if case.version == 1]
        moved = [case for case in cases if case.version != 1]
        if fresh:
            self._add_cases(fresh, changes, wakes)
        if moved:
            self._change_cases(moved, wakes)
        if changes:
            self._append(changes)
        if raised:
            pks = self.case_pks(case_id for case_id, _ in raised)
            self.write(_HOLD, [(pks[case_id], kind.value, times) for (case_id, kind), times in raised.items()])

    def _raised(self, changes: Sequence[Change]) -> Mapping[tuple[str, BlockerCategory], int]:
        """How often each kind of blocker begins to hold up each case; asked before the cases are changed."""
        told = [change for change in changes if isinstance(change.fact, BLOCKING)]
        if not told:
            return {}
        known = {change.case_id for change in told if not isinstance(change.fact, CaseOpened)}
        holding = dict(tuple(row) for row in self.rows(_HOLDING, ids=list(known))) if known else {}
        return begun_blockers(told, holding)

    def _add_cases(self, cases: Sequence[Case], changes: Sequence[Change], wakes: _Wakes) -> None:
        keys = self.keys_of((case.connection, case.root) for case in cases)
        keyed = list(zip(keys, cases, strict=True))
        rows = [
            (pk, clean(case.id), self.connection_id(case.connection), clean(case.tenant), *varying(case, wakes))
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
        rows = [(*varying(case, wakes), pks[case.id]) for case in cases if case.id in pks]
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


def _opened(entry: bytes | None) -> Case:
    """Return the state that the first entry of a history holds."""
    first = _change.decode(entry or b"")
    assert isinstance(first.fact, CaseOpened), "a history begins with case-opened"
    return first.fact.case


def varying(case: Case, wakes: _Wakes) -> tuple[Any, ...]:
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
        place(case, CaseOrder.CLOSED)[0],
        case.next_action.code.value if case.next_action else None,
        case.closure.reason.value if case.closure else None,
        search_text(case),
    )
