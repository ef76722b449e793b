"""NextGen Enterprise and Office: orders and prescriptions to read; Enterprise keeps no versions."""

from __future__ import annotations

from bridge.fhir.vendors.profile import ABSENT, VendorProfile, having

PROFILE = VendorProfile(
    "nextgen",
    title="NextGen",
    software=("nextgen",),
    reads={
        "Task": ABSENT,
        "ServiceRequest": having("patient category code authored _lastUpdated"),
        "Appointment": ABSENT,
        "MedicationRequest": having("patient status intent authoredon _lastUpdated"),
        "Communication": ABSENT,
    },
    count="_maxresults",
    paging="a page's size is asked for by _maxresults",
    own_ids=False,
    evidence=(
        "CapabilityStatement of Enterprise, captured 2026-07-24: types, search parameters, versioning no-version",
        "CapabilityStatement of Office, captured 2026-07-24: HAPI 5.7 without _lastUpdated; its own word wins",
    ),
)
