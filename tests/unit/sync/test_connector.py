"""One round over a connection: what fails is named and does not hold up the rest."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import httpx
import pytest

from bridge.errors import PutOff
from bridge.fhir.client import Endpoint, FhirClient
from bridge.sync.connector import Connector
from conformance.simulator import SimulatorTransport
from tests.unit.sync.world import BASE, World, a_task, order, patient, visit

ROOT = "ServiceRequest/o1"


Refusal = Callable[[httpx.Request], httpx.Response | None]


class Refusing(httpx.BaseTransport):
    """Answers what *refusal* returns, and where that is nothing what the EHR says."""

    def __init__(self, world: World, refusal: Refusal) -> None:
        self._inner, self._refusal = SimulatorTransport(world.ehr), refusal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return self._refusal(request) or self._inner.handle_request(request)


def refuses(when: Callable[[httpx.Request], bool]) -> Refusal:
    """Return a refusal with 403 of some requests."""
    body = {"resourceType": "OperationOutcome", "issue": []}
    return lambda sent: httpx.Response(403, json=body) if when(sent) else None


def hides_orders(sent: httpx.Request) -> httpx.Response | None:
    """Answer as if there were no ServiceRequest, as servers do when a permission was lost."""
    if sent.url.path == "/fhir/ServiceRequest":
        return httpx.Response(200, json={"resourceType": "Bundle", "type": "searchset", "total": 0})
    if sent.url.path.startswith("/fhir/ServiceRequest/"):
        return httpx.Response(404, json={"resourceType": "OperationOutcome"})
    return None


def a_bridge(world: World, refusal: Refusal) -> Connector:
    """Return a Bridge that some requests are refused to."""
    endpoint = Endpoint("main", BASE, attempts=1, ids_per_search=20)
    client = FhirClient(endpoint, clock=world.clock, sleep=lambda _: None, transport=Refusing(world, refusal))
    return replace(world.bridge, client=client)


def a_world() -> World:
    """Return an EHR with an order, a Task about it and the visit."""
    world = World()
    for resource in (patient(), order(), a_task(), visit()):
        world.ehr.put(resource)
    world.clock.advance(minutes=10)
    return world


def test_a_round_reads_compares_and_delivers() -> None:
    world = a_world()

    report = world.sync()

    assert report.complete
    assert sum(poll.counts.received for poll in report.polls) == 3
    assert report.people.read == 1
    assert report.sweep.compared == 3
    assert world.task(ROOT)["businessStatus"]["coding"][0]["code"] == "scheduled"


@pytest.mark.parametrize("stream", ["ServiceRequest", "Appointment", "Task", "MedicationRequest"])
def test_a_stream_that_is_refused_is_named_and_the_others_are_read(stream: str) -> None:
    world = a_world()
    bridge = a_bridge(world, refuses(lambda sent: sent.method == "GET" and sent.url.path == f"/fhir/{stream}"))

    report = bridge.sync_once()

    assert not report.complete
    assert any(problem.startswith(f"{stream}: ") for problem in report.problems)
    assert {poll.stream for poll in report.polls} == {"ServiceRequest", "Appointment", "Task", "MedicationRequest"} - {
        stream
    }
    with world.store.reading() as tx:
        cursor = tx.cursor("main", stream)
    assert cursor is not None
    assert cursor.problem


def test_an_ehr_that_is_not_asked_is_a_problem_that_is_not_said_with_every_poll(
    caplog: pytest.LogCaptureFixture,
) -> None:
    world = a_world()
    asked = world.clock()

    @contextmanager
    def not_now() -> Iterator[None]:
        raise PutOff("not asked before noon", retry_at=asked)
        yield

    endpoint = Endpoint("main", BASE, attempts=1, ids_per_search=20)
    client = FhirClient(endpoint, clock=world.clock, turn=not_now, transport=SimulatorTransport(world.ehr))
    bridge = replace(world.bridge, client=client)

    _, problems = bridge.read()

    assert len(problems) == 4
    with world.store.reading() as tx:
        assert [cursor.problem for cursor in tx.cursors("main")] == ["not asked before noon"] * 4
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_sweep_that_is_refused_does_not_keep_what_is_due_from_being_delivered() -> None:
    world = a_world()
    bridge = a_bridge(world, refuses(lambda sent: "_id=" in str(sent.url) and "ServiceRequest" in sent.url.path))

    report = bridge.sync_once()

    assert not report.complete
    assert world.task(ROOT)["status"] == "in-progress"


def test_people_who_may_not_be_read_hold_nothing_up() -> None:
    world = a_world()
    bridge = a_bridge(world, refuses(lambda sent: sent.url.path == "/fhir/Patient"))

    report = bridge.sync_once()

    assert report.problems == ()
    assert (report.people.read, report.people.unreadable) == (0, 2)
    assert report.sweep.compared == 3


def test_a_server_that_lost_a_type_makes_the_round_incomplete_and_closes_nothing() -> None:
    world = World()
    for number in range(12):
        world.ehr.put(order(f"o{number}"))
    world.sync()
    bridge = a_bridge(world, hides_orders)

    for _ in range(3):
        world.clock.advance(minutes=10)
        report = bridge.sync_once()

    assert not report.complete
    assert report.problems == ("sweep: no ServiceRequest is there any more; may Bridge still read them?",)
    assert all(world.case(f"ServiceRequest/o{number}").is_open for number in range(12))


def test_a_connection_that_is_not_written_to_delivers_nothing_and_is_complete() -> None:
    world = World(write=False)
    world.ehr.put(order())

    report = world.sync()

    assert report.deliveries is None
    assert report.left == 0
    assert world.writes == []


def test_a_first_poll_that_fails_begins_where_it_should_the_next_time() -> None:
    world = a_world()
    world.ehr.put(order("old"))
    world.clock.advance(minutes=10)
    start = world.clock()
    world.clock.advance(minutes=10)
    world.ehr.put(order("new"))
    bridge = replace(world.bridge, since=start)
    world.away = True
    bridge.read()
    world.away = False

    bridge.read()

    with world.store.reading() as tx:
        assert set(tx.sources("main", ["ServiceRequest/old", "ServiceRequest/new"])) == {"ServiceRequest/new"}
