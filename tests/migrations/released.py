"""
The databases that releases left behind, one folder for each of them.

``sqlite.sql`` and ``postgresql.sql`` are dumps with something in every table, written by the release itself;
``ehr.json`` is what the EHR held that it worked with; ``reads.json`` names the columns that its code reads.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import MetaData, select

from bridge.store.engine import schema_engine
from tests.contract.postgres import fresh_database

FOLDER = Path(__file__).parent / "released"

Rows = dict[str, dict[str, list[Any]]]
"""The values of each column of each table, in the order of the primary key."""


def releases() -> list[str]:
    """Return every release there was, the first one first."""
    return sorted((one.name for one in FOLDER.iterdir()), key=lambda name: [int(part) for part in name.split(".")])


def ehr_of(release: str) -> list[dict[str, Any]]:
    """Return the resources that the EHR held."""
    found: list[dict[str, Any]] = json.loads((FOLDER / release / "ehr.json").read_text())
    return found


def reads_of(release: str) -> dict[str, list[str]]:
    """Return the columns of each table that a release's code reads."""
    found: dict[str, list[str]] = json.loads((FOLDER / release / "reads.json").read_text())
    return found


def on_sqlite(release: str, file: Path) -> str:
    """Put the database of a release into a file; returns its URL."""
    with closing(sqlite3.connect(file)) as conn:
        conn.executescript((FOLDER / release / "sqlite.sql").read_text())
    return f"sqlite:///{file}"


@contextmanager
def on_postgres(release: str, server: str) -> Iterator[str]:
    """Put the database of a release onto a server; gives its URL."""
    with fresh_database(server) as url:
        with psycopg.connect(url) as conn:
            conn.execute((FOLDER / release / "postgresql.sql").read_bytes())
        yield url


def rows_of(url: str) -> Rows:
    """Return all that a database holds, but the revision that it is at."""
    engine, there = schema_engine(url), MetaData()
    there.reflect(engine)
    found: Rows = {}
    with engine.begin() as conn:
        for table in there.sorted_tables:
            rows = conn.execute(select(table).order_by(*table.primary_key.columns)).all()
            if table.name != "alembic_version":
                found[table.name] = {name: [row[at] for row in rows] for at, name in enumerate(table.columns.keys())}
    engine.dispose()
    return found
