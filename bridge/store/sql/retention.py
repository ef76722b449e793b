"""Retention: what nobody needs any more, a bounded step at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import groupby
from operator import attrgetter

from sqlalchemy import bindparam, delete, func, select

from bridge.cases.intents import IntentState
from bridge.store import outbox_rules as rules
from bridge.store.batch import among, change, numbers
from bridge.store.codec import compress, decompress, micros
from bridge.store.rows import Forgotten, InboxState, Sizes
from bridge.store.sql.work import Found, Work
from bridge.store.tables import (
    ENDED,
    HAS_RAW,
    OPEN,
    care_case,
    case_change,
    outbox,
    raw_page,
    source,
    source_version,
)

_PAGES = (
    select(source_version.c.raw_id)
    .where(HAS_RAW, source_version.c.raw_id > bindparam("after"))
    .distinct()
    .order_by(source_version.c.raw_id)
    .limit(bindparam("limit"))
)
_HELD = (
    select(
        source_version.c.id,
        source_version.c.resource_id,
        source_version.c.state,
        source_version.c.received_at,
        source_version.c.raw_id,
        source_version.c.raw_at,
        source_version.c.raw_size,
    )
    .where(HAS_RAW, among(source_version.c.raw_id, numbers("pages")))
    .order_by(source_version.c.raw_id, source_version.c.raw_at)
)
_NEEDED = (
    select(source.c.resource_id)
    .join(care_case, care_case.c.pk == source.c.root_id)
    .where(OPEN, among(source.c.resource_id, numbers("resources")))
)
_BODIES = select(raw_page.c.id, raw_page.c.body).where(among(raw_page.c.id, numbers("pages")))
_REPACK = change(raw_page, "body", "id", by="id")
_MOVE = change(source_version, "raw_at", "raw_size", "id", by="id")

_OVER = (
    select(outbox.c.id, outbox.c.case_pk)
    .where(ENDED, outbox.c.id > bindparam("after"), outbox.c.settled_at < bindparam("before"))
    .order_by(outbox.c.id)
    .limit(bindparam("limit"))
)
_OF_CASES = (
    select(
        outbox.c.id,
        outbox.c.case_pk,
        outbox.c.slot,
        outbox.c.level_slot,
        outbox.c.kind,
        outbox.c.state,
        outbox.c.written,
        outbox.c.unsure,
        outbox.c.unsure_at,
    )
    .where(among(outbox.c.case_pk, numbers("pks")))
    .order_by(outbox.c.id)
)
_DELETE = delete(outbox).where(among(outbox.c.id, numbers("ids")))
_SIZES = {
    "versions": select(func.count()).select_from(source_version),
    "bodies": select(func.count()).select_from(source_version).where(HAS_RAW),
    "body_bytes": select(func.coalesce(func.sum(func.length(raw_page.c.body)), 0)),
    "writes": select(func.count()).select_from(outbox),
    "cases": select(func.count()).select_from(care_case),
    "changes": select(func.count()).select_from(case_change),
}


class RetentionRoom(Work):
    """What is kept for how long."""

    def forget_bodies(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        pages = [row.raw_id for row in self.rows(_PAGES, after=after, limit=limit)]
        if not pages:
            return Forgotten()
        held = self.rows(_HELD, pages=pages)
        needed = {row.resource_id for row in self.rows(_NEEDED, resources=list({row.resource_id for row in held}))}
        old = micros(before)
        drop = {row.id: row for row in held if _may_go(row, old) and row.resource_id not in needed}
        changed = {row.raw_id for row in drop.values()}
        self._repack([row for row in held if row.raw_id in changed], drop.keys())
        is_last = len(pages) < limit or all(row.received_at >= old for row in held)
        size = sum(row.raw_size for row in drop.values())
        return Forgotten(next=None if is_last else pages[-1], rows=len(drop), size=size)

    def _repack(self, held: Sequence[Found], drop: Iterable[int]) -> None:
        """Write anew what these pages hold, without what is dropped."""
        dropped = set(drop)
        bodies = {row.id: row.body for row in self.rows(_BODIES, pages=list({row.raw_id for row in held}))}
        moved: list[tuple[int, int, int]] = []
        pages: list[tuple[bytes, int]] = []
        for page, rows in groupby(held, key=attrgetter("raw_id")):
            rest, at = [], 0
            for row in rows:
                if row.id in dropped:
                    moved.append((0, 0, row.id))
                    continue
                rest.append(decompress(bodies[page], row.raw_at, row.raw_size))
                moved.append((at, row.raw_size, row.id))
                at += row.raw_size
            pages.append((compress(rest) if rest else b"", page))
        self.write(_REPACK, pages)
        self.write(_MOVE, moved)

    def forget_writes(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        over = self.rows(_OVER, after=after, before=micros(before), limit=limit)
        rows = self.rows(_OF_CASES, pks=list({row.case_pk for row in over})) if over else []
        candidates = {row.id for row in over}
        ended = [
            rules.Ended(
                row.id,
                (row.case_pk, row.slot),
                is_level=row.level_slot is not None,
                state=IntentState(row.state),
                written=row.written,
                unsure=row.unsure or row.unsure_at is not None,
                kind=row.kind,
            )
            for row in rows
        ]
        gone = [row_id for row_id in rules.outlived(ended) if row_id in candidates]
        if gone:
            self.conn.execute(_DELETE, {"ids": gone})
        return Forgotten(next=over[-1].id if len(over) == limit else None, rows=len(gone))

    def sizes(self) -> Sizes:
        return Sizes(**{name: int(self.conn.execute(query).scalar_one()) for name, query in _SIZES.items()})


def _may_go(row: Found, before: int) -> bool:
    return bool(row.received_at < before) and row.state != InboxState.PARKED.value
