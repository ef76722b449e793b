"""
The store in memory: for tests of everything else, under the same contract suite as the databases.

A transaction works on a shallow copy of the state, which takes the state's place when it commits, so that a
rollback leaves nothing and a reader keeps its snapshot. Values pass through the codec that the databases
use, so what is read back is the same to the last detail (zones, NUL characters).
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import takewhile
from operator import itemgetter
from typing import TypeVar

import msgspec

from bridge.cases.changes import Change
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.sources import SourceRow
from bridge.cases.terms import OwnerKind
from bridge.errors import DomainError, StaleVersion
from bridge.store import outbox_rules as rules
from bridge.store.codec import clean, from_cursor, maybe_clean, micros, to_cursor
from bridge.store.memory.outbox import OutboxRoom
from bridge.store.memory.state import State, kept, require
from bridge.store.outbox_rules import WAITING
from bridge.store.queries import Again, AgainPage, CaseFilter, CasePage, HistoryPage
from bridge.store.rows import (
    Budget,
    Counts,
    Cursor,
    Delivered,
    Forgotten,
    Hint,
    InboxRow,
    InboxState,
    Late,
    Pause,
    Restored,
    Sizes,
    Subscribed,
)
from bridge.store.worklist import begun_blockers, matches, place

T = TypeVar("T")


class MemoryTx(OutboxRoom):
    """One transaction (``port.Tx``)."""

    # Intake -----------------------------------------------------------------------------------------------
    def lock(self, connection: str) -> None:
        """Do nothing: one transaction writes at a time."""

    def known_versions(self, connection: str, versions: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        return {
            (ref, version)
            for ref, version in versions
            if (connection, clean(ref), clean(version)) in self._now.versions
        }

    def add_versions(self, rows: Sequence[InboxRow]) -> None:
        for row in rows:
            stored = kept(row, ref=clean(row.ref), version=clean(row.version), reason=maybe_clean(row.reason))
            key = (stored.connection, stored.ref, stored.version)
            require(key not in self._now.versions, "a version is there already")
            require(row.state is InboxState.APPLIED or row.code is not None, "not_applied_says_why")
            row_id = len(self._now.inbox) + 1
            self._now.versions[key] = row_id
            self._now.inbox[row_id] = msgspec.structs.replace(stored, id=row_id)

    def settle_version(self, row: InboxRow) -> None:
        if row.id in self._now.inbox:
            require(row.state is InboxState.APPLIED or row.code is not None, "not_applied_says_why")
            self._now.inbox[row.id] = msgspec.structs.replace(
                self._now.inbox[row.id], state=row.state, code=row.code, reason=maybe_clean(row.reason)
            )

    def count(self, connection: str, stream: str, counts: Counts) -> None:
        old = self._now.totals.get((connection, stream), Counts())
        pairs = zip(msgspec.structs.astuple(old), msgspec.structs.astuple(counts), strict=True)
        new = Counts(*(a + b for a, b in pairs))
        for one in (counts, new):
            require(one.received == one.applied + one.duplicate + one.ignored + one.parked, "adds_up")
        self._now.totals[connection, stream] = new

    def count_late(self, connection: str, found: Mapping[tuple[str, str], int]) -> None:
        for (type_, path), count in found.items():
            key = (connection, type_, path)
            self._now.late[key] = self._now.late.get(key, 0) + count

    def late(self, connection: str) -> list[Late]:
        found = [
            Late(type=type_, path=path, found=n) for (c, type_, path), n in self._now.late.items() if c == connection
        ]
        return sorted(found, key=lambda row: (-row.found, row.type))

    def cursor(self, connection: str, stream: str) -> Cursor | None:
        return self._now.cursors.get((connection, stream))

    def save_cursor(self, cursor: Cursor) -> None:
        stored = kept(
            cursor,
            place=maybe_clean(cursor.place),
            problem=maybe_clean(cursor.problem),
            rung=maybe_clean(cursor.rung),
        )
        stored = msgspec.structs.replace(stored, warnings=tuple(map(clean, cursor.warnings)))
        self._now.cursors[cursor.connection, cursor.stream] = stored

    # Sources and cases ------------------------------------------------------------------------------------
    def sources(self, connection: str, refs: Iterable[str]) -> dict[str, SourceRow]:
        return _those(self._now.sources, connection, refs)

    def sources_of_roots(self, connection: str, roots: Iterable[str]) -> list[SourceRow]:
        wanted = {clean(root) for root in roots}
        found = [row for row in self._sources(connection) if row.root in wanted]
        return sorted(found, key=lambda row: (row.root, row.ref))

    def sources_aside(self, connection: str, parents: Iterable[str]) -> list[SourceRow]:
        wanted = {clean(parent) for parent in parents}
        return [row for row in self._sources(connection) if row.aside in wanted]

    def _sources(self, connection: str) -> list[SourceRow]:
        return [row for row in self._now.sources.values() if row.connection == connection]

    def save_sources(self, rows: Sequence[SourceRow]) -> None:
        for row in rows:
            stored = kept(row, ref=clean(row.ref), root=clean(row.root), aside=maybe_clean(row.aside))
            self._now.sources[stored.connection, stored.ref] = stored

    def sources_to_watch(self, connection: str, now: datetime, limit: int) -> list[SourceRow]:
        due = [(r.watch_at, r.ref, r) for r in self._sources(connection) if r.watch_at and r.watch_at <= now]
        return [row for _, _, row in sorted(due, key=lambda one: one[:2])][:limit]

    def sources_to_sweep(self, connection: str, after: str, limit: int) -> list[SourceRow]:
        roots = {case.root for case in self._live(connection) if case.is_open}
        found = [r for r in self._sources(connection) if r.root in roots and r.ref > after]
        return sorted(found, key=lambda row: row.ref)[:limit]

    def _live(self, connection: str | None) -> list[Case]:
        return [
            case
            for _, case in self._now.cases.values()
            if case.merged_into is None and connection in (None, case.connection)
        ]

    def cases_of_roots(self, connection: str, roots: Iterable[str]) -> dict[str, Case]:
        wanted = set(roots)
        every = [case for _, case in self._now.cases.values() if case.connection == connection]
        return {case.root: case for case in every if case.root in wanted}

    def case(self, case_id: str) -> Case | None:
        return self._now.cases[case_id][1] if case_id in self._now.cases else None

    def case_for_update(self, case_id: str) -> Case | None:
        return self.case(case_id)

    def cases_of_people(self, connection: str, refs: Iterable[str]) -> list[Case]:
        wanted = set(refs)
        return [
            case
            for case in self._live(connection)
            if (case.owner.kind is OwnerKind.EHR and case.owner.id in wanted)
            or (case.patient is not None and case.patient.ref in wanted)
        ]

    def patients(self, connection: str) -> list[str]:
        people = (case.patient for case in self._live(connection))
        return sorted({one.ref for one in people if one is not None and one.ref is not None})

    def change_counts(self, case_ids: Iterable[str]) -> dict[str, int]:
        return {case_id: len(self._now.history.get(case_id, ())) for case_id in case_ids}

    def cases_to_wake(self, connection: str, now: datetime, limit: int) -> list[str]:
        stored = ((self._now.cases[case_id], at) for case_id, at in self._now.wakes.items() if at <= now)
        due = sorted((at, pk, case.root) for (pk, case), at in stored if case.connection == connection)
        return [root for _, _, root in due][:limit]

    def set_wakes(self, wakes: Mapping[str, datetime | None]) -> None:
        for case_id, at in wakes.items():
            self._now.wakes.pop(case_id, None)
            if at is not None and case_id in self._now.cases:
                self._now.wakes[case_id] = at

    def wake_open(self, connection: str, at: datetime) -> None:
        self.set_wakes({case.id: at for case in self._live(connection) if case.is_open})

    def save_cases(
        self, cases: Sequence[Case], changes: Sequence[Change], wakes: Mapping[str, datetime | None] | None = None
    ) -> None:
        for case in sorted(cases, key=lambda case: case.version != 1):
            pk, old = self._now.cases.get(case.id, (len(self._now.cases) + 1, None))
            if case.version != (1 if old is None else old.version + 1):
                raise StaleVersion(f"{case.id} is not at the version before the one given")
            require(case.merged_into != case.id, "not_merged_into_itself")
            require(case.merged_into is None or case.merged_into in self._now.cases, "merged into nothing")
            self._now.cases[case.id] = (pk, kept(case))
            self.set_wakes({case.id: (wakes or {}).get(case.id)})
        roots = Counter((case.connection, case.root) for _, case in self._now.cases.values())
        if cases and max(roots.values()) > 1:
            raise StaleVersion("a root has another case")
        for change in changes:
            history = self._now.history.get(change.case_id, ())
            if change.case_id not in self._now.cases:
                raise DomainError(f"a change belongs to case {change.case_id}, which is not stored")
            require(change.seq > (history[-1].seq if history else 0), "case history is append-only")
            self._now.history[change.case_id] = (*history, kept(change))

    # People -----------------------------------------------------------------------------------------------
    def people(self, connection: str, refs: Iterable[str]) -> dict[str, Person]:
        return _those(self._now.people, connection, refs)

    def want_people(self, connection: str, refs: Iterable[str], now: datetime) -> None:
        for key in {(connection, clean(ref)) for ref in refs} - self._now.people.keys():
            self._now.wanted.setdefault(key, now)

    def wanted_people(self, connection: str, now: datetime, limit: int) -> list[str]:
        wanted = self._now.wanted.items()
        due = sorted((at, ref) for (where, ref), at in wanted if where == connection and at <= now)
        return [ref for _, ref in due][:limit]

    def save_people(self, connection: str, people: Sequence[Person], now: datetime) -> None:
        for person in people:
            key = (connection, clean(person.ref))
            self._now.people[key] = kept(person)
            self._now.wanted.pop(key, None)

    def people_unreadable(self, connection: str, refs: Iterable[str], retry_at: datetime) -> None:
        self._now.wanted.update({(connection, clean(ref)): retry_at for ref in refs})

    # Hints ------------------------------------------------------------------------------------------------
    def note_hints(self, connection: str, refs: Iterable[str], now: datetime, mark: int) -> None:
        for ref in {clean(ref) for ref in refs}:
            self._now.hints[connection, ref] = kept(Hint(ref, now, mark))

    def hints(self, connection: str, limit: int, but: Collection[str] = ()) -> list[Hint]:
        here = [hint for (where, _), hint in self._now.hints.items() if where == connection]
        waiting = [hint for hint in here if hint.ref.partition("/")[0] not in but]
        return sorted(waiting, key=lambda hint: (hint.noted_at, hint.ref))[:limit]

    def drop_hints(self, connection: str, hints: Sequence[Hint]) -> None:
        for hint in hints:
            stored = self._now.hints.get((connection, hint.ref))
            if stored is not None and stored.mark == hint.mark:
                del self._now.hints[connection, hint.ref]

    # Subscriptions ----------------------------------------------------------------------------------------
    def subscribed(self, connection: str) -> list[Subscribed]:
        found = [row for (where, _), row in self._now.subscribed.items() if where == connection]
        return sorted(found, key=lambda row: row.key)

    def save_subscribed(self, rows: Sequence[Subscribed]) -> None:
        for row in rows:
            self._now.subscribed[row.connection, clean(row.key)] = kept(row, key=clean(row.key))

    def drop_subscribed(self, connection: str, keys: Iterable[str]) -> None:
        for key in keys:
            self._now.subscribed.pop((connection, clean(key)), None)

    # Reading for people -----------------------------------------------------------------------------------
    def list_cases(
        self, where: CaseFilter, *, limit: int, cursor: str | None = None, up_to: int | None = None
    ) -> CasePage:
        waiting = self._waiting()
        found = sorted(
            (((*place(case, where.order), pk), case) for pk, case in self._now.cases.values()),
            key=itemgetter(0),
        )
        found = [(at, case) for at, case in found if matches(case, where, waiting)]
        start = from_cursor(cursor) if cursor is not None else None
        rest = [(place, case) for place, case in found if start is None or place > start]
        page = rest[:limit]
        return CasePage(
            cases=tuple(case for _, case in page),
            total=_counted(len(found), up_to),
            next_cursor=to_cursor(page[-1][0]) if len(rest) > limit else None,
        )

    def count_cases(self, wheres: Sequence[CaseFilter], up_to: int | None = None) -> list[int]:
        waiting, cases = self._waiting(), self._now.cases.values()
        return [_counted(sum(matches(case, where, waiting) for _, case in cases), up_to) for where in wheres]

    def blocked_again(self, where: CaseFilter, *, limit: int) -> AgainPage:
        waiting, found = self._waiting(), []
        for pk, case in self._now.cases.values():
            if case.blocker is None or not case.is_open or not matches(case, where, waiting):
                continue
            times = begun_blockers(self._now.history.get(case.id, ())).get((case.id, case.blocker.category), 0)
            if times > 1:
                found.append(((-times, micros(case.opened_at), pk), Again(case, times)))
        found.sort(key=itemgetter(0))
        return AgainPage(tuple(one for _, one in found[:limit]), len(found))

    def _waiting(self) -> set[str]:
        return {row.intent.case_id for row in self._now.outbox.values() if row.state in WAITING}

    def history(self, case_id: str) -> list[Change]:
        return list(self._now.history.get(case_id, ()))

    def histories(
        self, connection: str, *, since: datetime, before: datetime, limit: int, after: int = 0
    ) -> HistoryPage:
        every = (row for row in self._now.cases.values() if row[1].connection == connection)
        rows = sorted(every, key=itemgetter(0))
        begun = [(pk, case) for pk, case in rows if pk > after and case.opened_at < before][:limit]
        found = []
        for _, case in begun:
            history = self._now.history.get(case.id, ())
            told = tuple(takewhile(lambda change: change.at < before, history))
            if told and (case.is_open or history[-1].at >= since):
                found.append(told)
        return HistoryPage(tuple(found), begun[-1][0] if len(begun) == limit else None)

    def inbox(
        self,
        *,
        connection: str | None = None,
        state: InboxState | None = None,
        code: str | None = None,
        ref: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[InboxRow]:
        found = [
            msgspec.structs.replace(row, raw=b"")
            for row in self._now.inbox.values()
            if (row.id or 0) > after
            and connection in (None, row.connection)
            and state in (None, row.state)
            and code in (None, row.code)
            and (ref is None or clean(ref) == row.ref)
        ]
        return found[:limit]

    def inbox_row(self, row_id: int) -> InboxRow | None:
        return self._now.inbox.get(row_id)

    def totals(self, connection: str) -> dict[str, Counts]:
        return {stream: counts for (where, stream), counts in self._now.totals.items() if where == connection}

    def cursors(self, connection: str) -> list[Cursor]:
        found = [cursor for cursor in self._now.cursors.values() if cursor.connection == connection]
        return sorted(found, key=lambda cursor: cursor.stream)

    def parked_groups(self, connection: str | None = None) -> list[tuple[str, str, str, int]]:
        parked = Counter(
            (row.connection, row.type, row.code or "")
            for row in self._now.inbox.values()
            if row.state is InboxState.PARKED and connection in (None, row.connection)
        )
        return sorted(((*group, n) for group, n in parked.items()), key=lambda group: (-group[3], group[:3]))

    def case_counts(self, connection: str | None = None) -> Mapping[tuple[str, str], int]:
        return Counter((case.lane, case.status.value) for case in self._live(connection))

    def overdue_counts(self, connection: str, now: datetime) -> Mapping[str, int]:
        return Counter(
            case.lane
            for case in self._live(connection)
            if case.is_open and case.due_at is not None and case.due_at < now
        )

    # Figures ----------------------------------------------------------------------------------------------
    def count_deliveries(self, connection: str, found: Mapping[tuple[str, str, str], int]) -> None:
        for (kind, outcome, code), number in found.items():
            key = (connection, clean(kind), clean(outcome), clean(code))
            self._now.deliveries[key] = self._now.deliveries.get(key, 0) + number

    def deliveries(self, connection: str) -> list[Delivered]:
        return [
            Delivered(kind=kind, outcome=outcome, code=code, found=found)
            for (where, kind, outcome, code), found in sorted(self._now.deliveries.items())
            if where == connection
        ]

    def parked_since(self, connection: str) -> datetime | None:
        rows = (row for row in self._now.inbox.values() if row.connection == connection)
        return min((row.received_at for row in rows if row.state is InboxState.PARKED), default=None)

    # Budgets ----------------------------------------------------------------------------------------------
    def budget(self, connection: str) -> Budget:
        return self._now.budgets.get(connection, Budget(connection=connection))

    def save_budget(self, row: Budget) -> None:
        require((row.open_until is None) == (row.away_since is None), "away_while_open")
        require((row.open_until is None) == (row.trips == 0), "trips_while_open")
        self._now.budgets[row.connection] = kept(row, reason=maybe_clean(row.reason), cause=maybe_clean(row.cause))

    def workers(self, name: str, now: datetime, since: datetime) -> int:
        seen = {**self._now.workers, clean(name): now}
        self._now.workers = {one: at for one, at in seen.items() if at >= since}
        return len(self._now.workers)

    # Pauses -----------------------------------------------------------------------------------------------
    def pause(self, row: Pause) -> bool:
        return self._now.pauses.setdefault((row.connection, row.type or ""), stored := kept(row)) is stored

    def resume(self, connection: str, type_: str | None) -> bool:
        return self._now.pauses.pop((connection, type_ or ""), None) is not None

    def pauses(self, connection: str) -> list[Pause]:
        return [row for (where, _), row in sorted(self._now.pauses.items()) if where == connection]

    # Retention --------------------------------------------------------------------------------------------
    def forget_bodies(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        held = [row for key, row in self._now.inbox.items() if key > after and row.raw][:limit]
        old = [row for row in held if row.received_at < before and row.state is not InboxState.PARKED]
        gone = [row for row in old if not self._is_needed(row)]
        self._now.inbox.update({row.id: msgspec.structs.replace(row, raw=b"") for row in gone if row.id is not None})
        size = sum(len(row.raw) for row in gone)
        return Forgotten(next=held[-1].id if len(held) == limit else None, rows=len(gone), size=size)

    def _is_needed(self, row: InboxRow) -> bool:
        known = self._now.sources.get((row.connection, row.ref))
        return known is not None and any(
            case.connection == row.connection and case.root == known.root and case.is_open and case.merged_into is None
            for _, case in self._now.cases.values()
        )

    def forget_writes(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        ended = [row for key, row in self._now.outbox.items() if key > after and rules.is_ended(row)]
        over = [row for row in ended if row.settled_at is not None and row.settled_at < before][:limit]
        gone = set(rules.outlived(map(rules.as_ended, self._now.outbox.values()))) & {row.id for row in over}
        for row_id in gone:
            row = self._now.outbox.pop(row_id)
            del self._now.keys[row.intent.case_id, row.intent.key]
        return Forgotten(next=over[-1].id if len(over) == limit else None, rows=len(gone))

    def sizes(self) -> Sizes:
        rows = self._now.inbox.values()
        return Sizes(
            versions=len(rows),
            bodies=sum(bool(row.raw) for row in rows),
            body_bytes=sum(len(row.raw) for row in rows),
            writes=len(self._now.outbox),
            cases=len(self._now.cases),
            changes=sum(map(len, self._now.history.values())),
        )

    # Restores ---------------------------------------------------------------------------------------------
    def restored(self, connection: str) -> Restored | None:
        return self._now.restored.get(connection)

    def save_restored(self, row: Restored) -> None:
        self._now.restored[row.connection] = kept(row)

    # Timers -----------------------------------------------------------------------------------------------
    def win_tick(self, name: str, now: datetime, next_at: datetime) -> bool:
        if self._now.timers.get(name, now) > now:
            return False
        self._now.timers[name] = next_at
        return True

    def take_turn(self, name: str, now: datetime, until: datetime) -> int | None:
        number, taken_until = self._now.turns.get(name, (0, now))
        if taken_until > now:
            return None
        self._now.turns[name] = (number + 1, until)
        return number + 1

    def keep_turn(self, name: str, number: int, until: datetime) -> bool:
        if self._now.turns.get(name, (0, until))[0] != number:
            return False
        self._now.turns[name] = (number, until)
        return True


def _those(kept: Mapping[tuple[str, str], T], connection: str, refs: Iterable[str]) -> dict[str, T]:
    return {ref: kept[connection, clean(ref)] for ref in refs if (connection, clean(ref)) in kept}


class MemoryStore:
    """A store that ends with the process (``port.Store``)."""

    def __init__(self) -> None:
        """Begin empty."""
        self._state = State()
        self._one_writer = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[MemoryTx]:
        """Open a transaction that may write; not to be opened inside another one of the same thread."""
        with self._one_writer:
            work = self._state.copied()
            yield MemoryTx(work)
            self._state = work

    @contextmanager
    def reading(self) -> Iterator[MemoryTx]:
        """Open a read-only snapshot."""
        yield MemoryTx(self._state.copied())

    @property
    def problem(self) -> str | None:
        """Nothing: it is in memory."""
        return None

    def close(self) -> None:
        """Do nothing."""


def _counted(found: int, up_to: int | None) -> int:
    return found if up_to is None else min(found, up_to)
