"""F34 and F17: somebody holds the lock of the database while pages and notifications come."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from bridge.sync.notify import Doorbell, NotKept
from tests.faults.beside import FileWorld


@contextmanager
def locked(file: Path) -> Iterator[sqlite3.Connection]:
    """Hold the write lock, as a backup tool or a person's shell may."""
    holder = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    holder.execute("BEGIN IMMEDIATE")
    try:
        yield holder
    finally:
        if holder.in_transaction:
            holder.execute("ROLLBACK")
        holder.close()


def test_a_page_waits_for_the_lock_and_is_stored_then(tmp_path: Path) -> None:
    world = FileWorld(tmp_path)
    world.fill(3)
    with locked(world.file) as holder:
        done = threading.Thread(target=world.bridge.read)
        done.start()
        assert world.cases() == []  # Reading never waits for a writer.
        holder.execute("ROLLBACK")
        done.join(60)

    assert not done.is_alive()
    assert len(world.cases()) == 3
    world.store.close()


def test_a_notification_is_refused_in_time_and_its_late_commit_does_no_harm(tmp_path: Path) -> None:
    """The sender hangs up after two seconds, and sends it again; so the hint may be noted twice."""
    world = FileWorld(tmp_path)
    world.fill(1)
    bell = Doorbell(world.store, world.clock)

    with locked(world.file) as holder:
        with pytest.raises(NotKept):
            bell.ring("main", ["ServiceRequest/o0"], patience_seconds=0.2)
        holder.execute("ROLLBACK")
        bell.ring("main", ["ServiceRequest/o0"], patience_seconds=60)
    bell.close()
    world.bridge.answer()

    assert len(world.cases()) == 1
    with world.store.reading() as tx:
        assert tx.hints("main", 10) == []
    world.store.close()
