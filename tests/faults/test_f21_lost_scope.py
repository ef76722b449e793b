"""F21: our credentials are not accepted any more, or the scope of one type was taken away."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta

import httpx
import pytest

from bridge.cases.intents import IntentState
from bridge.errors import RemoteError
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import profile
from bridge.sync.connector import Connector
from bridge.sync.governor import Governor
from bridge.sync.ladder import Ladder
from bridge.sync.replay import replay_outbox
from bridge.web.connections import ConnectionView, Health, connection_view
from bridge.web.context import ConnectionInfo
from conformance.simulator import SimulatorTransport
from tests.unit.sync.world import BASE, World, a_task, order, patient, visit

TYPES = ("ServiceRequest", "MedicationRequest", "Appointment", "Task")
EVERYTHING = "everything"


class Governed(World):
    """A world whose Bridge has a ladder and a governor, as the real one has."""

    def new_bridge(self) -> Connector:
        self.lost: dict[str, int] = {}
        """The status with which requests for a type are refused."""
        self.refused: Counter[int] = Counter()
        """How many requests were refused, by status."""
        governor = Governor("main", self.store, self.clock, sleep=lambda seconds: self.clock.advance(seconds=seconds))
        endpoint = Endpoint("main", BASE, attempts=2, ids_per_search=20)
        way = _Guarded(self, SimulatorTransport(self.ehr))
        client = FhirClient(endpoint, clock=self.clock, sleep=lambda _: None, transport=way, turn=governor.turn)
        ladder = Ladder(self.line, client, profile("generic"), client.capability, self.clock)
        return Connector(self.line, client, self.store, self.clock, lambda: self._channel(client), ladder=ladder)

    def pass_minutes(self, minutes: int) -> None:
        """Do what the loops of ``bridge serve`` do; what fails is tried again four times a minute."""
        for minute in range(minutes):
            self.bridge.read()
            if minute % 30 == 0:
                self._try("compare")
            for _ in range(4):
                self.clock.advance(seconds=15)
                self._try("name_people", "answer", "deliver")

    def _try(self, *works: str) -> None:
        for work in works:
            try:
                getattr(self.bridge, work)()
            except RemoteError:
                continue

    def ring(self, *refs: str) -> None:
        """Keep what a notification was about."""
        with self.store.transaction() as tx:
            tx.note_hints("main", refs, self.clock(), 1)

    def hints(self) -> list[str]:
        """Return what rang and was not read again."""
        with self.store.reading() as tx:
            return [hint.ref for hint in tx.hints("main", 100)]

    def view(self) -> ConnectionView:
        """Return what the page and the API show."""
        info = ConnectionInfo("main", BASE, "generic", "R4", TYPES)
        with self.store.reading() as tx:
            return connection_view(tx, info, now=self.clock(), stale_after=timedelta(minutes=15))


class _Guarded(httpx.BaseTransport):
    """The way to the EHR, with somebody at the door."""

    def __init__(self, world: Governed, inner: httpx.BaseTransport) -> None:
        self._world, self._inner = world, inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        kind = request.url.path.removeprefix("/fhir/").partition("/")[0]
        status = self._world.lost.get(kind, self._world.lost.get(EVERYTHING))
        if status is None:
            return self._inner.handle_request(request)
        self._world.refused[status] += 1
        issue = {"severity": "error", "code": "forbidden" if status == 403 else "login"}
        return httpx.Response(status, json={"resourceType": "OperationOutcome", "issue": [issue]}, request=request)


def a_clinic() -> Governed:
    """Return a world where an order, its visit and a Task were read and answered."""
    world = Governed()
    for resource in (patient(), order(), visit(), a_task()):
        world.ehr.put(resource)
    world.pass_minutes(2)
    assert world.view().health is Health.CURRENT
    return world


def change_everything(world: Governed) -> None:
    """Let the clinic change what there is, make more, and tell of some of it."""
    world.ehr.put(order("o2"))
    world.ehr.put(visit(status="cancelled"))
    world.ehr.put(visit("v2", basedOn=[{"reference": "ServiceRequest/o2"}]))
    world.ehr.put(a_task("t2", focus={"reference": "ServiceRequest/o2"}))
    world.ring("Appointment/v1", "Appointment/v2", "ServiceRequest/o2", "Task/t2", "Appointment")


def assert_caught_up(world: Governed) -> None:
    """Check that nothing was lost."""
    world.pass_minutes(31)
    assert world.view().problem is None
    assert world.view().health is Health.CURRENT
    assert world.hints() == []
    assert world.bridge.prove().differences == ()
    assert {line.ref for line in world.case("ServiceRequest/o2").sources} == {
        "ServiceRequest/o2",
        "Appointment/v2",
        "Task/t2",
    }
    assert {row.state for row in world.outbox()} <= {IntentState.CONFIRMED, IntentState.SUPERSEDED}


@pytest.mark.parametrize(("kind", "status"), [("Appointment", 401), ("ServiceRequest", 403)])
def test_a_type_whose_scope_was_removed_stops_alone_and_catches_up(kind: str, status: int) -> None:
    """What was to be written meanwhile and was refused with 403 is parked; somebody replays it."""
    world = a_clinic()
    world.lost = {kind: status}
    change_everything(world)
    world.pass_minutes(31)

    view = world.view()
    streams = {stream.type: stream for stream in view.streams}
    assert [name for name, stream in streams.items() if stream.problem] == [kind]
    assert all(stream.lag_seconds < 120 for name, stream in streams.items() if name != kind)
    assert str(status) in (streams[kind].problem or "")
    assert {401: "check auth", 403: "give its client the scope"}[status] in (view.problem or "")
    assert view.health is Health.FAILING
    assert world.refused[status] <= 200

    world.lost = {}
    world.pass_minutes(6)
    parked = [row for row in world.outbox() if row.state is IntentState.PARKED]
    assert all(row.code == "http-403" for row in parked)
    replay_outbox(world.store, [row.id for row in parked], world.clock())
    assert_caught_up(world)


def test_credentials_that_are_never_accepted_cost_a_request_a_minute_and_lose_nothing() -> None:
    world = a_clinic()
    world.lost = {EVERYTHING: 401}
    change_everything(world)
    world.pass_minutes(10)
    began = world.refused[401]
    world.pass_minutes(30)

    view = world.view()
    assert all("check auth" in (stream.problem or "") for stream in view.streams)
    assert view.not_asked is not None
    assert "401" in view.not_asked.reason
    assert len(world.hints()) == 5
    assert began <= 40
    assert world.refused[401] - began <= 40

    world.lost = {}
    assert_caught_up(world)
