"""Canvas: Tasks to create and change, in three statuses and with intent ``unknown``."""

from __future__ import annotations

from bridge.fhir.vendors.profile import VendorProfile, write

PROFILE = VendorProfile(
    "canvas",
    title="Canvas",
    software=("canvas",),
    writes={
        "Task": write(
            "create update",
            statuses="requested completed cancelled",
            needs="description requester",
            rules=(
                "intent is always unknown; the requester is a Practitioner; a group is assigned by an extension",
                "the day it is due is restriction.period.end",
            ),
        ),
        "Communication": write(
            "create",
            needs="sender recipient payload",
            rules=("one of sender and recipient is a Practitioner, the other the Patient; payload is contentString",),
        ),
    },
    task_intent="unknown",
    knows_ready=False,
    own_ids=False,
    evidence=("Canvas documentation of Task and Communication, 2025-05-22: statuses, intent, needed elements",),
)
