"""The outbox: intents, claims under fenced leases, and how attempts ended (rules: ``outbox_rules``)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Select, bindparam, exists, func, literal_column, select

from bridge.cases.intents import LEVEL_KINDS, Intent, IntentKind, IntentState, Message
from bridge.errors import DomainError
from bridge.store import outbox_rules as rules
from bridge.store.batch import among, change, insert, numbers, texts
from bridge.store.codec import clean, instant, maybe_clean, maybe_instant, maybe_micros, micros, pack
from bridge.store.rows import OutboxRow, Settlement
from bridge.store.sql.work import Found, Work
from bridge.store.tables import ATTEMPT, COPY, QUEUED, SENDING, STUCK, TASK_WRITTEN, UNSENT, care_case, outbox

_message = msgspec.msgpack.Decoder(Message)

_FIXED = (
    "connection_id",
    "case_pk",
    "kind",
    "slot",
    "level_slot",
    "key",
    "case_version",
    "target",
    "message",
    "created_at",
)
_MOVING = (
    "state",
    "attempts",
    "next_at",
    "token",
    "lease_until",
    "unsure",
    "unsure_at",
    "code",
    "reason",
    "written",
    "written_version",
    "settled_at",
)
_ADD = insert(outbox, *_FIXED, "state", "next_at", "unsure", "unsure_at", "settled_at")
_MOVE = change(outbox, *_MOVING, "id", by="id")

_HERE = outbox.c.connection_id == bindparam("connection")
_ROWS = select(outbox, care_case.c.id.label("case_id")).join(care_case, care_case.c.pk == outbox.c.case_pk)
_LOCKED = _ROWS.with_for_update(of=outbox)
_KEYS = select(outbox.c.case_pk, outbox.c.key).where(among(outbox.c.case_pk, numbers("pks")))
_UNSENT = _LOCKED.where(among(outbox.c.case_pk, numbers("pks")), UNSENT).order_by(outbox.c.id)
_BY_ID = _LOCKED.where(among(outbox.c.id, numbers("ids"))).order_by(outbox.c.id)
_LEASED = _LOCKED.where(SENDING).order_by(outbox.c.id)

_other = outbox.alias("other")
_BUSY = exists().where(
    _other.c.case_pk == outbox.c.case_pk,
    _other.c.state == literal_column("'sending'"),
    _other.c.id != outbox.c.id,
)
_LAPSED = select(outbox.c.id, outbox.c.case_pk).where(_HERE, SENDING, outbox.c.lease_until <= bindparam("now"))
_DUE = (
    select(outbox.c.id, outbox.c.case_pk)
    .where(_HERE, QUEUED, outbox.c.next_at <= bindparam("now"), ~_BUSY)
    .order_by(outbox.c.next_at, outbox.c.id)
    .limit(bindparam("limit"))
)
_FREE_CASES = (
    select(care_case.c.pk)
    .where(among(care_case.c.pk, numbers("pks")))
    .order_by(care_case.c.pk)
    .with_for_update(key_share=True, skip_locked=True)
)
_LOCK_CASES = (
    select(care_case.c.pk)
    .where(care_case.c.pk.in_(select(outbox.c.case_pk).where(among(outbox.c.id, numbers("ids")))))
    .order_by(care_case.c.pk)
    .with_for_update(key_share=True)
)
_AS_IT_IS = _ROWS.add_columns(_BUSY.label("busy")).where(among(outbox.c.id, numbers("ids")))
_NEXT_QUEUED = select(outbox.c.next_at).where(_HERE, QUEUED, ~_BUSY).order_by(outbox.c.next_at).limit(1)
_NEXT_LAPSING = select(func.min(outbox.c.lease_until)).where(_HERE, SENDING)
_WRITTEN = _ROWS.where(
    care_case.c.id == bindparam("case_id"),
    outbox.c.state == IntentState.CONFIRMED.value,
    among(outbox.c.kind, texts("kinds")),
).order_by(outbox.c.id)
_RECORDS = _ROWS.where(_HERE, ATTEMPT, outbox.c.key == bindparam("key")).order_by(outbox.c.id)
_DOUBTED = (
    select(func.max(outbox.c.unsure_at).label("last"))
    .join(care_case, care_case.c.pk == outbox.c.case_pk)
    .where(
        care_case.c.id == bindparam("case_id"),
        outbox.c.state != IntentState.CONFIRMED.value,
        among(outbox.c.kind, texts("kinds")),
    )
)
_OUR_TASKS = select(outbox.c.written).where(_HERE, TASK_WRITTEN, among(outbox.c.written, texts("refs")))
_COUNTS = select(outbox.c.state, func.count()).where(_HERE).group_by(outbox.c.state)
_GIVEN_UP = (
    select(func.max(outbox.c.settled_at).label("last"))
    .join(care_case, care_case.c.pk == outbox.c.case_pk)
    .where(
        care_case.c.id == bindparam("case_id"),
        outbox.c.slot == bindparam("slot"),
        outbox.c.code == bindparam("code"),
        outbox.c.attempts > 0,
    )
)
_COPIES = select(outbox.c.state, func.count(outbox.c.target.distinct())).where(_HERE, COPY).group_by(outbox.c.state)
_AHEAD = 4
"""How many times the limit is looked at for due rows, since only one row of a case can be claimed."""


class OutboxRoom(Work):
    """What should become true in the EHR."""

    def add_intents(self, intents: Sequence[Intent], now: datetime, due_at: datetime | None = None) -> None:
        pks = self.case_pks(intent.case_id for intent in intents)
        missing = sorted({intent.case_id for intent in intents} - pks.keys())
        if missing:
            raise DomainError(f"an intent belongs to case {missing[0]}, which is not stored")
        older = {pk: case_id for case_id, pk in pks.items() if case_id not in self.new_cases}
        known = {(older[row.case_pk], row.key) for row in self.rows(_KEYS, pks=list(older))} if older else set()
        fresh = rules.fresh(intents, known)
        unsure = self._supersede(pks, rules.level_slots(fresh), now) if older else {}
        queued = rules.queued(fresh, now, due_at or now, unsure)
        self.new_cases -= pks.keys()
        self.write(_ADD, [self._new_values(row, pks[row.intent.case_id]) for row in queued])

    def _supersede(self, pks: Mapping[str, int], slots: Set[rules.Slot], now: datetime) -> dict[rules.Slot, datetime]:
        """Supersede unsent level intents of these slots; return when one may have been sent, by slot."""
        wanted = [pks[case_id] for case_id, _ in slots]
        found = self.rows(_UNSENT, pks=wanted) if wanted else []
        old = [row for row in map(self._outbox_row, found) if rules.slot(row.intent) in slots]
        self._move([rules.superseded(row, now) for row in old])
        return rules.doubts(old)

    def _new_values(self, row: OutboxRow, case_pk: int) -> tuple[Any, ...]:
        intent, slot = row.intent, clean(row.intent.slot)
        return (
            self.connection_id(intent.connection),
            case_pk,
            intent.kind.value,
            slot,
            slot if intent.kind in LEVEL_KINDS else None,
            clean(intent.key),
            intent.case_version,
            maybe_clean(intent.target),
            None if intent.message is None else pack(intent.message),
            micros(row.created_at),
            row.state.value,
            micros(row.next_at),
            row.unsure,
            maybe_micros(row.unsure_at),
            maybe_micros(row.settled_at),
        )

    def _move(self, rows: Sequence[OutboxRow]) -> None:
        self.write(_MOVE, [(*_moving(row), row.id) for row in rows])

    def claim(self, connection: str, now: datetime, lease_until: datetime, limit: int) -> list[OutboxRow]:
        here, when = self.connection_id(connection), micros(now)
        due = [
            *self.rows(_LAPSED, connection=here, now=when),
            *self.rows(_DUE, connection=here, now=when, limit=limit * _AHEAD),
        ]
        if not due:
            return []
        pks = list({row.case_pk for row in due})
        if self.on_postgresql:
            # The case row is the mutex: what is read after it sees every claim made before.
            pks = [row.pk for row in self.rows(_FREE_CASES, pks=pks)]
        found = self.rows(_AS_IT_IS, ids=[row.id for row in due if row.case_pk in set(pks)])
        ready = [self._outbox_row(row) for row in found if not row.busy]
        claimed = [rules.claimed(row, lease_until) for row in rules.choose(ready, now, limit)]
        self._move(claimed)
        return claimed

    def settle(self, settlements: Sequence[Settlement]) -> int:
        how = {settlement.id: settlement for settlement in settlements}
        if self.on_postgresql:
            # Intake holds the case when it queues a newer intent; without this its row would not be seen yet.
            self.rows(_LOCK_CASES, ids=list(how))
        rows = [self._outbox_row(row) for row in self.rows(_BY_ID, ids=list(how))]
        held = [row for row in rows if rules.holds_lease(row, how[row.id])]
        waiting = self._waiting(held)
        self._move([rules.settled(row, how[row.id], newer_waits=rules.slot(row.intent) in waiting) for row in held])
        doubts = [(rules.slot(row.intent), how[row.id].unsure_at) for row in held]
        self._move([rules.doubted(waiting[slot], at) for slot, at in doubts if at is not None and slot in waiting])
        return len(held)

    def _waiting(self, held: Sequence[OutboxRow]) -> dict[rules.Slot, OutboxRow]:
        """Return the unsent level intents that are newer than these of the same slots."""
        pks = list(self.case_pks(row.intent.case_id for row in held).values())
        found = self.rows(_UNSENT, pks=pks) if pks else []
        return {rules.slot(row.intent): row for row in map(self._outbox_row, found)}

    def release_leases(self, now: datetime) -> int:
        rows = [rules.freed(self._outbox_row(row), now) for row in self.rows(_LEASED)]
        self._move(rows)
        return len(rows)

    def next_due(self, connection: str) -> datetime | None:
        here = self.connection_id(connection)
        times = [self.conn.execute(q, {"connection": here}).scalar() for q in (_NEXT_QUEUED, _NEXT_LAPSING)]
        return maybe_instant(min((at for at in times if at is not None), default=None))

    def written(self, case_id: str, kinds: Iterable[IntentKind]) -> list[OutboxRow]:
        wanted = [kind.value for kind in kinds]
        return [self._outbox_row(row) for row in self.rows(_WRITTEN, case_id=clean(case_id), kinds=wanted)]

    def doubted_at(self, case_id: str, kinds: Iterable[IntentKind]) -> datetime | None:
        rows = self.rows(_DOUBTED, case_id=clean(case_id), kinds=[kind.value for kind in kinds])
        return maybe_instant(rows[0].last)

    def records_of(self, connection: str, key: str) -> list[OutboxRow]:
        rows = self.rows(_RECORDS, connection=self.connection_id(connection), key=clean(key))
        return [self._outbox_row(row) for row in rows]

    def given_up_at(self, case_id: str, slot: str, code: str) -> datetime | None:
        rows = self.rows(_GIVEN_UP, case_id=clean(case_id), slot=clean(slot), code=code)
        return maybe_instant(rows[0].last)

    def copies(self, connection: str) -> Mapping[IntentState, int]:
        found = self.rows(_COPIES, connection=self.connection_id(connection))
        return {IntentState(state): count for state, count in found}

    def our_tasks(self, connection: str, refs: Iterable[str]) -> set[str]:
        asked = {clean(ref): ref for ref in refs}
        if not asked:
            return set()
        found = self.rows(_OUR_TASKS, connection=self.connection_id(connection), refs=list(asked))
        return {asked[row.written] for row in found}

    def found_sent(self, found: Mapping[int, tuple[str, str | None]], now: datetime) -> int:
        rows = [self._outbox_row(row) for row in self.rows(_BY_ID, ids=list(found))]
        sent = [rules.found(row, *found[row.id], now) for row in rows if row.state is IntentState.QUEUED]
        self._move(sent)
        return len(sent)

    def requeue(self, ids: Sequence[int], now: datetime) -> int:
        rows = [self._outbox_row(row) for row in self.rows(_BY_ID, ids=list(ids))]
        given_up = [rules.requeued(row, now) for row in rows if row.state in rules.GIVEN_UP]
        self._move(given_up)
        return len(given_up)

    def outbox(
        self,
        *,
        connection: str | None = None,
        case_ids: Sequence[str] | None = None,
        state: IntentState | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[OutboxRow]:
        query, parameters = _ROWS.where(outbox.c.id > after), {}
        if connection is not None:
            query = query.where(outbox.c.connection_id == self.connection_id(connection))
        if case_ids is not None:
            query = query.where(among(outbox.c.case_pk, numbers("pks")))
            parameters["pks"] = list(self.case_pks(clean(case_id) for case_id in case_ids).values())
        if state is not None:
            query = _in_state(query, state)
        found = self.rows(query.order_by(outbox.c.id).limit(limit), **parameters)
        return [self._outbox_row(row) for row in found]

    def outbox_row(self, row_id: int) -> OutboxRow | None:
        row = self.row(_ROWS.where(outbox.c.id == row_id))
        return None if row is None else self._outbox_row(row)

    def outbox_counts(self, connection: str) -> Mapping[IntentState, int]:
        found = self.rows(_COUNTS, connection=self.connection_id(connection))
        return {IntentState(state): count for state, count in found}

    def _outbox_row(self, row: Found) -> OutboxRow:
        return OutboxRow(
            id=row.id,
            intent=Intent(
                connection=self.connection_name(row.connection_id),
                case_id=row.case_id,
                kind=IntentKind(row.kind),
                slot=row.slot,
                key=row.key,
                case_version=row.case_version,
                target=row.target,
                message=None if row.message is None else _message.decode(row.message),
            ),
            state=IntentState(row.state),
            attempts=row.attempts,
            next_at=instant(row.next_at),
            created_at=instant(row.created_at),
            token=row.token,
            lease_until=maybe_instant(row.lease_until),
            unsure_at=maybe_instant(row.unsure_at) or (instant(row.created_at) if row.unsure else None),
            code=row.code,
            reason=row.reason,
            written=row.written,
            written_version=row.written_version,
            settled_at=maybe_instant(row.settled_at),
        )


def _in_state(query: Select[Any], state: IntentState) -> Select[Any]:
    literal = {IntentState.QUEUED: QUEUED, IntentState.SENDING: SENDING}.get(state)
    if literal is not None:
        return query.where(literal)
    narrowed = query.where(STUCK) if state in rules.GIVEN_UP else query
    return narrowed.where(outbox.c.state == state.value)


def _moving(row: OutboxRow) -> tuple[Any, ...]:
    return (
        row.state.value,
        row.attempts,
        micros(row.next_at),
        row.token,
        maybe_micros(row.lease_until),
        row.unsure,
        maybe_micros(row.unsure_at),
        row.code,
        row.reason,
        row.written,
        row.written_version,
        maybe_micros(row.settled_at),
    )
