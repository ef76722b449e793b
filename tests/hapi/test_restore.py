"""A database restored from a backup that is older than its HAPI server: nothing is lost, nothing stands twice."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bridge.cases.commands import Close, LogOutreach
from bridge.cases.model import Case
from bridge.cases.terms import AttemptOutcome, Channel, ClosureReason
from conformance.generator import generate, in_dependency_order
from tests.contract import postgres
from tests.kill.process import BridgeProcess
from tests.kill.standing import Standing, standing

from .launcher import RunningHapi
from .line import SHOWN_AT_ONCE, Ehr, Run, Workplace, beside
from .upheaval import Upheaval

COUNT = 40
SETTINGS = f"page_size = 20\nconcurrency = 2\npoll_seconds = 1\n{SHOWN_AT_ONCE}"
NEEDS_A_PERSON = 1


@dataclass
class Site:
    """A server full of work, and Bridge beside it, whose database can be lost and put back."""

    ehr: Ehr
    folder: Path
    base_url: str
    server: str | None
    """A PostgreSQL server to make databases on; none for SQLite."""

    def __post_init__(self) -> None:
        self.copy = self.folder / "copy"
        self.workplace = self._workplace(None)

    def _workplace(self, url: str | None) -> Workplace:
        more = f'[database]\nurl = "{url}"\n' if url is not None else ""
        place = self.folder / "site"
        return Workplace(place, self.base_url, connection=SETTINGS, more=f"{more}[web]\nport = 0")

    @contextmanager
    def database(self) -> Iterator[None]:
        """Work on a new, empty database from here on."""
        if self.server is None:
            yield
            return
        with postgres.fresh_database(self.server) as url:
            self.workplace = self._workplace(url)
            yield

    def run(self, *arguments: str, code: int = 0) -> Run:
        """Run a command, which has to end with *code*."""
        run = self.workplace.run(*arguments)
        assert run.code == code, f"{arguments} ended with {run.code}\n{run.out}\n{run.err}"
        return run

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Let Bridge serve meanwhile, and end as it is told to."""
        (self.workplace.folder / "out.log").unlink(missing_ok=True)
        process = BridgeProcess(self.workplace.folder, "serve")
        try:
            process.watch(lambda: "Bridge is at" in process.said())
            yield
            process.tell()
            assert process.wait(), process.said()
            assert process.code == 0, process.said()
        finally:
            process.kill()

    def open_cases(self) -> list[Case]:
        """Return the cases that are open and stand on the EHR, in order."""
        tasks = self.ehr.our_tasks()
        return [case for _, case in sorted(self.workplace.cases().items()) if case.is_open and case.id in tasks]


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.postgres)])
def site(request: pytest.FixtureRequest, hapi_running: RunningHapi, tmp_path: Path) -> Iterator[Site]:
    server = request.getfixturevalue("postgres_server") if request.param == "postgres" else None
    with hapi_running(database=None) as hapi, beside(hapi) as ehr:
        ehr.put_all(in_dependency_order(generate(len(request.param), COUNT, at=datetime.now(UTC))))
        yield Site(ehr, tmp_path, hapi.base_url, server)


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """A server, once for all tests."""
    with postgres.server() as url:
        yield url


def test_a_restored_backup_loses_nothing_and_doubles_nothing(site: Site) -> None:
    upheaval = Upheaval(site.ehr, seed=7)
    with site.database():
        site.run("migrate")
        site.run("sync", "--once")
        with site.serving():
            upheaval.go_on(15)
            site.run("backup", str(site.copy))
            upheaval.go_on(25)
        site.run("sync", "--once")
        called, closed = site.open_cases()[:2]
        tried = LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER)
        site.workplace.act(called.root, tried, new_id="attempt-after")
        site.workplace.act(closed.root, Close(reason=ClosureReason.OTHER, outcome="went elsewhere"))
        site.run("sync", "--once")
        before = standing(site.workplace, site.ehr)
    with site.database():
        site.run("restore", str(site.copy))
        site.run("sync", "--once")

        after = standing(site.workplace, site.ehr)
        assert after.tasks.keys() == before.tasks.keys()
        assert after.messages == before.messages
        assert after.work == before.work
        assert joined(after) == joined(before)
        assert [one.id for one in site.workplace.case(called.root).outreach] == ["attempt-after"]
        assert after.tasks[closed.id] == before.tasks[closed.id]
        assert site.workplace.case(closed.root).is_open
        found = json.loads(site.run("doctor", "--json", code=NEEDS_A_PERSON).out)
        unwell = [one["topic"] for one in found if not one["ok"] and "restore" in one["topic"]]
        assert unwell == ["connection main restore", f"connection main restore, case {closed.id}"]

        site.workplace.act(closed.root, Close(reason=ClosureReason.OTHER, outcome="went elsewhere"))
        with site.serving():
            upheaval.go_on(15)
        site.run("sync", "--once")
        site.run("sync", "--once")
        last = standing(site.workplace, site.ehr)
        assert (last.unfinished, last.parked) == ((), ())
        assert last.tasks.keys() >= before.tasks.keys()
        site.run("reconcile")
        found = json.loads(site.workplace.run("doctor", "--json").out)
        assert all(one["ok"] for one in found if "restore" in one["topic"])


def joined(seen: Standing) -> dict[str, set[str]]:
    """Return what belongs together of what stands on the EHR; of what is deleted only what was last read is known."""
    groups = {root: set(one.sources) & seen.work.keys() for root, one in seen.cases.items()}
    return {root: refs for root, refs in groups.items() if refs}
