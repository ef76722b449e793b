"""eClinicalWorks: orders and prescriptions to read, nothing to write, 250 requests a minute for a practice."""

from __future__ import annotations

from bridge.fhir.vendors.profile import ABSENT, VendorProfile, having

PROFILE = VendorProfile(
    "eclinicalworks",
    title="eClinicalWorks",
    software=("eclinicalworks", "ecw"),
    reads={
        "Task": ABSENT,
        "ServiceRequest": having("patient category code authored occurrence status"),
        "Appointment": ABSENT,
        "MedicationRequest": having("patient intent status authoredon encounter"),
        "Communication": ABSENT,
    },
    requests_per_minute=250,
    paging="by a parameter page in the next link",
    throttling="250 requests a minute for each practice; 429 without Retry-After",
    own_ids=False,
    evidence=(
        "CapabilityStatement, captured 2026-08-14: types, search parameters, no _lastUpdated",
        "fhir.eclinicalworks.com conventions, read by others 2026: paging and limits",
    ),
)
