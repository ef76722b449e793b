"""What people told Bridge to leave alone."""

from __future__ import annotations

from sqlalchemy import bindparam, delete, select

from bridge.store.batch import insert
from bridge.store.codec import clean, instant, micros
from bridge.store.rows import Pause
from bridge.store.sql.work import Work
from bridge.store.tables import pause

_OF = select(pause).where(pause.c.connection_id == bindparam("connection")).order_by(pause.c.type)
_PAUSE = insert(pause, "connection_id", "type", "paused_by", "paused_at", ignore=True)
_RESUME = delete(pause).where(pause.c.connection_id == bindparam("connection"), pause.c.type == bindparam("kind"))


class PausesRoom(Work):
    """Pauses, by connection and type; the empty type is the whole connection."""

    def pause(self, row: Pause) -> bool:
        key = self.connection_id(row.connection)
        return self.write(_PAUSE, [(key, clean(row.type or ""), clean(row.by), micros(row.at))]) == 1

    def resume(self, connection: str, type_: str | None) -> bool:
        gone = self.conn.execute(_RESUME, {"connection": self.connection_id(connection), "kind": clean(type_ or "")})
        return gone.rowcount == 1

    def pauses(self, connection: str) -> list[Pause]:
        found = self.rows(_OF, connection=self.connection_id(connection))
        return [
            Pause(connection=connection, type=row.type or None, by=row.paused_by, at=instant(row.paused_at))
            for row in found
        ]
