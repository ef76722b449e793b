"""Oracle Health (Cerner Millennium), as documented in 2024 and declared in August 2026."""

from __future__ import annotations

from conformance.simulator.surface import Surface, either
from conformance.simulator.vendors.base import (
    Vendor,
    changes_only,
    element_is,
    needs_elements,
    on_change,
    on_create,
    people,
    refers_to,
    refuses_elements,
    shows,
)

_PLAIN = refuses_elements("modifierExtension", "implicitRules")
_PERSON = either("_id", "patient", "subject")

VENDOR = Vendor(
    name="oracle",
    title="Oracle Health",
    says="no Task; JSON Patch with If-Match only; Appointment by person or place and date; creates answer no body",
    source=(
        "fhir.cerner.com, Millennium R4: appointment.md, communication.md, service-request.md, 2024-05-02;"
        " its CapabilityStatement, 2026-08-14"
    ),
    options={
        "update_as_create": False,
        "conditional_create": False,
        "conditional_update": False,
        "stale_write_status": 409,
        "stable_pages": False,
        "without_last_updated": frozenset({"Appointment", "Communication"}),
        "last_updated_prefixes": frozenset({"ge", "le"}),
        "silent_updates": frozenset({"note", "supportingInfo"}),
    },
    faults=("empty-201",),
    surface=Surface(
        software=("Oracle Health Millennium", "2026.08"),
        system=frozenset({"batch"}),
        needs_if_match=True,
        types={
            **people(),
            "ServiceRequest": shows("read search", "patient subject code _lastUpdated", needs=_PERSON),
            "Appointment": shows(
                "read search create patch",
                "patient practitioner location date status",
                needs=either("_id", "patient date", "practitioner date", "location date"),
                writes=(
                    _PLAIN,
                    on_change(changes_only("status", "slot", "start", "end", "participant", "cancelationReason")),
                    on_change(element_is("status", "arrived", "checked-in", "cancelled", "booked", "fulfilled")),
                ),
            ),
            "MedicationRequest": shows(
                "read search create patch",
                "patient subject intent status _lastUpdated",
                needs=_PERSON,
                writes=(_PLAIN,),
            ),
            "Communication": shows(
                "read search create patch",
                "category recipient received",
                needs=either("_id", "category recipient received"),
                writes=(
                    _PLAIN,
                    on_create(element_is("status", "completed")),
                    on_create(needs_elements("category", "sender", "recipient", "payload")),
                    on_create(refers_to("sender", "Practitioner")),
                    on_create(refers_to("recipient", "Practitioner", "Group")),
                    on_change(changes_only("extension")),
                ),
            ),
            "DocumentReference": shows("read search create", "patient category type date", needs=_PERSON),
            "Basic": shows("read search create", "patient code", needs=_PERSON),
            "Provenance": shows("read create", ""),
        },
    ),
)
