"""Try again what was parked: a person says that the cause is mended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

from msgspec.structs import replace

from bridge.cases.reconcile import Arrival, reconcile
from bridge.cases.snapshot import Snapshot
from bridge.fhir.source import SourceVersion
from bridge.mappers import Parked
from bridge.store.port import Counts, InboxRow, InboxState, Store
from bridge.sync.ingest import read_versions, settled_as
from bridge.sync.known import load, record
from bridge.sync.line import Line
from bridge.sync.sweep import SWEEP_STREAM

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


def _replay_one(store: Store, lines: Mapping[str, Line], row_id: int, now: datetime) -> bool:
    with store.transaction() as tx:
        row = tx.inbox_row(row_id)
        line = lines.get(row.connection) if row is not None else None
        if row is None or line is None or row.state is not InboxState.PARKED:
            return False
        tx.lock(line.name)
        version = _version(row)
        ((_, verdict),) = read_versions(tx, [version], line)
        if isinstance(verdict, Parked):
            tx.settle_version(replace(row, code=str(verdict.code), reason=verdict.reason))
            return False
        snapshots = [verdict] if isinstance(verdict, Snapshot) else []
        known = load(tx, line.name, snapshots)
        outcome = reconcile([Arrival(snapshot) for snapshot in snapshots], known, line.rules, now)
        record(tx, line, outcome, now)
        state, code, reason = settled_as(version, verdict, outcome)
        tx.settle_version(replace(row, state=state, code=code, reason=reason))
        tx.count(line.name, SWEEP_STREAM if row.path == "sweep" else row.type, _AS_COUNTED[state])
        return True


def _version(row: InboxRow) -> SourceVersion:
    kind, _, own_id = row.ref.partition("/")
    return SourceVersion(type=kind, id=own_id, version=row.version, updated_at=row.updated_at, raw=row.raw)


def replay_outbox(store: Store, ids: Sequence[int], now: datetime) -> int:
    """Queue parked or not-writable intents again; returns how many."""
    with store.transaction() as tx:
        return tx.requeue(ids, now)
