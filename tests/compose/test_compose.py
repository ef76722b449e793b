"""
The compose file, unchanged: healthy, cases from HAPI and Tasks on it, and nothing lost or doubled whatever stops.

What is lost or doubled is counted on HAPI, by a client of its own that knows only what it ordered. One stack serves all
tests; each begins and ends with all of it running.
"""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import uuid
from collections import Counter
from dataclasses import dataclass, field

import pytest

from bridge import __version__
from tests.hapi.plain import NO_CACHE, Json, pages

from .stack import CREATED, LEASE_SECONDS, REVISION, Stack, until

OUTAGE_SECONDS = float(os.environ.get("COMPOSE_OUTAGE_SECONDS", "20"))
"""How long the database is away; by hand and before a release also 120."""

CASE = "urn:bridge:case"
SOON = 10.0
MOST_ADDED = 120_000_000
"""Bytes that the image may add to its base: python:3.11-slim has up to 130 MB, and both together stay below 250."""


@dataclass
class Orders:
    """What a clinic ordered and withdrew on HAPI, and what became of it there."""

    stack: Stack
    standing: dict[str, str] = field(default_factory=dict)
    """The status that the Task for each order is to have."""

    def place(self, number: int) -> None:
        """Order something for so many new patients."""
        answer = self.stack.ehr.post("", json=_bundle(number)).raise_for_status().json()
        made = ["/".join(entry["response"]["location"].split("/")[:2]) for entry in answer["entry"]]
        placed = [one.removeprefix(str(self.stack.ehr.base_url)) for one in made if "ServiceRequest/" in one]
        assert len(placed) == number
        self.standing |= dict.fromkeys(placed, "ready")

    def withdraw(self, number: int) -> None:
        """Revoke so many orders that have their Task; one that nobody knew of before needs none."""
        for order in [order for order, status in self.found().items() if status == "ready"][:number]:
            resource = self.stack.ehr.get(order, headers=NO_CACHE).raise_for_status().json()
            self.stack.ehr.put(order, json=resource | {"status": "revoked"}).raise_for_status()
            self.standing[order] = "cancelled"

    def tasks(self) -> list[Json]:
        """Return every Task on HAPI that Bridge wrote for a case."""
        entries = [one for page in pages(self.stack.ehr, "Task", {"_count": "200"}) for one in page.get("entry", [])]
        everything = [entry["resource"] for entry in entries]
        return [task for task in everything if any(one.get("system") == CASE for one in task.get("identifier", []))]

    def found(self) -> dict[str, str]:
        """Return the status of the Task for each order, ``twice`` where there are several."""
        tasks = [task for task in self.tasks() if task["status"] != "entered-in-error"]
        times = Counter(task["focus"]["reference"] for task in tasks)
        return {(ref := task["focus"]["reference"]): task["status"] if times[ref] == 1 else "twice" for task in tasks}

    def wrong(self) -> dict[str, tuple[str, str | None]]:
        """Return each order whose Task is not as it should be, with what it should be and what it is."""
        found = self.found()
        assert set(found) <= set(self.standing), "there is a Task for something that nobody ordered"
        return {order: (right, found.get(order)) for order, right in self.standing.items() if found.get(order) != right}

    def all_right(self) -> None:
        """Wait until each order has its one Task; then prove it again, by Bridge's own comparison too."""
        until(
            lambda: not self.wrong(), "every order has one Task that is right", lambda: list(self.wrong().items())[:5]
        )
        until(self.stack.reconciles, "EHR and cases agree")
        identifiers = Counter(
            one["value"] for task in self.tasks() for one in task["identifier"] if one["system"] == CASE
        )
        assert [case for case, times in identifiers.items() if times > 1] == []
        cases = Counter(case["root"] for case in self.stack.cases())
        assert cases == Counter(dict.fromkeys(self.standing, 1))


def _bundle(number: int) -> Json:
    entries: list[Json] = []
    for _ in range(number):
        patient = f"urn:uuid:{uuid.uuid4()}"
        name = [{"family": f"Synthetic-{uuid.uuid4().hex[:8]}", "given": ["Compose"]}]
        order = {
            "resourceType": "ServiceRequest",
            "status": "active",
            "intent": "order",
            "code": {"text": "Referral to cardiology"},
            "subject": {"reference": patient},
            "authoredOn": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        }
        entries += [
            {
                "fullUrl": patient,
                "resource": {"resourceType": "Patient", "name": name, "birthDate": "1971-02-03"},
                "request": {"method": "POST", "url": "Patient"},
            },
            {"resource": order, "request": {"method": "POST", "url": "ServiceRequest"}},
        ]
    return {"resourceType": "Bundle", "type": "transaction", "entry": entries}


@pytest.fixture(scope="module")
def orders(stack: Stack) -> Orders:
    """All that was ordered so far, on a stack that is up."""
    until(stack.all_healthy, "all containers are healthy", stack.told)
    return Orders(stack)


def test_all_is_healthy_and_what_is_ordered_on_hapi_becomes_a_case_and_a_task(stack: Stack, orders: Orders) -> None:
    assert {stack.inspect(name)["State"]["ExitCode"] for name in stack.containers("migrate", running=False)} == {0}
    orders.place(30)
    orders.all_right()
    orders.withdraw(5)
    orders.all_right()

    page = stack.bridge.get("/").raise_for_status().text
    assert "Synthetic-" in page
    assert stack.all_healthy()


def test_bridges_containers_may_do_nothing_that_they_need_not(stack: Stack, orders: Orders) -> None:
    for name in (*stack.containers("bridge"), *stack.containers("worker")):
        seen = stack.inspect(name)
        assert seen["Config"]["User"] == "10001"
        assert seen["HostConfig"]["ReadonlyRootfs"]
        assert seen["EffectiveCaps"] in (None, [])
        assert "no-new-privileges" in str(seen["HostConfig"]["SecurityOpt"])
        assert seen["HostConfig"]["Memory"] == 512 * 1024 * 1024
        assert seen["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    for bindings in stack.inspect(stack.containers("bridge")[0])["NetworkSettings"]["Ports"].values():
        assert [one["HostIp"] for one in bindings or []] == ["127.0.0.1"]


def test_the_image_is_small_and_says_what_it_is(stack: Stack, orders: Orders) -> None:
    image = stack.inspect(stack.containers("bridge")[0])["Image"]
    about = json.loads(stack.podman("image", "inspect", image))[0]
    base = json.loads(stack.podman("image", "inspect", "python:3.11-slim"))[0]

    assert about["Size"] - base["Size"] < MOST_ADDED
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in about["Labels"].items()}
    assert (labels["version"], labels["revision"], labels["created"]) == (__version__, REVISION, CREATED)
    assert labels.keys() >= {"title", "description", "licenses", "base.name"}


def test_logs_are_json_and_name_no_patient(stack: Stack, orders: Orders) -> None:
    for name in (*stack.containers("bridge"), *stack.containers("worker")):
        said = stack.podman("logs", name)
        for line in said.splitlines():
            assert json.loads(line)["level"]
        assert "Synthetic-" not in said


def test_of_three_workers_one_is_killed_and_one_frozen_and_thawed(stack: Stack, orders: Orders) -> None:
    stack.compose("up", "--detach", "--scale", "worker=3")
    until(lambda: len(stack.containers("worker")) == 3 and stack.all_healthy(), "three workers are healthy", stack.told)
    killed, frozen, _ = stack.containers("worker")
    orders.place(60)
    until(lambda: len(orders.found()) > len(orders.standing) - 60, "the first of them are written")
    stack.podman("kill", killed)
    stack.podman("pause", frozen)
    orders.withdraw(10)
    orders.place(20)
    orders.all_right()
    stack.podman("unpause", frozen)
    threading.Event().wait(LEASE_SECONDS)
    orders.withdraw(5)
    orders.all_right()

    stack.podman("start", killed)
    until(stack.all_healthy, "all are healthy again", stack.told)


def test_a_worker_that_crashes_is_started_again_by_itself(stack: Stack, orders: Orders) -> None:
    """Not `bridge`: podman starts nothing by itself that depends on what has ended, as `migrate` has."""
    container = stack.containers("worker")[0]
    before = stack.inspect(container)["State"]
    orders.place(10)
    os.kill(before["Pid"], signal.SIGKILL)

    def is_another() -> bool:
        now = stack.inspect(container)["State"]
        return bool(now["Running"]) and now["Pid"] not in (0, before["Pid"])

    until(is_another, "it runs again", stack.told)
    until(stack.all_healthy, "all are healthy again", stack.told)
    orders.all_right()


def test_a_worker_that_is_stopped_ends_soon_with_0(stack: Stack, orders: Orders) -> None:
    stopped = stack.containers("worker")[-1]
    orders.place(20)
    began = time.monotonic()
    stack.podman("stop", "--time", "30", stopped)
    took = time.monotonic() - began

    assert stack.inspect(stopped)["State"]["ExitCode"] == 0
    assert took < SOON
    orders.all_right()
    stack.unscale()


@pytest.mark.parametrize(("end", "begin"), [(("stop",), ("start",)), (("down",), ("up", "--detach"))])
def test_everything_is_stopped_or_taken_down_and_what_was_there_is_there_again(
    stack: Stack, orders: Orders, end: tuple[str, ...], begin: tuple[str, ...]
) -> None:
    cases = {case["id"]: case["version"] for case in stack.cases()}
    tasks = {task["id"]: task["meta"]["versionId"] for task in orders.tasks()}
    read = {one["type"]: one["received"] for one in stack.connection()["streams"]}
    stack.compose(*end)
    assert stack.containers() == []
    stack.compose(*begin)
    until(stack.all_healthy, "all containers are healthy again", stack.told)

    assert {case["id"]: case["version"] for case in stack.cases()} == cases
    assert {one["type"]: one["received"] for one in stack.connection()["streams"]}.keys() == read.keys()
    assert {task["id"]: task["meta"]["versionId"] for task in orders.tasks()} == tasks
    orders.place(5)
    orders.all_right()
    assert {task["id"]: task["meta"]["versionId"] for task in orders.tasks() if task["id"] in tasks} == tasks


def test_while_the_database_is_down_readiness_tells_and_nothing_is_lost(stack: Stack, orders: Orders) -> None:
    (database,) = stack.containers("bridge-db")
    orders.place(20)
    stack.podman("kill", database)
    down_at = time.monotonic()
    until(lambda: stack.readiness() == 503, "readiness tells that the database is down")
    workers = stack.containers("worker")
    until(lambda: not any(stack.is_healthy(name) for name in workers), "so do the workers")
    orders.withdraw(5)
    orders.place(10)
    threading.Event().wait(max(0.0, OUTAGE_SECONDS - (time.monotonic() - down_at)))
    assert stack.readiness() == 503
    stack.podman("start", database)
    until(lambda: stack.readiness() == 200, "readiness tells that it is back", stack.told)

    orders.all_right()
    until(stack.all_healthy, "all are healthy again", stack.told)


def test_the_demo_profile_fills_hapi_and_keeps_it_moving(stack: Stack, orders: Orders) -> None:
    known = {case["id"]: case["version"] for case in stack.cases()}
    stack.compose("--profile", "demo", "up", "--detach", "demo")

    def lanes() -> set[str]:
        return {case["lane"] for case in stack.cases() if case["id"] not in known}

    until(lambda: len(lanes()) > 5, "cases of many lanes appear", lambda: (lanes(), stack.told()))
    versions = {case["id"]: case["version"] for case in stack.cases()}
    until(
        lambda: any(versions.get(case["id"], case["version"]) != case["version"] for case in stack.cases()),
        "cases move by themselves",
    )
