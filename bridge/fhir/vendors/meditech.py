"""MEDITECH: no ``_lastUpdated``, Tasks by id alone, messages to recipients that the EHR offers."""

from __future__ import annotations

from bridge.fhir.vendors.profile import Reading, VendorProfile, having, write

PROFILE = VendorProfile(
    "meditech",
    title="MEDITECH",
    software=("meditech", "greenfield"),
    reads={
        "Task": Reading(search=False, params=frozenset()),
        "ServiceRequest": having("patient category code authored status encounter"),
        "Appointment": having("patient practitioner location date status"),
        "MedicationRequest": having("patient intent status authoredon encounter"),
        "Communication": having("patient in-response-to part-of recipient sender sent"),
    },
    writes={
        "Communication": write("create", rules=("recipients are those that $get-recipient-choices returns",)),
    },
    paging="by a next link with a parameter continue",
    own_ids=False,
    evidence=(
        "CapabilityStatement of Greenfield, 2023-05-25, captured 2026-08: types, search parameters, no _lastUpdated",
        "production systems may differ from Greenfield; not verified",
    ),
)
