"""How the last restore from a backup went: one row for each connection, read and written whole."""

from __future__ import annotations

import msgspec
from sqlalchemy import bindparam, select

from bridge.store.batch import upsert
from bridge.store.codec import pack
from bridge.store.rows import Restored
from bridge.store.sql.work import Work
from bridge.store.tables import restored

_restored = msgspec.msgpack.Decoder(Restored)

_ROW = select(restored.c.body).where(restored.c.connection_id == bindparam("connection"))
_LOCKED = _ROW.with_for_update()
_SAVE = upsert(restored, "connection_id", "body")


class RestoresRoom(Work):
    """Restores, by connection."""

    def restored(self, connection: str) -> Restored | None:
        statement = _LOCKED if self.writing else _ROW
        row = self.row(statement, connection=self.connection_id(connection))
        return None if row is None else _restored.decode(row.body)

    def save_restored(self, row: Restored) -> None:
        self.write(_SAVE, [(self.connection_id(row.connection), pack(row))])
