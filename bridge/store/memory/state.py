"""What the in-memory store holds, and the rules that the databases hold with constraints."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import TypeVar

import msgspec

from bridge.cases.changes import Change
from bridge.cases.model import Case
from bridge.cases.people import Person
from bridge.cases.sources import SourceRow
from bridge.errors import DomainError
from bridge.store.codec import pack
from bridge.store.rows import Budget, Counts, Cursor, Hint, InboxRow, OutboxRow, Pause, Restored, Subscribed

S = TypeVar("S", bound=msgspec.Struct)


@dataclass
class State:
    """Everything the store holds; a transaction works on a shallow copy."""

    inbox: dict[int, InboxRow] = field(default_factory=dict)
    versions: dict[tuple[str, str, str], int] = field(default_factory=dict)
    totals: dict[tuple[str, str], Counts] = field(default_factory=dict)
    cursors: dict[tuple[str, str], Cursor] = field(default_factory=dict)
    sources: dict[tuple[str, str], SourceRow] = field(default_factory=dict)
    cases: dict[str, tuple[int, Case]] = field(default_factory=dict)
    history: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    wakes: dict[str, datetime] = field(default_factory=dict)
    people: dict[tuple[str, str], Person] = field(default_factory=dict)
    wanted: dict[tuple[str, str], datetime] = field(default_factory=dict)
    hints: dict[tuple[str, str], Hint] = field(default_factory=dict)
    subscribed: dict[tuple[str, str], Subscribed] = field(default_factory=dict)
    outbox: dict[int, OutboxRow] = field(default_factory=dict)
    keys: dict[tuple[str, str], int] = field(default_factory=dict)
    timers: dict[str, datetime] = field(default_factory=dict)
    turns: dict[str, tuple[int, datetime]] = field(default_factory=dict)
    pauses: dict[tuple[str, str], Pause] = field(default_factory=dict)
    late: dict[tuple[str, str, str], int] = field(default_factory=dict)
    restored: dict[str, Restored] = field(default_factory=dict)
    budgets: dict[str, Budget] = field(default_factory=dict)
    workers: dict[str, datetime] = field(default_factory=dict)
    deliveries: dict[tuple[str, str, str, str], int] = field(default_factory=dict)

    def copied(self) -> State:
        """Return a copy that can change without this one changing."""
        return State(**{one.name: copy.copy(getattr(self, one.name)) for one in fields(self)})


def kept(value: S, **cleaned: str | None) -> S:
    """Return *value* as a database would give it back."""
    stored = msgspec.msgpack.decode(pack(value), type=type(value))
    return msgspec.structs.replace(stored, **cleaned) if cleaned else stored


def require(holds: bool, rule: str) -> None:
    """
    Hold what the databases hold with constraints.

    Raises:
        DomainError: The rule does not hold.
    """
    if not holds:
        raise DomainError(f"the database refused to save: {rule}")
