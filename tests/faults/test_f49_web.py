"""F49: the web view answers while everything is written to and while sync is down, and says how old its data is."""

from __future__ import annotations

import threading
from contextlib import AbstractContextManager
from pathlib import Path

from fastapi.testclient import TestClient

from bridge.errors import StoreUnavailable
from bridge.store.port import Store, Tx
from tests.faults.beside import FileWorld
from tests.faults.test_f34_locked import locked
from tests.unit.sync.world import order
from tests.unit.web.builders import Clinic

OURS = {"Sec-Fetch-Site": "same-origin"}


def web(world: FileWorld) -> TestClient:
    """Return a client of the web view of *world*, at its time."""
    return Clinic(store=world.store, now=world.clock(), lines={"main": world.line}).client()


def pages(world: FileWorld) -> dict[str, str]:
    """Look at every page that a coordinator works with; none may fail."""
    case = world.case("ServiceRequest/o0")
    client = web(world)
    found = {}
    for path in ("/", f"/cases/{case.id}", "/connections", "/api/v1/cases", f"/api/v1/cases/{case.id}"):
        answer = client.get(path)
        assert answer.status_code == 200, (path, answer.text)
        found[path.replace(case.id, "ID")] = answer.text
    return found


def a_day(folder: Path) -> FileWorld:
    world = FileWorld(folder)
    world.fill(3)
    world.sync()
    return world


def test_worklist_and_case_answer_while_a_writer_holds_the_database(tmp_path: Path) -> None:
    world = a_day(tmp_path)
    with locked(world.file):
        shown = pages(world)

    assert "Referral to cardiology" in shown["/cases/ID"]
    assert "Out of date." not in shown["/"]
    world.store.close()


def test_pages_say_how_old_the_data_is_when_the_ehr_is_away(tmp_path: Path) -> None:
    world = a_day(tmp_path)
    world.away = True
    world.clock.advance(minutes=16)
    world.bridge.read()

    shown = pages(world)

    for path in ("/", "/cases/ID"):
        assert "EHR data as of" in shown[path]
    assert "Out of date." in shown["/cases/ID"]
    assert "Reading fails" in shown["/connections"]
    world.store.close()


def test_pages_answer_while_pages_are_taken_in(tmp_path: Path) -> None:
    world = a_day(tmp_path)
    for number in range(60):
        world.ehr.put(order(f"more{number}"))
    reading = threading.Thread(target=world.bridge.sync_once)
    reading.start()
    looks = 0
    while reading.is_alive() or looks < 2:
        pages(world)
        looks += 1
    reading.join()

    assert len(world.cases()) == 63
    world.store.close()


class Refusing:
    """A database that can be read and takes nothing."""

    def __init__(self, inner: Store) -> None:
        self._inner = inner

    def reading(self) -> AbstractContextManager[Tx]:
        return self._inner.reading()

    def transaction(self) -> AbstractContextManager[Tx]:
        raise StoreUnavailable("database: what it says is for the log")

    def close(self) -> None:
        self._inner.close()


def test_a_command_that_the_database_does_not_take_is_to_be_tried_again() -> None:
    clinic = Clinic()
    case = clinic.referral()
    clinic.store = Refusing(clinic.store)

    answer = clinic.client().post(
        f"/api/v1/cases/{case.id}/commands",
        json={"command": "note", "text": "called"},
        headers={**OURS, "If-Match": f'"{case.version}"'},
    )

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "for the log" not in answer.text
