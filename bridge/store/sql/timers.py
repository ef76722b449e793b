"""Timer ticks: however many processes wake up, one of them does the work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, update

from bridge.store.batch import insert
from bridge.store.codec import clean, micros
from bridge.store.sql.work import Work
from bridge.store.tables import timer

_FIRST = insert(timer, "name", "due_at", ignore=True)
_WIN = (
    update(timer)
    .where(timer.c.name == bindparam("timer"), timer.c.due_at <= bindparam("now"))
    .values(due_at=bindparam("next_at"))
)


class TimersRoom(Work):
    """Compare-and-set rows of timers."""

    def win_tick(self, name: str, now: datetime, next_at: datetime) -> bool:
        if self.write(_FIRST, [(clean(name), micros(next_at))]):
            return True
        won = self.conn.execute(_WIN, {"timer": clean(name), "now": micros(now), "next_at": micros(next_at)})
        return won.rowcount == 1
