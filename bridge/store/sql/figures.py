"""Figures for monitoring: each costs what is unfinished or overdue, not what there ever was."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import bindparam, func, select

from bridge.cases.intents import IntentState
from bridge.store.batch import upsert
from bridge.store.codec import clean, instant, maybe_instant, micros
from bridge.store.rows import Delivered, Unfinished
from bridge.store.sql.work import Work
from bridge.store.tables import (
    OPEN,
    PARKED,
    QUEUED,
    SENDING,
    STUCK,
    care_case,
    delivery_total,
    outbox,
    resource,
    source_version,
)

_COUNT = upsert(delivery_total, "connection_id", "kind", "outcome", "code", "found", add=True)
_DELIVERIES = (
    select(delivery_total)
    .where(delivery_total.c.connection_id == bindparam("connection"))
    .order_by(delivery_total.c.kind, delivery_total.c.outcome, delivery_total.c.code)
)
# One query for each state: the words of the condition are those of a partial index, which SQLite compares.
_UNFINISHED = tuple(
    select(outbox.c.state, outbox.c.code, func.count().label("found"), func.min(since).label("since"))
    .where(outbox.c.connection_id == bindparam("connection"), where)
    .group_by(outbox.c.state, outbox.c.code)
    for since, where in (
        (outbox.c.created_at, QUEUED),
        (outbox.c.created_at, SENDING),
        (outbox.c.settled_at, STUCK),
    )
)
_PARKED_SINCE = (
    select(func.min(source_version.c.received_at))
    .join(resource, resource.c.id == source_version.c.resource_id)
    .where(resource.c.connection_id == bindparam("connection"), PARKED)
)
_OVERDUE = (
    select(care_case.c.lane, func.count().label("found"))
    .where(care_case.c.connection_id == bindparam("connection"), OPEN, care_case.c.due_order < bindparam("now"))
    .group_by(care_case.c.lane)
)


class FiguresRoom(Work):
    """What monitoring asks for."""

    def count_deliveries(self, connection: str, found: Mapping[tuple[str, str, str], int]) -> None:
        here = self.connection_id(connection)
        self.write(_COUNT, [(here, *map(clean, key), number) for key, number in sorted(found.items())])

    def deliveries(self, connection: str) -> list[Delivered]:
        rows = self.rows(_DELIVERIES, connection=self.connection_id(connection))
        return [Delivered(kind=row.kind, outcome=row.outcome, code=row.code, found=row.found) for row in rows]

    def unfinished(self, connection: str) -> list[Unfinished]:
        here = self.connection_id(connection)
        found = [
            Unfinished(state=IntentState(row.state), code=row.code, found=row.found, since=instant(row.since))
            for query in _UNFINISHED
            for row in self.rows(query, connection=here)
        ]
        return sorted(found, key=lambda row: (row.state, row.code or ""))

    def parked_since(self, connection: str) -> datetime | None:
        return maybe_instant(self.conn.execute(_PARKED_SINCE, {"connection": self.connection_id(connection)}).scalar())

    def overdue_counts(self, connection: str, now: datetime) -> Mapping[str, int]:
        rows = self.rows(_OVERDUE, connection=self.connection_id(connection), now=micros(now))
        return {row.lane: row.found for row in rows}
