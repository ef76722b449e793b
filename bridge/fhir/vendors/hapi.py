"""HAPI FHIR: a full FHIR server; a page is never larger than the server's maximum."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile(
    "hapi",
    title="HAPI FHIR",
    software=("hapi",),
    paging="a page is capped at the server's maximum; searches are kept an hour, and served from a cache for 60 s",
    evidence=(
        "HAPI 8.0.0, run 2026-11: update-as-create with ids that are not all digits; pages and cache",
        "hapi-fhir #5720: rows of one lastUpdated may be skipped by offset, so Bridge goes on by timestamp",
    ),
)
