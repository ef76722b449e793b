"""Subscriptions: a handful of rows for each connection, read and written whole."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec
from sqlalchemy import bindparam, delete, select

from bridge.store.batch import among, texts, upsert
from bridge.store.codec import clean, pack
from bridge.store.rows import Subscribed
from bridge.store.sql.work import Work
from bridge.store.tables import subscription

_subscribed = msgspec.msgpack.Decoder(Subscribed)

_ALL = (
    select(subscription.c.body)
    .where(subscription.c.connection_id == bindparam("connection"))
    .order_by(subscription.c.key)
)
_LOCKED = _ALL.with_for_update()
_SAVE = upsert(subscription, "connection_id", "key", "body")
_DROP = delete(subscription).where(
    subscription.c.connection_id == bindparam("connection"), among(subscription.c.key, texts("keys"))
)


class SubscriptionsRoom(Work):
    """Subscriptions, by connection and key."""

    def subscribed(self, connection: str) -> list[Subscribed]:
        statement = _LOCKED if self.writing else _ALL
        found = self.rows(statement, connection=self.connection_id(connection))
        return [_subscribed.decode(row.body) for row in found]

    def save_subscribed(self, rows: Sequence[Subscribed]) -> None:
        self.write(_SAVE, [(self.connection_id(row.connection), clean(row.key), pack(row)) for row in rows])

    def drop_subscribed(self, connection: str, keys: Iterable[str]) -> None:
        self.conn.execute(_DROP, {"connection": self.connection_id(connection), "keys": [clean(key) for key in keys]})
