"""
Intake: from a page's bytes to committed sources, cases, history and outbox, beside the floor.

``python -m benchmarks.intake [--postgres URL]`` fills a database and measures fresh pages with 10,000 and with
100,000 cases present. Bridge and the floor (``benchmarks.floor``) take turns within one run, so that what else
the machine does meets both alike: what counts are the ratios, Bridge to floor and 100,000 to 10,000. Rates are
by the clock and include every fsync; CPU time is this process's own (on PostgreSQL the server's comes on top).
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from benchmarks.floor import Floor, PostgresFloor, SqliteFloor
from benchmarks.pages import BASE, pages
from bridge.bootstrap import spare_what_stays
from bridge.config import Settings
from bridge.fhir.bundle import split
from bridge.store.migrations import migrate
from bridge.store.opening import create_or_open
from bridge.store.port import Store
from bridge.sync.ingest import Intake, ingest
from bridge.sync.line import Line
from bridge.wiring import make_line, read_lanes

NOW = datetime(2026, 2, 2, 12, tzinfo=UTC)
SIZE = 200
LEVELS = (10_000, 100_000)
MEASURED = 2000
RUNS = 9
FILL = 20_000


class Cost(msgspec.Struct, frozen=True):
    """What one resource cost, in microseconds."""

    clock: float
    cpu: float


@dataclass(frozen=True)
class Level:
    """The measurements of one fill level, run by run."""

    bridge: list[Cost]
    floor: list[Cost]
    updates: list[Cost]


def a_line(types: tuple[str, ...] = ("ServiceRequest",)) -> Line:
    """Return the line of one open connection."""
    settings = Settings.model_validate({"connections": {"bench": {"base_url": BASE, "read": list(types)}}})
    return make_line("bench", settings.connections["bench"], settings, read_lanes(settings))


def take_in(bodies: list[bytes], store: Store, line: Line) -> None:
    """Take in pages as the poll does, from their bytes."""
    for body in bodies:
        ingest(Intake("ServiceRequest", split(body).entries, "poll"), store, line, NOW)


def cost(bodies: list[bytes], work: Callable[[list[bytes]], None]) -> Cost:
    """Return what *work* costs per resource over pages of ``SIZE``."""
    clock, cpu = time.perf_counter(), time.process_time()
    work(bodies)
    count = len(bodies) * SIZE / 1e6
    return Cost((time.perf_counter() - clock) / count, (time.process_time() - cpu) / count)


@contextmanager
def opened(url: str | None) -> Iterator[tuple[Store, Floor]]:
    """Give a fresh store and a fresh floor: two SQLite files, or one PostgreSQL database at *url*."""
    with tempfile.TemporaryDirectory(prefix="bridge-bench-") as folder:
        if url is not None:
            migrate(url)
        store = create_or_open(url or f"sqlite:///{folder}/bench.sqlite3")
        try:
            yield store, PostgresFloor(url) if url is not None else SqliteFloor(Path(folder) / "floor.sqlite3")
        finally:
            store.close()


def measure(store: Store, floor: Floor) -> dict[int, Level]:
    """Return the costs at each level of ``LEVELS``."""
    line = a_line()
    found: dict[int, Level] = {}
    present = 0
    for level in LEVELS:
        for start in range(present, level, FILL):
            bodies = list(pages(start, min(FILL, level - start)))
            take_in(bodies, store, line)
            floor.take_in(bodies)
        found[level] = _at_level(level, store, floor, line)
        present = level + RUNS * MEASURED
    return found


def _at_level(level: int, store: Store, floor: Floor, line: Line) -> Level:
    found = Level([], [], [])
    for start in range(level, level + RUNS * MEASURED, MEASURED):
        bodies = list(pages(start, MEASURED))
        found.bridge.append(cost(bodies, lambda some: take_in(some, store, line)))
        found.floor.append(cost(bodies, floor.take_in))
    for run in range(RUNS // 3):
        bodies = list(pages(run * MEASURED, MEASURED, version=1 + level // LEVELS[0]))
        found.updates.append(cost(bodies, lambda some: take_in(some, store, line)))
    return found


def _median(costs: list[Cost]) -> Cost:
    return Cost(statistics.median(one.clock for one in costs), statistics.median(one.cpu for one in costs))


def _of_floor(level: Level) -> tuple[float, float, float]:
    """Return Bridge's rate as a part of the floor's: least, median and most of the runs, pair by pair."""
    ratios = sorted(floor.clock / bridge.clock for bridge, floor in zip(level.bridge, level.floor, strict=True))
    return ratios[0], statistics.median(ratios), ratios[-1]


def report(found: dict[int, Level]) -> Iterator[str]:
    """Yield the figures as lines of a Markdown table, and the ratios that are the targets."""
    yield "| cases present | what | resources/s | us clock | us CPU |"
    yield "| --- | --- | --- | --- | --- |"
    for present, level in found.items():
        for name, costs in (("Bridge, new", level.bridge), ("floor", level.floor), ("Bridge, updates", level.updates)):
            one = _median(costs)
            yield f"| {present:,} | {name} | {1e6 / one.clock:,.0f} | {one.clock:.0f} | {one.cpu:.0f} |"
    yield ""
    for present, level in found.items():
        least, usual, most = _of_floor(level)
        cpu = _median(level.floor).cpu / _median(level.bridge).cpu
        yield f"Bridge / floor at {present:,}: {usual:.2f} ({least:.2f} to {most:.2f}); by CPU time {cpu:.2f}"
    few, many = (_median(found[level].bridge) for level in LEVELS)
    yield f"rate at {LEVELS[1]:,} / at {LEVELS[0]:,}: {few.clock / many.clock:.2f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--postgres", help="URL of an empty PostgreSQL database")
    url = parser.parse_args().postgres
    spare_what_stays()
    with opened(url) as (store, floor):
        found = measure(store, floor)
    print(f"{'PostgreSQL' if url else 'SQLite'}, {os.cpu_count()} cores, {RUNS} runs of {MEASURED:,}, pages of {SIZE}")
    print("\n".join(report(found)))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
