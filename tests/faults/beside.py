"""Bridge beside a simulated EHR: with its database in an SQLite file, or over a way that spoils answers."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx

from bridge.cases.model import Case
from bridge.store.opening import create_or_open
from bridge.store.queries import CaseFilter
from tests.unit.sync.world import World, order, patient


class SpoiltWorld(World):
    """A world whose way to the EHR can be spoilt."""

    spoil: Callable[[httpx.BaseTransport], httpx.BaseTransport] | None = None

    def way(self) -> httpx.BaseTransport:
        """Return the way to the EHR, as it is spoilt now."""
        clean = super().way()
        return self.spoil(clean) if self.spoil is not None else clean

    def go_by(self, spoil: Callable[[httpx.BaseTransport], httpx.BaseTransport] | None) -> None:
        """Start Bridge anew, over another way."""
        self.spoil = spoil
        self.bridge = self.new_bridge()


class FileWorld(World):
    """A world over the database file ``bridge.sqlite3`` in *folder*."""

    def __init__(self, folder: Path, **connection: Any) -> None:
        super().__init__(**connection)
        self.file = folder / "bridge.sqlite3"
        self.reopen()

    def reopen(self) -> None:
        """Open the file, as a start of the process does."""
        self.store = create_or_open(f"sqlite:///{self.file}")  # type: ignore[assignment]
        self.bridge = self.new_bridge()

    def fill(self, orders: int) -> None:
        """Let the clinic order so many things for one patient."""
        self.ehr.put(patient())
        for number in range(orders):
            self.ehr.put(order(f"o{number}", note=[{"text": "x" * 2000 + str(number)}]))

    def cases(self) -> list[Case]:
        """Return every case."""
        with self.store.reading() as tx:
            return list(tx.list_cases(CaseFilter(), limit=10_000).cases)

    def sound(self) -> bool:
        """Whether SQLite finds nothing wrong with the file."""
        with closing(sqlite3.connect(self.file)) as conn:
            broken = conn.execute("PRAGMA foreign_key_check").fetchall()
            return conn.execute("PRAGMA integrity_check").fetchall() == [("ok",)] and broken == []
