"""Sources: the newest version of each resource and the group it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, exists, select, union_all

from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow, Unread
from bridge.store.batch import among, numbers, upsert
from bridge.store.codec import clean, instant, maybe_instant, maybe_micros, micros, pack
from bridge.store.sql.work import Found, Work
from bridge.store.tables import JOINED, OPEN, care_case, resource, source

_snapshot = msgspec.msgpack.Decoder(Snapshot)
_unread = msgspec.msgpack.Decoder(Unread)

_own, _top, _other = resource.alias("own"), resource.alias("top"), resource.alias("other")
_ROWS = select(
    _own.c.ref,
    _top.c.ref.label("root"),
    source.c.opened,
    source.c.began_at,
    source.c.gone_at,
    source.c.missed_at,
    source.c.watch_at,
    _other.c.ref.label("aside"),
    source.c.unread,
    source.c.snapshot,
).select_from(
    source.join(_own, _own.c.id == source.c.resource_id)
    .join(_top, _top.c.id == source.c.root_id)
    .outerjoin(_other, _other.c.id == source.c.aside_id)
)
_OF_CONNECTION = _ROWS.where(_own.c.connection_id == bindparam("connection"))
_BY_KEY = _ROWS.where(among(source.c.resource_id, numbers("keys")))
_BY_ROOT = union_all(
    _ROWS.where(among(source.c.resource_id, numbers("keys")), ~JOINED),
    _ROWS.where(among(source.c.root_id, numbers("keys")), JOINED),
)
_ASIDE = _ROWS.where(source.c.aside_id.is_not(None), among(source.c.aside_id, numbers("keys")))
_TO_WATCH = (
    _OF_CONNECTION.where(source.c.watch_at.is_not(None), source.c.watch_at <= bindparam("now"))
    .order_by(source.c.watch_at, _own.c.ref)
    .limit(bindparam("limit"))
)
_TO_SWEEP = (
    _OF_CONNECTION.where(
        _own.c.ref > bindparam("after"),
        exists().where(care_case.c.pk == source.c.root_id, OPEN),
    )
    .order_by(_own.c.ref)
    .limit(bindparam("limit"))
)
_SAVE = upsert(
    source,
    "resource_id",
    "root_id",
    "opened",
    "began_at",
    "gone_at",
    "missed_at",
    "watch_at",
    "aside_id",
    "unread",
    "snapshot",
)


class SourcesRoom(Work):
    """What the cases are made of."""

    def sources(self, connection: str, refs: Iterable[str]) -> dict[str, SourceRow]:
        asked = {clean(ref): ref for ref in refs}
        return {asked[row.ref]: row for row in self._among(connection, _BY_KEY, asked)}

    def sources_of_roots(self, connection: str, roots: Iterable[str]) -> list[SourceRow]:
        return sorted(self._among(connection, _BY_ROOT, map(clean, roots)), key=lambda row: (row.root, row.ref))

    def sources_aside(self, connection: str, parents: Iterable[str]) -> list[SourceRow]:
        return self._among(connection, _ASIDE, map(clean, parents))

    def _among(self, connection: str, query: Any, refs: Iterable[str]) -> list[SourceRow]:
        keys = list(self.known_resources(connection, refs).values())
        return [_source(connection, row) for row in self.rows(query, keys=keys)] if keys else []

    def sources_to_watch(self, connection: str, now: datetime, limit: int) -> list[SourceRow]:
        return self._of(connection, _TO_WATCH, now=micros(now), limit=limit)

    def sources_to_sweep(self, connection: str, after: str, limit: int) -> list[SourceRow]:
        return self._of(connection, _TO_SWEEP, after=clean(after), limit=limit)

    def _of(self, connection: str, query: Any, **parameters: Any) -> list[SourceRow]:
        found = self.rows(query, connection=self.connection_id(connection), **parameters)
        return [_source(connection, row) for row in found]

    def save_sources(self, rows: Sequence[SourceRow]) -> None:
        newest = list({(row.connection, row.ref): row for row in rows}.values())
        own = self.keys_of((row.connection, row.ref) for row in newest)
        roots = self.keys_of((row.connection, row.root) for row in newest)
        named = [(row.connection, row.aside) for row in newest if row.aside is not None]
        aside = dict(zip(named, self.keys_of(named), strict=True))
        keyed = zip(own, roots, newest, strict=True)
        self.write(
            _SAVE, [_values(row, key, root, aside.get((row.connection, row.aside or ""))) for key, root, row in keyed]
        )


def _values(row: SourceRow, key: int, root: int, aside: int | None) -> tuple[Any, ...]:
    return (
        key,
        root,
        row.opened,
        micros(row.began_at),
        maybe_micros(row.gone_at),
        maybe_micros(row.missed_at),
        maybe_micros(row.watch_at),
        aside,
        None if row.unread is None else pack(row.unread),
        pack(row.snapshot),
    )


def _source(connection: str, row: Found) -> SourceRow:
    ref, root, opened, began_at, gone_at, missed_at, watch_at, aside, unread, snapshot = row
    return SourceRow(
        connection=connection,
        ref=ref,
        root=root,
        snapshot=_snapshot.decode(snapshot),
        opened=opened,
        began_at=instant(began_at),
        gone_at=maybe_instant(gone_at),
        missed_at=maybe_instant(missed_at),
        watch_at=maybe_instant(watch_at),
        aside=aside,
        unread=None if unread is None else _unread.decode(unread),
    )
