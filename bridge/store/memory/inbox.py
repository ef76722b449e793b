"""What came in, in memory: versions, counts, cursors, hints, subscriptions."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime

import msgspec

from bridge.store.codec import clean, maybe_clean
from bridge.store.memory.state import kept, require
from bridge.store.memory.work import Work
from bridge.store.rows import (
    Counts,
    Cursor,
    Hint,
    InboxRow,
    InboxState,
    Late,
    Subscribed,
)


class InboxRoom(Work):
    """What was received, and how far each stream is read."""

    def lock(self, connection: str) -> None:
        """Do nothing: one transaction writes at a time."""

    def known_versions(self, connection: str, versions: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        return {
            (ref, version)
            for ref, version in versions
            if (connection, clean(ref), clean(version)) in self._now.versions
        }

    def add_versions(self, rows: Sequence[InboxRow]) -> None:
        for row in rows:
            stored = kept(row, ref=clean(row.ref), version=clean(row.version), reason=maybe_clean(row.reason))
            key = (stored.connection, stored.ref, stored.version)
            require(key not in self._now.versions, "a version is there already")
            require(row.state is InboxState.APPLIED or row.code is not None, "not_applied_says_why")
            row_id = len(self._now.inbox) + 1
            self._now.versions[key] = row_id
            self._now.inbox[row_id] = msgspec.structs.replace(stored, id=row_id)

    def settle_version(self, row: InboxRow) -> None:
        if row.id in self._now.inbox:
            require(row.state is InboxState.APPLIED or row.code is not None, "not_applied_says_why")
            self._now.inbox[row.id] = msgspec.structs.replace(
                self._now.inbox[row.id], state=row.state, code=row.code, reason=maybe_clean(row.reason)
            )

    def count(self, connection: str, stream: str, counts: Counts) -> None:
        old = self._now.totals.get((connection, stream), Counts())
        pairs = zip(msgspec.structs.astuple(old), msgspec.structs.astuple(counts), strict=True)
        new = Counts(*(a + b for a, b in pairs))
        for one in (counts, new):
            require(one.received == one.applied + one.duplicate + one.ignored + one.parked, "adds_up")
        self._now.totals[connection, stream] = new

    def count_late(self, connection: str, found: Mapping[tuple[str, str], int]) -> None:
        for (type_, path), count in found.items():
            key = (connection, type_, path)
            self._now.late[key] = self._now.late.get(key, 0) + count

    def late(self, connection: str) -> list[Late]:
        found = [
            Late(type=type_, path=path, found=n) for (c, type_, path), n in self._now.late.items() if c == connection
        ]
        return sorted(found, key=lambda row: (-row.found, row.type))

    def cursor(self, connection: str, stream: str) -> Cursor | None:
        return self._now.cursors.get((connection, stream))

    def save_cursor(self, cursor: Cursor) -> None:
        stored = kept(
            cursor,
            place=maybe_clean(cursor.place),
            problem=maybe_clean(cursor.problem),
            rung=maybe_clean(cursor.rung),
        )
        stored = msgspec.structs.replace(stored, warnings=tuple(map(clean, cursor.warnings)))
        self._now.cursors[cursor.connection, cursor.stream] = stored

    def note_hints(self, connection: str, refs: Iterable[str], now: datetime, mark: int) -> None:
        for ref in {clean(ref) for ref in refs}:
            self._now.hints[connection, ref] = kept(Hint(ref, now, mark))

    def hints(self, connection: str, limit: int, but: Collection[str] = ()) -> list[Hint]:
        here = [hint for (where, _), hint in self._now.hints.items() if where == connection]
        waiting = [hint for hint in here if hint.ref.partition("/")[0] not in but]
        return sorted(waiting, key=lambda hint: (hint.noted_at, hint.ref))[:limit]

    def drop_hints(self, connection: str, hints: Sequence[Hint]) -> None:
        for hint in hints:
            stored = self._now.hints.get((connection, hint.ref))
            if stored is not None and stored.mark == hint.mark:
                del self._now.hints[connection, hint.ref]

    def subscribed(self, connection: str) -> list[Subscribed]:
        found = [row for (where, _), row in self._now.subscribed.items() if where == connection]
        return sorted(found, key=lambda row: row.key)

    def save_subscribed(self, rows: Sequence[Subscribed]) -> None:
        for row in rows:
            self._now.subscribed[row.connection, clean(row.key)] = kept(row, key=clean(row.key))

    def drop_subscribed(self, connection: str, keys: Iterable[str]) -> None:
        for key in keys:
            self._now.subscribed.pop((connection, clean(key)), None)

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
        found = [
            msgspec.structs.replace(row, raw=b"")
            for row in self._now.inbox.values()
            if (row.id or 0) > after
            and connection in (None, row.connection)
            and state in (None, row.state)
            and code in (None, row.code)
            and (ref is None or clean(ref) == row.ref)
        ]
        return found[:limit]

    def inbox_row(self, row_id: int) -> InboxRow | None:
        return self._now.inbox.get(row_id)

    def totals(self, connection: str) -> dict[str, Counts]:
        return {stream: counts for (where, stream), counts in self._now.totals.items() if where == connection}

    def cursors(self, connection: str) -> list[Cursor]:
        found = [cursor for cursor in self._now.cursors.values() if cursor.connection == connection]
        return sorted(found, key=lambda cursor: cursor.stream)

    def parked_groups(self, connection: str | None = None) -> list[tuple[str, str, str, int]]:
        parked = Counter(
            (row.connection, row.type, row.code or "")
            for row in self._now.inbox.values()
            if row.state is InboxState.PARKED and connection in (None, row.connection)
        )
        return sorted(((*group, n) for group, n in parked.items()), key=lambda group: (-group[3], group[:3]))

    def parked_since(self, connection: str) -> datetime | None:
        rows = (row for row in self._now.inbox.values() if row.connection == connection)
        return min((row.received_at for row in rows if row.state is InboxState.PARKED), default=None)
