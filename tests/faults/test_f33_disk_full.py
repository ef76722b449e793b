"""F33: the disk is full, at every page that the database grows by."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event

from bridge.backup import back_up
from bridge.errors import ConfigError, StoreUnavailable
from bridge.sync.notify import Doorbell, NotKept
from bridge.sync.service import Service
from bridge.sync.turns import Turns
from tests.faults.beside import FileWorld
from tests.unit.web.builders import Clinic

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


def test_a_notification_on_a_full_disk_is_to_be_sent_again(
    disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = FileWorld(tmp_path)
    bell = Doorbell(world.store, world.clock)
    disk.pages = _pages(world.file)

    with pytest.raises(NotKept):
        bell.ring("main", [f"Task/{number}{'x' * 50}" for number in range(2000)])

    assert [record.levelname for record in caplog.records] == ["WARNING"], "an error would count as a fault of ours"
    disk.pages = PLENTY
    bell.ring("main", ["Task/1"])
    bell.close()
    with world.store.reading() as tx:
        assert [hint.ref for hint in tx.hints("main", 10)] == ["Task/1"]
    world.store.close()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 4 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,mode=700", "tmpfs", str(place)]
    if shutil.which("mount") is None or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("no file system can be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", str(place)], check=True)


def test_a_disk_that_is_really_full_loses_nothing(small_disk: Path) -> None:
    """Who asks is told, also where nobody else writes: a web view that is not ready is asked nothing any more."""
    world = FileWorld(small_disk, page_size=5)
    world.fill(40)
    web = Clinic(store=world.store).client()  # type: ignore[arg-type]
    assert web.get("/health/ready").status_code == 200
    ballast = small_disk / "ballast"
    with ballast.open("wb", buffering=0) as file, suppress(OSError):
        while True:
            file.write(b"x" * 4096)
    bell = Doorbell(world.store, world.clock)

    with pytest.raises(StoreUnavailable):
        world.bridge.read()
    with pytest.raises(NotKept):
        bell.ring("main", [f"Task/{number}{'x' * 50}" for number in range(2000)])
    with pytest.raises(ConfigError, match=r"cannot be written|could not be copied"):
        back_up(f"sqlite:///{world.file}", small_disk / "copy")
    assert (web.get("/health/ready").status_code, web.get("/health/live").status_code) == (503, 200)
    assert not any("copy" in one.name for one in small_disk.iterdir())

    ballast.unlink()
    assert web.get("/health/ready").status_code == 200
    bell.ring("main", ["ServiceRequest/o1"])
    bell.close()
    world.sync()
    assert len(world.cases()) == 40
    assert world.store.problem is None
    assert world.sound()
    world.store.close()


def test_the_log_says_once_a_minute_that_nothing_can_be_saved(
    disk: Disk, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world = FileWorld(tmp_path, page_size=10)
    world.fill(30)
    every = {"main": timedelta(milliseconds=50)}
    service = Service(
        [world.bridge], world.store, world.clock, poll=every, sweep=every, turns=Turns(world.store, world.clock)
    )
    disk.pages = _pages(world.file)

    for _ in range(5):
        service._with_database(service._read, world.bridge)

    said = [record.getMessage() for record in caplog.records if "nothing is taken in" in record.getMessage()]
    assert len(said) == 1
    assert "full" in said[0]
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR], "it is no fault of ours"
    disk.pages = PLENTY
    world.clock.advance(minutes=1)
    service._with_database(service._read, world.bridge)
    assert len(world.cases()) == 30
    world.store.close()


def _pages(file: Path) -> int:
    conn = sqlite3.connect(file)
    try:
        return int(conn.execute("PRAGMA page_count").fetchone()[0])
    finally:
        conn.close()
