"""What code that was written for one schema meets with in another."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Inspector, inspect

from bridge.store.engine import schema_engine


@dataclass(frozen=True)
class Shape:
    """
    One table, as the code that reads and writes it meets it.

    Args:
        columns: Their types by name.
        needed: Columns that have to be given a value.
        rules: What a row may be refused for.
    """

    columns: dict[str, str]
    needed: frozenset[str]
    rules: frozenset[str]


def shapes(file: Path) -> dict[str, Shape]:
    """Return every table of a database."""
    engine = schema_engine(f"sqlite:///{file}")
    seen = inspect(engine)
    try:
        return {table: _shape(seen, table) for table in seen.get_table_names() if table != "alembic_version"}
    finally:
        engine.dispose()


def _shape(seen: Inspector, table: str) -> Shape:
    columns = seen.get_columns(table)
    unique = [*seen.get_unique_constraints(table), *(one for one in seen.get_indexes(table) if one["unique"])]
    return Shape(
        {one["name"]: str(one["type"]) for one in columns},
        frozenset(one["name"] for one in columns if not one["nullable"] and one["default"] is None),
        frozenset(str(one["name"]) for one in (*unique, *seen.get_check_constraints(table))),
    )


def in_the_way(before: dict[str, Shape], after: dict[str, Shape]) -> list[str]:
    """Return what the code that was written for *before* would meet with at *after*."""
    found = [f"{table} is gone" for table in before.keys() - after.keys()]
    for table in sorted(before.keys() & after.keys()):
        old, new = before[table], after[table]
        found += [f"{table}.{name} is gone" for name in sorted(old.columns.keys() - new.columns.keys())]
        found += [
            f"{table}.{name} is another type"
            for name, kind in old.columns.items()
            if new.columns.get(name, kind) != kind
        ]
        found += [f"{table}.{name} has to be given" for name in sorted(new.needed - old.needed)]
        found += [f"{table} refuses by {name}" for name in sorted(new.rules - old.rules)]
    return found
