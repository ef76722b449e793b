"""EHRs of practices and smaller hospitals: athenahealth, MEDITECH, eClinicalWorks, NextGen, Canvas."""

from __future__ import annotations

from datetime import timedelta

from conformance.simulator.surface import Surface, either
from conformance.simulator.vendors.base import Vendor, element_is, needs_elements, people, refers_to, shows

_PERSON = either("_id", "patient", "subject", "encounter")
_READ_ONLY: dict[str, object] = {
    "update_as_create": False,
    "conditional_create": False,
    "conditional_update": False,
    "stale_write_status": 412,
}

ATHENAHEALTH = Vendor(
    name="athenahealth",
    title="athenahealth",
    says="no Task, nothing of ours can be written; Appointment by id only; topics ring, numbered anew in each Bundle",
    source="its CapabilityStatement, 2026-08; athenahealth/aone-fhir-subscriptions README, 2024-11-19",
    options={
        **_READ_ONLY,
        "without_last_updated": frozenset({"Appointment"}),
        "hooks__form": "athenahealth",
        "hooks__numbering": "bundle",
        "hooks__signature": "X-Hub-Signature",
        "hooks__operations": False,
        "hooks__timeout_seconds": 2,
        "hooks__retry_every": timedelta(minutes=1),
        "hooks__give_up_after": timedelta(hours=1),
        "hooks__giving_up": "active",
    },
    surface=Surface(
        software=("athenaOne", "2026"),
        types={
            **people(parameters="_lastUpdated"),
            "ServiceRequest": shows(
                "read search",
                "patient encounter status category code authored performer requester _lastUpdated",
                needs=either("_id", "patient", "encounter", "_lastUpdated"),
            ),
            "Appointment": shows("read search", "", needs=either("_id")),
            "MedicationRequest": shows(
                "read search",
                "patient intent status authoredon _lastUpdated",
                needs=either("_id", "patient", "_lastUpdated"),
            ),
            "Provenance": shows("read search", "target"),
            "Subscription": shows("read search create update delete", "status url"),
        },
    ),
)

MEDITECH = Vendor(
    name="meditech",
    title="MEDITECH",
    says="Task can be read but not searched; no _lastUpdated; Communication may be created",
    source="CapabilityStatement of the Greenfield workspace (US Core STU6), 2026-08",
    options={**_READ_ONLY, "search_by_last_updated": False},
    surface=Surface(
        software=("MEDITECH Expanse", "Greenfield"),
        types={
            **people(),
            "Task": shows("read"),
            "ServiceRequest": shows("read search", "patient category code authored status encounter", needs=_PERSON),
            "Appointment": shows(
                "read search",
                "patient practitioner location date status",
                needs=either("_id", "patient", "practitioner date", "location date"),
            ),
            "MedicationRequest": shows("read search", "patient intent status authoredon encounter", needs=_PERSON),
            "Communication": shows(
                "read search create",
                "patient part-of recipient sender sent",
                needs=either("_id", "patient", "recipient", "sender", "part-of"),
                writes=(needs_elements("recipient", "sender", "payload"),),
            ),
        },
    ),
)

ECLINICALWORKS = Vendor(
    name="eclinicalworks",
    title="eClinicalWorks",
    says="no Task, no Appointment, no _lastUpdated, no writes; 250 requests a minute, 429 without Retry-After",
    source="its CapabilityStatement, 2026-08-14; its developer portal on limits",
    options={**_READ_ONLY, "search_by_last_updated": False},
    faults=("rate-limit=250,60",),
    surface=Surface(
        software=("eClinicalWorks", "2026"),
        types={
            **people(),
            "ServiceRequest": shows("read search", "patient category code authored occurrence status", needs=_PERSON),
            "MedicationRequest": shows("read search", "patient intent status authoredon encounter", needs=_PERSON),
        },
    ),
)

NEXTGEN = Vendor(
    name="nextgen",
    title="NextGen Enterprise",
    says="no Task, no Appointment, no writes; resources have no version and no ETag",
    source="its R4 CapabilityStatement (versioning no-version), 2026-07-24",
    options={**_READ_ONLY, "count_parameter": "_maxresults"},
    faults=("no-versions",),
    surface=Surface(
        software=("NextGen Enterprise", "2026"),
        versioning="no-version",
        types={
            **people(parameters="_lastUpdated _maxresults"),
            "ServiceRequest": shows(
                "read search", "patient category code authored _lastUpdated _maxresults", needs=_PERSON
            ),
            "MedicationRequest": shows(
                "read search", "patient status intent authoredon _lastUpdated _maxresults", needs=_PERSON
            ),
        },
    ),
)

CANVAS = Vendor(
    name="canvas",
    title="Canvas Medical",
    says="Task requested, completed or cancelled with intent unknown; messages between patient and practitioner",
    source="canvas-medical/documentation, _api/task.md and communication.md, 2025-05-22",
    options={**_READ_ONLY, "search_by_last_updated": False},
    surface=Surface(
        software=("Canvas Medical", "2025"),
        types={
            **people(),
            "Task": shows(
                "create read search update",
                "patient subject owner requester status modified",
                writes=(
                    element_is("status", "requested", "completed", "cancelled"),
                    element_is("intent", "unknown"),
                    needs_elements("description", "requester"),
                    refers_to("requester", "Practitioner"),
                ),
            ),
            "ServiceRequest": shows("read search", "patient status"),
            "Appointment": shows("create read search update", "patient practitioner location date status"),
            "MedicationRequest": shows("read search", "patient status intent"),
            "Communication": shows(
                "create read search",
                "recipient sender",
                writes=(
                    needs_elements("sender", "recipient", "payload"),
                    refers_to("sender", "Practitioner", "Patient"),
                    refers_to("recipient", "Practitioner", "Patient"),
                ),
            ),
        },
    ),
)
