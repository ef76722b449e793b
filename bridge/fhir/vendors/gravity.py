"""A partner by the SDOH Clinical Care guide (Gravity): Tasks without ``ready`` and ``received``."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile(
    "gravity",
    title="SDOH Clinical Care (Gravity)",
    knows_ready=False,
    evidence=("SDOH Clinical Care IG 3.0.0: Task.status excludes ready and received",),
)
