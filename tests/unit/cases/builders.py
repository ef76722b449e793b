"""Snapshots, rules and a desk at which they become cases, with everything that does not matter filled in."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from importlib import resources
from typing import Any
from zoneinfo import ZoneInfo

from msgspec.structs import replace

from bridge.cases.act import act
from bridge.cases.book import Known, Outcome
from bridge.cases.calendar import Calendar
from bridge.cases.changes import Cause, CauseKind, Change, fold
from bridge.cases.commands import AnyCommand, LogOutreach
from bridge.cases.derive import View, derive
from bridge.cases.facts import gather
from bridge.cases.lanes import Lanes, parse_lanes
from bridge.cases.model import Case
from bridge.cases.owners import LICENSED_ROLES, OwnerBook, OwnerEntry
from bridge.cases.people import Person
from bridge.cases.reconcile import Arrival, reconcile, revisit
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Code, Concept, Party, Snapshot
from bridge.cases.sources import SourceRow
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import AttemptOutcome, Channel, OwnerKind

NOW = datetime(2026, 6, 1, 14, tzinfo=UTC)
"""A Monday, ten in the morning in New York."""
ASKED = datetime(2026, 5, 29, 13, tzinfo=UTC)
ORDER = "ServiceRequest/1"
FULFIL = Code("fulfill", "http://hl7.org/fhir/CodeSystem/task-code")
ABORT = Code("abort", "http://hl7.org/fhir/CodeSystem/task-code")
CARDIOLOGY = Party("Organization", "Organization/cardiology")
PATIENT = Party("Patient", "Patient/p1", None, "Pat Example")

SHIPPED_TEXT = (resources.files("bridge.cases") / "lanes.toml").read_text("utf-8")
SHIPPED = parse_lanes(SHIPPED_TEXT)
CALM = Lanes((lane.model_copy(update={"escalates": ()}) for lane in SHIPPED.all), SHIPPED.blockers)
"""The shipped lanes, without what makes a case climb by itself."""
_ENTRIES = (
    OwnerEntry("ann", OwnerKind.PERSON, "Ann Weber", ("Practitioner/ann", "http://id.example|ann"), backup="bob"),
    OwnerEntry("bob", OwnerKind.PERSON, "Bob Stone", ("Practitioner/bob",)),
    OwnerEntry("carol", OwnerKind.PERSON, "Carol Reed, RN", licensed=True),
    OwnerEntry("dave", OwnerKind.PERSON, "Dave Lin", roles=("clinician",)),
    *(
        OwnerEntry(name, OwnerKind.ROLE, name.replace("-", " ").capitalize(), licensed=name in LICENSED_ROLES)
        for name in sorted(SHIPPED.roles())
    ),
)
OWNERS = OwnerBook(_ENTRIES, we_are=("Organization/us", "http://id.example|us"))
OFFICE = Calendar(ZoneInfo("America/New_York"))


def some_rules(**changes: Any) -> Rules:
    """Return the rules of a site in New York that opens Monday to Friday from 8 to 17."""
    fields: dict[str, Any] = {"connection": "main", "lanes": CALM, "owners": OWNERS, "calendar": OFFICE}
    return Rules(**{**fields, **changes})


RULES = some_rules()


def a_snapshot(ref: str = ORDER, status: str = "active", version: int = 1, **changes: Any) -> Snapshot:
    """Return version *version* of a resource; each version is an hour younger than the one before."""
    kind = ref.partition("/")[0]
    fields: dict[str, Any] = {
        "ref": ref,
        "type": kind,
        "version": str(version),
        "updated_at": ASKED + timedelta(hours=version),
        "status": status,
        "effect": EFFECTS[kind][status],
        "patient": PATIENT,
        "title": "Referral to cardiology" if kind == "ServiceRequest" else kind,
        "authored_at": ASKED,
    }
    return Snapshot(**{**fields, **changes})


def a_task(status: str = "requested", ref: str = "Task/1", version: int = 1, **changes: Any) -> Snapshot:
    """Return a Task that asks somebody to fulfil the order."""
    return a_snapshot(ref, status, version, **{"parent": ORDER, "codes": (FULFIL,), "title": "Task", **changes})


def a_visit(status: str = "booked", ref: str = "Appointment/1", version: int = 1, **changes: Any) -> Snapshot:
    """Return the visit that the order asks for, on Friday 19 June 2026 unless told otherwise."""
    at = datetime(2026, 6, 19, 14, tzinfo=UTC)
    return a_snapshot(ref, status, version, **{"parent": ORDER, "start_at": at, "title": "Visit", **changes})


def a_prescription(status: str = "active", version: int = 1, **changes: Any) -> Snapshot:
    """Return a prescription whose end of supply cannot be told."""
    return a_snapshot("MedicationRequest/1", status, version, **{"title": "Metformin", **changes})


def said(text: str) -> Concept:
    """Return a reason in words."""
    return Concept(text=text)


def utc(day: int, hour: int = 21, month: int = 6) -> datetime:
    """Return a time in June 2026; 21 UTC is closing time in New York."""
    return datetime(2026, month, day, hour, tzinfo=UTC)


def call(outcome: AttemptOutcome = AttemptOutcome.LEFT_MESSAGE, **changes: Any) -> LogOutreach:
    """Return an attempt by phone."""
    return LogOutreach(channel=Channel.PHONE, outcome=outcome, **changes)


def patient(own_id: str) -> Party:
    """Return another patient."""
    return Party("Patient", f"Patient/{own_id}")


def by(ref: str) -> Party:
    """Return the party that *ref* names."""
    return Party(ref.partition("/")[0], ref)


class Desk:
    """What is known, kept in memory: versions and commands go in, cases and their histories come out."""

    def __init__(self, rules: Rules = RULES) -> None:
        self.rules = rules
        self.now = NOW
        self.sources: dict[str, SourceRow] = {}
        self.cases: dict[str, Case] = {}
        self.people: dict[str, Person] = {}
        self.history: dict[str, list[Change]] = {}
        self.wakes: dict[str, datetime | None] = {}
        self._attempts = 0

    def take(self, *snapshots: Snapshot, note: str | None = None) -> Outcome:
        """Take in a page."""
        return self._keep(reconcile([Arrival(one, note) for one in snapshots], self._known(), self.rules, self.now))

    def look_again(self, *refs: str, **changes: Any) -> Outcome:
        """Derive the groups of *refs* again, after *changes* to their rows, as the sweep and the timer do."""
        for ref in refs:
            self.sources[ref] = replace(self.sources[ref], **changes)
        return self._keep(revisit(refs, self._known(), self.rules, Cause(CauseKind.TIMER, "test"), self.now))

    def do(self, command: AnyCommand, root: str = ORDER, by: str = "ann") -> Case:
        """Carry out a command on the case of *root* and return the case."""
        self._attempts += 1
        new_id = f"attempt-{self._attempts}"
        self._keep(act(self.cases[root], command, by, self._known(), self.rules, self.now, new_id))
        return self.cases[root]

    def pass_time(self, **span: float) -> None:
        """Let time pass; nothing happens by that alone."""
        self.now += timedelta(**span)

    def wait(self, until: datetime, root: str = ORDER) -> Case:
        """Let time pass until then; what time alone brings about comes about at its moment, as it does in the shell."""
        while (wake := self.wakes[self.cases[root].id]) is not None and wake <= until:
            self.now = wake
            self.look_again(*(row.ref for row in self.sources.values() if row.root == root))
        self.now = until
        return self.cases[root]

    def case(self, root: str = ORDER) -> Case:
        """Return the case of a root, merged or not."""
        return self.cases[root]

    def view(self, root: str = ORDER) -> View:
        """Return what follows from the sources of *root* now, with the rules that drew the conclusions."""
        case = self.cases[root]
        found = gather(
            root, [row for row in self.sources.values() if row.root == root], self.rules, case.lane, self.people
        )
        assert found is not None
        return derive(found, self.rules, case, self.now)

    def facts(self, root: str = ORDER) -> list[str]:
        """Return the names of the facts of a case's history, in order."""
        return [type(change.fact).__name__ for change in self.history[self.cases[root].id]]

    def alive(self) -> dict[str, Case]:
        """Return the cases that are not merged away, by root."""
        return {root: case for root, case in self.cases.items() if case.merged_into is None}

    def _known(self) -> Known:
        seqs = {case_id: len(changes) for case_id, changes in self.history.items()}
        return Known(dict(self.sources), dict(self.cases), seqs, dict(self.people))

    def _keep(self, outcome: Outcome) -> Outcome:
        self.sources.update((row.ref, row) for row in outcome.sources)
        self.cases.update((case.root, case) for _, case in outcome.pairs)
        for change in outcome.changes:
            self.history.setdefault(change.case_id, []).append(change)
        self.wakes.update(outcome.wakes)
        return outcome


def taken(*snapshots: Snapshot) -> Desk:
    """Return a desk that has taken in these."""
    desk = Desk()
    desk.take(*snapshots)
    return desk


def refolded(changes: Iterable[Change]) -> Case | None:
    """Return the case that a history amounts to."""
    found = None
    for change in changes:
        found = fold(found, change)
    return found
