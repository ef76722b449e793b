"""Bridge killed at chance moments beside a real HAPI server ends where an undisturbed run ends."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest

from bridge.cases.terms import Status
from conformance.generator import generate, in_dependency_order
from conformance.generator.people import cast
from tests.kill.killing import DATABASE, Aim, Killer, Pace, glimpse
from tests.kill.process import BridgeProcess, sync
from tests.kill.standing import CaseView, Standing, standing

from .launcher import RunningHapi
from .line import SHOWN_AT_ONCE, Ehr, Workplace, beside
from .plain import Json

SEED = 90210
COUNT = 250
STAFF = cast(SEED)
WE_ARE = [f"{one['resourceType']}/{one['id']}" for one in (STAFF.cardiology, STAFF.nurse)]
SETTINGS = f"page_size = 5\nconcurrency = 2\npoll_seconds = 1\n{SHOWN_AT_ONCE}\nwe_are = {json.dumps(WE_ARE)}"
SYNC, BACKFILL, SERVE = ("sync", "--once"), ("backfill",), ("serve",)
SWEEP = (
    *[(Aim.ANYWHERE, SYNC)] * 3,
    *[(Aim.BACKFILL, BACKFILL)] * 3,
    *[(Aim.BACKFILL_TRANSACTION, BACKFILL)] * 2,
    *[(Aim.BACKFILL, SYNC)] * 3,
    *[(Aim.DELIVERY, SYNC)] * 4,
    *[(Aim.DELIVERY_TRANSACTION, SYNC)] * 2,
    *[(Aim.DELIVERY, SERVE)] * 3,
)


@dataclass(frozen=True)
class Site:
    """A server full of work."""

    base_url: str
    ehr: Ehr


@pytest.fixture(scope="module")
def site(hapi_running: RunningHapi) -> Iterator[Site]:
    with hapi_running() as server, beside(server) as ehr:
        ehr.put_all(in_dependency_order(generate(SEED, COUNT, at=datetime.now(UTC))))
        yield Site(server.base_url, ehr)


def workplace_at(folder: Path, site: Site) -> Workplace:
    return Workplace(folder, site.base_url, connection=SETTINGS, more="[web]\nport = 0")


def pace_of(workplace: Workplace) -> Pace:
    """Time an undisturbed backfill, which writes nothing; a delivery takes at least as long."""
    BridgeProcess(workplace.folder, "--version").wait()  # The first of a run waits for the imports.
    began = time.monotonic()
    process = BridgeProcess(workplace.folder, "backfill")
    process.watch(lambda: glimpse(workplace.folder / DATABASE).received > 0)
    first = time.monotonic()
    process.end_well()
    return Pace(first - began, time.monotonic() - first, time.monotonic() - first)


def test_killed_twenty_times_it_ends_where_an_undisturbed_run_ends(site: Site, tmp_path: Path) -> None:
    """A run with a new database on the same server, which nobody disturbs, finds every case so and nothing to do."""
    killed, undisturbed = workplace_at(tmp_path / "killed", site), workplace_at(tmp_path / "undisturbed", site)
    killer = Killer(killed, pace_of(workplace_at(tmp_path / "pace", site)), Random(SEED))

    for aim, command in SWEEP:
        killer.kill(aim, *command)
    last = sync(killed)
    found, versions = standing(killed, site.ehr), site.ehr.versions()
    repeat, afterwards = sync(killed), site.ehr.versions()
    anew = sync(undisturbed)
    expected = standing(undisturbed, site.ehr)

    hits = killer.found
    assert hits["killed"] >= 20
    assert hits["in the backfill"] >= 5
    assert hits["in the delivery"] >= 5
    assert hits["in a transaction"] >= 3
    assert hits["bridge serve"] >= 1
    assert last["complete"]
    assert (found.unfinished, found.parked) == ((), ())
    assert (repeat["writes"], touched(versions, afterwards)) == (0, {})
    assert (anew["writes"], touched(versions, site.ehr.versions())) == (0, {})
    cases, again = unmerged(found), unmerged(expected)
    assert {root: case for root, case in cases.items() if root in again} == again
    assert all(is_ended_by_us(found.work[root], cases[root]) for root in cases.keys() - again.keys())
    assert len(found.tasks) > 60


def touched(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str | None, str | None]]:
    """Return what has another version than before, or is there only now or only before."""
    refs = before.keys() | after.keys()
    return {ref: (before.get(ref), after.get(ref)) for ref in sorted(refs) if before.get(ref) != after.get(ref)}


def unmerged(standing: Standing) -> dict[str, CaseView]:
    """Return the cases that are not part of others; whether those were cases once depends on what came first."""
    return {root: case for root, case in standing.cases.items() if case.merged_into is None}


def is_ended_by_us(resource: Json, case: CaseView) -> bool:
    """Whether this is a Task that asked us, and that Bridge ended: who sees it only then sees no work."""
    return case.status == Status.CLOSED and resource.get("owner", {}).get("reference") in WE_ARE
