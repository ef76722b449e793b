"""
Backfill: memory while a stream of 200,000 resources is read through the poll, as ``bridge backfill`` does.

``python -m benchmarks.backfill [--count N]`` runs the whole way from HTTP answers to committed pages against a
canned server that makes its pages as they are asked for. Resident memory is sampled after every page; what
counts is its slope over the second half, when every cache has had time to fill.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from datetime import UTC, datetime, timedelta

import httpx

from benchmarks.intake import a_line
from benchmarks.pages import BASE, BEGAN, pages
from bridge.bootstrap import spare_what_stays
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.times import parse_instant
from bridge.store.opening import create_or_open
from bridge.sync.poll import poll
from bridge.sync.taking import Progress

STAMPED = BEGAN + timedelta(days=1)
"""``meta.lastUpdated`` of the first resource; each further one is a second later."""
PAGE_MB = os.sysconf("SC_PAGE_SIZE") / 2**20


def utc_now() -> datetime:
    """Return our clock."""
    return datetime.now(UTC)


class Canned(httpx.BaseTransport):
    """A server that holds *count* orders, sorted by time, and has nothing in memory."""

    def __init__(self, count: int) -> None:
        """Serve the orders numbered from 0."""
        self._count = count

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Answer a search by ``_lastUpdated`` in either order."""
        asked = request.url.params
        size = int(asked["_count"])
        since = asked.get("_lastUpdated", "").removeprefix("ge")
        first = int((parse_instant(since) - STAMPED).total_seconds()) if since else 0
        if asked["_sort"].startswith("-"):
            first = self._count - size
        first = max(first, 0)
        page = json.loads(next(pages(first, min(size, self._count - first), size=size)))
        page["link"] = [{"relation": "self", "url": str(request.url)}]
        if first + size < self._count:
            page["link"].append({"relation": "next", "url": f"{BASE}?page={first + size}"})
        headers = {"Content-Type": "application/fhir+json", "Date": "Mon, 02 Feb 2026 12:00:00 GMT"}
        return httpx.Response(200, headers=headers, content=json.dumps(page).encode(), request=request)


def resident() -> float:
    """Return this process's resident memory in MB."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * PAGE_MB


def slope(samples: list[tuple[int, float]]) -> float:
    """Return MB per 100,000 resources, by least squares."""
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    over = sum((x - mean_x) * (y - mean_y) for x, y in samples)
    return 100_000 * over / sum((x - mean_x) ** 2 for x, _ in samples)


def run(count: int) -> tuple[list[tuple[int, float]], int]:
    """Read *count* resources; return memory by resources read, and how many cases were opened."""
    samples: list[tuple[int, float]] = []

    def watch(progress: Progress) -> None:
        samples.append((progress.read, resident()))

    client = FhirClient(Endpoint("bench", BASE), clock=utc_now, transport=Canned(count))
    with tempfile.TemporaryDirectory(prefix="bridge-backfill-") as folder, client:
        store = create_or_open(f"sqlite:///{folder}/bench.sqlite3")
        try:
            told = poll("ServiceRequest", client, store, a_line(), utc_now, watch=watch)
        finally:
            store.close()
    return samples, told.opened


def main() -> None:
    """Run and print; a run that lost anything is an error, not a figure."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200_000)
    count = parser.parse_args().count
    spare_what_stays()
    began = time.perf_counter()
    samples, opened = run(count)
    if opened != count:
        raise SystemExit(f"{opened} cases opened of {count} orders")
    print(f"{count:,} resources, {opened:,} cases in {time.perf_counter() - began:.0f} s (with making the pages)")
    for part in range(5):
        read, memory = samples[(len(samples) - 1) * part // 4]
        print(f"{read:>10,} read: {memory:6.1f} MB resident")
    print(f"slope over the second half: {slope(samples[len(samples) // 2 :]):+.2f} MB per 100,000 resources")


if __name__ == "__main__":
    main()
