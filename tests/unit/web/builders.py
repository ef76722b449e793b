"""A small clinic in the store, filled through the same doors as the real thing, and the web view upon it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from importlib.resources import files
from itertools import count
from typing import Any
from zoneinfo import ZoneInfo

from fastapi.testclient import TestClient
from msgspec.structs import replace

from bridge.cases.calendar import Calendar
from bridge.cases.changes import Cause, CauseKind
from bridge.cases.commands import AnyCommand
from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.lanes import parse_lanes
from bridge.cases.model import Case
from bridge.cases.owners import OwnerBook, OwnerEntry
from bridge.cases.people import Person
from bridge.cases.reconcile import Arrival, reconcile, revisit
from bridge.cases.rules import Rules
from bridge.cases.snapshot import BusinessIdentifier, Party, Snapshot
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import OwnerKind
from bridge.store.memory import MemoryStore
from bridge.store.port import Store
from bridge.store.rows import Counts, Cursor, InboxRow, InboxState, OutboxRow, Settlement
from bridge.sync.command import execute
from bridge.sync.known import load, load_roots, record
from bridge.sync.line import READ_ORDER, Line
from bridge.web.app import create_app
from bridge.web.context import ConnectionInfo, RouteLine, WebContext

NOW = datetime(2026, 11, 23, 15, 0, tzinfo=UTC)
"""A Monday, 10:00 in New York."""
ZONE = ZoneInfo("America/New_York")
MAIN = "main"
LANES = parse_lanes((files("bridge.cases") / "lanes.toml").read_text())
OWNED = Party(type="Practitioner", ref="Practitioner/maria")

OWNERS = (
    OwnerEntry("referral-coordinator", OwnerKind.ROLE, "Referral coordinators", backup="supervisor"),
    OwnerEntry("scheduler", OwnerKind.ROLE, "Schedulers", backup="supervisor"),
    OwnerEntry("refill-nurse", OwnerKind.ROLE, "Refill nurses", licensed=True),
    OwnerEntry("authorization-specialist", OwnerKind.ROLE, "Authorization specialists"),
    OwnerEntry("supervisor", OwnerKind.ROLE, "Supervisors"),
    OwnerEntry("clinician", OwnerKind.ROLE, "Clinicians", licensed=True),
    OwnerEntry("maria", OwnerKind.PERSON, "Maria Synthetic", ("Practitioner/maria",), backup="supervisor"),
)


def a_line(name: str = MAIN, *more: OwnerEntry) -> Line:
    """Return a connection's line with the shipped lanes, and with *more* owners."""
    rules = Rules(name, LANES, OwnerBook((*OWNERS, *more)), Calendar(zone=ZONE))
    return Line(name=name, base_url=f"https://{name}.example/fhir", fhir_version="R4", rules=rules)


def a_snapshot(ref: str, status: str = "active", *, version: str = "1", **more: object) -> Snapshot:
    """Return a snapshot of a synthetic patient's request; everything that does not matter has a default."""
    type_ = ref.partition("/")[0]
    fields: dict[str, object] = {
        "updated_at": NOW - timedelta(hours=1),
        "authored_at": NOW - timedelta(hours=1),
        "intent": "order",
        "patient": Party(type="Patient", ref="Patient/p1"),
        "title": "Cardiology referral",
    }
    given = {**fields, **more}
    effect = EFFECTS[type_][status]
    return Snapshot(ref=ref, type=type_, version=version, status=status, effect=effect, **given)  # type: ignore[arg-type]


def a_person(ref: str = "Patient/p1", display: str = "Ada Synthetic", **more: object) -> Person:
    """Return a patient as read from the EHR."""
    fields: dict[str, object] = {
        "birth_on": "1971-03-02",
        "language": "es-US",
        "contact_preference": "phone",
        "identifiers": (BusinessIdentifier("MRN-0001", "urn:example:mrn"), BusinessIdentifier("X-77")),
    }
    given = {**fields, **more}
    return Person(ref=ref, type="Patient", version="1", display=display, **given)  # type: ignore[arg-type]


@dataclass
class Clinic:
    """A store, a clock that the test moves, and the web view of both."""

    store: Store = field(default_factory=MemoryStore)
    now: datetime = NOW
    lines: dict[str, Line] = field(default_factory=lambda: {MAIN: a_line()})
    replayed: list[tuple[str, Sequence[int]]] = field(default_factory=list)
    allowed_hosts: frozenset[str] = frozenset({"testserver"})
    more: dict[str, Any] = field(default_factory=dict)
    """What else the web view is given."""
    _ids: Iterator[int] = field(default_factory=lambda: count(1))

    def arrive(self, *snapshots: Snapshot, connection: str = MAIN) -> list[Case]:
        """Take in snapshots as a page would, and return the cases they changed."""
        line = self.lines[connection]
        with self.store.transaction() as tx:
            known = load(tx, connection, snapshots)
            outcome = reconcile([Arrival(snapshot) for snapshot in snapshots], known, line.rules, self.now)
            record(tx, line, outcome, self.now)
        return [case for _, case in outcome.pairs]

    def referral(self, number: int = 1, display: str = "Ada Synthetic", **more: object) -> Case:
        """Take in a referral of a patient of its own, and return its case."""
        patient = f"Patient/p{number}"
        more.setdefault("patient", Party(type="Patient", ref=patient))
        self.arrive(a_snapshot(f"ServiceRequest/{number}", **more))  # type: ignore[arg-type]
        cases = self.meet(a_person(patient, display))
        return next(case for case in cases if case.root == f"ServiceRequest/{number}")

    def merged(self) -> tuple[Case, Case]:
        """Link a Task to a referral after each opened a case: return the one that went, and where it went."""
        into = self.referral()
        alone = self.arrive(a_snapshot("Task/1", "requested", title="Referral paperwork", owner=OWNED))[0]
        linked = a_snapshot("Task/1", "requested", version="2", parent="ServiceRequest/1", updated_at=NOW, owner=OWNED)
        self.arrive(linked)
        return self.case(alone), self.case(into)

    def meet(self, person: Person, connection: str = MAIN) -> list[Case]:
        """Read a patient, and return the cases that know more now."""
        line = self.lines[connection]
        with self.store.transaction() as tx:
            tx.save_people(connection, [person], self.now)
            cases = tx.cases_of_people(connection, [person.ref])
            known = load_roots(tx, connection, [case.root for case in cases])
            cause = Cause(CauseKind.RULE, "patient-read")
            outcome = revisit([case.root for case in cases], known, line.rules, cause, self.now)
            record(tx, line, outcome, self.now)
        return [case for _, case in outcome.pairs]

    def do(self, case: Case, command: AnyCommand) -> Case:
        """Carry out a command as of now."""
        return execute(
            self.store,
            self.lines,
            case.id,
            command,
            by="Maria Synthetic",
            expected_version=None,
            now=self.now,
            new_id=self.new_id(),
        )

    def deliver(self, case: Case, state: IntentState, reason: str | None = None) -> list[Intent]:
        """Claim what is due, settle the next of *case* as *state* and put the rest back."""
        with self.store.transaction() as tx:
            claimed = tx.claim(case.connection, self.now, self.now + timedelta(minutes=1), 1000)
            mine = [row for row in claimed if row.intent.case_id == case.id]
            rest = [row for row in claimed if row.intent.case_id != case.id]
            tx.settle([_settlement(row, state, self.now, reason) for row in mine])
            tx.settle([_settlement(row, IntentState.QUEUED, self.now, None) for row in rest])
        return [row.intent for row in mine]

    def read_to(
        self,
        watermark: datetime | None,
        *,
        problem: str | None = None,
        warnings: tuple[str, ...] = (),
        connection: str = MAIN,
    ) -> None:
        """Say how far every stream was read."""
        with self.store.transaction() as tx:
            for stream in READ_ORDER:
                cursor = Cursor(
                    connection=connection,
                    stream=stream,
                    watermark=watermark,
                    checked_at=watermark,
                    problem=problem if stream == "Task" else None,
                    warnings=warnings if stream == "Task" else (),
                )
                tx.save_cursor(cursor)

    def park(self, ref: str, code: str, reason: str, raw: bytes = b"{}", connection: str = MAIN) -> int:
        """Park one received version and return its row's id."""
        row = InboxRow(
            connection=connection,
            ref=ref,
            type=ref.partition("/")[0],
            version="1",
            updated_at=self.now,
            received_at=self.now,
            path="poll",
            state=InboxState.PARKED,
            code=code,
            reason=reason,
            raw=raw,
        )
        with self.store.transaction() as tx:
            tx.add_versions([row])
            tx.count(connection, row.type, Counts(received=1, parked=1))
            return next(found.id for found in tx.inbox(ref=ref) if found.id is not None)

    def count(self, stream: str, counts: Counts) -> None:
        """Add to what came in."""
        with self.store.transaction() as tx:
            tx.count(MAIN, stream, counts)

    def case(self, case: Case) -> Case:
        """Return the case as it is stored now."""
        with self.store.reading() as tx:
            found = tx.case(case.id)
        assert found is not None
        return found

    def rename(self, case: Case, **fields: object) -> None:
        """Store a case with other fields: for texts that no path of ours would make."""
        stored = self.case(case)
        changed = replace(stored, version=stored.version + 1, **fields)
        with self.store.transaction() as tx:
            tx.save_cases([changed], [])

    def new_id(self) -> str:
        """Return an unused id."""
        return f"id-{next(self._ids)}"

    def context(self, **more: Any) -> WebContext:
        """Return what ``create_app`` is given."""
        return WebContext(
            store=self.store,
            lines=self.lines,
            connections=self._connections,
            replay_inbox=self._replay_inbox,
            replay_outbox=self._replay_outbox,
            clock=lambda: self.now,
            new_id=self.new_id,
            version="0.0.0-test",
            zone=ZONE,
            allowed_hosts=self.allowed_hosts,
            **{**self.more, **more},
        )

    def client(self) -> TestClient:
        """Return a client that answers errors like a server does."""
        return TestClient(create_app(self.context()), raise_server_exceptions=False, follow_redirects=False)

    def _connections(self) -> list[ConnectionInfo]:
        return [
            ConnectionInfo(
                name=line.name,
                base_url=line.base_url,
                vendor="generic",
                fhir_version=line.fhir_version,
                types=tuple(line.types),
                writes=line.writes,
                routes=(RouteLine("coordination-task", "put-own-id", "The server takes our ids."),),
                reads={"Task": "date: searched by modified; the server gave none"},
                disagreements=("Task can be searched; by the profile it cannot",),
            )
            for line in self.lines.values()
        ]

    def _replay_inbox(self, ids: Sequence[int]) -> int:
        self.replayed.append(("inbox", tuple(ids)))
        return len(ids)

    def _replay_outbox(self, ids: Sequence[int]) -> int:
        self.replayed.append(("outbox", tuple(ids)))
        with self.store.transaction() as tx:
            return tx.requeue(ids, self.now)


def _settlement(row: OutboxRow, state: IntentState, at: datetime, reason: str | None) -> Settlement:
    confirmed = state is IntentState.CONFIRMED
    task = row.intent.kind is IntentKind.COORDINATION_TASK
    return Settlement(
        id=row.id,
        token=row.token,
        state=state,
        at=at,
        next_at=at if state is IntentState.QUEUED else None,
        spent=state is not IntentState.QUEUED,
        code=None if confirmed or state is IntentState.QUEUED else "refused",
        reason=reason,
        written=f"{'Task' if task else 'Communication'}/bridge-{row.id}" if confirmed else None,
        written_version="1" if confirmed else None,
    )
