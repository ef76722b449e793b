"""AWS HealthLake: a full FHIR server that leaves a resource out of searches while its index is brought up to date."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile(
    "healthlake",
    title="AWS HealthLake",
    software=("healthlake",),
    headers={"x-amz-fhir-history-consistency-level": "strong"},
    own_ids=False,
    evidence=(
        "HealthLake developer guide, FHIR search consistency levels, 2026: resources missing from searches, header",
        "which ids a client may choose was not verified",
    ),
)
