"""A desk with a store behind it, as the shell has: several processes take turns, and nobody need look in time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from itertools import count, cycle
from threading import Thread

from bridge.cases.changes import Cause, CauseKind, Change
from bridge.cases.commands import AnyCommand
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.reconcile import Arrival, reconcile, revisit
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Snapshot
from bridge.store.memory import MemoryStore
from bridge.sync.command import execute
from bridge.sync.known import load, load_roots, record
from bridge.sync.line import Line
from bridge.sync.timers import catch_up, notice_rules, tick
from tests.stateful.world import a_line
from tests.unit.cases.builders import Desk

LINE = a_line()
RESTARTS = 7
"""After so many looks at the clock both processes are started anew."""


class Behind(Desk):
    """What the desk does, through transactions; each time another process does it, that knows nothing but the store."""

    def __init__(self, rules: Rules) -> None:
        super().__init__(rules)
        self.store = MemoryStore()
        self._lines = self._started()
        self._looks = 0
        self._ids = count()

    def _started(self) -> Iterator[Line]:
        """Every process has read the configuration for itself."""
        lines = [replace(LINE, rules=replace(self.rules, calendar=replace(self.rules.calendar))) for _ in range(2)]
        for line in lines:
            notice_rules(self.store, line, self.now)
        return cycle(lines)

    def take(self, *snapshots: Snapshot, note: str | None = None) -> None:  # type: ignore[override]
        line = next(self._lines)
        with self.store.transaction() as tx:
            tx.lock(line.name)
            catch_up(tx, line, self.now)
            known = load(tx, line.name, snapshots)
            record(tx, line, reconcile([Arrival(one) for one in snapshots], known, line.rules, self.now), self.now)

    def do(self, command: AnyCommand, root: str = "", by: str = "ann") -> Case:
        case, line = self.case(root), next(self._lines)
        new_id = f"attempt-{next(self._ids)}"
        return execute(
            self.store,
            {"main": line},
            case.id,
            command,
            by=by,
            expected_version=case.version,
            now=self.now,
            new_id=new_id,
        )

    def look_again(self, *refs: str, **changes: object) -> None:  # type: ignore[override]
        """Both processes look at the clock at once; now and then they are started anew."""
        self._looks += 1
        if self._looks % RESTARTS == 0:
            self._lines = self._started()
        looking = [Thread(target=tick, args=(self.store, next(self._lines), self.now)) for _ in range(2)]
        for one in looking:
            one.start()
        for one in looking:
            one.join()

    def wait(self, until: datetime, root: str = "") -> Case:
        raise AssertionError("nobody looks in time here")

    def dies(self, person: Person, root: str) -> None:
        """Let it become known that the patient has died."""
        line = next(self._lines)
        with self.store.transaction() as tx:
            tx.lock(line.name)
            catch_up(tx, line, self.now)
            tx.save_people(line.name, [person], self.now)
            known = load_roots(tx, line.name, {root})
            refs = [row.ref for row in known.sources.values()]
            record(tx, line, revisit(refs, known, line.rules, Cause(CauseKind.SOURCE, person.ref), self.now), self.now)

    def case(self, root: str = "") -> Case:
        with self.store.reading() as tx:
            return tx.cases_of_roots("main", [root])[root]

    def changes(self, case: Case) -> list[Change]:
        with self.store.reading() as tx:
            return list(tx.history(case.id))
