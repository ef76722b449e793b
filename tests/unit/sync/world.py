"""A simulated EHR and Bridge beside it, in one process and on one clock that only moves when told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx

from bridge.cases.commands import AnyCommand
from bridge.cases.model import Case
from bridge.config import Settings
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import profile
from bridge.store.memory import MemoryStore
from bridge.store.queries import CaseFilter
from bridge.store.rows import OutboxRow
from bridge.sync.command import execute
from bridge.sync.connector import Connector, SyncReport
from bridge.sync.deliver import Channel
from bridge.tasks.coordination_task import Form
from bridge.tasks.route import route_plan
from bridge.wiring import make_line, read_lanes
from conformance.simulator import ManualClock, Options, Simulator, SimulatorTransport, client_of

START = datetime(2026, 6, 1, 14, tzinfo=UTC)
BASE = "http://ehr.example/fhir"


class World:
    """One EHR, one Bridge. ``writes`` are the requests by which Bridge changed the EHR, as ``METHOD path``."""

    def __init__(
        self, *, options: Options | None = None, faults: Iterable[str] = (), vendor: str = "generic", **connection: Any
    ) -> None:
        self.clock = ManualClock(START)
        self.ehr = Simulator(self.clock, options, faults)
        self.clinic = client_of(self.ehr, clinic=True)
        self.store = MemoryStore()
        self.requests: list[httpx.Request] = []
        self.away = False
        """Whether no connection to the EHR can be made."""
        self.slow = timedelta(0)
        """How long the EHR takes to answer each request."""
        self.forbidden: set[str] = set()
        """Resources (``Type/id``) that the EHR answers no request about."""
        self.refuses: Callable[[httpx.Request], bool] = lambda _: False
        """Which requests the EHR refuses with 400."""
        self.redirected: dict[str, str] = {}
        """Resources (``Type/id``) that no search shows and a read redirects, and where to."""
        self.answers: Callable[[httpx.Request], httpx.Response | None] = lambda _: None
        """What something on the way answers in the EHR's place."""
        self.refuses_as_stale: set[str] = set()
        """Ids of resources every update of which the EHR answers with 409."""
        self.unfound: set[str] = set()
        """Resources (``Type/id``) of which the EHR says 404, as it does to who may not see them."""
        self._vendor = vendor
        section = {"base_url": BASE, "vendor": vendor, **connection}
        owners = {
            "ann": {"kind": "person", "display": "Ann Weber", "references": ["Practitioner/ann"]},
            "desk": {"kind": "role", "display": "Front desk", "references": ["Organization/desk"]},
        }
        self.settings = Settings.model_validate({"connections": {"main": section}, "owners": owners})
        self.line = make_line("main", self.settings.connections["main"], self.settings, read_lanes(self.settings))
        self.bridge = self.new_bridge()

    def new_bridge(self) -> Connector:
        """Return a Bridge over the same store, as after a restart."""
        transport = _Line(self, self.way())
        endpoint = Endpoint("main", BASE, attempts=1, ids_per_search=20)
        client = FhirClient(endpoint, clock=self.clock, sleep=lambda _: None, transport=transport)
        return Connector(self.line, client, self.store, self.clock, lambda: self._channel(client))

    def way(self) -> httpx.BaseTransport:
        """Return the way to the EHR."""
        return SimulatorTransport(self.ehr)

    def _channel(self, client: FhirClient) -> Channel:
        vendor = profile(self._vendor)
        section = self.settings.connections["main"]
        form = Form(task_intent=vendor.task_intent, message_status=vendor.message_status)
        return Channel(
            self.line,
            client,
            route_plan(client.capability(), vendor, writes=section.write),
            form,
            knows_ready=vendor.knows_ready,
            direct_cancel=section.direct_cancel,
            concurrency=1,
        )

    def sync(self, minutes: float = 10) -> SyncReport:
        """Let time pass and run one round; it must be complete."""
        self.clock.advance(minutes=minutes)
        self.requests.clear()
        report = self.bridge.sync_once()
        assert report.complete, (report.problems, report.left)
        return report

    @property
    def writes(self) -> list[str]:
        """What Bridge wrote since the last round began."""
        return [f"{sent.method} {sent.url.path}" for sent in self.requests if sent.method != "GET"]

    def case(self, root: str) -> Case:
        """Return the one unmerged case of a root."""
        with self.store.reading() as tx:
            found = [case for case in tx.list_cases(CaseFilter(), limit=1000).cases if case.root == root]
        assert len(found) == 1, f"{len(found)} cases of {root}"
        return found[0]

    def act(self, root: str, command: AnyCommand, by: str = "ann", new_id: str = "attempt-1") -> Case:
        """Carry out a person's command on the case of a root."""
        case = self.case(root)
        return execute(
            self.store,
            {"main": self.line},
            case.id,
            command,
            by=by,
            expected_version=case.version,
            now=self.clock(),
            new_id=new_id,
        )

    def outbox(self) -> list[OutboxRow]:
        """Return every outbox row."""
        with self.store.reading() as tx:
            return tx.outbox(limit=1000)

    def ours(self, kind: str, system: str) -> list[dict[str, Any]]:
        """Return the resources on the EHR that carry an identifier of ours."""
        return [
            resource
            for resource in self.ehr.all(kind)
            if any(one.get("system") == system for one in resource.get("identifier", []))
        ]

    def task(self, root: str) -> dict[str, Any]:
        """Return our one coordination Task about a root."""
        found = [task for task in self.ours("Task", "urn:bridge:case") if task["focus"]["reference"] == root]
        assert len(found) == 1, f"{len(found)} Tasks about {root}"
        return found[0]


class _Line(httpx.BaseTransport):
    """The way to the EHR: remembers what went through, and breaks when told."""

    def __init__(self, world: World, inner: httpx.BaseTransport) -> None:
        self._world, self._inner = world, inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        if self._world.away:
            raise httpx.ConnectError("refused", request=request)
        self._world.requests.append(request)
        self._world.clock.advance(seconds=self._world.slow.total_seconds())
        kind = request.url.path.rpartition("/")[2]
        asked = {request.url.path.removeprefix("/fhir/")}
        asked |= {f"{kind}/{one}" for one in request.url.params.get("_id", "").split(",")}
        instead = self._world.answers(request)
        if instead is not None:
            instead.request = request
            return instead
        if request.method == "PUT" and kind in self._world.refuses_as_stale:
            return httpx.Response(409, request=request)
        if self._world.refuses(request):
            return httpx.Response(400, request=request)
        if asked & self._world.forbidden:
            return httpx.Response(403, request=request)
        moved = asked & self._world.redirected.keys()
        if moved and request.url.params.get("_id") is None:
            location = {"Location": f"{BASE}/{self._world.redirected[moved.pop()]}"}
            return httpx.Response(301, headers=location, request=request)
        if asked & (self._world.unfound | self._world.redirected.keys()):
            if request.url.params.get("_id") is None:
                return httpx.Response(404, request=request)
            empty = {
                "resourceType": "Bundle",
                "type": "searchset",
                "link": [{"relation": "self", "url": str(request.url)}],
            }
            return httpx.Response(200, json=empty, request=request)
        return self._inner.handle_request(request)


def patient(own_id: str = "p1") -> dict[str, Any]:
    """Return a patient."""
    return {
        "resourceType": "Patient",
        "id": own_id,
        "name": [{"family": "Example", "given": ["Pat"]}],
        "identifier": [{"system": "http://clinic.example/mrn", "value": own_id}],
    }


def order(own_id: str = "o1", **changes: Any) -> dict[str, Any]:
    """Return a referral that asks for a visit."""
    return {
        "resourceType": "ServiceRequest",
        "id": own_id,
        "status": "active",
        "intent": "order",
        "code": {"text": "Referral to cardiology"},
        "subject": {"reference": "Patient/p1"},
        "authoredOn": "2026-05-29T09:00:00Z",
        "requester": {"reference": "Practitioner/house", "display": "Dr House"},
        **changes,
    }


def a_task(own_id: str = "t1", **changes: Any) -> dict[str, Any]:
    """Return a Task by which somebody asks for the referral to be done."""
    return {
        "resourceType": "Task",
        "id": own_id,
        "status": "requested",
        "intent": "order",
        "code": {"coding": [{"system": "http://hl7.org/fhir/CodeSystem/task-code", "code": "fulfill"}]},
        "focus": {"reference": "ServiceRequest/o1"},
        "for": {"reference": "Patient/p1"},
        "authoredOn": "2026-05-29T09:30:00Z",
        **changes,
    }


def visit(own_id: str = "v1", **changes: Any) -> dict[str, Any]:
    """Return the visit that the referral asks for."""
    return {
        "resourceType": "Appointment",
        "id": own_id,
        "status": "booked",
        "start": "2026-06-20T14:00:00Z",
        "end": "2026-06-20T14:30:00Z",
        "basedOn": [{"reference": "ServiceRequest/o1"}],
        "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
        **changes,
    }
