"""
Sweep: what every open case rests on is compared with the EHR; what the poll missed is repaired and counted.

A resource that a search does not return is not therefore deleted: it is read directly. 410 Gone is the
server's own word and is asked for twice at once; 404 may be a search index or a permission, so a second 404
must come at least five minutes after the first (rule ours).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.reconcile import revisit
from bridge.cases.sources import SourceRow
from bridge.errors import Gone, NotFound
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.store.port import Counts, Store
from bridge.sync.ingest import Intake, ingest
from bridge.sync.known import load_roots, record
from bridge.sync.line import Line
from bridge.sync.poll import add

AT_ONCE = 100
CONFIRM_AFTER = timedelta(minutes=5)
"""How long after a first 404 a second one means that the resource is gone (rule ours)."""

SWEEP_STREAM = "sweep"


@dataclass(frozen=True)
class SweepReport:
    """How many sources were compared, how many had moved unseen, how many are gone or missing."""

    compared: int = 0
    repaired: int = 0
    gone: int = 0
    missing: int = 0
    counts: Counts = field(default_factory=Counts)


def sweep(client: FhirClient, store: Store, line: Line, clock: Callable[[], datetime]) -> SweepReport:
    """Compare the sources of every open case with the EHR, once round."""
    total, after = SweepReport(), ""
    while True:
        with store.reading() as tx:
            rows = tx.sources_to_sweep(line.name, after, AT_ONCE)
        if not rows:
            return total
        after = rows[-1].ref
        total = _sum(total, _sweep_some(client, store, line, rows, clock))


def _sweep_some(
    client: FhirClient, store: Store, line: Line, rows: Sequence[SourceRow], clock: Callable[[], datetime]
) -> SweepReport:
    versions: list[SourceVersion] = []
    by_type: dict[str, list[SourceRow]] = {}
    for row in rows:
        by_type.setdefault(row.snapshot.type, []).append(row)
    for some in by_type.values():
        versions += client.batch_read([row.ref for row in some])
    found = {version.ref: version for version in versions}
    moved = [found[row.ref] for row in rows if row.ref in found and found[row.ref].version != row.snapshot.version]
    absent = [row for row in rows if row.ref not in found]
    gone, missing = 0, 0
    for row in absent:
        verdict = _read_directly(client, row, clock())
        if isinstance(verdict, SourceVersion):
            if verdict.version != row.snapshot.version:
                moved.append(verdict)
        elif verdict is not None:
            _mark(store, line, verdict, clock())
            gone, missing = gone + (verdict.gone_at is not None), missing + (verdict.gone_at is None)
    back = [row for row in rows if row.ref in found and row.missed_at is not None]
    for row in back:
        _mark(store, line, replace(row, missed_at=None), clock())
    counts = Counts()
    if moved:
        counts = ingest(Intake(SWEEP_STREAM, moved, "sweep"), store, line, clock()).counts
    repaired = counts.received - counts.duplicate
    return SweepReport(len(rows), repaired, gone, missing, counts)


def _read_directly(client: FhirClient, row: SourceRow, now: datetime) -> SourceVersion | SourceRow | None:
    """Return the resource if it is there, else its row marked as missed or gone."""
    try:
        return client.read(row.ref)
    except Gone:
        return _confirm_gone(client, row, now)
    except NotFound:
        if row.missed_at is not None and now - row.missed_at >= CONFIRM_AFTER:
            return replace(row, gone_at=now)
        return None if row.missed_at is not None else replace(row, missed_at=now)


def _confirm_gone(client: FhirClient, row: SourceRow, now: datetime) -> SourceVersion | SourceRow:
    try:
        return client.read(row.ref)
    except (Gone, NotFound):
        return replace(row, gone_at=now)


def _mark(store: Store, line: Line, row: SourceRow, now: datetime) -> None:
    """Keep what direct reads said, unless a newer version came meanwhile; a deletion moves the case."""
    with store.transaction() as tx:
        tx.lock(line.name)
        current = tx.sources(line.name, [row.ref]).get(row.ref)
        if current is None or current.snapshot.version != row.snapshot.version:
            return
        marked = replace(current, gone_at=row.gone_at, missed_at=row.missed_at)
        if row.gone_at is None:
            tx.save_sources([marked])
            return
        known = load_roots(tx, line.name, {marked.root})
        known = dataclasses.replace(known, sources={**known.sources, marked.ref: marked})
        cause = Cause(CauseKind.SOURCE, f"{row.ref}/_history/deleted")
        outcome = revisit([row.ref], known, line.rules, cause, now)
        tx.save_sources([marked])
        record(tx, line, outcome, now)


def _sum(one: SweepReport, other: SweepReport) -> SweepReport:
    return SweepReport(
        one.compared + other.compared,
        one.repaired + other.repaired,
        one.gone + other.gone,
        one.missing + other.missing,
        add(one.counts, other.counts),
    )
