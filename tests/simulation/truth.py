"""What the clinic's resources say, by rules that are not Bridge's."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]


def patient_of(resource: Json) -> str | None:
    """Return the patient of a piece of work (``Patient/p1``)."""
    match resource["resourceType"]:
        case "Appointment":
            found = [reference(one.get("actor")) for one in resource.get("participant", ())]
            return next((one for one in found if one is not None and one.startswith("Patient/")), None)
        case "Task":
            return reference(resource.get("for"))
    return reference(resource.get("subject"))


def reference(value: Any) -> str | None:
    """Return what a Reference names."""
    found: str | None = value["reference"] if value else None
    return found
