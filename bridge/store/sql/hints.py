"""What should be read again: at most one row for each resource, however often somebody rings."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime

from sqlalchemy import bindparam, delete, select

from bridge.store.batch import upsert
from bridge.store.codec import clean, instant, micros
from bridge.store.rows import Hint
from bridge.store.sql.work import Work
from bridge.store.tables import hint

_NOTE = upsert(hint, "connection_id", "ref", "noted_at", "mark")
_WAITING = select(hint.c.ref, hint.c.noted_at, hint.c.mark).where(hint.c.connection_id == bindparam("connection"))
_DROP = delete(hint).where(
    hint.c.connection_id == bindparam("connection"),
    hint.c.ref == bindparam("dropped"),
    hint.c.mark == bindparam("as_read"),
)


class HintsRoom(Work):
    """Hints, by connection and resource."""

    def note_hints(self, connection: str, refs: Iterable[str], now: datetime, mark: int) -> None:
        key, when = self.connection_id(connection), micros(now)
        self.write(_NOTE, [(key, ref, when, mark) for ref in sorted({clean(ref) for ref in refs})])

    def hints(self, connection: str, limit: int, but: Collection[str] = ()) -> list[Hint]:
        query = _WAITING
        for kind in but:
            query = query.where(hint.c.ref != kind, ~hint.c.ref.startswith(f"{kind}/", autoescape=True))
        longest_first = query.order_by(hint.c.noted_at, hint.c.ref).limit(limit)
        found = self.rows(longest_first, connection=self.connection_id(connection))
        return [Hint(row.ref, instant(row.noted_at), row.mark) for row in found]

    def drop_hints(self, connection: str, hints: Sequence[Hint]) -> None:
        key = self.connection_id(connection)
        if hints:
            self.conn.execute(_DROP, [{"connection": key, "dropped": one.ref, "as_read": one.mark} for one in hints])
