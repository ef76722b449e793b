"""How each EHR is to be asked, and which processes ask: one row each, shared by all."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import bindparam, delete, func, select

from bridge.store.batch import insert, upsert
from bridge.store.codec import clean, maybe_clean, maybe_instant, maybe_micros, micros
from bridge.store.rows import Budget
from bridge.store.sql.work import Work
from bridge.store.tables import budget, worker

_FIRST = insert(budget, "connection_id", "trips", ignore=True)
_ONE = select(budget).where(budget.c.connection_id == bindparam("connection"))
_LOCKED = _ONE.with_for_update()
_SAVE = upsert(
    budget,
    "connection_id",
    "next_at",
    "asked_until",
    "away_since",
    "open_until",
    "trips",
    "recovered_at",
    "reason",
    "cause",
    "ahead",
)
_SEEN = upsert(worker, "name", "seen_at")
_FORGET = delete(worker).where(worker.c.seen_at < bindparam("since"))
_ALIVE = select(func.count()).select_from(worker)


class BudgetsRoom(Work):
    """Budgets and workers."""

    def budget(self, connection: str) -> Budget:
        key = self.connection_id(connection)
        if self.writing:
            self.write(_FIRST, [(key, 0)])
        row = self.row(_LOCKED if self.writing else _ONE, connection=key)
        if row is None:
            return Budget(connection=connection)
        return Budget(
            connection=connection,
            next_at=maybe_instant(row.next_at),
            asked_until=maybe_instant(row.asked_until),
            away_since=maybe_instant(row.away_since),
            open_until=maybe_instant(row.open_until),
            trips=row.trips,
            recovered_at=maybe_instant(row.recovered_at),
            reason=row.reason,
            cause=row.cause,
            ahead=None if row.ahead is None else timedelta(microseconds=row.ahead),
        )

    def save_budget(self, row: Budget) -> None:
        values = (
            self.connection_id(row.connection),
            maybe_micros(row.next_at),
            maybe_micros(row.asked_until),
            maybe_micros(row.away_since),
            maybe_micros(row.open_until),
            row.trips,
            maybe_micros(row.recovered_at),
            maybe_clean(row.reason),
            maybe_clean(row.cause),
            None if row.ahead is None else row.ahead // timedelta(microseconds=1),
        )
        self.write(_SAVE, [values])

    def workers(self, name: str, now: datetime, since: datetime) -> int:
        self.write(_SEEN, [(clean(name), micros(now))])
        self.conn.execute(_FORGET, {"since": micros(since)})
        return int(self.conn.execute(_ALIVE).scalar_one())
