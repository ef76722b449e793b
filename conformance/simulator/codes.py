"""Codes that a server with typed resources refuses to read at all when they are unknown.

FHIR R4 required bindings. HAPI 8.0.0 answered 400 (HAPI-0450) to a status outside its value set, but stored
a Task without intent, seen 2026-11: so a wrong code is refused here, and a missing element is not.
"""

from __future__ import annotations

from conformance.simulator.wire import FhirError, Json

_REQUEST = "draft active on-hold revoked completed entered-in-error unknown"
_EVENT = "preparation in-progress not-done on-hold stopped completed entered-in-error unknown"
_PRIORITY = "routine urgent asap stat"
_INTENT = "proposal plan directive order original-order reflex-order filler-order instance-order option"
_TASK_INTENT = "unknown " + _INTENT.replace("directive ", "")
_TASK = (
    "draft requested received accepted rejected ready cancelled in-progress on-hold failed completed entered-in-error"
)
_APPOINTMENT = "proposed pending booked arrived fulfilled cancelled noshow entered-in-error checked-in waitlist"
_MEDICATION = "active on-hold cancelled completed entered-in-error stopped draft unknown"
_GENDER = "male female other unknown"

_CODES = {
    "Task": {"status": _TASK, "intent": _TASK_INTENT, "priority": _PRIORITY},
    "ServiceRequest": {"status": _REQUEST, "intent": _INTENT, "priority": _PRIORITY},
    "Appointment": {"status": _APPOINTMENT},
    "MedicationRequest": {
        "status": _MEDICATION,
        "intent": _INTENT.replace("directive ", ""),
        "priority": _PRIORITY,
    },
    "Communication": {"status": _EVENT, "priority": _PRIORITY},
    "Patient": {"gender": _GENDER},
    "Practitioner": {"gender": _GENDER},
}


def check_codes(resource: Json) -> None:
    """
    Refuse a resource with an unknown code in a required binding.

    Raises:
        FhirError: 400, naming the element and the code.
    """
    type_ = resource["resourceType"]
    for element, allowed in _CODES.get(type_, {}).items():
        code = resource.get(element)
        if code is not None and (not isinstance(code, str) or code not in allowed.split()):
            raise FhirError(400, "processing", f"Unknown code {code!r} in {type_}.{element}")
