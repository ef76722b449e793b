"""
People and places that cases name: read when they are first named, and again with every sweep.

A patient dies, moves into another record, or turns out to be somebody else while a case is open. Whoever an open
case names is read again once in each sweep; who changed is kept, and the cases that name them are derived again.

A record that says it was replaced is followed to the one that took its place (``cases.people.heir``), and both
are kept together. One that the search does not show is read directly: a redirect to another record is as good as its
word that this one took its place (Epic 4107); 410 Gone, asked twice, is the server's own word that it is deleted; 404
may be a permission and changes nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.people import MOST_LINKS, REDIRECTED, Person, heir
from bridge.cases.reconcile import revisit
from bridge.errors import Moved, Refused, ServerFault, UnsafeAnswer
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.mappers.people import READABLE, person
from bridge.store.port import Store, Tx
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line
from bridge.sync.several import read_several
from bridge.sync.timers import catch_up
from bridge.sync.whose import what_became_of

log = logging.getLogger(__name__)

AT_ONCE = 100
"""How many are asked for in one search."""

MANY = 10
"""From how many of a type on, none of which a search shows, they are not asked for one by one (rule ours)."""

TRY_AGAIN = timedelta(hours=6)
"""When one that could not be read is tried again (rule ours)."""


@dataclass(frozen=True)
class PeopleReport:
    """How many were read, how many could not be, and what that changed."""

    read: int = 0
    unreadable: int = 0
    intents: int = 0
    changed: int = 0
    """How many of those who were known already are not as they were."""


def read_wanted(client: FhirClient, store: Store, line: Line, clock: Callable[[], datetime]) -> PeopleReport:
    """Read everybody that a case names and nobody has read yet; one that is missing is tried again later."""
    total = PeopleReport()
    while True:
        with store.reading() as tx:
            wanted = tx.wanted_people(line.name, clock(), AT_ONCE)
        if not wanted:
            return total
        found = _read(client, line, wanted)
        missing = [ref for ref in wanted if ref not in found]
        intents = _keep(store, line, found, missing, clock())
        read = len(wanted) - len(missing)
        total = PeopleReport(total.read + read, total.unreadable + len(missing), total.intents + intents)


def read_again(
    client: FhirClient,
    store: Store,
    line: Line,
    named: Mapping[str, Collection[str]],
    clock: Callable[[], datetime],
    *,
    unknown: bool = False,
) -> PeopleReport:
    """
    Read those again who are known, each once, and derive the cases of those who changed.

    Args:
        named: Whom the sources name, and the roots of the groups in which they do.
        unknown: Whether those are read too who were never read.

    Raises:
        RemoteError: The EHR does not answer; whoever was read before that is kept.
    """
    total, done, refs = PeopleReport(), set[str](), sorted(named)
    for start in range(0, len(refs), AT_ONCE):
        asked = [ref for ref in refs[start : start + AT_ONCE] if ref not in done]
        with store.reading() as tx:
            known = tx.people(line.name, asked)
        found = _read(client, line, asked if unknown else sorted(known))
        done |= found.keys()
        lost = _lost(client, [who for ref, who in known.items() if ref not in found], found)
        heirs = {who.replaced_by for who in lost.values() if who.replaced_by is not None}
        found |= lost | _read(client, line, sorted(heirs - found.keys()))
        changed, intents = _renew(store, line, found, named, clock())
        total = PeopleReport(total.read + len(found), 0, total.intents + intents, total.changed + changed)
    return total


@dataclass(frozen=True)
class Asking:
    """
    What ``ingest`` asks where a page leaves a doubt: it asks nothing of an EHR itself.

    A patient that cannot be read holds up no page: it is as if the record said nothing.
    """

    client: FhirClient
    store: Store
    line: Line
    clock: Callable[[], datetime]

    def __call__(self, refs: Collection[str]) -> None:
        """Read certain patients again."""
        try:
            read_again(self.client, self.store, self.line, dict.fromkeys(refs, ()), self.clock, unknown=True)
        except (ServerFault, UnsafeAnswer) as error:
            log.warning("a patient cannot be read: %s", error, extra={"connection": self.line.name})

    def now(self, ref: str) -> SourceVersion | None:
        """Return what stands there, if it is there and may be read."""
        try:
            return self.client.read(ref)
        except Refused:
            return None


# Reading --------------------------------------------------------------------------------------------------


def _read(client: FhirClient, line: Line, refs: Sequence[str]) -> dict[str, Person]:
    """Return those of *refs* that can be read, and whoever took the place of one, and of that one."""
    found: dict[str, Person] = {}
    wanted = list(refs)
    for _ in range(1 + MOST_LINKS):
        read = _search(client, line, wanted)
        found |= read
        wanted = sorted({who.replaced_by for who in read.values() if who.replaced_by is not None} - found.keys())
        if not wanted:
            break
    return found


def _search(client: FhirClient, line: Line, refs: Sequence[str]) -> dict[str, Person]:
    found: dict[str, Person] = {}
    by_type: dict[str, list[str]] = {}
    for ref in refs:
        by_type.setdefault(ref.partition("/")[0], []).append(ref)
    for kind, wanted in by_type.items():
        if kind not in READABLE:
            continue
        several = read_several(client, wanted)
        people = (person(version, base_url=line.base_url) for version in several.found)
        found |= {who.ref: who for who in people if isinstance(who, Person) and who.ref in wanted}
    return found


def _lost(client: FhirClient, missing: Sequence[Person], found: Mapping[str, Person]) -> dict[str, Person]:
    """Return the patients among *missing* that are merged or deleted; who hides all of a type at once says nothing."""
    patients = [who for who in missing if who.type == "Patient" and not who.gone]
    if len(patients) >= MANY and not any(who.type == "Patient" for who in found.values()):
        return {}
    looked = (_looked_for(client, who) for who in patients)
    return {who.ref: who for who in looked if who is not None}


def _looked_for(client: FhirClient, who: Person) -> Person | None:
    became = what_became_of(client, who.ref)
    if isinstance(became, Moved):
        return replace(who, version=REDIRECTED, active=False, replaced_by=became.ref)
    return replace(who, gone=True) if became is not None else None


# Keeping --------------------------------------------------------------------------------------------------


def _keep(store: Store, line: Line, found: Mapping[str, Person], missing: Sequence[str], now: datetime) -> int:
    """Store who was read and give the cases of these patients what is known of them now."""
    with store.transaction() as tx:
        tx.lock(line.name)
        catch_up(tx, line, now)
        known = tx.people(line.name, found)
        tx.save_people(line.name, [_dated(who, known.get(ref), now) for ref, who in found.items()], now)
        tx.people_unreadable(line.name, missing, now + TRY_AGAIN)
        cause = Cause(CauseKind.RULE, "people-read")
        return _derive(tx, line, {case.root: cause for case in tx.cases_of_people(line.name, found)}, now)


def _renew(
    store: Store, line: Line, found: Mapping[str, Person], named: Mapping[str, Collection[str]], now: datetime
) -> tuple[int, int]:
    """Store who is not as before, and derive the cases that name them; returns how many, and the intents."""
    with store.transaction() as tx:
        tx.lock(line.name)
        catch_up(tx, line, now)
        known = tx.people(line.name, found)
        read = [_dated(who, known.get(ref), now) for ref, who in found.items()]
        changed = {who.ref: who for who in read if who != known.get(who.ref)}
        causes = _left_behind(tx, line, found)
        if not changed and not causes:
            return 0, 0
        tx.save_people(line.name, list(changed.values()), now)
        moved = [who for who in read if _leads_over(who.ref, found, changed)]
        for who in sorted(moved, key=lambda who: (who.type == "Patient", who.ref)):
            causes |= dict.fromkeys(_roots_of(tx, line, who, known.get(who.ref), named), _said_by(who))
        return len(changed), _derive(tx, line, causes, now)


def _left_behind(tx: Tx, line: Line, found: Mapping[str, Person]) -> dict[str, Cause]:
    """
    Return the cases that still name a record in whose place another stands.

    The way there was a circle, or led to a record that could not be read, and only that one is not as before.
    """
    over = [ref for ref, who in found.items() if who.replaced_by is not None and heir(ref, found) != ref]
    cases = tx.cases_of_people(line.name, over) if over else []
    return {case.root: _said_by(found[case.patient_ref]) for case in cases if case.patient_ref in over}


def _said_by(who: Person) -> Cause:
    return Cause(CauseKind.SOURCE, f"{who.ref}/_history/{'deleted' if who.gone else who.version}")


def _leads_over(ref: str | None, found: Mapping[str, Person], changed: Collection[str]) -> bool:
    """Whether somebody changed, or a record on the way to the one that took the place of theirs."""
    way: set[str] = set()
    while ref is not None and ref not in way:
        if ref in changed:
            return True
        way.add(ref)
        ref = found[ref].replaced_by if ref in found else None
    return False


def _dated(who: Person, before: Person | None, now: datetime) -> Person:
    """Return *who* with the time of a death that the record does not give: when it was first told."""
    if not who.deceased or who.deceased_at is not None:
        return who
    told = before.deceased_at if before is not None and before.deceased else None
    return replace(who, deceased_at=told or who.updated_at or now)


def _roots_of(
    tx: Tx, line: Line, who: Person, before: Person | None, named: Mapping[str, Collection[str]]
) -> Iterable[str]:
    """Return whose case is to be looked at: by name, and by the record that took or has lost this one's place."""
    places = (who.ref, who.replaced_by, before.replaced_by if before is not None else None)
    cases = tx.cases_of_people(line.name, [ref for ref in places if ref is not None])
    return {case.root for case in cases}.union(named.get(who.ref, ()))


def _derive(tx: Tx, line: Line, causes: Mapping[str, Cause], now: datetime) -> int:
    """Derive the cases of these roots again, each for its cause; returns how many intents that left."""
    if not causes:
        return 0
    known = load_roots(tx, line.name, causes)
    rows = [row for row in known.sources.values() if row.root in causes]
    outcome = revisit([row.ref for row in rows], known, line.rules, {row.ref: causes[row.root] for row in rows}, now)
    return record(tx, line, outcome, now)
