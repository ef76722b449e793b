"""A case's history as people read it: changes and causes, outreach, writes and their answers."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from bridge.cases.changes import CaseOpened, Change, OutreachLogged
from bridge.store.rows import OutboxRow
from bridge.web.views import CauseView, TimelineEntry, outbox_view
from bridge.web.words import INTENT_TEXT, STATE_TEXT, fact_text


def timeline(
    changes: Iterable[Change], writes: Iterable[OutboxRow], *, zone: ZoneInfo, now: datetime
) -> tuple[TimelineEntry, ...]:
    """Return everything that happened to a case, oldest first; what a change led to comes after it."""
    entries = [_changed(change, zone, now) for change in changes] + [_wrote(row) for row in writes]
    return tuple(sorted(entries, key=lambda entry: (entry.at, entry.entry == "write")))


def _changed(change: Change, zone: ZoneInfo, now: datetime) -> TimelineEntry:
    fact = change.fact
    return TimelineEntry(
        at=change.at,
        entry="outreach" if isinstance(fact, OutreachLogged) else "change",
        what=str(type(fact).__struct_config__.tag),
        text=fact_text(fact, zone, now),
        seq=change.seq,
        version=change.version,
        cause=CauseView(change.cause.kind.value, change.cause.what, change.cause.rule),
        fact=_data(change),
    )


def _data(change: Change) -> dict[str, Any]:
    """A change's data; of the first state only what identifies it, the rest follows from the changes."""
    data: dict[str, Any] = msgspec.to_builtins(change.fact)
    if isinstance(change.fact, CaseOpened):
        return {name: data["case"][name] for name in ("lane", "status", "title", "root", "opened_at")}
    data.pop("type", None)
    return data


def _wrote(row: OutboxRow) -> TimelineEntry:
    where = f" as {row.written}" if row.written else ""
    why = f": {row.reason}" if row.reason else ""
    return TimelineEntry(
        at=row.settled_at or row.created_at,
        entry="write",
        what="write",
        text=f"{INTENT_TEXT[row.intent.kind]}{where}: {STATE_TEXT[row.state]}{why}",
        write=outbox_view(row),
    )
