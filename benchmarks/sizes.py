"""
Sizes: what resources take in the database, and what is left of that after retention.

``python -m benchmarks.sizes [--postgres URL] [--resources N]`` takes in N new orders, then a second, third and fourth
version of each (the last one completed), with every Task delivered, and says after each round how much the database
takes for 100,000 orders; then retention drops what is old. For SQLite that is the pages in use, without those that are
free to be used again.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import text

from benchmarks.intake import NOW, SIZE, a_line
from benchmarks.pages import pages
from bridge.cases.intents import IntentState
from bridge.fhir.bundle import split
from bridge.store.engine import schema_engine
from bridge.store.migrations import migrate
from bridge.store.opening import open_store
from bridge.store.port import Store
from bridge.store.rows import Settlement
from bridge.sync.ingest import Intake, ingest
from bridge.sync.line import Line
from bridge.sync.retention import Keeping, forget

PER = 100_000
AT_ONCE = 1000
A_MONTH = timedelta(days=30)
ALL = Keeping(timedelta(0), timedelta(0))


def take_in(count: int, version: int, store: Store, line: Line, now: datetime) -> None:
    """Take in one version of each order, as a poll does."""
    for body in pages(0, count, size=SIZE, version=version):
        ingest(Intake("ServiceRequest", split(body).entries, "poll"), store, line, now)


def deliver(store: Store, line: Line, version: int, now: datetime) -> int:
    """Confirm all that is to be written, as if the EHR had taken it; returns how much that was."""
    total = 0
    while True:
        with store.transaction() as tx:
            rows = tx.claim(line.name, now, now + A_MONTH, AT_ONCE)
            tx.settle(
                [
                    Settlement(
                        id=row.id or 0,
                        token=row.token,
                        state=IntentState.CONFIRMED,
                        at=now,
                        written=f"{'Task' if row.intent.message is None else 'Communication'}/{row.intent.case_id}",
                        written_version=str(version),
                    )
                    for row in rows
                ]
            )
        total += len(rows)
        if not rows:
            return total


def used(url: str) -> int:
    """Return how many bytes of the database are in use."""
    engine = schema_engine(url)
    try:
        with engine.begin() as conn:
            if conn.dialect.name == "postgresql":
                return int(conn.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
            pages_, free, size = (
                int(conn.exec_driver_sql(f"PRAGMA {name}").scalar_one())
                for name in ("page_count", "freelist_count", "page_size")
            )
            return (pages_ - free) * size
    finally:
        engine.dispose()


def shown(what: str, url: str, count: int, seconds: float) -> str:
    """Return one line of the table."""
    return f"| {what} | {used(url) * PER / count / 2**20:,.0f} MiB | {seconds:.0f} s |"


def measure(url: str, count: int) -> None:
    """Measure and print."""
    migrate(url)
    store, line = open_store(url), a_line()
    print(f"{'SQLite' if url.startswith('sqlite') else 'PostgreSQL'}, {os.cpu_count()} cores, {count:,} orders")
    print("\n| after | for 100,000 orders | took |\n| --- | --- | --- |")
    for version in range(1, 5):
        began, now = time.monotonic(), NOW + version * A_MONTH
        take_in(count, version, store, line, now)
        written = deliver(store, line, version, now + timedelta(hours=1))
        what = f"version {version} of each, {written / count:.1f} writes each"
        print(shown(what, url, count, time.monotonic() - began), flush=True)
    began = time.monotonic()
    done = forget(store, ALL, NOW + 6 * A_MONTH)
    took = time.monotonic() - began
    if url.startswith("postgresql"):
        _vacuum(url)
    print(shown(f"retention: {done.bodies:,} bodies and {done.writes:,} writes dropped", url, count, took))
    store.close()


def _vacuum(url: str) -> None:
    """Give back to the system what is free, to see how much it is."""
    engine = schema_engine(url)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM FULL"))
    engine.dispose()


def main() -> None:
    """Measure on a file of its own, or on an empty PostgreSQL database."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="URL of an empty PostgreSQL database")
    parser.add_argument("--resources", type=int, default=PER)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder:
        measure(asked.postgres or f"sqlite:///{Path(folder) / 'bench.sqlite3'}", asked.resources)


if __name__ == "__main__":
    main()
