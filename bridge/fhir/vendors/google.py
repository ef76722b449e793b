"""Google Cloud Healthcare: a full FHIR server, whose totals are estimates until the last page."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile(
    "google",
    title="Google Cloud Healthcare",
    software=("google", "cloud healthcare"),
    paging="total is an estimate until the last page",
    evidence=(
        "Cloud Healthcare API documentation, 2026: full CRUD, If-Match",
        "Cloud Healthcare API, best practices for FHIR search, 2026: totals",
    ),
)
