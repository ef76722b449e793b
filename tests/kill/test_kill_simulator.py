"""Bridge killed at chance moments beside the simulated EHR ends where an undisturbed run ends."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random

import httpx
import pytest

from bridge.tasks.merge import AUTHORITY, Decides
from conformance.generator import generate, transactions
from conformance.generator.people import cast
from conformance.simulator import client_of, start
from tests.hapi.line import SHOWN_AT_ONCE, Ehr, Workplace
from tests.hapi.plain import Json

from .killing import Aim, Ambush, CameTooLate, Killer, Pace, undisturbed
from .process import sync
from .standing import Standing, standing

SEED = 7741
COUNT = 300
STAFF = cast(SEED)
WE_ARE = [f"{one['resourceType']}/{one['id']}" for one in (STAFF.cardiology, STAFF.nurse)]
SETTINGS = f"page_size = 4\nconcurrency = 2\npoll_seconds = 1\n{SHOWN_AT_ONCE}\nwe_are = {json.dumps(WE_ARE)}"
SYNC, BACKFILL, SERVE = ("sync", "--once"), ("backfill",), ("serve",)
STARTING = [(Aim.ANYWHERE, SYNC)] * 3
READING = [
    *[(Aim.BACKFILL, BACKFILL)] * 2,
    *[(Aim.BACKFILL_TRANSACTION, BACKFILL)] * 2,
    *[(Aim.BACKFILL, SYNC)] * 3,
]
WRITING = [
    *[(Aim.DELIVERY, SYNC)] * 3,
    *[(Aim.DELIVERY_TRANSACTION, SYNC)] * 2,
    *[(Aim.DELIVERY, SERVE)] * 2,
]
UNHEARD = 3


class SeedingClock:
    """A millisecond passes with each look at it, so that two servers are filled alike; once *live* it is ours."""

    def __init__(self, start_at: datetime) -> None:
        self._now = start_at
        self.live = False

    def __call__(self) -> datetime:
        """Return the time."""
        if self.live:
            return datetime.now(UTC)
        self._now += timedelta(milliseconds=1)
        return self._now


@dataclass(frozen=True)
class Site:
    """An EHR of its own, and a new workplace beside it."""

    workplace: Workplace
    server: Ambush
    ehr: Ehr


@contextmanager
def site(folder: Path, filled_at: datetime) -> Iterator[Site]:
    """
    Serve an EHR that holds the same, to the millisecond, for the same *filled_at*.

    It lets nobody choose an id: where Bridge may, repeating a write cannot make a second one anyway.
    """
    clock = SeedingClock(filled_at)
    server = Ambush(clock)
    with client_of(server, clinic=True) as clinic:
        for bundle in transactions(generate(SEED, COUNT, at=filled_at)):
            clinic.post("", json=bundle).raise_for_status()
    clock.live, server.options.update_as_create = True, False
    with start(simulator=server) as handle, httpx.Client(base_url=f"{handle.base_url}/", timeout=60) as client:
        yield Site(Workplace(folder, handle.base_url, connection=SETTINGS, more="[web]\nport = 0"), server, Ehr(client))


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run came to, and how long it took."""

    filled_at: datetime
    pace: Pace
    standing: Standing


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> Reference:
    filled_at = datetime.now(UTC) - timedelta(hours=1)
    with site(tmp_path_factory.mktemp("undisturbed"), filled_at) as alone:
        return Reference(filled_at, undisturbed(alone.workplace), standing(alone.workplace, alone.ehr))


RUNS = 3
"""How often a run is done anew that a busy machine made worthless: every process was through before it was killed."""


def test_killed_twenty_times_it_ends_where_an_undisturbed_run_ends(reference: Reference, tmp_path: Path) -> None:
    for run in range(RUNS):
        try:
            kill_twenty_times(reference, tmp_path / str(run))
        except CameTooLate as late:
            said = str(late)
        else:
            return
    pytest.fail(f"nothing could be killed in time in {RUNS} runs: {said}")


def kill_twenty_times(reference: Reference, folder: Path) -> None:
    with site(folder, reference.filled_at) as here:
        killer = Killer(here.workplace, reference.pace, Random(SEED))
        for aim, command in (*STARTING, *READING):
            killer.kill(aim, *command)
        for _ in range(UNHEARD):
            killer.kill_unheard(here.server, *SYNC)
        for aim, command in WRITING:
            killer.kill(aim, *command)
        last = sync(here.workplace)
        found, versions = standing(here.workplace, here.ehr), here.ehr.versions()
        repeat, afterwards = sync(here.workplace), here.ehr.versions()

    assert last["complete"]
    assert found == reference.standing
    assert (found.unfinished, found.parked) == ((), ())
    assert (repeat["writes"], afterwards) == (0, versions)
    killer.check(killed=20, in_the_backfill=5, in_the_delivery=5, in_a_transaction=3)
    killer.check(**{"bridge serve": 1})


def test_the_service_killed_while_it_reads_and_delivers_at_once_ends_there_too(
    reference: Reference, tmp_path: Path
) -> None:
    """It also tells what it saw in between, and its Tasks keep what is written only once as it was known then."""
    with site(tmp_path, reference.filled_at) as here:
        killer = Killer(here.workplace, reference.pace, Random(SEED))
        for aim in (Aim.BACKFILL, Aim.DELIVERY, Aim.BACKFILL_TRANSACTION, Aim.DELIVERY, Aim.BACKFILL, Aim.DELIVERY):
            killer.kill(aim, *SERVE)
        last = sync(here.workplace)
        found = standing(here.workplace, here.ehr)
        repeat = sync(here.workplace)

    expected = reference.standing
    assert killer.found["bridge serve"] >= 5
    assert last["complete"]
    assert found.cases == expected.cases
    assert found.work == expected.work
    assert [kept_up(found.tasks[case]) for case in expected.tasks] == [
        kept_up(task) for task in expected.tasks.values()
    ]
    assert told(found) >= told(expected)
    assert (found.unfinished, found.parked) == ((), ())
    assert repeat["writes"] == 0


def kept_up(task: Json) -> Json:
    """Return what Bridge keeps up to date in a Task, as opposed to what it writes when it makes one."""
    return {name: value for name, value in task.items() if AUTHORITY.get(name) is Decides.WE}


def told(standing: Standing) -> set[tuple[str, str]]:
    """Return what was told about which work."""
    return {
        (message["basedOn"][0]["reference"], message["payload"][0]["contentString"])
        for message in standing.messages.values()
    }
