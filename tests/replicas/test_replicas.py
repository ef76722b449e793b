"""Several replicas on PostgreSQL: the work is shared, done once, and survives any of them."""

from __future__ import annotations

import signal
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from bridge.tasks.transitions import FINAL
from tests.hapi.line import CONNECTION, WORK
from tests.hapi.plain import Json
from tests.kill.standing import Standing, standing
from tests.kill.test_kill_simulator import kept_up, told

from .site import POLL_SECONDS, Reference, Site, site, until

pytestmark = pytest.mark.postgres


def as_undisturbed(here: Site, expected: Standing) -> None:
    """
    Check that the end is that of an undisturbed run, at worst one sweep late.

    Replicas also tell what they saw in between, and write a Task for a case that was merged later.
    """
    here.sweep()
    found = standing(here.workplace("one"), here.ehr)
    assert (found.unfinished, found.parked) == ((), ())
    assert found.cases == expected.cases
    assert told_in_between(found.work, expected.work) == expected.work
    assert {case: kept_up(found.tasks[case]) for case in expected.tasks} == {
        case: kept_up(task) for case, task in expected.tasks.items()
    }
    assert statuses_told(found) >= statuses_told(expected)


def statuses_told(standing: Standing) -> set[tuple[str, str]]:
    """
    Return which statuses were told about which work.

    Not the words around them: a replica may read a visit before another has read the order that it belongs to. The
    visit is then told as one of no known order, with whoever is responsible for those, and the Task follows.
    """
    return {(work, words.partition(": ")[2].partition(".")[0]) for work, words in told(standing)}


def told_in_between(found: Mapping[str, Json], expected: Mapping[str, Json]) -> dict[str, Json]:
    """
    Return the clinic's work without the end that Bridge told to a Task which asked for it.

    A replica may read such a Task before another has read that its request is over: the case is seen open, and ends.
    Where the request is read first nothing is to be told.
    """
    ended = {
        ref
        for ref, one in found.items()
        if one["resourceType"] == "Task" and one["status"] in FINAL and expected[ref]["status"] not in FINAL
    }
    return {ref: expected[ref] if ref in ended else one for ref, one in found.items()}


def turns(here: Site, name: str) -> int:
    """Return how many turns there were at something."""
    with here.store.transaction() as tx:
        found = tx.conn.exec_driver_sql("SELECT number FROM turn WHERE name = %s", (name,)).scalar()  # type: ignore[arg-type]
    return int(found or 0)


def test_three_replicas_share_the_work_and_do_it_once(reference: Reference, database: str, tmp_path: Path) -> None:
    with site(tmp_path, database, reference.filled_at) as here:
        for name in ("one", "two", "three"):
            here.replica(name)
        here.await_rest()
        before, began = turns(here, f"read/{CONNECTION}/Task"), time.monotonic()
        until(lambda: turns(here, f"read/{CONNECTION}/Task") >= before + 4, "four more polls")
        polls, took = turns(here, f"read/{CONNECTION}/Task") - before, time.monotonic() - began
        as_undisturbed(here, reference.standing)
        with here.store.reading() as tx:
            totals = tx.totals(CONNECTION)

    busy = [name for name, count in here.server.writes.items() if name and count > 0]
    assert len(busy) >= 2, here.server.writes
    assert polls <= took / (POLL_SECONDS * 0.9) + 2, "each tick is one replica's"
    assert all(one.received == one.applied + one.duplicate + one.ignored + one.parked for one in totals.values())
    assert sum(here.server.writes[name] for name in busy) >= len(reference.standing.tasks)


def test_one_killed_and_one_frozen_in_the_midst_of_a_write_change_nothing_in_the_end(
    reference: Reference, database: str, tmp_path: Path
) -> None:
    """The frozen one is thawed when others have done its work; then it is alone."""
    with site(tmp_path, database, reference.filled_at) as here:
        frozen, killed = here.replica("frozen"), here.replica("killed")
        stopped = here.trap("frozen", frozen, writes=5, by=signal.SIGSTOP)
        shot = here.trap("killed", killed, writes=5, by=signal.SIGKILL)
        until(stopped.sprung.is_set, "a write of the one that is frozen")
        until(shot.sprung.is_set, "a write of the one that is killed")
        one = here.replica("one")
        here.await_rest()
        versions, settled = here.ehr.versions(), here.settled()

        frozen.thaw()
        one.kill()
        reads = here.server.reads["frozen"]
        until(lambda: here.server.reads["frozen"] >= reads + len(WORK), "polls of the one that was thawed")
        here.await_rest()

        after = here.ehr.versions()
        moved = {ref: (versions.get(ref), version) for ref, version in after.items() if versions.get(ref) != version}
        histories = [here.ehr.client.get(f"{ref}/_history").json()["entry"] for ref in moved]
        assert (moved, here.settled()) == ({}, settled), [
            [
                (one["resource"]["meta"], one["resource"].get("businessStatus"), one["resource"].get("text"))
                for one in each
            ]
            for each in histories
        ]
        assert (killed.code, frozen.code) == (-signal.SIGKILL, None)
        as_undisturbed(here, reference.standing)
