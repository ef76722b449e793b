"""Medplum: a full FHIR server; a message that was sent is ``in-progress``."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile

PROFILE = VendorProfile(
    "medplum",
    title="Medplum",
    software=("medplum",),
    message_status="in-progress",
    own_ids=False,
    evidence=(
        "Medplum documentation, referrals and handoffs, read 2026: a sent message is in-progress with sent",
        "Medplum assigns ids itself unless a project is set up otherwise (documentation, 2026)",
    ),
)
