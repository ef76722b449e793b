"""
Bridge killed before the first, the second, the third ... call at a seam: started again, it ends where it would have.

The calls are every statement, commit and request of ``sync --once`` over a small site, and every statement of
``migrate``. ``KILL_EVERY=1`` tries each of them; the fast suite tries one in so many.
"""

from __future__ import annotations

import os
import shutil
import signal
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pytest
from sqlalchemy import create_engine, inspect

from bridge.store.migrations import migrate
from conformance.simulator import Handle, Simulator, client_of, start
from conformance.simulator.ehr import Ehr as Store
from tests.contract import postgres
from tests.hapi.line import SHOWN_AT_ONCE, Ehr, Workplace
from tests.hapi.plain import Json

from .process import BridgeProcess, sync
from .standing import Standing, standing

EVERY = int(os.environ.get("KILL_EVERY", "131"))
WE = "Organization/desk"
SETTINGS = f'page_size = 3\nconcurrency = 1\n{SHOWN_AT_ONCE}\nwe_are = ["{WE}"]'
FILLED_AT = datetime.now(UTC) - timedelta(hours=1)


def site() -> Iterator[Json]:
    """Give a few resources that lead to every kind of write."""
    yield {"resourceType": "Organization", "id": "desk", "name": "Desk"}
    for one in ("p1", "p2"):
        yield {"resourceType": "Patient", "id": one, "name": [{"family": f"Example {one}"}]}
    for number, status in enumerate(("active", "active", "on-hold", "completed"), 1):
        yield {
            "resourceType": "ServiceRequest",
            "id": f"o{number}",
            "status": status,
            "intent": "order",
            "code": {"text": "Referral to cardiology"},
            "subject": {"reference": f"Patient/p{number % 2 + 1}"},
            "authoredOn": "2026-05-29T09:00:00Z",
        }
    yield {
        "resourceType": "Task",
        "id": "t1",
        "status": "requested",
        "intent": "order",
        "focus": {"reference": "ServiceRequest/o1"},
        "for": {"reference": "Patient/p2"},
        "owner": {"reference": WE},
    }
    yield {
        "resourceType": "Appointment",
        "id": "v1",
        "status": "booked",
        "start": (FILLED_AT + timedelta(days=20)).isoformat(timespec="seconds"),
        "basedOn": [{"reference": "ServiceRequest/o2"}],
        "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
    }


class Stage:
    """One simulated EHR, filled anew for every try; it lets nobody choose an id."""

    def __init__(self) -> None:
        self.live = False
        self.simulator = Simulator(self._now)
        self.handle: Handle = start(simulator=self.simulator)
        self.client = httpx.Client(base_url=f"{self.handle.base_url}/", timeout=60)

    def _now(self) -> datetime:
        return datetime.now(UTC) if self.live else FILLED_AT

    def reset(self) -> None:
        """Forget everything and begin with the site as it was."""
        self.live = False
        self.simulator.options.update_as_create = True
        self.simulator.ehr = Store(self._now, self.simulator.options)
        with client_of(self.simulator, clinic=True) as clinic:
            for resource in site():
                clinic.put(f"{resource['resourceType']}/{resource['id']}", json=resource).raise_for_status()
        self.live, self.simulator.options.update_as_create = True, False

    def close(self) -> None:
        self.client.close()
        self.handle.stop()


@dataclass(frozen=True)
class Sweep:
    """A place to be killed in, again and again: *fresh* gives a new workplace with an empty, migrated database."""

    stage: Stage
    fresh: Callable[[], Workplace]
    wait_for_leases: Callable[[], None] = lambda: None
    """Lets the leases of the dead process run out; the one owner of an SQLite file gives them back at its start."""

    def end(self, place: Workplace) -> Standing:
        """Run to the end, twice, and look: the second time has nothing left to do."""
        report = sync(place)
        assert report["complete"], report
        found, versions = standing(place, Ehr(self.stage.client)), Ehr(self.stage.client).versions()
        assert sync(place)["writes"] == 0
        assert Ehr(self.stage.client).versions() == versions
        return found


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    yield stage
    stage.close()


def place_at(folder: Path, base_url: str, url: str | None) -> Workplace:
    """Make a workplace in *folder*, in the place of what was there; *url* is its database, if not a file."""
    shutil.rmtree(folder, ignore_errors=True)
    more = f'[database]\nurl = "{url}"' if url is not None else ""
    return Workplace(folder, base_url, connection=SETTINGS, more=more)


@pytest.fixture
def sqlite_sweep(stage: Stage, tmp_path: Path) -> Sweep:
    blank = tmp_path / "blank.sqlite3"
    migrate(f"sqlite:///{blank}")

    def fresh() -> Workplace:
        stage.reset()
        place = place_at(tmp_path / "place", stage.handle.base_url, None)
        shutil.copy(blank, place.folder / "bridge.sqlite3")
        return place

    return Sweep(stage, fresh)


def killed_at(place: Workplace, call: int, *command: str) -> bool:
    """Run *command* until the call at which it dies; tell whether it came to that."""
    process = BridgeProcess(place.folder, *command, last=call)
    assert process.wait(), process.said()
    if process.code == -signal.SIGKILL:
        return True
    process.end_well()
    return False


def sweep_through(sweep: Sweep) -> None:
    """Be killed at every call that is to be tried, and compare each end with that of an undisturbed run."""
    expected = sweep.end(sweep.fresh())
    assert (expected.unfinished, expected.parked) == ((), ())
    assert len(expected.tasks) >= 3
    assert expected.messages
    call = 1
    while killed_at(place := sweep.fresh(), call, "sync", "--once"):
        sweep.wait_for_leases()
        assert sweep.end(place) == expected, f"killed at call {call}"
        call += EVERY
    assert call > EVERY


def test_killed_at_any_call_it_ends_where_an_undisturbed_run_ends(sqlite_sweep: Sweep) -> None:
    sweep_through(sqlite_sweep)


# On PostgreSQL --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[str]:
    with postgres.server() as url:
        yield url


@pytest.mark.postgres
def test_killed_at_any_call_it_ends_there_on_postgresql_too(postgres_server: str, stage: Stage, tmp_path: Path) -> None:
    with (
        postgres.fresh_database(postgres_server) as blank,
        closing(_databases(postgres_server, blank)) as databases,
    ):
        migrate(blank)
        current = [blank]

        def fresh() -> Workplace:
            stage.reset()
            current[:] = [next(databases)]
            return place_at(tmp_path / "place", stage.handle.base_url, current[0])

        def wait_for_leases() -> None:
            with psycopg.connect(current[0], autocommit=True) as conn:
                conn.execute("UPDATE outbox SET lease_until = lease_until - 600 * 1000 * 1000 WHERE state = 'sending'")
                conn.execute("UPDATE turn SET until = until - 600 * 1000 * 1000")

        sweep_through(Sweep(stage, fresh, wait_for_leases))


def _databases(server: str, template: str | None = None) -> Generator[str, None, None]:
    while True:
        with postgres.fresh_database(server, template=template) as url:
            yield url


# Migrating ------------------------------------------------------------------------------------------------


def schema_of(url: str) -> object:
    """Return what a database consists of, in a form that can be compared."""
    engine = create_engine(url.replace("postgresql://", "postgresql+psycopg://"))
    try:
        seen = inspect(engine)
        return {
            table: (
                [(column["name"], str(column["type"]), column["nullable"]) for column in seen.get_columns(table)],
                sorted(str(index["name"]) for index in seen.get_indexes(table)),
            )
            for table in sorted(seen.get_table_names())
        }
    finally:
        engine.dispose()


def migrated_through(folder: Path, url: Callable[[], str | None]) -> None:
    """Be killed at every call of ``migrate``; the next one finishes, and makes what a single one makes."""

    def place() -> tuple[Workplace, str]:
        at = url()
        return place_at(folder, "http://127.0.0.1:9/fhir", at), at or f"sqlite:///{folder / 'bridge.sqlite3'}"

    whole, at = place()
    BridgeProcess(whole.folder, "migrate").end_well()
    expected, call = schema_of(at), 1
    while True:
        here, at = place()
        if not killed_at(here, call, "migrate"):
            break
        BridgeProcess(here.folder, "migrate").end_well()
        assert schema_of(at) == expected, f"killed at call {call}"
        call += EVERY
    assert call > EVERY


def test_killed_at_any_statement_of_migrate_the_next_one_finishes(tmp_path: Path) -> None:
    migrated_through(tmp_path / "place", lambda: None)


@pytest.mark.postgres
def test_killed_at_any_statement_of_migrate_the_next_one_finishes_on_postgresql_too(
    postgres_server: str, tmp_path: Path
) -> None:
    with closing(_databases(postgres_server)) as databases:
        migrated_through(tmp_path / "place", lambda: next(databases))
