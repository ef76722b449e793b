"""Epic, as its public sandbox was in May 2026."""

from __future__ import annotations

from conformance.simulator.surface import Surface, either
from conformance.simulator.vendors.base import Vendor, element_is, needs_elements, people, refers_to, shows
from conformance.simulator.wire import FhirError, Json

_PERSON = either("_id", "patient", "subject", "encounter", "identifier")
_CODES = frozenset({"community-resource", "episode-checklist"})


def _only_two_codes(method: str, before: Json | None, after: Json | None) -> None:
    codings = ((after or {}).get("code") or {}).get("coding", [])
    if not any(coding.get("code") in _CODES for coding in codings):
        raise FhirError(422, "business-rule", f"Only Tasks with a code of {', '.join(sorted(_CODES))} can be updated")


VENDOR = Vendor(
    name="epic",
    title="Epic",
    says="no _lastUpdated, no Task create, no conditional create; unknown parameters are ignored; 100 results at most",
    source="CapabilityStatement of the R4 sandbox, read 2026-07-24; fhir.epic.com error codes 4101 to 4127, 59133",
    options={
        "lenient": True,
        "search_by_last_updated": False,
        "update_as_create": False,
        "conditional_create": False,
        "conditional_update": False,
        "stale_write_status": 412,
        "date_prefixes": frozenset({"eq", "lt", "le", "gt", "ge"}),
    },
    faults=("outcome-when-empty", "truncate=100", "merged-patients=redirect"),
    surface=Surface(
        software=("Epic", "May 2026"),
        types={
            **people(),
            "Task": shows(
                "read search update",
                "patient subject encounter status focus code",
                needs=_PERSON,
                code="4110",
                writes=(_only_two_codes,),
            ),
            "ServiceRequest": shows(
                "read search create update",
                "patient subject category code authored status requester encounter",
                needs=_PERSON,
                code="4110",
            ),
            "Appointment": shows(
                "read search", "patient date status service-category identifier", needs=_PERSON, code="4110"
            ),
            "MedicationRequest": shows(
                "read search", "patient subject category intent status date", needs=_PERSON, code="4110"
            ),
            "Communication": shows(
                "read search create",
                "patient subject based-on part-of status category sent",
                needs=either("_id", "patient", "subject", "based-on", "part-of"),
                code="4110",
                writes=(
                    element_is("status", "in-progress"),
                    needs_elements("basedOn", "sender", "recipient", "sent", "payload"),
                    refers_to("basedOn", "ServiceRequest"),
                ),
            ),
            "DocumentReference": shows("read search create", "patient category type date status", needs=_PERSON),
            "Provenance": shows("read search", "target"),
        },
    ),
)
