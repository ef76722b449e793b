"""
Sweep: what every open case rests on is compared with the EHR; what the poll missed is repaired and counted.

A resource that a search does not return is not therefore deleted: it is read directly. 410 Gone is the
server's own word and is asked for twice at once; 404 may be a search index or a permission, so a second 404
must come at least five minutes after the first (rule ours). And where of many resources of a type not one is
found, it is the server that is not believed: a permission was lost, not a department's work.

What Bridge wrote for these cases is looked at as well (``bridge.sync.standing``), and whom they name is read again
(``bridge.sync.people``).
"""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import Enum

from msgspec.structs import replace

from bridge.cases.changes import Cause, CauseKind
from bridge.cases.reconcile import revisit
from bridge.cases.sources import SourceRow
from bridge.errors import AuthExpired, Gone, NotFound, Refused
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.store.port import Store
from bridge.store.rows import Counts
from bridge.sync.ingest import Intake, ingest
from bridge.sync.known import load_roots, named_in, record
from bridge.sync.line import Line
from bridge.sync.people import Asking, read_again
from bridge.sync.several import read_several
from bridge.sync.standing import check_standing
from bridge.sync.taking import add
from bridge.sync.timers import catch_up

AT_ONCE = 100
CONFIRM_AFTER = timedelta(minutes=5)
"""How long after a first 404 a second one means that the resource is gone (rule ours)."""

MANY = 10
"""From how many resources of a type on it is unbelievable that none is there, and plain that none may be read
(rule ours)."""

SWEEP_STREAM = "sweep"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class SweepReport:
    """
    How many sources were compared, how many had moved unseen, how many are gone or missing.

    ``lost`` are coordination Tasks of ours that somebody else deleted or ended. ``problems`` are the types of
    which nothing at all was found, or that may not be read, in words; nothing was marked for them. ``renewed`` counts
    the patients and others whose records are not as they were. ``closed`` says of the types left out what the EHR said;
    ``refused`` counts single resources of the others that may not be read.
    """

    compared: int = 0
    repaired: int = 0
    gone: int = 0
    missing: int = 0
    lost: int = 0
    counts: Counts = field(default_factory=Counts)
    problems: tuple[str, ...] = ()
    renewed: int = 0
    closed: Mapping[str, Refused | AuthExpired] = field(default_factory=dict)
    refused: int = 0

    def with_late(self, late: Counts | str) -> SweepReport:
        """Return the report with what became visible late as repaired, or with why it could not be looked for."""
        if isinstance(late, str):
            return dataclasses.replace(self, problems=(*self.problems, late))
        repaired = self.repaired + late.received - late.duplicate
        return dataclasses.replace(self, repaired=repaired, counts=add(self.counts, late))


class Absence(Enum):
    """What a direct read says of a resource that is not there."""

    GONE = "gone"
    MISSING = "missing"
    REFUSED = "refused"
    """The EHR closes this one to us: nothing is known of it."""


@dataclass
class _Round:
    """What one sweep has seen so far: whose cases, whom they name; by type, what was there and what not."""

    roots: set[str] = field(default_factory=set)
    named: dict[str, set[str]] = field(default_factory=dict)
    there: set[str] = field(default_factory=set)
    missing: dict[str, list[tuple[SourceRow, datetime]]] = field(default_factory=dict)
    closed: dict[str, Refused | AuthExpired] = field(default_factory=dict)
    """The types that the EHR lets nobody search, and what it says."""
    refused: dict[str, set[str]] = field(default_factory=dict)
    """Of the others, what it closes to us."""

    def doubts(self, kind: str) -> bool:
        """Whether so much of a type is missing, and nothing there, that asking on only burdens the server."""
        return kind not in self.there and len(self.missing.get(kind, ())) >= AT_ONCE


def sweep(
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    leave_out: Callable[[], Collection[str]] = tuple,
) -> SweepReport:
    """
    Compare the sources of every open case with the EHR, once round.

    Args:
        leave_out: Says, before every step, of which types sources are to be left alone.
    """
    total, after, seen = SweepReport(), "", _Round()
    while True:
        but = leave_out()
        with store.reading() as tx:
            found = tx.sources_to_sweep(line.name, after, AT_ONCE)
        if not found:
            total = _sum(total, _settle_missing(store, line, seen, clock()))
            renewed = read_again(client, store, line, seen.named, clock).changed
            return _sum(total, SweepReport(renewed=renewed))
        after = found[-1].ref
        rows = [row for row in found if row.snapshot.type not in but]
        here = [row for row in rows if row.gone_at is None]
        total = _sum(total, _compare_some(client, store, line, here, seen, clock, SWEEP_STREAM))
        for row in rows:
            for ref in named_in([row.snapshot]):
                seen.named.setdefault(ref, set()).add(row.root)
        roots = {row.root for row in rows} - seen.roots if "Task" not in but else set()
        seen.roots |= roots
        total = _sum(total, _stand(client, store, line, roots, seen, clock()))


def _stand(
    client: FhirClient, store: Store, line: Line, roots: Collection[str], seen: _Round, now: datetime
) -> SweepReport:
    """Look at what Bridge wrote for the cases of *roots*, where Tasks may be read."""
    if "Task" in seen.closed:
        return SweepReport()
    try:
        standing = check_standing(client, store, line, roots, now)
    except (Refused, AuthExpired) as error:
        seen.closed["Task"] = error
        return SweepReport()
    return SweepReport(lost=standing.lost, problems=(standing.problem,) if standing.problem is not None else ())


def compare(
    client: FhirClient,
    store: Store,
    line: Line,
    rows: Sequence[SourceRow],
    clock: Callable[[], datetime],
    stream: str,
) -> SweepReport:
    """
    Compare some sources with the EHR, as a sweep does with all.

    Args:
        stream: Under which name what moved is counted.

    Raises:
        RemoteError: The EHR does not answer.
    """
    seen = _Round()
    report = _compare_some(client, store, line, rows, seen, clock, stream)
    return _sum(report, _settle_missing(store, line, seen, clock()))


def _compare_some(
    client: FhirClient,
    store: Store,
    line: Line,
    rows: Sequence[SourceRow],
    seen: _Round,
    clock: Callable[[], datetime],
    stream: str,
) -> SweepReport:
    found = _search(client, rows, seen)
    rows = [row for row in rows if row.snapshot.type not in seen.closed]
    gone = 0
    for row in rows:
        if row.ref in seen.refused.get(row.snapshot.type, ()):
            continue
        if row.ref not in found and seen.doubts(row.snapshot.type):
            continue
        if row.ref not in found:
            answer = _read_directly(client, row.ref)
            if isinstance(answer, SourceVersion):
                found[row.ref] = answer
            elif answer is Absence.GONE:
                _mark(store, line, row, replace(row, gone_at=clock()), clock())
                gone += 1
            elif answer is Absence.REFUSED:
                seen.refused.setdefault(row.snapshot.type, set()).add(row.ref)
                continue
            else:
                seen.missing.setdefault(row.snapshot.type, []).append((row, clock()))
                continue
        seen.there.add(row.snapshot.type)
        if row.ref in found and row.missed_at is not None:
            _mark(store, line, row, replace(row, missed_at=None), clock())
    moved = [found[row.ref] for row in rows if row.ref in found and found[row.ref].version != row.snapshot.version]
    ask = Asking(client, store, line, clock)
    taken = Intake(stream, moved, stream, insist=True)
    counts = ingest(taken, store, line, clock(), ask).counts if moved else Counts()
    return SweepReport(len(rows), counts.received - counts.duplicate, gone, counts=counts)


def _search(client: FhirClient, rows: Sequence[SourceRow], seen: _Round) -> dict[str, SourceVersion]:
    """Return what is found; a type that the EHR lets nobody search, or one resource, holds up no other."""
    by_type: dict[str, list[str]] = {}
    for row in rows:
        by_type.setdefault(row.snapshot.type, []).append(row.ref)
    found: dict[str, SourceVersion] = {}
    for kind in by_type.keys() - seen.closed.keys():
        try:
            several = read_several(client, by_type[kind])
        except AuthExpired as error:
            seen.closed[kind] = error
            continue
        found |= {version.ref: version for version in several.found}
        if MANY <= len(several.refused) == len(by_type[kind]) and kind not in seen.there:
            seen.closed[kind] = next(iter(several.refused.values()))
        else:
            seen.refused.setdefault(kind, set()).update(several.refused)
    return found


def _read_directly(client: FhirClient, ref: str) -> SourceVersion | Absence:
    """Return the resource if it is there, else how it is not."""
    try:
        return client.read(ref)
    except NotFound:
        return Absence.MISSING
    except Gone:
        try:
            return client.read(ref)
        except (Gone, NotFound):
            return Absence.GONE
    except Refused as error:
        log.warning("the EHR refuses %s: %s", ref, error)
        return Absence.REFUSED


def _settle_missing(store: Store, line: Line, seen: _Round, now: datetime) -> SweepReport:
    """Note what was not found, and believe it where that is old enough; a type that vanished whole is reported."""
    gone, missing = 0, 0
    problems = [f"sweep: {kind} is left out: {error}" for kind, error in seen.closed.items()]
    refused = {kind: len(refs) for kind, refs in seen.refused.items() if refs}
    problems += [f"sweep: {number} {kind} may not be read" for kind, number in sorted(refused.items())]
    for kind, rows in seen.missing.items():
        if len(rows) >= MANY and kind not in seen.there:
            problems.append(f"sweep: no {kind} is there any more; may Bridge still read them?")
            continue
        for row, looked_at in rows:
            if row.missed_at is None:
                _mark(store, line, row, replace(row, missed_at=looked_at), now)
                missing += 1
            elif looked_at - row.missed_at >= CONFIRM_AFTER:
                _mark(store, line, row, replace(row, gone_at=looked_at), now)
                gone += 1
    return SweepReport(
        gone=gone,
        missing=missing,
        problems=tuple(problems),
        closed=dict(seen.closed),
        refused=sum(refused.values()),
    )


def _mark(store: Store, line: Line, before: SourceRow, row: SourceRow, now: datetime) -> None:
    """
    Keep what direct reads said; a deletion moves the case.

    Nothing changes where a newer version came meanwhile, or where somebody else looked after *before* was read:
    a process that was frozen in between knows less than the one that went on.
    """
    with store.transaction() as tx:
        tx.lock(line.name)
        catch_up(tx, line, now)
        current = tx.sources(line.name, [row.ref]).get(row.ref)
        if current is None or current.snapshot.version != row.snapshot.version or current.missed_at != before.missed_at:
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
        one.lost + other.lost,
        add(one.counts, other.counts),
        one.problems + other.problems,
        one.renewed + other.renewed,
        {**one.closed, **other.closed},
        one.refused + other.refused,
    )
