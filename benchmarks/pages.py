"""Synthetic search pages: ServiceRequests of 1.2 kB, as an EHR would send them, the same for the same numbers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from random import Random
from uuid import UUID

BASE = "http://127.0.0.1:9/fhir"
BEGAN = datetime(2026, 1, 5, 8, tzinfo=UTC)


def own_id(number: int) -> str:
    """Return an id as most servers give them: no order in it, so that every index is hit all over."""
    return str(UUID(int=Random(number).getrandbits(128), version=4))


def service_request(number: int, version: int = 1) -> dict[str, object]:
    """Return one order; every later version has another status or note."""
    at = (BEGAN + timedelta(seconds=number)).isoformat().replace("+00:00", "Z")
    touched = (BEGAN + timedelta(days=version, seconds=number)).isoformat().replace("+00:00", "Z")
    return {
        "resourceType": "ServiceRequest",
        "id": own_id(number),
        "meta": {
            "versionId": str(version),
            "lastUpdated": touched,
            "profile": ["http://example.org/StructureDefinition/order"],
        },
        "text": {
            "status": "generated",
            "div": f'<div xmlns="http://www.w3.org/1999/xhtml"><p>Referral {number}</p></div>',
        },
        "identifier": [{"system": "http://clinic.example/orders", "value": f"ORD-{number:08d}"}],
        "status": ("active", "on-hold", "active", "completed")[(version - 1) % 4],
        "intent": "order",
        "category": [
            {"coding": [{"system": "http://snomed.info/sct", "code": "3457005", "display": "Patient referral"}]}
        ],
        "priority": ("routine", "urgent", "asap", "stat")[number % 4],
        "code": {
            "coding": [{"system": "http://snomed.info/sct", "code": "183519002", "display": "Referral to cardiology"}],
            "text": "Referral to cardiology",
        },
        "subject": {"reference": f"Patient/p-{number % 5000}", "display": f"Patient {number % 5000}"},
        "encounter": {"reference": f"Encounter/e-{number}"},
        "occurrencePeriod": {"start": at, "end": touched},
        "authoredOn": at,
        "requester": {"reference": f"Practitioner/d-{number % 200}", "display": f"Dr {number % 200}"},
        "performer": [{"reference": f"Organization/o-{number % 50}", "display": f"Clinic {number % 50}"}],
        "reasonCode": [
            {
                "coding": [{"system": "http://snomed.info/sct", "code": "29857009", "display": "Chest pain"}],
                "text": "Chest pain on exertion",
            }
        ],
        "note": [{"time": at, "text": "Please see within two weeks; prefers mornings."}],
    }


def pages(first: int, count: int, *, size: int = 200, version: int = 1) -> Iterator[bytes]:
    """Yield searchset Bundles of *size* orders each, numbered from *first*."""
    for start in range(first, first + count, size):
        entries = [
            {
                "fullUrl": f"{BASE}/ServiceRequest/{own_id(number)}",
                "resource": service_request(number, version),
                "search": {"mode": "match"},
            }
            for number in range(start, min(start + size, first + count))
        ]
        yield json.dumps(
            {"resourceType": "Bundle", "type": "searchset", "entry": entries}, separators=(",", ":")
        ).encode()
