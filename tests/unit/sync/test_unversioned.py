"""Resources without versions: a change is a change, whatever its hash, and a repeat is none."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from bridge.fhir.bundle import received
from bridge.fhir.source import is_by_content
from bridge.store.memory import MemoryStore
from bridge.sync.ingest import Intake, ingest
from tests.unit.sync.world import START, World, order

LINE = World(write=False).line


class Intakes:
    """One order as it comes in, again and again, each time a minute later."""

    def __init__(self) -> None:
        self.store, self.now = MemoryStore(), START

    def take(self, **changes: Any) -> tuple[int, int]:
        """Take the order in without any ``meta``; returns how many versions were applied and how many repeats."""
        self.now += timedelta(minutes=1)
        version = received(json.dumps(order(**changes)).encode())
        assert is_by_content(version.version)
        counts = ingest(Intake("ServiceRequest", [version], "poll"), self.store, LINE, self.now).counts
        return counts.received - counts.duplicate, counts.duplicate

    @property
    def status(self) -> str:
        """The status that the newest known version has."""
        with self.store.reading() as tx:
            return tx.sources("main", ["ServiceRequest/o1"])["ServiceRequest/o1"].snapshot.status


@pytest.mark.parametrize("statuses", [("active", "on-hold"), ("on-hold", "active"), ("draft", "active")])
def test_every_change_counts_though_its_hash_may_be_smaller(statuses: tuple[str, str]) -> None:
    """Two versions that neither number nor time tells apart are ordered by their receipt, not by their hashes."""
    intakes = Intakes()

    for status in statuses * 3:
        assert intakes.take(status=status) == (1, 0)
        assert intakes.status == status


@pytest.mark.parametrize("statuses", [("active", "on-hold"), ("on-hold", "active"), ("draft", "active")])
def test_every_change_counts_though_the_ehr_dates_it_as_before(statuses: tuple[str, str]) -> None:
    intakes = Intakes()
    meta = {"lastUpdated": "2026-06-01T10:00:00Z"}

    for status in statuses * 3:
        assert intakes.take(status=status, meta=meta) == (1, 0)
        assert intakes.status == status
        assert intakes.take(status=status, meta=meta) == (0, 1)


def test_a_repeat_stores_nothing_however_often_it_comes() -> None:
    intakes = Intakes()
    for status in ("active", "on-hold", "active"):
        intakes.take(status=status)

    assert [intakes.take(status="active") for _ in range(3)] == [(0, 1)] * 3


def test_a_version_that_cannot_be_read_is_parked_once_and_what_comes_after_it_counts() -> None:
    intakes = Intakes()
    intakes.take(status="active")

    parked = [intakes.take(status="no-such") for _ in range(3)]

    assert parked == [(1, 0), (0, 1), (0, 1)]
    assert intakes.take(status="active") == (1, 0)
    assert intakes.take(status="no-such") == (1, 0)


def test_an_older_version_that_comes_late_stays_older() -> None:
    intakes = Intakes()
    meta = {"lastUpdated": "2026-06-01T10:00:00Z"}
    intakes.take(status="active", meta=meta)
    intakes.take(status="on-hold", meta={"lastUpdated": "2026-06-01T11:00:00Z"})

    again = [intakes.take(status="active", meta=meta) for _ in range(2)]

    assert again == [(0, 1), (0, 1)]
    assert intakes.status == "on-hold"
