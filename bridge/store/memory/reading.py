"""What people ask for, in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import takewhile
from operator import itemgetter

from bridge.cases.changes import Change
from bridge.store.codec import from_cursor, micros, to_cursor
from bridge.store.memory.work import Work
from bridge.store.outbox_rules import WAITING
from bridge.store.queries import Again, AgainPage, CaseFilter, CasePage, HistoryPage
from bridge.store.worklist import begun_blockers, matches, place


class ReadingRoom(Work):
    """Worklists and histories."""

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

    def case_counts(self, connection: str | None = None) -> Mapping[tuple[str, str], int]:
        return Counter((case.lane, case.status.value) for case in self._live(connection))

    def overdue_counts(self, connection: str, now: datetime) -> Mapping[str, int]:
        return Counter(
            case.lane
            for case in self._live(connection)
            if case.is_open and case.due_at is not None and case.due_at < now
        )


def _counted(found: int, up_to: int | None) -> int:
    return found if up_to is None else min(found, up_to)
