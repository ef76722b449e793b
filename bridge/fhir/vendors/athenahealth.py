"""athenahealth: clinical types with ``_lastUpdated``, Appointments by id alone, no Task and no Communication."""

from __future__ import annotations

from bridge.fhir.vendors.profile import ABSENT, Reading, VendorProfile, having

PROFILE = VendorProfile(
    "athenahealth",
    title="athenahealth",
    software=("athena",),
    reads={
        "Task": ABSENT,
        "ServiceRequest": having(
            "patient encounter status category code authored performer requester _lastUpdated ah-practice"
        ),
        "Appointment": Reading(search=False, params=frozenset({"_id"})),
        "MedicationRequest": having("patient intent status authoredon _lastUpdated"),
        "Communication": ABSENT,
    },
    own_ids=False,
    evidence=(
        "CapabilityStatement, captured 2026: types and search parameters; Appointment by _id, _query and groups only",
        "aone-fhir-subscriptions README of 2024-11-19: Appointments are told of by notifications",
    ),
)
