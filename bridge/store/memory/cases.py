"""Sources, cases and people in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from bridge.cases.changes import Change
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.sources import SourceRow
from bridge.cases.terms import OwnerKind
from bridge.errors import DomainError, StaleVersion
from bridge.store.codec import clean, maybe_clean
from bridge.store.memory.state import kept, require
from bridge.store.memory.work import Work, those


class CasesRoom(Work):
    """What cases rest on, and the cases."""

    def sources(self, connection: str, refs: Iterable[str]) -> dict[str, SourceRow]:
        return those(self._now.sources, connection, refs)

    def sources_of_roots(self, connection: str, roots: Iterable[str]) -> list[SourceRow]:
        wanted = {clean(root) for root in roots}
        found = [row for row in self._sources(connection) if row.root in wanted]
        return sorted(found, key=lambda row: (row.root, row.ref))

    def sources_aside(self, connection: str, parents: Iterable[str]) -> list[SourceRow]:
        wanted = {clean(parent) for parent in parents}
        return [row for row in self._sources(connection) if row.aside in wanted]

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

    def people(self, connection: str, refs: Iterable[str]) -> dict[str, Person]:
        return those(self._now.people, connection, refs)

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
