"""Timer ticks and turns: however many processes wake up, one of them does the work."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import bindparam, update

from bridge.store.batch import insert
from bridge.store.codec import clean, micros
from bridge.store.sql.work import Work
from bridge.store.tables import timer, turn

_FIRST = insert(timer, "name", "due_at", ignore=True)
_WIN = (
    update(timer)
    .where(timer.c.name == bindparam("timer"), timer.c.due_at <= bindparam("now"))
    .values(due_at=bindparam("next_at"))
)
_FIRST_TURN = insert(turn, "name", "number", "until", ignore=True)
_TAKE = (
    update(turn)
    .where(turn.c.name == bindparam("of"), turn.c.until <= bindparam("now"))
    .values(number=turn.c.number + 1, until=bindparam("end"))
    .returning(turn.c.number)
)
_KEEP = (
    update(turn)
    .where(turn.c.name == bindparam("of"), turn.c.number == bindparam("mine"))
    .values(until=bindparam("end"))
)
_END = update(turn).where(turn.c.until > bindparam("now")).values(number=turn.c.number + 1, until=bindparam("now"))


class TimersRoom(Work):
    """Compare-and-set rows of timers and turns."""

    def win_tick(self, name: str, now: datetime, next_at: datetime) -> bool:
        if self.write(_FIRST, [(clean(name), micros(next_at))]):
            return True
        won = self.conn.execute(_WIN, {"timer": clean(name), "now": micros(now), "next_at": micros(next_at)})
        return won.rowcount == 1

    def take_turn(self, name: str, now: datetime, until: datetime) -> int | None:
        if self.write(_FIRST_TURN, [(clean(name), 1, micros(until))]):
            return 1
        taken = self.conn.execute(_TAKE, {"of": clean(name), "now": micros(now), "end": micros(until)})
        return taken.scalar_one_or_none()

    def keep_turn(self, name: str, number: int, until: datetime) -> bool:
        kept = self.conn.execute(_KEEP, {"of": clean(name), "mine": number, "end": micros(until)})
        return kept.rowcount == 1

    def end_turns(self, now: datetime) -> None:
        self.conn.execute(_END, {"now": micros(now)})
