"""
The straight line, one page at a time, in one database transaction.

A page of received versions becomes snapshots, changes cases and leaves intents in the outbox; the cursor
moves with it. So a page is there whole or not at all, whenever the process dies. Nothing here talks to an
EHR: ``deliver`` sends what the outbox holds, later.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from msgspec.structs import replace

from bridge import tracing
from bridge.cases.book import Outcome
from bridge.cases.changes import PatientKnown, is_other_patient
from bridge.cases.reconcile import Arrival, is_newer, reconcile
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow, Unread
from bridge.errors import IllegalTransition
from bridge.fhir.source import SourceVersion, is_by_content
from bridge.mappers import Ignored, Parked, normalize
from bridge.store.port import Store, Tx
from bridge.store.rows import Counts, Cursor, InboxRow, InboxState
from bridge.sync.known import load, record
from bridge.sync.lateness import noted_late
from bridge.sync.line import Line
from bridge.sync.noticed import notice_copies
from bridge.sync.timers import catch_up
from bridge.sync.unversioned import told_apart
from bridge.tasks.identity import is_own
from bridge.tasks.transitions import path

OWN_WRITE = "own-write"
OLDER_VERSION = "older-version"
POLL = "poll"

MOST_DOUBTS = 100
"""How many resources of one page are asked for by name; the sweep asks for the others."""

MOST_TOLD = 5
"""How many parked versions of one page the log names; the inbox has them all."""

log = logging.getLogger(__name__)

COUNTED_BY_PATH = ("sweep", "notify")
"""What came by these is counted under their name, the rest under its type."""

_ALL = 1_000_000

Verdict = Snapshot | Ignored | Parked


@dataclass(frozen=True)
class Intake:
    """
    What arrived together, and where the stream stands once it is stored.

    ``via`` says how it came: ``poll``, ``notify``, ``sweep``, ``delivery``, ``replay``. ``insist`` is whether also
    versions that are known are held against what counts. ``over`` are versions that no longer count, by ``Type/id``:
    what arrives was asked for by name, and stands in their place.
    """

    stream: str
    versions: Sequence[SourceVersion]
    via: str
    cursor: Cursor | None = None
    insist: bool = False
    over: Mapping[str, str] = field(default_factory=dict)


class Asks(Protocol):
    """What asks the EHR where a page leaves a doubt; see ``people.asking``."""

    def __call__(self, refs: Collection[str]) -> object:
        """Read certain Patients again."""

    def now(self, ref: str) -> SourceVersion | None:
        """Return what stands there, if it is there and may be read."""


@dataclass(frozen=True)
class IngestReport:
    """
    What became of a page; ``fresh`` tells whether anything in it was new.

    ``newest`` is the last change in it that was not known and is not our own (``Type/id``, its ``lastUpdated``).
    """

    counts: Counts = field(default_factory=Counts)
    opened: int = 0
    changed: int = 0
    intents: int = 0
    newest: tuple[str, datetime] | None = None
    doubtful: Mapping[str, str] = field(default_factory=dict)
    """The versions that count, by ``Type/id``, though the page held others, dated earlier."""

    @property
    def fresh(self) -> bool:
        """Whether the page held a version that was not known."""
        return self.counts.received > self.counts.duplicate


def ingest(page: Intake, store: Store, line: Line, now: datetime, ask: Asks | None = None) -> IngestReport:
    """
    Take in one page; see the module's docstring.

    Args:
        ask: Reads certain Patients again. It is called where a page gives a case another patient, with nothing
            stored yet: whether that is another person, or another record of the same one, is told by the record
            that the case named so far, and what was written for another person is taken back. It also tells which
            version stands where a page brings one that is dated before the one that counts.
    """
    report = _taken(page, store, line, now, ask)
    if ask is not None:
        for ref, counts in list(report.doubtful.items())[:MOST_DOUBTS]:
            stands = ask.now(ref)
            if stands is not None and stands.version != counts and not is_by_content(stands.version):
                log.warning("what the EHR shows of %s is dated before what it showed until now", ref)
                _taken(Intake(page.stream, (stands,), page.via, over={ref: counts}), store, line, now, ask)
    return report


def _taken(page: Intake, store: Store, line: Line, now: datetime, ask: Asks | None) -> IngestReport:
    if ask is not None:
        try:
            return _ingest(page, store, line, now, certain=False)
        except _PatientsLeft as left:
            ask(left.refs)
    return _ingest(page, store, line, now, certain=True)


class _PatientsLeft(Exception):
    """Cases are another patient's by this page; nothing of it was stored."""

    def __init__(self, refs: Collection[str]) -> None:
        super().__init__("cases are another patient's by this page")
        self.refs = refs


def _ingest(page: Intake, store: Store, line: Line, now: datetime, *, certain: bool) -> IngestReport:
    began = tracing.started()
    with store.transaction() as tx:
        tx.lock(line.name)
        catch_up(tx, line, now)
        versions = told_apart(tx, line.name, page.versions, now)
        fresh = _fresh(tx, line, versions)
        stand = _standing(tx, line, page)
        again = [version for version in versions if version.ref in stand and version not in fresh]
        verdicts = read_versions(tx, [*fresh, *again], line)
        snapshots = [verdict for _, verdict in verdicts if isinstance(verdict, Snapshot)]
        unread = [_unread(version) for version, verdict in verdicts if isinstance(verdict, Parked)]
        known = load(tx, line.name, snapshots, unread)
        arrivals = [Arrival(one, _odd_move(one, known.sources), one.ref in stand) for one in snapshots]
        outcome = reconcile(arrivals, known, line.rules, now, unread)
        if not certain and (left := _patients_left(outcome)):
            raise _PatientsLeft(left)
        judged = [_inbox_row(version, verdict, outcome, page, line, now) for version, verdict in verdicts]
        rows = judged[: len(fresh)]
        if page.via != POLL:
            rows = noted_late(tx, line.name, page.via, rows, but=OWN_WRITE)
        tx.add_versions(rows)
        for row in judged[len(fresh) :]:
            _settle_again(tx, row)
        intents = record(tx, line, outcome, now)
        intents += notice_copies(tx, line, _own_tasks(verdicts), now)
        counts = _counts(len(page.versions), rows)
        tx.count(line.name, page.stream, counts)
        if page.cursor is not None:
            tx.save_cursor(page.cursor)
        doubtful = _doubtful(tx, line, versions if page.insist else fresh, outcome, page)
    _tell_parked(rows)
    tracing.received(rows, began)
    return IngestReport(
        counts,
        opened=sum(prior is None for prior, _ in outcome.pairs),
        changed=len(outcome.pairs),
        intents=intents,
        newest=_newest(verdicts),
        doubtful=doubtful,
    )


def _standing(tx: Tx, line: Line, page: Intake) -> set[str]:
    """Return what takes the place of the version that counts, unless another one has come to count meanwhile."""
    rows = tx.sources(line.name, page.over) if page.over else {}
    return {ref for ref, counted in page.over.items() if ref in rows and rows[ref].snapshot.version == counted}


def _settle_again(tx: Tx, row: InboxRow) -> None:
    """Give a version that came before, and was then taken for an older one, the state that it has now."""
    kept = [one for one in tx.inbox(connection=row.connection, ref=row.ref, limit=_ALL) if one.version == row.version]
    for one in kept:
        tx.settle_version(replace(one, state=row.state, code=row.code, reason=row.reason))
        if one.state is not row.state:
            moved = {one.state.value: -1, row.state.value: 1}
            tx.count(one.connection, one.path if one.path in COUNTED_BY_PATH else one.type, Counts(**moved))


def _doubtful(tx: Tx, line: Line, versions: Sequence[SourceVersion], outcome: Outcome, page: Intake) -> dict[str, str]:
    """Return what counts though the EHR shows another version: because that one is dated earlier."""
    shown = {version.ref: version.version for version in versions if not is_by_content(version.version)}
    if not page.insist:
        shown = {ref: version for ref, version in shown.items() if (ref, version) in outcome.stale}
    rows = tx.sources(line.name, shown) if shown else {}
    return {
        ref: row.snapshot.version
        for ref, row in rows.items()
        if row.snapshot.version != shown[ref] and (row.unread is None or row.unread.version != shown[ref])
    }


def _tell_parked(rows: Sequence[InboxRow]) -> None:
    parked = [row for row in rows if row.state is InboxState.PARKED]
    for row in parked[:MOST_TOLD]:
        source = f"{row.ref}/_history/{row.version}"
        log.warning("a version is parked: %s", row.code, extra={"connection": row.connection, "source": source})
    if len(parked) > MOST_TOLD:
        more = len(parked) - MOST_TOLD
        log.warning("%d more versions are parked", more, extra={"connection": parked[0].connection})


def _patients_left(outcome: Outcome) -> set[str]:
    """Return the patients whose case is another person's now."""
    known_anew = {change.case_id for change in outcome.changes if isinstance(change.fact, PatientKnown)}
    return {
        prior.patient_ref
        for prior, case in outcome.pairs
        if prior is not None
        and prior.patient_ref is not None
        and case.id in known_anew
        and is_other_patient(prior.patient, case.patient)
    }


def _newest(verdicts: Sequence[tuple[SourceVersion, Verdict]]) -> tuple[str, datetime] | None:
    changed = [
        (version.updated_at, version.ref)
        for version, verdict in verdicts
        if version.updated_at is not None and not (isinstance(verdict, Ignored) and verdict.code == OWN_WRITE)
    ]
    return max(changed)[::-1] if changed else None


def _fresh(tx: Tx, line: Line, versions: Sequence[SourceVersion]) -> list[SourceVersion]:
    """Return what was not seen before, each (resource, version) once, however often the page holds it."""
    unique = {(version.ref, version.version): version for version in versions}
    known = tx.known_versions(line.name, unique)
    return [version for key, version in unique.items() if key not in known]


def read_versions(tx: Tx, versions: Sequence[SourceVersion], line: Line) -> list[tuple[SourceVersion, Verdict]]:
    """
    Return what each version says, why it is none of our business (our own writes too), or why it is parked.

    Our own Task is ours also where somebody's form dropped the identifier that says so.
    """
    verdicts = [(version, read_version(version, line)) for version in versions]
    tasks = [version.ref for version, verdict in verdicts if isinstance(verdict, Snapshot) and verdict.type == "Task"]
    ours = tx.our_tasks(line.name, tasks) if tasks else set()
    return [(version, _OWN_TASK if version.ref in ours else verdict) for version, verdict in verdicts]


_OWN_TASK = Ignored(OWN_WRITE, "our own Task")


def read_version(version: SourceVersion, line: Line) -> Verdict:
    """Return what a version says by itself; see ``read_versions``."""
    verdict = normalize(version, base_url=line.base_url, fhir_version=line.fhir_version)
    if isinstance(verdict, Snapshot) and is_own(verdict.identifiers):
        return _OWN_TASK
    return verdict


def _own_tasks(verdicts: Iterable[tuple[SourceVersion, Verdict]]) -> list[SourceVersion]:
    return [version for version, verdict in verdicts if verdict is _OWN_TASK]


def _unread(version: SourceVersion) -> Unread:
    return Unread(ref=version.ref, version=version.version, updated_at=version.updated_at)


def _odd_move(snapshot: Snapshot, known: Mapping[str, SourceRow]) -> str | None:
    """
    Return words for a Task move that FHIR does not draw; it is accepted all the same (Postel).

    An older version that comes late is no move: nothing changes by it.
    """
    before = known.get(snapshot.ref)
    if before is None or snapshot.type != "Task" or before.snapshot.status == snapshot.status:
        return None
    if not is_newer(snapshot, before.snapshot):
        return None
    try:
        path(before.snapshot.status, snapshot.status)
    except IllegalTransition:
        return f"Task moved from {before.snapshot.status} to {snapshot.status}, a move FHIR does not draw"
    return None


def _inbox_row(
    version: SourceVersion,
    verdict: Verdict,
    outcome: Outcome,
    page: Intake,
    line: Line,
    now: datetime,
) -> InboxRow:
    state, code, reason = settled_as(version, verdict, outcome)
    return InboxRow(
        connection=line.name,
        ref=version.ref,
        type=version.type,
        version=version.version,
        updated_at=version.updated_at,
        received_at=now,
        path=page.via,
        state=state,
        code=code,
        reason=reason,
        raw=version.raw,
    )


def settled_as(version: SourceVersion, verdict: Verdict, outcome: Outcome) -> tuple[InboxState, str | None, str | None]:
    """Return the state, code and reason with which a version is kept in the inbox."""
    if isinstance(verdict, Parked):
        return InboxState.PARKED, str(verdict.code), verdict.reason
    if isinstance(verdict, Ignored):
        return InboxState.IGNORED, str(verdict.code), verdict.reason
    if (version.ref, version.version) in outcome.stale:
        return InboxState.IGNORED, OLDER_VERSION, "a newer version of the resource was known"
    idle = outcome.idle.get(version.ref)
    if idle is not None:
        return InboxState.IGNORED, idle.partition(":")[0], f"no lane makes this work ({idle})"
    return InboxState.APPLIED, None, None


def _counts(received: int, rows: Sequence[InboxRow]) -> Counts:
    by_state = Counter(row.state for row in rows)
    return Counts(
        received=received,
        applied=by_state[InboxState.APPLIED],
        duplicate=received - len(rows),
        ignored=by_state[InboxState.IGNORED],
        parked=by_state[InboxState.PARKED],
    )
