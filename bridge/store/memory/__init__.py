"""
The store in memory: for tests of everything else, under the same contract suite as the databases.

A transaction works on a shallow copy of the state, which takes the state's place when it commits, so that a
rollback leaves nothing and a reader keeps its snapshot. Values pass through the codec that the databases
use, so what is read back is the same to the last detail (zones, NUL characters).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import datetime

import msgspec

from bridge.store import outbox_rules as rules
from bridge.store.codec import clean, maybe_clean
from bridge.store.memory.cases import CasesRoom
from bridge.store.memory.inbox import InboxRoom
from bridge.store.memory.outbox import OutboxRoom
from bridge.store.memory.reading import ReadingRoom
from bridge.store.memory.state import State, kept, require
from bridge.store.rows import (
    Budget,
    Delivered,
    Forgotten,
    InboxRow,
    InboxState,
    Pause,
    Restored,
    Sizes,
)


class MemoryTx(InboxRoom, CasesRoom, ReadingRoom, OutboxRoom):
    """One transaction (``port.Tx``)."""

    # Figures ------------------------------------------------------------------------------------------------
    def count_deliveries(self, connection: str, found: Mapping[tuple[str, str, str], int]) -> None:
        for (kind, outcome, code), number in found.items():
            key = (connection, clean(kind), clean(outcome), clean(code))
            self._now.deliveries[key] = self._now.deliveries.get(key, 0) + number

    def deliveries(self, connection: str) -> list[Delivered]:
        return [
            Delivered(kind=kind, outcome=outcome, code=code, found=found)
            for (where, kind, outcome, code), found in sorted(self._now.deliveries.items())
            if where == connection
        ]

    # Budgets ------------------------------------------------------------------------------------------------
    def budget(self, connection: str) -> Budget:
        return self._now.budgets.get(connection, Budget(connection=connection))

    def save_budget(self, row: Budget) -> None:
        require((row.open_until is None) == (row.away_since is None), "away_while_open")
        require((row.open_until is None) == (row.trips == 0), "trips_while_open")
        self._now.budgets[row.connection] = kept(row, reason=maybe_clean(row.reason), cause=maybe_clean(row.cause))

    def workers(self, name: str, now: datetime, since: datetime) -> int:
        seen = {**self._now.workers, clean(name): now}
        self._now.workers = {one: at for one, at in seen.items() if at >= since}
        return len(self._now.workers)

    # Pauses -------------------------------------------------------------------------------------------------
    def pause(self, row: Pause) -> bool:
        return self._now.pauses.setdefault((row.connection, row.type or ""), stored := kept(row)) is stored

    def resume(self, connection: str, type_: str | None) -> bool:
        return self._now.pauses.pop((connection, type_ or ""), None) is not None

    def pauses(self, connection: str) -> list[Pause]:
        return [row for (where, _), row in sorted(self._now.pauses.items()) if where == connection]

    # Retention ----------------------------------------------------------------------------------------------
    def forget_bodies(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        held = [row for key, row in self._now.inbox.items() if key > after and row.raw][:limit]
        old = [row for row in held if row.received_at < before and row.state is not InboxState.PARKED]
        gone = [row for row in old if not self._is_needed(row)]
        self._now.inbox.update({row.id: msgspec.structs.replace(row, raw=b"") for row in gone if row.id is not None})
        size = sum(len(row.raw) for row in gone)
        return Forgotten(next=held[-1].id if len(held) == limit else None, rows=len(gone), size=size)

    def _is_needed(self, row: InboxRow) -> bool:
        known = self._now.sources.get((row.connection, row.ref))
        return known is not None and any(
            case.connection == row.connection and case.root == known.root and case.is_open and case.merged_into is None
            for _, case in self._now.cases.values()
        )

    def forget_writes(self, before: datetime, *, after: int, limit: int) -> Forgotten:
        ended = [row for key, row in self._now.outbox.items() if key > after and rules.is_ended(row)]
        over = [row for row in ended if row.settled_at is not None and row.settled_at < before][:limit]
        gone = set(rules.outlived(map(rules.as_ended, self._now.outbox.values()))) & {row.id for row in over}
        for row_id in gone:
            row = self._now.outbox.pop(row_id)
            del self._now.keys[row.intent.case_id, row.intent.key]
        return Forgotten(next=over[-1].id if len(over) == limit else None, rows=len(gone))

    def sizes(self) -> Sizes:
        rows = self._now.inbox.values()
        return Sizes(
            versions=len(rows),
            bodies=sum(bool(row.raw) for row in rows),
            body_bytes=sum(len(row.raw) for row in rows),
            writes=len(self._now.outbox),
            cases=len(self._now.cases),
            changes=sum(map(len, self._now.history.values())),
        )

    # Restores -----------------------------------------------------------------------------------------------
    def restored(self, connection: str) -> Restored | None:
        return self._now.restored.get(connection)

    def save_restored(self, row: Restored) -> None:
        self._now.restored[row.connection] = kept(row)

    # Timers -------------------------------------------------------------------------------------------------
    def win_tick(self, name: str, now: datetime, next_at: datetime) -> bool:
        if self._now.timers.get(name, now) > now:
            return False
        self._now.timers[name] = next_at
        return True

    def take_turn(self, name: str, now: datetime, until: datetime) -> int | None:
        number, taken_until = self._now.turns.get(name, (0, now))
        if taken_until > now:
            return None
        self._now.turns[name] = (number + 1, until)
        return number + 1

    def keep_turn(self, name: str, number: int, until: datetime) -> bool:
        if self._now.turns.get(name, (0, until))[0] != number:
            return False
        self._now.turns[name] = (number, until)
        return True

    def end_turns(self, now: datetime) -> None:
        held = {name: (number + 1, now) for name, (number, until) in self._now.turns.items() if until > now}
        self._now.turns.update(held)


class MemoryStore:
    """A store that ends with the process (``port.Store``)."""

    def __init__(self) -> None:
        """Begin empty."""
        self._state = State()
        self._one_writer = threading.Lock()

    @contextmanager
    def transaction(self) -> Iterator[MemoryTx]:
        """Open a transaction that may write; not to be opened inside another one of the same thread."""
        with self._one_writer:
            work = self._state.copied()
            yield MemoryTx(work)
            self._state = work

    @contextmanager
    def reading(self) -> Iterator[MemoryTx]:
        """Open a read-only snapshot."""
        yield MemoryTx(self._state.copied())

    @property
    def problem(self) -> str | None:
        """Nothing: it is in memory."""
        return None

    def close(self) -> None:
        """Do nothing."""
