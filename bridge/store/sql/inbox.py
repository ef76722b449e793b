"""The inbox: received versions, their raw bytes, running totals and cursors."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, func, select, update

from bridge.store.batch import among, insert, numbers, upsert
from bridge.store.codec import (
    clean,
    compress,
    decompress,
    instant,
    maybe_clean,
    maybe_instant,
    maybe_micros,
    micros,
    together,
)
from bridge.store.engine import ADVISORY_SPACE
from bridge.store.rows import LATE_CODE, Counts, Cursor, InboxRow, InboxState, Late
from bridge.store.sql.work import Found, Work
from bridge.store.tables import LATE, PARKED, cursor, late, raw_page, resource, source_version, stream_total

_LOCK = select(func.pg_advisory_xact_lock(ADVISORY_SPACE, bindparam("key")))
_KNOWN = select(source_version.c.resource_id, source_version.c.version).where(
    among(source_version.c.resource_id, numbers("resources"))
)
_ADD = insert(
    source_version,
    "resource_id",
    "type",
    "version",
    "updated_at",
    "received_at",
    "path",
    "state",
    "code",
    "reason",
    "raw_id",
    "raw_at",
    "raw_size",
)
_ADD_RAW = insert(raw_page, "id", "body")
_SETTLE = update(source_version).where(source_version.c.id == bindparam("row_id"))
_COUNT = upsert(
    stream_total,
    "connection_id",
    "stream",
    "received",
    "applied",
    "duplicate",
    "ignored",
    "parked",
    add=True,
)
_COUNT_LATE = upsert(late, "connection_id", "type", "path", "found", add=True)
_LATE = select(late).where(late.c.connection_id == bindparam("connection")).order_by(late.c.found.desc(), late.c.type)
_TOTALS = select(stream_total).where(stream_total.c.connection_id == bindparam("connection"))
_CURSORS = select(cursor).where(cursor.c.connection_id == bindparam("connection")).order_by(cursor.c.stream)
_CURSOR = _CURSORS.where(cursor.c.stream == bindparam("name"))
_SAVE_CURSOR = upsert(
    cursor,
    "connection_id",
    "stream",
    "watermark",
    "position",
    "started_at",
    "place",
    "read",
    "checked_at",
    "problem",
    "warnings",
    "rung",
    "behind_since",
)
_ROWS = select(source_version, resource.c.connection_id, resource.c.ref).join(
    resource, resource.c.id == source_version.c.resource_id
)
_RAW = (
    _ROWS.add_columns(raw_page.c.body)
    .join(raw_page, raw_page.c.id == source_version.c.raw_id)
    .where(source_version.c.id == bindparam("row_id"))
)
_GROUPS = (
    select(resource.c.connection_id, source_version.c.type, source_version.c.code, func.count())
    .join(resource, resource.c.id == source_version.c.resource_id)
    .where(PARKED)
    .group_by(resource.c.connection_id, source_version.c.type, source_version.c.code)
)


class InboxRoom(Work):
    """What came in."""

    def lock(self, connection: str) -> None:
        key = self.connection_id(connection)
        if self.on_postgresql:
            self.conn.execute(_LOCK, {"key": key})

    def known_versions(self, connection: str, versions: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        asked = {(clean(ref), clean(version)): (ref, version) for ref, version in versions}
        refs = {key: ref for ref, key in self.known_resources(connection, (ref for ref, _ in asked)).items()}
        if not refs:
            return set()
        found = self.rows(_KNOWN, resources=list(refs))
        return {asked[pair] for key, version in found if (pair := (refs[key], version)) in asked}

    def add_versions(self, rows: Sequence[InboxRow]) -> None:
        if not rows:
            return
        places = self._keep_raw(row.raw for row in rows)
        keys = self.keys_of((row.connection, row.ref) for row in rows)
        keyed = zip(keys, rows, places, strict=True)
        self.write(_ADD, [(key, *_version_values(row), *place) for key, row, place in keyed])

    def _keep_raw(self, bodies: Iterable[bytes]) -> list[tuple[int, int, int]]:
        """Store bodies; return for each in which row it is, from where on, and its size."""
        parts = together(bodies)
        keyed = list(zip(self.next_keys(raw_page, len(parts)), parts, strict=True))
        self.write(_ADD_RAW, [(key, compress(part)) for key, part in keyed])
        return [(key, *place) for key, part in keyed for place in _places(part)]

    def settle_version(self, row: InboxRow) -> None:
        values = {"state": row.state.value, "code": maybe_clean(row.code), "reason": maybe_clean(row.reason)}
        self.conn.execute(_SETTLE.values(values), {"row_id": row.id})

    def count(self, connection: str, stream: str, counts: Counts) -> None:
        key = (self.connection_id(connection), clean(stream))
        self.write(
            _COUNT,
            [(*key, counts.received, counts.applied, counts.duplicate, counts.ignored, counts.parked)],
        )

    def totals(self, connection: str) -> dict[str, Counts]:
        found = self.rows(_TOTALS, connection=self.connection_id(connection))
        return {row.stream: Counts(row.received, row.applied, row.duplicate, row.ignored, row.parked) for row in found}

    def count_late(self, connection: str, found: Mapping[tuple[str, str], int]) -> None:
        key = self.connection_id(connection)
        self.write(_COUNT_LATE, [(key, clean(type_), clean(path), count) for (type_, path), count in found.items()])

    def late(self, connection: str) -> list[Late]:
        rows = self.rows(_LATE, connection=self.connection_id(connection))
        return [Late(type=row.type, path=row.path, found=row.found) for row in rows]

    def cursor(self, connection: str, stream: str) -> Cursor | None:
        row = self.row(_CURSOR, connection=self.connection_id(connection), name=clean(stream))
        return None if row is None else _cursor(connection, row)

    def cursors(self, connection: str) -> list[Cursor]:
        found = self.rows(_CURSORS, connection=self.connection_id(connection))
        return [_cursor(connection, row) for row in found]

    def save_cursor(self, cursor: Cursor) -> None:
        self.write(
            _SAVE_CURSOR,
            [
                (
                    self.connection_id(cursor.connection),
                    clean(cursor.stream),
                    maybe_micros(cursor.watermark),
                    maybe_micros(cursor.position),
                    maybe_micros(cursor.started_at),
                    maybe_clean(cursor.place),
                    cursor.read,
                    maybe_micros(cursor.checked_at),
                    maybe_clean(cursor.problem),
                    clean("\n".join(cursor.warnings)) or None,
                    maybe_clean(cursor.rung),
                    maybe_micros(cursor.behind_since),
                )
            ],
        )

    def inbox(
        self,
        *,
        connection: str | None = None,
        state: InboxState | None = None,
        code: str | None = None,
        ref: str | None = None,
        limit: int = 100,
        after: int = 0,
    ) -> list[InboxRow]:
        query = _ROWS.where(source_version.c.id > after)
        if connection is not None:
            query = query.where(resource.c.connection_id == self.connection_id(connection))
        if state is not None:
            parked = state is InboxState.PARKED
            query = query.where(PARKED if parked else source_version.c.state == state.value)
        if code is not None:
            query = query.where(LATE if code == LATE_CODE else source_version.c.code == clean(code))
        if ref is not None:
            query = query.where(resource.c.ref == clean(ref))
        found = self.rows(query.order_by(source_version.c.id).limit(limit))
        return [self._inbox_row(row) for row in found]

    def inbox_row(self, row_id: int) -> InboxRow | None:
        row = self.row(_RAW, row_id=row_id)
        return None if row is None else self._inbox_row(row, decompress(row.body, row.raw_at, row.raw_size))

    def _inbox_row(self, row: Found, raw: bytes = b"") -> InboxRow:
        return InboxRow(
            connection=self.connection_name(row.connection_id),
            ref=row.ref,
            type=row.type,
            version=row.version,
            updated_at=maybe_instant(row.updated_at),
            received_at=instant(row.received_at),
            path=row.path,
            state=InboxState(row.state),
            code=row.code,
            reason=row.reason,
            raw=raw,
            id=row.id,
        )

    def parked_groups(self, connection: str | None = None) -> list[tuple[str, str, str, int]]:
        query = _GROUPS
        if connection is not None:
            query = query.where(resource.c.connection_id == self.connection_id(connection))
        found = [(self.connection_name(key), *group) for key, *group in self.rows(query)]
        return sorted(found, key=lambda group: (-group[3], group[:3]))


def _version_values(row: InboxRow) -> tuple[Any, ...]:
    return (
        clean(row.type),
        clean(row.version),
        maybe_micros(row.updated_at),
        micros(row.received_at),
        clean(row.path),
        row.state.value,
        maybe_clean(row.code),
        maybe_clean(row.reason),
    )


def _places(bodies: Iterable[bytes]) -> Iterator[tuple[int, int]]:
    """Yield where each of *bodies* begins when they stand one after the other, and its size."""
    at = 0
    for body in bodies:
        yield at, len(body)
        at += len(body)


def _cursor(connection: str, row: Found) -> Cursor:
    return Cursor(
        connection=connection,
        stream=row.stream,
        watermark=maybe_instant(row.watermark),
        position=maybe_instant(row.position),
        started_at=maybe_instant(row.started_at),
        place=row.place,
        read=row.read,
        checked_at=maybe_instant(row.checked_at),
        problem=row.problem,
        warnings=tuple(row.warnings.split("\n")) if row.warnings else (),
        rung=row.rung,
        behind_since=maybe_instant(row.behind_since),
    )
