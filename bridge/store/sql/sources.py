"""Sources: the newest version of each resource and the group it belongs to."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import bindparam, exists, select, union_all

from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow, Unread
from bridge.store.batch import among, texts, upsert
from bridge.store.codec import clean, instant, maybe_clean, maybe_instant, maybe_micros, micros, pack
from bridge.store.sql.work import Found, Work
from bridge.store.tables import JOINED, OPEN, care_case, source

_snapshot = msgspec.msgpack.Decoder(Snapshot)
_unread = msgspec.msgpack.Decoder(Unread)

_OF_CONNECTION = select(
    source.c.ref,
    source.c.root,
    source.c.opened,
    source.c.began_at,
    source.c.gone_at,
    source.c.missed_at,
    source.c.watch_at,
    source.c.aside,
    source.c.unread,
    source.c.snapshot,
).where(source.c.connection_id == bindparam("connection"))
_BY_REF = _OF_CONNECTION.where(among(source.c.ref, texts("refs")))
_BY_ROOT = union_all(
    _OF_CONNECTION.where(among(source.c.ref, texts("roots")), ~JOINED),
    _OF_CONNECTION.where(among(source.c.root, texts("roots")), JOINED),
)
_ASIDE = _OF_CONNECTION.where(source.c.aside.is_not(None), among(source.c.aside, texts("parents")))
_TO_WATCH = (
    _OF_CONNECTION.where(source.c.watch_at.is_not(None), source.c.watch_at <= bindparam("now"))
    .order_by(source.c.watch_at, source.c.ref)
    .limit(bindparam("limit"))
)
_TO_SWEEP = (
    _OF_CONNECTION.where(
        source.c.ref > bindparam("after"),
        source.c.gone_at.is_(None),
        exists().where(care_case.c.connection_id == source.c.connection_id, care_case.c.root == source.c.root, OPEN),
    )
    .order_by(source.c.ref)
    .limit(bindparam("limit"))
)
_SAVE = upsert(
    source,
    "connection_id",
    "ref",
    "root",
    "opened",
    "began_at",
    "gone_at",
    "missed_at",
    "watch_at",
    "aside",
    "unread",
    "snapshot",
)


class SourcesRoom(Work):
    """What the cases are made of."""

    def sources(self, connection: str, refs: Iterable[str]) -> dict[str, SourceRow]:
        asked = {clean(ref): ref for ref in refs}
        return {asked[row.ref]: row for row in self._sources(connection, _BY_REF, refs=list(asked))}

    def sources_of_roots(self, connection: str, roots: Iterable[str]) -> list[SourceRow]:
        found = self._sources(connection, _BY_ROOT, roots=list({clean(root) for root in roots}))
        return sorted(found, key=lambda row: (row.root, row.ref))

    def sources_aside(self, connection: str, parents: Iterable[str]) -> list[SourceRow]:
        return self._sources(connection, _ASIDE, parents=list({clean(parent) for parent in parents}))

    def sources_to_watch(self, connection: str, now: datetime, limit: int) -> list[SourceRow]:
        return self._sources(connection, _TO_WATCH, now=micros(now), limit=limit)

    def sources_to_sweep(self, connection: str, after: str, limit: int) -> list[SourceRow]:
        return self._sources(connection, _TO_SWEEP, after=clean(after), limit=limit)

    def _sources(self, connection: str, query: Any, **parameters: Any) -> list[SourceRow]:
        found = self.rows(query, connection=self.connection_id(connection), **parameters)
        return [_source(connection, row) for row in found]

    def save_sources(self, rows: Sequence[SourceRow]) -> None:
        newest = {(row.connection, row.ref): row for row in rows}
        self.write(_SAVE, [self._source_values(row) for row in newest.values()])

    def _source_values(self, row: SourceRow) -> tuple[Any, ...]:
        return (
            self.connection_id(row.connection),
            clean(row.ref),
            clean(row.root),
            row.opened,
            micros(row.began_at),
            maybe_micros(row.gone_at),
            maybe_micros(row.missed_at),
            maybe_micros(row.watch_at),
            maybe_clean(row.aside),
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
