"""Azure Health Data Services: a full FHIR server, with next links alone."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile(
    "azure",
    title="Azure Health Data Services",
    software=("azure", "microsoft fhir"),
    paging="self and next links only; a bundle takes up to 500 entries",
    evidence=("Microsoft FHIR server, features supported, 2026: full CRUD, If-Match, paging",),
)
