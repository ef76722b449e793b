"""Resources as a server sends them; everything that does not matter has a default."""

from __future__ import annotations

from typing import Any

import msgspec

from bridge.cases.snapshot import Snapshot
from bridge.fhir.bundle import received
from bridge.fhir.source import SourceVersion
from bridge.mappers import Ignored, Parked, normalize

BASE_URL = "https://ehr.example/fhir"

_LEAST: dict[str, dict[str, Any]] = {
    "Task": {"status": "requested", "intent": "order", "for": {"reference": "Patient/p1"}},
    "ServiceRequest": {"status": "active", "intent": "order", "subject": {"reference": "Patient/p1"}},
    "Appointment": {
        "status": "booked",
        "start": "2026-03-18T09:00:00Z",
        "end": "2026-03-18T09:30:00Z",
        "participant": [{"actor": {"reference": "Patient/p1"}, "status": "accepted"}],
    },
    "MedicationRequest": {
        "status": "active",
        "intent": "order",
        "medicationCodeableConcept": {"text": "Metformin"},
        "subject": {"reference": "Patient/p1"},
    },
}


def a_version(kind: str, **elements: Any) -> SourceVersion:
    """Return a version of *kind*; an element given as ``None`` is left out, a trailing ``_`` is dropped."""
    stated = {name.rstrip("_"): value for name, value in elements.items()}
    meta = {"versionId": "3", "lastUpdated": "2026-03-04T10:00:00Z"}
    document = {"resourceType": kind, "id": "x1", "meta": meta, **_LEAST.get(kind, {}), **stated}
    return received(msgspec.json.encode({name: one for name, one in document.items() if one is not None}))


def outcome(kind: str, fhir_version: str = "R4", **elements: Any) -> Snapshot | Ignored | Parked:
    """Return what the mappers make of a resource."""
    return normalize(a_version(kind, **elements), base_url=BASE_URL, fhir_version=fhir_version)


def mapped(kind: str, fhir_version: str = "R4", **elements: Any) -> Snapshot:
    """Return the Snapshot of a resource that can be mapped."""
    found = outcome(kind, fhir_version, **elements)
    assert isinstance(found, Snapshot), found
    return found


def parked(kind: str, **elements: Any) -> Parked:
    """Return why a resource cannot be mapped."""
    found = outcome(kind, **elements)
    assert isinstance(found, Parked), found
    return found
