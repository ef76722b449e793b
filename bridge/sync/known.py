"""Between the pure core and the store: load what a page touches, record what comes of it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from bridge.cases.book import Known, Outcome
from bridge.cases.changes import Change, PatientMerged
from bridge.cases.intents import Intent, IntentKind, IntentState
from bridge.cases.model import Case
from bridge.cases.people import MOST_LINKS, Person
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow, Unread
from bridge.store.port import Tx
from bridge.sync.line import Line
from bridge.tasks.intents import intents_for, retraction

_ALL = 1_000_000

PATIENT_MISMATCH = "patient-mismatch"
"""Why an intent was parked whose case is of another patient than what is on the EHR."""


def load(tx: Tx, connection: str, snapshots: Sequence[Snapshot], unread: Sequence[Unread] = ()) -> Known:
    """Return everything that these new versions can touch, in a handful of queries for a whole page."""
    refs, parents = set(), set()
    for snapshot in snapshots:
        refs.add(snapshot.ref)
        if snapshot.parent is not None:
            parents.add(snapshot.parent)
    rows = tx.sources(connection, refs | parents | {version.ref for version in unread})
    roots = refs | parents | {row.root for row in rows.values()}
    return load_roots(tx, connection, roots, rows, snapshots)


def load_roots(
    tx: Tx,
    connection: str,
    roots: Iterable[str],
    rows: dict[str, SourceRow] | None = None,
    arriving: Iterable[Snapshot] = (),
) -> Known:
    """
    Return the groups of *roots* whole: sources, cases, how long their histories are, whom they name.

    Args:
        arriving: New versions, which may name people that nothing known names.
    """
    found, wanted = _groups(tx, connection, set(roots), dict(rows or {}))
    cases = tx.cases_of_roots(connection, wanted | set(found))
    return Known(
        sources=found,
        cases=cases,
        last_seq=tx.change_counts(case.id for case in cases.values()) if cases else {},
        people=_people(tx, connection, [*(row.snapshot for row in found.values()), *arriving], cases.values()),
    )


def _people(tx: Tx, connection: str, snapshots: Iterable[Snapshot], cases: Iterable[Case]) -> dict[str, Person]:
    """Return the records of whom these name, with those that took the place of one, link by link."""
    wanted = named_in(snapshots) | {case.patient_ref for case in cases if case.patient_ref is not None}
    found: dict[str, Person] = {}
    for _ in range(1 + MOST_LINKS):
        found |= tx.people(connection, wanted)
        wanted = {who.replaced_by for who in found.values() if who.replaced_by is not None} - found.keys()
        if not wanted:
            break
    return found


def _groups(
    tx: Tx, connection: str, wanted: set[str], found: dict[str, SourceRow]
) -> tuple[dict[str, SourceRow], set[str]]:
    """
    Return every source of the wanted groups, and which groups those are.

    A source that stands aside from a resource of another patient ties two groups together: either may change
    where it belongs, so both are loaded, also where that resource is not known yet. There are hardly ever any;
    then this is two queries.
    """
    asked: set[str] = set()
    while new := wanted - asked:
        asked |= new
        found.update((row.ref, row) for row in tx.sources_of_roots(connection, new))
        aside = tx.sources_aside(connection, new | set(found))
        found.update((row.ref, row) for row in aside)
        named = {row.aside for row in found.values() if row.aside is not None}
        if unread := named - set(found):
            found.update(tx.sources(connection, unread))
        wanted = wanted | named | {row.root for row in found.values()}
    return found, asked


def record(tx: Tx, line: Line, outcome: Outcome, now: datetime) -> int:
    """
    Write what a page, a command or a timer came to: sources, cases with their history, and intents.

    Returns how many intents were queued. A request to the EHR is never made here: an intent is a row that
    commits or rolls back with the case.
    """
    tx.save_sources(outcome.sources)
    tx.save_cases([case for _, case in outcome.pairs], outcome.changes, outcome.wakes)
    changed = {case.id for _, case in outcome.pairs}
    tx.set_wakes({case_id: at for case_id, at in outcome.wakes.items() if case_id not in changed})
    tx.want_people(line.name, _people_named(outcome), now)
    if not line.writes:
        return 0
    _try_again(tx, line, outcome, now)
    by_case: dict[str, list[Change]] = {}
    for change in outcome.changes:
        by_case.setdefault(change.case_id, []).append(change)
    silent = _silent(tx, line, outcome)
    intents = [
        intent
        for prior, case in outcome.pairs
        for intent in intents_for(
            prior,
            case,
            by_case.get(case.id, []),
            asked=tasks_that_ask_us(line, outcome.groups.get(case.root, ())),
            tell=_told(line, case),
            acknowledge_with=line.acknowledge_with,
            zone=line.rules.calendar.zone,
            silent=case.id in silent,
            told_before=_told(line, prior) if prior is not None else (),
        )
    ]
    intents += _taken_back(tx, line, outcome, silent)
    tx.add_intents(intents, now)
    return len(intents)


def _taken_back(tx: Tx, line: Line, outcome: Outcome, silent: Collection[str]) -> list[Intent]:
    """Return what takes back what a restore found of ours about work that is over and another patient's by now."""
    moved = [
        case
        for prior, case in outcome.pairs
        if prior is not None and case.id in silent and case.patient_ref not in (None, prior.patient_ref)
    ]
    restored = tx.restored(line.name) if moved else None
    adrift = {one.root for one in restored.adrift} if restored is not None else set()
    return [retraction(case, f"adrift-{case.patient_ref}") for case in moved if case.root in adrift]


def _try_again(tx: Tx, line: Line, outcome: Outcome, now: datetime) -> None:
    """Queue again what was parked because the patient's record had moved and the case had not followed yet."""
    merged = sorted({change.case_id for change in outcome.changes if isinstance(change.fact, PatientMerged)})
    if merged:
        parked = tx.outbox(connection=line.name, case_ids=merged, state=IntentState.PARKED, limit=_ALL)
        attempts = (row for row in parked if row.intent.kind is IntentKind.OUTREACH_RECORD)
        tx.requeue([row.id for row in attempts if row.code == PATIENT_MISMATCH], now)


def _silent(tx: Tx, line: Line, outcome: Outcome) -> set[str]:
    """Return the cases that were over before and after this and of which nothing was ever to be told."""
    over = {case.id for prior, case in outcome.pairs if prior is not None and not (prior.is_open or case.is_open)}
    if not over:
        return set()
    rows = tx.outbox(connection=line.name, case_ids=sorted(over), limit=_ALL)
    return over - {row.intent.case_id for row in rows if row.intent.kind is not IntentKind.RETRACTION}


def tasks_that_ask_us(line: Line, rows: Iterable[SourceRow]) -> list[Snapshot]:
    """Return the Tasks of a group whose owner is one of ours."""
    owners = line.rules.owners
    return [
        row.snapshot
        for row in rows
        if row.gone_at is None and row.snapshot.type == "Task" and owners.is_us(row.snapshot.owner)
    ]


def _told(line: Line, case: Case) -> frozenset[str]:
    lanes = line.rules.lanes
    return frozenset(lanes[case.lane].tell) if case.lane in lanes else frozenset()


def named_in(snapshots: Iterable[Snapshot]) -> set[str]:
    """Return everybody whose name the cases of these resources may show."""
    parties = (party for one in snapshots for party in (one.patient, one.owner, one.requester))
    return {party.ref for party in parties if party is not None and party.ref is not None}


def _people_named(outcome: Outcome) -> set[str]:
    """Return whom a person reading the cases would want to see by name."""
    named: set[str] = set()
    for _, case in outcome.pairs:
        parties = (case.requester, case.owner.party)
        named.update(party.ref for party in parties if party is not None and party.ref is not None)
        if case.patient_ref is not None:
            named.add(case.patient_ref)
    return named
