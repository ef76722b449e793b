"""
The floor: what parsing and inserting alone costs on this machine, with the databases' own drivers.

Each resource is parsed to a plain object and becomes a raw body, a case and an event, and every third an outbox
row: 4 tables, 6 indexes, one transaction a page. On SQLite each row is a statement; on PostgreSQL each page is
one statement (a CTE over arrays), the fastest way in that was found. Nothing is checked, linked or looked up.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import msgspec
import psycopg


class Floor(Protocol):
    """Takes in pages at the least cost."""

    def take_in(self, bodies: Sequence[bytes]) -> None:
        """Insert pages, one transaction each."""


class _Order(msgspec.Struct):
    id: str
    status: str
    priority: str
    subject: dict[str, str]
    meta: dict[str, Any]


class _Entry(msgspec.Struct):
    resource: msgspec.Raw


class _Bundle(msgspec.Struct):
    entry: list[_Entry]


class _Row(NamedTuple):
    ref: str
    version: str
    raw: bytes
    status: str
    priority: str
    patient: str


_bundle, _order = msgspec.json.Decoder(_Bundle), msgspec.json.Decoder(_Order)


def _rows(body: bytes) -> list[_Row]:
    found = []
    for entry in _bundle.decode(body).entry:
        raw = bytes(entry.resource)
        order = _order.decode(raw)
        ref = f"ServiceRequest/{order.id}"
        found.append(_Row(ref, order.meta["versionId"], raw, order.status, order.priority, order.subject["reference"]))
    return found


_TABLES = """
CREATE TABLE raw (id {key}, ref TEXT, version TEXT, body {blob});
CREATE UNIQUE INDEX raw_ref ON raw (ref, version);
CREATE TABLE cases (id {key}, ref TEXT, status TEXT, priority TEXT, patient TEXT, due BIGINT);
CREATE UNIQUE INDEX cases_ref ON cases (ref);
CREATE INDEX cases_due ON cases (status, due);
CREATE INDEX cases_patient ON cases (patient);
CREATE TABLE event (id {key}, ref TEXT, at BIGINT, what TEXT);
CREATE INDEX event_ref ON event (ref);
CREATE TABLE outbox (id {key}, ref TEXT, state TEXT);
CREATE INDEX outbox_state ON outbox (state, id);
"""

_RAW = "INSERT INTO raw (ref, version, body) VALUES (?, ?, ?)"
_CASE = "INSERT INTO cases (ref, status, priority, patient, due) VALUES (?, ?, ?, ?, 1)"
_EVENT = "INSERT INTO event (ref, at, what) VALUES (?, 1, 'opened')"
_OUTBOX = "INSERT INTO outbox (ref, state) VALUES (?, 'queued')"


class SqliteFloor:
    """The floor on SQLite, as durable as Bridge: WAL, ``synchronous=FULL``."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(_TABLES.format(key="INTEGER PRIMARY KEY", blob="BLOB"))

    def take_in(self, bodies: Sequence[bytes]) -> None:
        """Insert pages, one transaction each."""
        for body in bodies:
            self._db.execute("BEGIN IMMEDIATE")
            for number, row in enumerate(_rows(body)):
                self._db.execute(_RAW, (row.ref, row.version, row.raw))
                self._db.execute(_CASE, (row.ref, row.status, row.priority, row.patient))
                self._db.execute(_EVENT, (row.ref,))
                if number % 3 == 0:
                    self._db.execute(_OUTBOX, (row.ref,))
            self._db.execute("COMMIT")


_PAGE = """
WITH new AS MATERIALIZED (
  SELECT * FROM unnest(%b::text[], %b::text[], %b::bytea[], %b::text[], %b::text[], %b::text[])
    WITH ORDINALITY AS new (ref, version, body, status, priority, patient, n)),
raws AS (INSERT INTO raw (ref, version, body) SELECT ref, version, body FROM new),
made AS (INSERT INTO cases (ref, status, priority, patient, due) SELECT ref, status, priority, patient, 1 FROM new),
events AS (INSERT INTO event (ref, at, what) SELECT ref, 1, 'opened' FROM new)
INSERT INTO outbox (ref, state) SELECT ref, 'queued' FROM new WHERE n % 3 = 1
""".replace("n % 3", "n %% 3")


class PostgresFloor:
    """The floor on PostgreSQL, in a schema of its own beside Bridge's tables."""

    def __init__(self, url: str) -> None:
        self._db = psycopg.connect(url, autocommit=True)
        self._db.execute("CREATE SCHEMA floor")
        self._db.execute("SET search_path = floor")
        tables = _TABLES.format(key="BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", blob="BYTEA")
        for statement in filter(str.strip, tables.split(";")):
            self._db.execute(statement.encode())

    def take_in(self, bodies: Sequence[bytes]) -> None:
        """Insert pages, one transaction each."""
        for body in bodies:
            self._db.execute(_PAGE, [list(column) for column in zip(*_rows(body), strict=True)], prepare=True)
