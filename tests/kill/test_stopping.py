"""
What a container's host sees of ``bridge serve`` and ``bridge worker`` when it tells them to stop.

An EHR that takes a write and does not answer it shows each of them in the midst of a delivery.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from threading import Event

import httpx
import pytest

from bridge.cases.intents import IntentState
from bridge.store.rows import OutboxRow
from bridge.tasks.identity import CASE_SYSTEM
from conformance.simulator import Simulator, client_of, start
from conformance.simulator.wire import Answer, Request
from tests.hapi.line import SHOWN_AT_ONCE, Workplace

from .process import GLANCE_SECONDS, RUN_SECONDS, BridgeProcess, sync
from .test_kill_sweep import WE, site
from .test_sigterm import SOON

STOPPED, TOLD_TWICE = 0, 128 + 15
SETTINGS = f'concurrency = 2\npoll_seconds = 1\n{SHOWN_AT_ONCE}\nwe_are = ["{WE}"]'


class SlowEhr(Simulator):
    """An EHR that carries out a write and answers it only when it is let go."""

    def __init__(self) -> None:
        super().__init__()
        self.slow, self.asked, self.let_go = False, Event(), Event()

    def handle(self, request: Request) -> Answer:
        """Carry *request* out."""
        answer = super().handle(request)
        if self.slow and request.writes:
            self.asked.set()
            self.let_go.wait()
        return answer

    def tasks_of_cases(self) -> list[str]:
        """Return which case each coordination Task on the EHR is of."""
        with client_of(self, clinic=True) as clinic:
            found = clinic.get("Task", params={"_count": 200}).json().get("entry", [])
        names = [one for entry in found for one in entry["resource"].get("identifier", [])]
        return [one["value"] for one in names if one["system"] == CASE_SYSTEM]


@pytest.fixture
def ehr() -> Iterator[SlowEhr]:
    server = SlowEhr()
    with client_of(server, clinic=True) as clinic:
        for resource in site():
            clinic.put(f"{resource['resourceType']}/{resource['id']}", json=resource).raise_for_status()
    server.options.update_as_create = False
    server.slow = True
    yield server
    server.let_go.set()


@pytest.fixture
def place(ehr: SlowEhr, tmp_path: Path) -> Iterator[Workplace]:
    with start(simulator=ehr) as handle:
        yield Workplace(tmp_path, handle.base_url, connection=SETTINGS, more="[web]\nport = 0\n")
        ehr.let_go.set()


def delivering(command: str, place: Workplace, ehr: SlowEhr) -> BridgeProcess:
    """Return ``bridge COMMAND`` as it waits for the answer to a write."""
    process = BridgeProcess(place.folder, command)
    process.watch(ehr.asked.is_set)
    assert process.code is None, process.said()
    return process


def readiness(process: BridgeProcess) -> int:
    """Return how the process answers whoever asks whether it is ready."""
    address = re.search(r"http://127\.0\.0\.1:\d+", process.said())
    assert address is not None, process.said()
    return httpx.get(f"{address[0]}/health/ready", timeout=30).status_code


def sending(place: Workplace) -> list[OutboxRow]:
    return [row for row in place.outbox() if row.state is IntentState.SENDING]


def all_is_due(place: Workplace) -> bool:
    """Whether nothing waits for its time any more: what was handed back is looked for a second later."""
    return all(row.next_at <= datetime.now(UTC) for row in place.outbox() if row.state is IntentState.QUEUED)


def nothing_is_lost_or_doubled(place: Workplace, ehr: SlowEhr) -> None:
    ehr.slow = False
    ehr.let_go.set()
    deadline = time.monotonic() + RUN_SECONDS
    while not all_is_due(place):
        assert time.monotonic() < deadline
        time.sleep(GLANCE_SECONDS)
    assert sync(place)["complete"]
    assert sync(place)["writes"] == 0
    cases = sorted(case.id for case in place.cases().values())
    assert sorted(ehr.tasks_of_cases()) == cases != []


@pytest.mark.parametrize("command", ["serve", "worker"])
def test_told_to_stop_it_is_not_ready_and_ends_when_what_is_under_way_has(
    command: str, place: Workplace, ehr: SlowEhr
) -> None:
    process = delivering(command, place, ehr)
    ready = readiness(process)
    process.tell()
    told = readiness(process)
    ehr.let_go.set()
    process.end_well()

    assert (ready, told) == (200, 503)
    assert sending(place) == []
    assert "handed back" not in process.said()
    nothing_is_lost_or_doubled(place, ehr)


def test_what_does_not_end_in_time_is_handed_back_in_doubt(place: Workplace, ehr: SlowEhr) -> None:
    process = delivering("worker", place, ehr)
    began = time.monotonic()
    process.tell()
    process.end_well()

    assert time.monotonic() - began < SOON
    assert sending(place) == []
    assert [row for row in place.outbox() if row.unsure_at is not None and row.state is IntentState.QUEUED] != []
    assert "handed back" in process.said()
    nothing_is_lost_or_doubled(place, ehr)


def test_told_twice_it_ends_at_once_and_loses_nothing(place: Workplace, ehr: SlowEhr) -> None:
    process = delivering("serve", place, ehr)
    process.tell()
    process.watch(lambda: readiness(process) == 503)
    assert process.code is None
    process.tell()
    assert process.wait()

    assert process.code == TOLD_TWICE
    nothing_is_lost_or_doubled(place, ehr)
