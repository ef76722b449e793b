"""Oracle Health (Cerner Millennium): no Task, Appointments only by person or place and day, writes by JSON Patch."""

from __future__ import annotations

from bridge.fhir.vendors.profile import ABSENT, VendorProfile, by, write

PROFILE = VendorProfile(
    "oracle",
    title="Oracle Health",
    software=("cerner", "oracle health", "millennium"),
    reads={
        "Task": ABSENT,
        "ServiceRequest": by("patient", "subject", params="_id code _lastUpdated"),
        "Appointment": by("patient", "practitioner", "location", params="_id date", window="date"),
        "MedicationRequest": by("patient", params="_id intent status _lastUpdated"),
        "Communication": by("recipient", params="_id category received -email-status"),
    },
    writes={
        "Appointment": write(
            "create patch",
            statuses="arrived checked-in cancelled booked fulfilled",
            rules=("If-Match is needed; booked needs a slot; only listed paths may be patched",),
        ),
        "MedicationRequest": write("create patch", rules=("If-Match is needed for a patch",)),
        "Communication": write(
            "create patch",
            statuses="completed",
            needs="category sender recipient topic",
            rules=(
                "sender is a Practitioner, recipients are Practitioners or Groups; priority routine or urgent",
                "category notification, reminder or SNOMED CT 312853008; topic as text alone",
                "closed by a patch of the extension email-status; at most 1,000 are found by a search",
            ),
        ),
    },
    prefixes=frozenset({"ge", "le"}),
    paging="the same id may stand on more than one page; _count is not heeded beside _id",
    throttling="no limit is documented",
    own_ids=False,
    evidence=(
        "CapabilityStatement, captured 2026-08-14: types, search parameters, no _lastUpdated on Appointment",
        "Millennium R4 documentation of 2024-05-02: needed parameters, allowed statuses, If-Match, 201 without a body",
        "docs.oracle.com R4 overview, read by others 2026: repeated ids and _count",
    ),
)
