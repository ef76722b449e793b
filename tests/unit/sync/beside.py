"""Bridge beside an EHR of a few resources, told exactly what the test tells it."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from bridge.cases.changes import Change
from bridge.cases.commands import AnyCommand
from bridge.cases.model import Case
from bridge.fhir.source import SourceVersion
from bridge.store.memory import MemoryStore
from bridge.store.rows import Counts, InboxRow, InboxState
from bridge.sync.command import execute
from bridge.sync.ingest import IngestReport, Intake, ingest
from bridge.sync.line import Line
from bridge.sync.sweep import SweepReport, sweep
from bridge.sync.timers import tick
from tests.stateful.small_ehr import SmallEhr
from tests.stateful.world import NOW, a_line

LINE = a_line()
ROOT = "ServiceRequest/o1"


class Beside:
    """Bridge beside a small EHR; it only learns what it is told, or what the sweep finds."""

    def __init__(self, *resources: dict[str, Any], line: Line = LINE) -> None:
        self.now = NOW
        self.line = line
        self.ehr = SmallEhr()
        self.store = MemoryStore()
        self.tell(*resources)

    def tell(self, *resources: dict[str, Any]) -> IngestReport:
        """Write resources in the EHR and take them in."""
        return self.take(*(self.ehr.write(one) for one in resources))

    def take(self, *versions: SourceVersion, stream: str = "Any", via: str = "poll") -> IngestReport:
        """Take versions in."""
        return ingest(Intake(stream, versions, via), self.store, self.line, self.now)

    def sweep(self, **later: float) -> SweepReport:
        """Let time pass and sweep."""
        self.now += timedelta(**later)
        return sweep(self.ehr.client(self.now), self.store, self.line, lambda: self.now)

    def case(self, root: str = ROOT) -> Case:
        """Return the case of a root."""
        with self.store.reading() as tx:
            return tx.cases_of_roots("main", [root])[root]

    def act(self, command: AnyCommand, root: str = ROOT, version: int | None = None) -> Case:
        """Carry out a person's command on the case of a root."""
        case = self.case(root)
        return execute(
            self.store,
            {"main": self.line},
            case.id,
            command,
            by="ann",
            expected_version=case.version if version is None else version,
            now=self.now,
            new_id="attempt-1",
        )

    def tick(self, **later: float) -> int:
        """Let time pass and look at what it brought."""
        self.now += timedelta(**later)
        return tick(self.store, self.line, self.now)

    def inbox(self, state: InboxState | None = None) -> list[InboxRow]:
        """Return the inbox."""
        with self.store.reading() as tx:
            return tx.inbox(state=state, limit=1000)

    def totals(self, stream: str = "Any") -> Counts:
        """Return a stream's counters."""
        with self.store.reading() as tx:
            return tx.totals("main")[stream]

    def history(self, root: str = ROOT) -> list[Change]:
        """Return the history of the case of a root."""
        with self.store.reading() as tx:
            return tx.history(self.case(root).id)

    def gone_at(self, ref: str = ROOT) -> datetime | None:
        """Return when a source was found to be gone."""
        with self.store.reading() as tx:
            return tx.sources("main", [ref])[ref].gone_at
