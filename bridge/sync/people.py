"""People and places that cases name: read once, kept, and shown with the case by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.people import Person
from bridge.cases.reconcile import revisit
from bridge.errors import Refused
from bridge.fhir.client import FhirClient
from bridge.mappers.people import READABLE, person
from bridge.store.port import Store
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line

AT_ONCE = 100
"""How many are asked for in one search."""

TRY_AGAIN = timedelta(hours=6)
"""When one that could not be read is tried again (rule ours)."""


@dataclass(frozen=True)
class PeopleReport:
    """How many were read, how many could not be, and what that changed."""

    read: int = 0
    unreadable: int = 0
    intents: int = 0


def read_wanted(client: FhirClient, store: Store, line: Line, clock: Callable[[], datetime]) -> PeopleReport:
    """Read everybody that a case names and nobody has read yet; one that is missing is tried again later."""
    total = PeopleReport()
    while True:
        with store.reading() as tx:
            wanted = tx.wanted_people(line.name, clock(), AT_ONCE)
        if not wanted:
            return total
        found = _read(client, line, wanted)
        known = {someone.ref for someone in found}
        missing = [ref for ref in wanted if ref not in known]
        intents = _keep(store, line, found, missing, clock())
        total = PeopleReport(total.read + len(found), total.unreadable + len(missing), total.intents + intents)


def _read(client: FhirClient, line: Line, refs: Sequence[str]) -> list[Person]:
    found: list[Person] = []
    by_type: dict[str, list[str]] = {}
    for ref in refs:
        by_type.setdefault(ref.partition("/")[0], []).append(ref)
    for kind, wanted in by_type.items():
        if kind not in READABLE:
            continue
        try:
            versions = client.batch_read(wanted)
        except Refused:
            versions = ()
        people = (person(version, base_url=line.base_url) for version in versions)
        found += [someone for someone in people if isinstance(someone, Person) and someone.ref in wanted]
    return found


def _keep(store: Store, line: Line, found: Sequence[Person], missing: Sequence[str], now: datetime) -> int:
    """Store who was read and give the cases of these patients what is known of them now."""
    with store.transaction() as tx:
        tx.lock(line.name)
        tx.save_people(line.name, found, now)
        tx.people_unreadable(line.name, missing, now + TRY_AGAIN)
        cases = tx.cases_of_people(line.name, [someone.ref for someone in found])
        if not cases:
            return 0
        known = load_roots(tx, line.name, {case.root for case in cases})
        roots = {case.root for case in cases}
        refs = [row.ref for row in known.sources.values() if row.root in roots]
        outcome = revisit(refs, known, line.rules, Cause(CauseKind.RULE, "people-read"), now)
        return record(tx, line, outcome, now)
