"""Epic: everything by patient, no ``_lastUpdated`` anywhere, warnings inside a 200 that change what an answer means."""

from __future__ import annotations

from bridge.fhir.vendors.profile import Means, VendorProfile, by, write

PROFILE = VendorProfile(
    "epic",
    title="Epic",
    software=("epic",),
    reads={
        "Task": by("patient", "subject", params="encounter status focus code"),
        "ServiceRequest": by("patient", params="category code authored status requester encounter"),
        "Appointment": by("patient", params="date status service-category identifier"),
        "MedicationRequest": by("patient", params="category intent status date"),
        "Communication": by("patient", params="part-of based-on"),
    },
    writes={
        "Task": write(
            "update",
            rules=(
                "only Tasks of code community-resource or episode-checklist that Epic made; none can be created",
                "which changes of status are accepted was not verified",
            ),
        ),
        "Communication": write(
            "create",
            statuses="in-progress",
            needs="basedOn sender recipient sent payload",
            rules=("basedOn has to be a ServiceRequest of the community resource",),
        ),
        "ServiceRequest": write("create update", rules=("create is documented for radiotherapy summaries only",)),
    },
    prefixes=frozenset({"eq", "lt", "le", "gt", "ge"}),
    paging="a search is kept for a while and then expires (4113): it is begun anew; ids are opaque",
    throttling="no 429 is published; 4135 asks to come back tomorrow; apps are to keep the load low at peak times",
    codes={
        "4101": Means.NOTHING_FOUND,
        "4103": Means.DELETED,
        "4107": Means.MERGED,
        "4110": Means.NEEDS_MORE,
        "4111": Means.NEEDS_MORE,
        "4113": Means.PAGES_EXPIRED,
        "4119": Means.PARTLY_HIDDEN,
        "4122": Means.FILTER_IGNORED,
        "4127": Means.CUT_SHORT,
        "4130": Means.DENIED,
        "4131": Means.DENIED,
        "4134": Means.DENIED,
        "4135": Means.WAIT,
        "59100": Means.FILTER_IGNORED,
        "59109": Means.FILTER_IGNORED,
        "59133": Means.CUT_SHORT,
    },
    message_status="in-progress",
    own_ids=False,
    evidence=(
        "CapabilityStatement of the May 2026 sandbox, captured 2026-07-24: types, search parameters, no _lastUpdated",
        "fhir.epic.com error codes and search conventions, read by others 2026-07: codes, needed parameters, prefixes",
        "fhir.epic.com API list, specifications 10085 to 10090 and 11403: Task updates and Communications",
    ),
)
