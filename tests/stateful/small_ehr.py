"""An EHR that holds a few resources: it keeps every version, answers reads and searches by ``_id``, and deletes."""

from __future__ import annotations

import json
from datetime import datetime
from typing import Any

import httpx

from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.source import SourceVersion
from tests.stateful.world import BASE, version_of


class SmallEhr:
    """
    ``current`` is what the EHR holds; ``versions`` is every version it ever held, in order of time. ``people`` are
    the newest records of patients.

    What is ``hidden`` is not found by a search; what is ``flaky`` is answered with 410 once; a read of what is
    ``closed`` is refused, and any search that asks for it. ``reads`` counts direct reads.
    """

    def __init__(self) -> None:
        self.current: dict[str, SourceVersion] = {}
        self.people: dict[str, SourceVersion] = {}
        self.deleted: set[str] = set()
        self.hidden: set[str] = set()
        self.flaky: set[str] = set()
        self.closed: set[str] = set()
        self.reads = 0
        self.versions: list[SourceVersion] = []

    def write(self, resource: dict[str, Any]) -> SourceVersion:
        """Store the next version of a resource; versions are numbered across the EHR."""
        version = version_of(resource, len(self.versions) + 1)
        self.versions.append(version)
        self.current[version.ref] = version
        self.deleted.discard(version.ref)
        return version

    def admit(self, patient: dict[str, Any]) -> None:
        """Store the next version of a patient's record; nobody is told of it."""
        before = self.people.get(f"Patient/{patient['id']}")
        version = version_of(patient, 1 if before is None else int(before.version) + 1)
        self.people[version.ref] = version

    def delete(self, ref: str) -> None:
        """Delete a resource."""
        del self.current[ref]
        self.deleted.add(ref)

    def client(self, now: datetime) -> FhirClient:
        """Return a client of this EHR."""
        endpoint = Endpoint("main", BASE, attempts=1)
        return FhirClient(
            endpoint, clock=lambda: now, sleep=lambda _: None, transport=httpx.MockTransport(self._answer)
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        ref = request.url.path.removeprefix(httpx.URL(BASE).path).strip("/")
        if "/" in ref:
            return self._read(ref)
        wanted = [f"{ref}/{own_id}" for own_id in request.url.params["_id"].split(",")]
        if not self.closed.isdisjoint(wanted) and self.hidden.isdisjoint(self.closed):
            return httpx.Response(403, json={"resourceType": "OperationOutcome"})
        held = {**self.current, **self.people}
        found = [json.loads(held[one].raw) for one in wanted if one in held and one not in self.hidden]
        bundle = {
            "resourceType": "Bundle",
            "type": "searchset",
            "link": [{"relation": "self", "url": str(request.url)}],
            "entry": [{"resource": resource} for resource in found],
        }
        return httpx.Response(200, json=bundle)

    def _read(self, ref: str) -> httpx.Response:
        self.reads += 1
        if ref in self.closed:
            return httpx.Response(403, json={"resourceType": "OperationOutcome"})
        if ref in self.flaky:
            self.flaky.remove(ref)
            return httpx.Response(410, json={"resourceType": "OperationOutcome"})
        if ref in self.current:
            return httpx.Response(200, content=self.current[ref].raw)
        return httpx.Response(410 if ref in self.deleted else 404, json={"resourceType": "OperationOutcome"})
