"""What is noted in a database that was put back from a backup: that it is older than its EHR, and who looked since."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.cases.intents import IntentKind, IntentState
from bridge.store.port import Tx
from bridge.store.rows import Budget, Restored

RESTORED = "restored"
"""Who enters what a restore found, and the code of what waits for a person after one."""

_ALL = 1_000_000

A_DAY = timedelta(days=1)
"""How far before the backup everything is read again: what became visible late is among it (rule ours)."""


def mark_restored(tx: Tx, connections: Iterable[str], now: datetime) -> None:
    """
    Note that this database was put back from a backup: each connection begins by finding out what it does not know.

    Streams begin a day before where they stood, numbers of notifications anew; no EHR counts as away, and whoever had a
    turn or a delivery when the backup was made has it no longer.
    """
    tx.end_turns(now)
    tx.release_leases(now)
    for name in connections:
        cursors = [cursor for cursor in tx.cursors(name) if cursor.rung is not None]
        known = max((cursor.checked_at for cursor in cursors if cursor.checked_at is not None), default=None)
        for cursor in cursors:
            back = cursor.watermark - A_DAY if cursor.watermark is not None else None
            tx.save_cursor(replace(cursor, watermark=back, position=None, started_at=None, place=None, read=0))
        anew = {"counter": None, "began": None, "gap": None, "unheard_ref": None, "unheard_at": None}
        tx.save_subscribed([replace(row, **anew) for row in tx.subscribed(name)])
        tx.save_budget(Budget(connection=name))
        tx.save_restored(_noted(tx.restored(name), name, known, now, distinct(tx, name)))


def _noted(before: Restored | None, connection: str, known_until: datetime | None, now: datetime, had: int) -> Restored:
    """Return the restore as it is noted; what an earlier one found, or did not come to find, is of this one as well."""
    noted = Restored(connection=connection, restored_at=now, known_until=known_until, had=had)
    if before is None:
        return noted
    held = tuple(one for one in before.differing if one.held)
    since = noted.known_until if before.ready_at is not None else before.known_until
    return replace(noted, known_until=since, differing=held, adrift=before.adrift)


def distinct(tx: Tx, connection: str) -> int:
    """Return how many versions were received, each counted once."""
    return sum(counts.received - counts.duplicate for counts in tx.totals(connection).values())


def let_go(tx: Tx, connection: str, case_ids: Iterable[str], now: datetime, *, goes_on: bool = False) -> None:
    """
    Write for these cases again: a person has looked at them since the restore.

    Attempts to reach the patient that waited are recorded whatever becomes of the case.

    Args:
        goes_on: Whether the person goes on with cases that the EHR calls closed: a closing is news again then.
    """
    row = tx.restored(connection)
    looked_at = set(case_ids) & row.held if row is not None else set[str]()
    if row is None or not looked_at:
        return
    seen = [replace(one, held=one.held and one.case_id not in looked_at) for one in row.differing]
    cases = [tx.case(case_id) for case_id in looked_at] if goes_on else []
    roots = {case.root for case in cases if case is not None}
    adrift = [replace(one, is_last=one.is_last and one.root not in roots) for one in row.adrift]
    tx.save_restored(replace(row, differing=tuple(seen), adrift=tuple(adrift)))
    parked = tx.outbox(connection=connection, case_ids=sorted(looked_at), state=IntentState.PARKED, limit=_ALL)
    attempts = (one for one in parked if one.intent.kind is IntentKind.OUTREACH_RECORD)
    tx.requeue([one.id for one in attempts if one.code == RESTORED], now)
