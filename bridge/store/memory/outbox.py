"""The outbox in memory (rules: ``outbox_rules``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from bridge.cases.intents import LEVEL_KINDS, Intent, IntentKind, IntentState
from bridge.errors import DomainError
from bridge.store import outbox_rules as rules
from bridge.store.codec import clean, maybe_clean
from bridge.store.memory.state import kept
from bridge.store.memory.work import Work
from bridge.store.rows import OutboxRow, Settlement, Unfinished

_UNFINISHED = (IntentState.QUEUED, IntentState.SENDING, IntentState.PARKED, IntentState.NOT_WRITABLE)


class OutboxRoom(Work):
    """What should become true in the EHR."""

    def add_intents(self, intents: Sequence[Intent], now: datetime, due_at: datetime | None = None) -> None:
        missing = sorted({intent.case_id for intent in intents} - self._now.cases.keys())
        if missing:
            raise DomainError(f"an intent belongs to case {missing[0]}, which is not stored")
        fresh = rules.fresh(intents, self._now.keys)
        slots = rules.level_slots(fresh)
        old = [row for row in self._unsent() if rules.slot(row.intent) in slots]
        self._put(rules.superseded(row, now) for row in old)
        for row in rules.queued(fresh, now, due_at or now, rules.doubts(old)):
            row_id = next(reversed(self._now.outbox), 0) + 1
            intent = row.intent
            stored = kept(intent, slot=clean(intent.slot), key=clean(intent.key), target=maybe_clean(intent.target))
            self._put([msgspec.structs.replace(kept(row), id=row_id, intent=stored)])
            self._now.keys[stored.case_id, stored.key] = row_id

    def _unsent(self) -> list[OutboxRow]:
        rows = self._now.outbox.values()
        return [row for row in rows if row.intent.kind in LEVEL_KINDS and row.state in rules.UNSENT]

    def _put(self, rows: Iterable[OutboxRow]) -> None:
        self._now.outbox.update({row.id: kept(row) for row in rows})

    def _in(self, connection: str | None, *states: IntentState) -> list[OutboxRow]:
        rows = self._now.outbox.values()
        return [r for r in rows if r.state in states and connection in (None, r.intent.connection)]

    def claim(self, connection: str, now: datetime, lease_until: datetime, limit: int) -> list[OutboxRow]:
        sending = self._in(connection, IntentState.SENDING)
        busy = {row.intent.case_id for row in sending}
        queued = self._in(connection, IntentState.QUEUED)
        ready = [*sending, *(row for row in queued if row.intent.case_id not in busy)]
        claimed = [rules.claimed(row, lease_until) for row in rules.choose(ready, now, limit)]
        self._put(claimed)
        return [self._now.outbox[row.id] for row in claimed]

    def settle(self, settlements: Sequence[Settlement]) -> int:
        rows = [(self._now.outbox.get(how.id), how) for how in settlements]
        held = [(row, how) for row, how in rows if row is not None and rules.holds_lease(row, how)]
        waiting = {rules.slot(row.intent): row for row in self._unsent()}
        for row, how in held:
            newer = waiting.get(rules.slot(row.intent))
            self._put([rules.settled(row, how, newer_waits=newer is not None)])
            if newer is not None and how.unsure_at is not None:
                self._put([rules.doubted(newer, how.unsure_at)])
        return len(held)

    def release_leases(self, now: datetime) -> int:
        rows = [rules.freed(row, now) for row in self._in(None, IntentState.SENDING)]
        self._put(rows)
        return len(rows)

    def next_due(self, connection: str) -> datetime | None:
        sending = self._in(connection, IntentState.SENDING)
        busy = {row.intent.case_id for row in sending}
        queued = self._in(connection, IntentState.QUEUED)
        times = [row.lease_until for row in sending if row.lease_until is not None]
        times += [row.next_at for row in queued if row.intent.case_id not in busy]
        return min(times, default=None)

    def written(self, case_id: str, kinds: Iterable[IntentKind]) -> list[OutboxRow]:
        wanted = set(kinds)
        rows = self._in(None, IntentState.CONFIRMED)
        return [row for row in rows if row.intent.case_id == case_id and row.intent.kind in wanted]

    def doubted_at(self, case_id: str, kinds: Iterable[IntentKind]) -> datetime | None:
        wanted = set(kinds)
        rows = (row for row in self._now.outbox.values() if row.state is not IntentState.CONFIRMED)
        doubts = (row.unsure_at for row in rows if row.intent.case_id == case_id and row.intent.kind in wanted)
        return max((at for at in doubts if at is not None), default=None)

    def records_of(self, connection: str, key: str) -> list[OutboxRow]:
        rows = self._in(connection, *IntentState)
        return [row for row in rows if row.intent.kind is IntentKind.OUTREACH_RECORD and row.intent.key == clean(key)]

    def given_up_at(self, case_id: str, slot: str, code: str) -> datetime | None:
        rows = (row for row in self._now.outbox.values() if rules.slot(row.intent) == (case_id, clean(slot)))
        times = (row.settled_at for row in rows if row.code == code and row.attempts > 0)
        return max((at for at in times if at is not None), default=None)

    def copies(self, connection: str) -> Mapping[IntentState, int]:
        rows = self._in(connection, *IntentState)
        return Counter(state for state, _ in {(row.state, row.intent.target) for row in rows if row.intent.is_copy})

    def our_tasks(self, connection: str, refs: Iterable[str]) -> set[str]:
        rows = self._in(connection, IntentState.CONFIRMED)
        return {row.written for row in rows if row.intent.kind is IntentKind.COORDINATION_TASK and row.written} & {
            *refs
        }

    def found_sent(self, found: Mapping[int, tuple[str, str | None]], now: datetime) -> int:
        rows = [row for row in map(self._now.outbox.get, found) if row is not None and row.state is IntentState.QUEUED]
        self._put(rules.found(row, *found[row.id], now) for row in rows)
        return len(rows)

    def requeue(self, ids: Sequence[int], now: datetime) -> int:
        found = [self._now.outbox[row_id] for row_id in dict.fromkeys(ids) if row_id in self._now.outbox]
        rows = [rules.requeued(row, now) for row in found if row.state in rules.GIVEN_UP]
        self._put(rows)
        return len(rows)

    def outbox(
        self,
        *,
        connection: str | None = None,
        case_ids: Sequence[str] | None = None,
        state: IntentState | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[OutboxRow]:
        found = [
            row
            for row in self._now.outbox.values()
            if row.id > after
            and connection in (None, row.intent.connection)
            and (case_ids is None or row.intent.case_id in case_ids)
            and state in (None, row.state)
        ]
        return found[:limit]

    def outbox_row(self, row_id: int) -> OutboxRow | None:
        return self._now.outbox.get(row_id)

    def unfinished(self, connection: str) -> list[Unfinished]:
        groups: dict[tuple[IntentState, str], list[OutboxRow]] = {}
        for row in self._in(connection, *_UNFINISHED):
            groups.setdefault((row.state, row.code or ""), []).append(row)
        return [
            Unfinished(
                state=state,
                code=rows[0].code,
                found=len(rows),
                since=min(row.settled_at or row.created_at for row in rows),
            )
            for (state, _), rows in sorted(groups.items())
        ]

    def outbox_counts(self, connection: str) -> Mapping[IntentState, int]:
        return Counter(row.state for row in self._in(connection, *IntentState))
