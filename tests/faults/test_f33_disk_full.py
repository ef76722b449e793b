"""F33: the disk is full, at every page that the database grows by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from bridge.errors import StoreUnavailable
from bridge.sync.notify import Doorbell, NotKept
from tests.faults.beside import FileWorld

PLENTY = 1_000_000


class Disk:
    """Decides how many pages a database may have: looked at whenever a connection is used."""

    def __init__(self) -> None:
        self.pages = PLENTY
        """SQLite never goes below what a database has already."""

    def checked_out(self, raw: Any, *_: object) -> None:
        raw.execute(f"PRAGMA max_page_count={self.pages}")


@pytest.fixture
def disk() -> Iterator[Disk]:
    disk = Disk()
    event.listen(Engine, "checkout", disk.checked_out)
    yield disk
    event.remove(Engine, "checkout", disk.checked_out)


@pytest.mark.parametrize("more_pages", [0, 5, 20])
def test_a_full_disk_stops_intake_keeps_what_is_there_and_goes_on_by_itself(
    more_pages: int, disk: Disk, tmp_path: Path
) -> None:
    world = FileWorld(tmp_path, page_size=10)
    world.fill(30)
    pages = _pages(world.file)
    disk.pages = pages + more_pages

    with pytest.raises(StoreUnavailable, match="full"):
        world.bridge.read()

    stored = len(world.cases())
    assert stored < 30
    with world.store.reading() as tx:
        totals = tx.totals("main").values()
        assert sum(one.received for one in totals) == sum(one.applied for one in totals) == stored
        assert all(cursor.watermark is None for cursor in tx.cursors("main"))
    disk.pages = PLENTY
    world.sync()
    assert len(world.cases()) == 30
    assert world.sound()
    world.store.close()


def test_a_notification_on_a_full_disk_is_to_be_sent_again(disk: Disk, tmp_path: Path) -> None:
    world = FileWorld(tmp_path)
    bell = Doorbell(world.store, world.clock)
    disk.pages = _pages(world.file)

    with pytest.raises(NotKept):
        bell.ring("main", [f"Task/{number}{'x' * 50}" for number in range(2000)])

    disk.pages = PLENTY
    bell.ring("main", ["Task/1"])
    bell.close()
    with world.store.reading() as tx:
        assert [hint.ref for hint in tx.hints("main", 10)] == ["Task/1"]
    world.store.close()


def _pages(file: Path) -> int:
    conn = sqlite3.connect(file)
    try:
        return int(conn.execute("PRAGMA page_count").fetchone()[0])
    finally:
        conn.close()
