"""F19: our database is restored from yesterday's backup while the EHR moved on."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bridge.cases.commands import Close, LogOutreach
from bridge.cases.intents import IntentState
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason
from tests.faults.beside import FileWorld
from tests.unit.sync.world import order


@pytest.mark.parametrize("own_ids", [True, False], ids=["own id", "conditional"])
def test_a_restored_backup_doubles_nothing_and_catches_up(own_ids: bool, tmp_path: Path) -> None:
    world = FileWorld(tmp_path)
    world.fill(3)
    world.ehr.options.update_as_create = own_ids
    world.sync()
    world.act("ServiceRequest/o0", LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER))
    world.bridge.read()
    with closing(sqlite3.connect(world.file)) as conn, closing(sqlite3.connect(tmp_path / "backup")) as backup:
        conn.backup(backup)
    world.sync()
    world.act("ServiceRequest/o1", Close(reason=ClosureReason.DECLINED))
    world.ehr.put(order("o2", status="revoked"))
    world.ehr.put(order("o9"))
    world.sync()
    messages = len(world.ours("Communication", "urn:bridge:message"))
    world.store.close()

    for rest in ("", "-wal", "-shm"):
        (tmp_path / f"bridge.sqlite3{rest}").unlink(missing_ok=True)
    (tmp_path / "backup").rename(world.file)
    world.reopen()
    world.sync(minutes=60)
    world.sync(minutes=60)

    tasks = world.ours("Task", "urn:bridge:case")
    names = [one["value"] for task in tasks for one in task["identifier"]]
    assert len(names) == len(set(names))
    attempts = [one for one in world.ours("Communication", "urn:bridge:message") if one["status"] == "not-done"]
    assert len(attempts) == 1
    assert len(world.ours("Communication", "urn:bridge:message")) <= messages + 1
    assert {row.state for row in world.outbox()} <= {
        IntentState.CONFIRMED,
        IntentState.SUPERSEDED,
        IntentState.NOT_WRITABLE,
    }
    assert {case.root for case in world.cases()} == {f"ServiceRequest/o{number}" for number in (0, 1, 2, 9)}
    assert world.sound()
    world.store.close()
