"""Try again what was parked: a person says that the cause is mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from msgspec.structs import replace

from bridge.cases.book import Outcome
from bridge.cases.reconcile import Arrival, reconcile
from bridge.cases.snapshot import Snapshot
from bridge.fhir.source import SourceVersion
from bridge.mappers import Ignored, Parked
from bridge.store.port import Store, Tx
from bridge.store.rows import Counts, InboxRow, InboxState
from bridge.sync.ingest import COUNTED_BY_PATH, OLDER_VERSION, Verdict, read_versions, settled_as
from bridge.sync.known import load, record
from bridge.sync.line import Line
from bridge.sync.restored import let_go
from bridge.sync.timers import catch_up

_AS_COUNTED = {
    InboxState.APPLIED: Counts(applied=1, parked=-1),
    InboxState.IGNORED: Counts(ignored=1, parked=-1),
}


def replay_inbox(store: Store, lines: Mapping[str, Line], ids: Sequence[int], now: datetime) -> int:
    """
    Read parked versions again, each in a transaction of its own; returns how many are no longer parked.

    A version that is older than what came since changes nothing, as when it would have come late.
    """
    return sum(_replay_one(store, lines, row_id, now) for row_id in ids)


OVERTAKEN = Ignored(OLDER_VERSION, "a newer version of the resource could be read")
"""What becomes of a parked version that nobody will ever be able to read, and need not."""


@dataclass(frozen=True)
class Foreseen:
    """What would become of one parked version, tried now and alone: its state, and why it is no better."""

    id: int
    state: InboxState
    code: str | None = None
    reason: str | None = None


def foresee_inbox(store: Store, lines: Mapping[str, Line], ids: Sequence[int], now: datetime) -> list[Foreseen]:
    """Say what a replay would make of each of these rows; those that are not parked are left out, nothing is stored."""
    with store.reading() as tx:
        found = (_foreseen(tx, lines, row_id, now) for row_id in ids)
        return [one for one in found if one is not None]


def _foreseen(tx: Tx, lines: Mapping[str, Line], row_id: int, now: datetime) -> Foreseen | None:
    row = tx.inbox_row(row_id)
    line = lines.get(row.connection) if row is not None else None
    if row is None or line is None or row.state is not InboxState.PARKED:
        return None
    version = _version(row)
    verdict, outcome = _judged(tx, line, version, now)
    if isinstance(verdict, Parked) and _is_overtaken(tx, row):
        verdict = OVERTAKEN
    return Foreseen(row_id, *settled_as(version, verdict, outcome))


def _judged(tx: Tx, line: Line, version: SourceVersion, now: datetime) -> tuple[Verdict, Outcome]:
    """Return what a version says with the mappers as they are, and what that changes; nothing is saved."""
    ((_, verdict),) = read_versions(tx, [version], line)
    snapshots = [verdict] if isinstance(verdict, Snapshot) else []
    known = load(tx, line.name, snapshots)
    return verdict, reconcile([Arrival(snapshot) for snapshot in snapshots], known, line.rules, now)


def _replay_one(store: Store, lines: Mapping[str, Line], row_id: int, now: datetime) -> bool:
    with store.transaction() as tx:
        row = tx.inbox_row(row_id)
        line = lines.get(row.connection) if row is not None else None
        if row is None or line is None or row.state is not InboxState.PARKED:
            return False
        tx.lock(line.name)
        catch_up(tx, line, now)
        version = _version(row)
        verdict, outcome = _judged(tx, line, version, now)
        if isinstance(verdict, Parked) and _is_overtaken(tx, row):
            verdict = OVERTAKEN
        if isinstance(verdict, Parked):
            tx.settle_version(replace(row, code=str(verdict.code), reason=verdict.reason))
            return False
        record(tx, line, outcome, now)
        state, code, reason = settled_as(version, verdict, outcome)
        tx.settle_version(replace(row, state=state, code=code, reason=reason))
        tx.count(line.name, row.path if row.path in COUNTED_BY_PATH else row.type, _AS_COUNTED[state])
        return True


def _is_overtaken(tx: Tx, row: InboxRow) -> bool:
    """Whether a later version of the resource could be read: what *row* says does not stand any more."""
    assert row.id is not None
    later = tx.inbox(connection=row.connection, ref=row.ref, after=row.id)
    return any(one.state is not InboxState.PARKED and one.code != OLDER_VERSION for one in later)


def _version(row: InboxRow) -> SourceVersion:
    kind, _, own_id = row.ref.partition("/")
    return SourceVersion(type=kind, id=own_id, version=row.version, updated_at=row.updated_at, raw=row.raw)


def replay_outbox(store: Store, ids: Sequence[int], now: datetime) -> int:
    """Queue parked or not-writable intents again; returns how many."""
    with store.transaction() as tx:
        rows = [row for row in map(tx.outbox_row, ids) if row is not None]
        for row in rows:
            let_go(tx, row.intent.connection, [row.intent.case_id], now, goes_on=True)
        return tx.requeue(ids, now)
