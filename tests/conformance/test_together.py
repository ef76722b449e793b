"""Faults together: any of them can be combined, and the same seed gives the same run."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from random import Random

import httpx
import pytest

from conformance.simulator import FAULTS, VENDORS, ManualClock, Reply, Ring, Simulator, client_of
from conformance.simulator.faults import merge_patients

from .hooks.subscriber import backport, classic
from .plain import a_task
from .test_faults import ARGUMENTS

NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)
PATCH = {"Content-Type": "application/json-patch+json"}
ACCEPTED = [{"op": "replace", "path": "/status", "value": "accepted"}]


def some_faults(seed: int) -> list[str]:
    chosen = Random(seed).sample(sorted(FAULTS), 6)
    return [name + ARGUMENTS.get(name, "") for name in chosen]


def run(seed: int, vendor: str) -> list[object]:
    """Play a short day against an EHR with six faults and return all that could be seen of it."""
    clock = ManualClock(NOON)
    seen: list[object] = []

    def heard(ring: Ring) -> Reply:
        seen.append((ring.url, ring.body))
        return Reply(204 if ring.events[:1] != (2,) else 500)

    simulator = Simulator(clock, faults=some_faults(seed), seed=seed, vendor=vendor, sender=heard)
    for id_ in ("p", "q"):
        simulator.put({"resourceType": "Patient", "id": id_})
    with client_of(simulator) as fhir, client_of(simulator, clinic=True) as clinic:
        for request in requests(clinic, fhir):
            try:
                answer = fhir.send(request)
                seen.append((answer.status_code, sorted(answer.headers.items()), answer.content))
            except httpx.TransportError as error:
                seen.append(repr(error))
            clock.advance(seconds=20)
            simulator.deliver()
        merge_patients(simulator.ehr, "p", "q")
        seen.append(clinic.get("_history").content)
    return seen


def requests(clinic: httpx.Client, fhir: httpx.Client) -> Iterator[httpx.Request]:
    """Yield what a day asks for, while the clinic works."""
    yield fhir.build_request("GET", "metadata")
    for subscription in (classic(), backport("full-resource", heartbeat=30)):
        yield fhir.build_request("POST", "Subscription", json=subscription)
    for number in range(4):
        task = a_task(f"t{number}", **{"for": {"reference": "Patient/p"}})
        clinic.put(f"Task/t{number}", json=task)
        yield fhir.build_request("PUT", f"Task/t{number}", json={**task, "status": "accepted"})
        yield fhir.build_request("PATCH", f"Task/t{number}", json=ACCEPTED, headers={**PATCH, "If-Match": 'W/"1"'})
        yield fhir.build_request("GET", f"Task/t{number}")
        yield fhir.build_request("GET", "Task", params={"patient": "p", "_count": "2", "_sort": "_lastUpdated"})
        yield fhir.build_request("GET", "Task/_history", params={"_count": "3"})
    yield fhir.build_request("POST", "Task", json=a_task("x"), headers={"If-None-Exist": "identifier=a|b"})
    yield fhir.build_request("GET", "Patient/p")
    yield fhir.build_request("DELETE", "Task/t0")


@pytest.mark.parametrize("seed", range(40))
def test_any_faults_can_be_combined_and_a_seed_repeats_its_run(seed: int) -> None:
    vendor = sorted(VENDORS)[seed % len(VENDORS)]

    first = run(seed, vendor)

    assert run(seed, vendor) == first


def test_chance_differs_from_seed_to_seed() -> None:
    def order(seed: int) -> list[str]:
        clock, rings = ManualClock(NOON), list[Ring]()

        def heard(ring: Ring) -> Reply:
            rings.append(ring)
            return Reply(204)

        simulator = Simulator(clock, faults=["hook-shuffle"], seed=seed, sender=heard)
        simulator.put({**classic(payload="application/fhir+json"), "id": "s"})
        simulator.deliver()
        for number in range(8):
            simulator.put(a_task(f"t{number}"))
        clock.advance(minutes=1)
        simulator.deliver()
        return [ring.url for ring in rings]

    assert order(1) == order(1)
    assert order(1) != order(2)
