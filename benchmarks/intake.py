"""
Intake: from a page's bytes to committed sources, cases, history and outbox.

``python -m benchmarks.intake [--postgres URL]`` fills a database and measures fresh pages with 10,000 and with
100,000 cases present, beside the floor on the same machine in the same run: parse each resource to a plain
object and insert raw body, case, event and a third of an outbox row, 4 tables and 6 indexes, one transaction a
page. What counts are the ratios: Bridge to floor, and 100,000 to 10,000.
"""

from __future__ import annotations

import argparse
import os
import resource
import sqlite3
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from benchmarks.pages import BASE, pages
from bridge.bootstrap import make_line, read_lanes
from bridge.config import Settings
from bridge.fhir.bundle import split
from bridge.store.opening import create_or_open
from bridge.store.port import Store
from bridge.sync.ingest import Intake, ingest
from bridge.sync.line import Line

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
SIZE = 200
MEASURED = 6000
RUNS = 3


def a_line() -> Line:
    """Return the line of one open connection."""
    settings = Settings.model_validate({"connections": {"bench": {"base_url": BASE}}})
    return make_line("bench", settings.connections["bench"], settings, read_lanes(settings))


def take_in(bodies: list[bytes], store: Store, line: Line) -> None:
    """Take in pages as the poll does, from their bytes."""
    for body in bodies:
        ingest(Intake("ServiceRequest", split(body).entries, "poll"), store, line, NOW)


def rate(bodies: list[bytes], work: Callable[[list[bytes]], None]) -> float:
    """Return resources per second of *work* over pages of ``SIZE``."""
    began = time.perf_counter()
    work(bodies)
    return len(bodies) * SIZE / (time.perf_counter() - began)


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


FLOOR_TABLES = """
CREATE TABLE raw (id INTEGER PRIMARY KEY, ref TEXT, version TEXT, body BLOB);
CREATE UNIQUE INDEX raw_ref ON raw (ref, version);
CREATE TABLE cases (id INTEGER PRIMARY KEY, ref TEXT, status TEXT, priority TEXT, patient TEXT, due INTEGER);
CREATE UNIQUE INDEX cases_ref ON cases (ref);
CREATE INDEX cases_due ON cases (status, due);
CREATE INDEX cases_patient ON cases (patient);
CREATE TABLE event (id INTEGER PRIMARY KEY, ref TEXT, at INTEGER, what TEXT);
CREATE INDEX event_ref ON event (ref);
CREATE TABLE outbox (id INTEGER PRIMARY KEY, ref TEXT, state TEXT);
CREATE INDEX outbox_state ON outbox (state, id);
"""


_RAW = "INSERT INTO raw (ref, version, body) VALUES (?, ?, ?)"
_CASE = "INSERT INTO cases (ref, status, priority, patient, due) VALUES (?, ?, ?, ?, 1)"
_EVENT = "INSERT INTO event (ref, at, what) VALUES (?, 1, 'opened')"
_OUTBOX = "INSERT INTO outbox (ref, state) VALUES (?, 'queued')"


class Floor:
    """Parse and insert with the driver itself, a statement for each row, and nothing else."""

    def __init__(self, file: Path) -> None:
        self._db = sqlite3.connect(file, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=FULL")
        self._db.executescript(FLOOR_TABLES)
        self._bundle, self._order = msgspec.json.Decoder(_Bundle), msgspec.json.Decoder(_Order)

    def take_in(self, bodies: list[bytes]) -> None:
        """Insert pages, one transaction each."""
        for body in bodies:
            self._db.execute("BEGIN IMMEDIATE")
            for number, entry in enumerate(self._bundle.decode(body).entry):
                raw = bytes(entry.resource)
                order = self._order.decode(raw)
                ref = f"ServiceRequest/{order.id}"
                self._db.execute(_RAW, (ref, order.meta["versionId"], raw))
                self._db.execute(_CASE, (ref, order.status, order.priority, order.subject["reference"]))
                self._db.execute(_EVENT, (ref,))
                if number % 3 == 0:
                    self._db.execute(_OUTBOX, (ref,))
            self._db.execute("COMMIT")


@contextmanager
def a_store(url: str | None) -> Iterator[Store]:
    """Give a fresh SQLite store, or the PostgreSQL one at *url*."""
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder:
        if url is not None:
            from bridge.store.migrations import migrate

            migrate(url)
        store = create_or_open(url or f"sqlite:///{folder}/bench.sqlite3")
        try:
            yield store
        finally:
            store.close()


def measure(url: str | None) -> dict[str, float]:
    """Return the median rates at 10,000 and 100,000 cases, the floor's, and peak memory in MB."""
    line = a_line()
    found: dict[str, float] = {}
    with a_store(url) as store, tempfile.TemporaryDirectory(prefix="bridge-floor-") as folder:
        floor = Floor(Path(folder) / "floor.sqlite3")
        present = 0
        for level in (10_000, 100_000):
            for start in range(present, level, 20_000):
                count = min(20_000, level - start)
                take_in(list(pages(start, count)), store, line)
                floor.take_in(list(pages(start, count)))
            present = level
            rates, floors = [], []
            for _ in range(RUNS):
                bodies = list(pages(present, MEASURED))
                rates.append(rate(bodies, lambda some: take_in(some, store, line)))
                floors.append(rate(bodies, floor.take_in))
                present += MEASURED
            found[f"bridge at {level}"] = statistics.median(rates)
            found[f"floor at {level}"] = statistics.median(floors)
            updates = list(pages(0, MEASURED, version=level // 10_000 + 1))
            found[f"updates at {level}"] = rate(updates, lambda some: take_in(some, store, line))
    found["peak MB"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return found


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="URL of an empty PostgreSQL database")
    found = measure(parser.parse_args().postgres)
    print(f"cores {os.cpu_count()}")
    for name, value in found.items():
        print(f"{name:20} {value:10.0f}")
    print(f"bridge / floor at 10,000      {found['bridge at 10000'] / found['floor at 10000']:.2f}  (target 0.40)")
    print(f"bridge / floor at 100,000     {found['bridge at 100000'] / found['floor at 100000']:.2f}")
    print(f"at 100,000 / at 10,000        {found['bridge at 100000'] / found['bridge at 10000']:.2f}  (target 0.70)")


if __name__ == "__main__":
    main()
