"""Small FHIR elements as plain JSON, and the code systems the generator uses."""

from __future__ import annotations

from datetime import datetime
from typing import Any

Json = dict[str, Any]

SNOMED = "http://snomed.info/sct"
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"
TASK_CODE = "http://hl7.org/fhir/CodeSystem/task-code"
LOCAL = "http://clinic.example/codes"
MRN = "http://clinic.example/mrn"
STAFF = "http://clinic.example/staff"
ORDERS = "http://clinic.example/orders"


def coding(system: str, code: str, display: str | None = None) -> Json:
    """Return a Coding."""
    return kept(system=system, code=code, display=display)


def concept(text: str, *codings: Json) -> Json:
    """Return a CodeableConcept with *text* and any codings."""
    return kept(coding=list(codings), text=text)


def reference(resource: Json, display: str | None = None) -> Json:
    """Return a relative Reference to *resource*, with its name where it has one."""
    return kept(reference=f"{resource['resourceType']}/{resource['id']}", display=display or name_of(resource))


def identifier(system: str, value: str) -> Json:
    """Return an Identifier."""
    return {"system": system, "value": value}


def name_of(resource: Json) -> str | None:
    """Return the display name of a person or an organization, or None."""
    name = resource.get("name")
    if isinstance(name, str):
        return name
    if isinstance(name, list) and name:
        return " ".join([*name[0].get("given", []), name[0].get("family", "")]).strip()
    return None


def moment(at: datetime) -> str:
    """Return a FHIR dateTime with seconds and the offset of *at*."""
    return at.isoformat(timespec="seconds")


def day(at: datetime) -> str:
    """Return the FHIR date of *at* in its own zone."""
    return at.date().isoformat()


def kept(**elements: Any) -> Json:
    """Return *elements* without those that are None or empty; a trailing underscore is taken off a name."""
    return {name.rstrip("_"): value for name, value in elements.items() if value not in (None, [], {}, "")}
