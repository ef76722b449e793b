"""A HAPI server on a database file that goes away, comes back, and goes away in the midst of a delivery."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import pytest

from bridge.cases.terms import Status
from conformance.generator import generate, in_dependency_order
from conformance.generator.people import cast, patient
from conformance.generator.work import service_request
from tests.kill.killing import DATABASE, Glimpse, glimpse
from tests.kill.process import BridgeProcess, sync
from tests.kill.standing import standing

from .launcher import HapiServer, RunningHapi
from .line import CONNECTION, WORK, Ehr, Workplace, beside
from .plain import Json

SEED = 31415
COUNT = 120
LEFT_OVER, UNREACHABLE = 1, 3
CATCH_UP_SECONDS = 90.0


@dataclass(frozen=True)
class Site:
    """A server on a file, full of work, and Bridge beside it after its first round."""

    server: HapiServer
    ehr: Ehr
    workplace: Workplace
    first: Json

    def orders(self, *numbers: int) -> list[str]:
        """Let the clinic order something, once for each number, and return the references."""
        someone = patient(SEED, 1, cast(SEED))
        made = [service_request(f"restart-{number}", someone, status="active") for number in numbers]
        self.ehr.put(someone)
        return [f"ServiceRequest/{self.ehr.put(one)['id']}" for one in made]

    def watermarks(self) -> dict[str, datetime | None]:
        """Return up to when each stream was read."""
        with self.workplace.bridge() as bridge, bridge.store.reading() as tx:
            return {row.stream: row.watermark for row in tx.cursors(CONNECTION) if row.stream in WORK}


@pytest.fixture(scope="module")
def site(hapi_running: RunningHapi, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("restart")
    with hapi_running(database=folder / "hapi") as server, beside(server) as ehr:
        ehr.put_all(in_dependency_order(generate(SEED, COUNT, at=datetime.now(UTC))))
        workplace = Workplace(folder / "site", server.base_url, connection="page_size = 20\nconcurrency = 2")
        yield Site(server, ehr, workplace, sync(workplace))


def test_a_restart_between_two_rounds_loses_and_doubles_nothing(site: Site) -> None:
    """What the clinic did before and after it is read; what was read stays read; nothing is written again."""
    before, marks = standing(site.workplace, site.ehr), site.watermarks()
    (early,) = site.orders(1)
    site.server.restart()
    (late,) = site.orders(2)

    report = sync(site.workplace)
    after, repeat = standing(site.workplace, site.ehr), sync(site.workplace)

    new = {early, late}
    assert site.first["complete"]
    assert report["complete"]
    assert report["streams"]["ServiceRequest"]["applied"] == len(new)
    assert {root: view for root, view in after.cases.items() if root not in new} == dict(before.cases)
    assert {root for root in new if after.cases[root].status != Status.CLOSED} == new
    assert len(after.tasks) == len(before.tasks) + len(new)
    assert {value: after.tasks[value] for value in before.tasks} == dict(before.tasks)
    assert {key: after.messages.get(key) for key in before.messages} == dict(before.messages)
    assert (after.unfinished, after.parked) == ((), ())
    assert repeat["writes"] == 0
    assert all(mark is not None and mark >= (marks[stream] or mark) for stream, mark in site.watermarks().items())
    assert set(marks) == set(WORK)


def test_a_server_that_goes_away_is_named_and_caught_up_with(site: Site) -> None:
    """First in the midst of a delivery, then before a round; each round ends with 3 and the next one goes on."""
    before = standing(site.workplace, site.ehr)
    new = set(site.orders(*range(100, 160)))
    database = site.workplace.folder / DATABASE
    seen = glimpse(database)

    interrupted = BridgeProcess(site.workplace.folder, "sync", "--once")
    interrupted.watch(lambda: Glimpse.delivering_since(glimpse(database), seen))
    site.server.stop()
    interrupted.wait()
    said = interrupted.said()
    without = site.workplace.run("sync", "--once")
    site.server.start()
    report = caught_up(site.workplace)
    after, repeat = standing(site.workplace, site.ehr), sync(site.workplace)

    assert interrupted.code != 0
    assert without.code == UNREACHABLE
    assert "NOT complete" in without.out
    assert f"127.0.0.1:{site.server.port}" in without.out
    assert "Traceback" not in said + without.out + without.err
    assert report["complete"]
    assert set(after.cases) == set(before.cases) | new
    assert len(after.tasks) == len(before.tasks) + len(new)
    assert (after.unfinished, after.parked) == ((), ())
    assert repeat["writes"] == 0


def caught_up(workplace: Workplace) -> Json:
    """Do rounds until nothing is left: a server that was away is given half a minute before it is written to."""
    deadline = time.monotonic() + CATCH_UP_SECONDS
    while (run := workplace.run("sync", "--once", "--json")).code != 0:
        assert run.code == LEFT_OVER, run
        assert time.monotonic() < deadline, run
    (report,) = run.json()
    return dict(report)
