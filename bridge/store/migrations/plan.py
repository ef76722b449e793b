"""What bringing a database's schema up to date would do, how long that takes, and who has to wait or go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import msgspec
from sqlalchemy import Connection, Float, column, func, inspect, select, table

from bridge.store.migrations.steps import Kind, Lock, Step

A_MOMENT = 0.05
"""Seconds that a change of the schema itself takes, however much there is in the database (rule ours)."""


class Held(msgspec.Struct, frozen=True):
    """
    A table that a step locks.

    Args:
        lock: PostgreSQL's name of the lock.
        waits: Who waits until it is given back.
        seconds: About how long it is held, once it is had.
        rows: About how many the table has.
    """

    table: str
    lock: str
    waits: str
    seconds: float
    rows: int


class Planned(msgspec.Struct, frozen=True):
    """
    One step that would be applied.

    Args:
        seconds: About how long it takes.
        may_stay: Whether replicas that fit the database as it is may go on meanwhile and afterwards.
    """

    revision: str
    title: str
    kind: Kind
    seconds: float
    may_stay: bool
    held: tuple[Held, ...]


class Plan(msgspec.Struct, frozen=True):
    """
    What would be applied, in order.

    Args:
        database: ``sqlite`` or ``postgresql``.
        at: The revision that the database is at; ``None`` where it is empty.
        may_stay: Whether replicas that are at work may go on; on SQLite only where the database is empty and so
            nobody is: one process owns the file.
    """

    database: str
    at: str | None
    seconds: float
    may_stay: bool
    steps: tuple[Planned, ...]

    @property
    def json(self) -> str:
        """Return it for machines."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    @property
    def text(self) -> str:
        """Return it for people."""
        if not self.steps:
            return "up to date"
        known = [line for step in self.steps for line in _lines(step)] if self.at is not None else []
        return "\n".join([*known, *self._advice()])

    def _advice(self) -> Iterable[str]:
        yield f"{len(self.steps)} to apply, about {_about(self.seconds)} in all; back up first, then `bridge migrate`"
        if self.at is None:
            yield "the database is empty: nobody is at work in it"
        elif self.database == "sqlite":
            yield "stop Bridge first: one process owns an SQLite file"
        elif self.may_stay:
            yield "replicas of the release that is at work may stay; replace them afterwards, one after the other"
        else:
            yield "stop every replica first: the release that is at work reads what is taken away"


def planned(conn: Connection, at: str | None, todo: Sequence[Step], every: Sequence[Step]) -> Plan:
    """
    Return what applying *todo* to a database would do.

    Args:
        at: The revision that it is at.
        every: All revisions in order, by which it is known what came before what.
    """
    database = conn.dialect.name
    rows = _sizes(conn, {name for step in todo for name in (*step.locks, *step.per_row_us)})
    order = [step.revision for step in every]
    steps = tuple(_planned(step, rows, database, _may_stay(step, at, order)) for step in todo)
    together = at is None or database == "postgresql"
    return Plan(
        database=database,
        at=at,
        seconds=round(sum(step.seconds for step in steps), 2),
        may_stay=together and all(step.may_stay for step in steps),
        steps=steps,
    )


def _may_stay(step: Step, at: str | None, order: Sequence[str]) -> bool:
    """A contract step takes away what code that came with *after*, or later, no longer reads."""
    if step.kind is Kind.EXPAND or step.after is None:
        return True
    return at is not None and order.index(at) >= order.index(step.after)


def _planned(step: Step, rows: Mapping[str, int], database: str, may_stay: bool) -> Planned:
    seconds = A_MOMENT + sum(rows[name] * us / 1_000_000 for name, us in step.per_row_us.items())
    held = A_MOMENT if step.concurrent else seconds
    locks = step.locks if database == "postgresql" else {}
    return Planned(
        revision=step.revision,
        title=step.title,
        kind=step.kind,
        seconds=round(seconds, 2),
        may_stay=may_stay,
        held=tuple(_held(name, lock, seconds if lock is Lock.SCHEMA else held, rows) for name, lock in locks.items()),
    )


def _held(name: str, lock: Lock, seconds: float, rows: Mapping[str, int]) -> Held:
    return Held(name, lock.value, lock.keeps_waiting, round(seconds, 2), rows[name])


def _sizes(conn: Connection, names: Iterable[str]) -> dict[str, int]:
    """About how many rows each table has; none, where it is not there yet."""
    there = set(inspect(conn).get_table_names())
    return {name: _size(conn, name) if name in there else 0 for name in names}


def _size(conn: Connection, name: str) -> int:
    """PostgreSQL knows from its last look (autovacuum); where it has not looked yet, and on SQLite, it is counted."""
    if conn.dialect.name == "postgresql":
        known = select(column("reltuples", Float())).select_from(table("pg_class"))
        found = conn.execute(known.where(column("oid") == func.to_regclass(name))).scalar()
        if found is not None and found >= 0:
            return int(found)
    return int(conn.execute(select(func.count()).select_from(table(name))).scalar_one())


def _lines(step: Planned) -> Iterable[str]:
    yield f"{step.revision}  {step.kind.value}  about {_about(step.seconds)}  {step.title}"
    for one in step.held:
        waits = one.waits if one.lock == Lock.SCHEMA else f"{one.waits} about {_about(one.seconds)}"
        yield f"      {one.table}: {waits} ({one.lock}; {one.rows:,} rows)"
    if not step.may_stay:
        yield "      replicas that are at work read what it takes away"


def _about(seconds: float) -> str:
    if seconds < 1:
        return "a moment"
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"
