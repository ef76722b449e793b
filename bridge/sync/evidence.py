"""Evidence as it may stand in a patient's record: a reference only to what was read now and is that patient's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from bridge.cases.model import Case
from bridge.errors import Refused, ServerFault
from bridge.fhir.client import FhirClient
from bridge.fhir.reference import parse_reference
from bridge.tasks.elements import Json, is_local
from bridge.tasks.merge import decode

_OK = 200


def proven(client: FhirClient, case: Case, base_url: str) -> frozenset[str]:
    """
    Return which evidence of a closed case may be written as a reference (``Type/id``); the rest is words.

    What is not there, may not be read, or names another patient or none is not referred to (rule ours): a
    reference would put what somebody mistyped into this patient's record.

    Raises:
        RemoteError: The EHR could not be asked; try again.
    """
    patient = case.patient_ref
    if case.closure is None or patient is None:
        return frozenset()
    named = {ref for ref in case.closure.evidence if is_local(ref)}
    return frozenset(ref for ref in named if _is_of(client, ref, patient, base_url))


def _is_of(client: FhirClient, ref: str, patient: str, base_url: str) -> bool:
    try:
        resource = decode(client.read(ref).raw)
    except Refused:
        return False
    except ServerFault as error:
        if error.status == _OK:
            return False
        raise
    stated = {parse_reference(text, base_url=base_url).ref for text in _patients(resource)}
    if resource.get("resourceType") == "Appointment":
        return patient in stated
    return stated == {patient}


def _patients(resource: Json) -> Iterator[str]:
    """Return the references that say whose it is: a subject, or for a visit its participants."""
    named: list[Any] = [resource.get(element) for element in ("subject", "patient", "for")]
    if resource.get("resourceType") == "Appointment":
        listed = resource.get("participant")
        named += [one.get("actor") for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    for one in named:
        if isinstance(one, dict) and isinstance(one.get("reference"), str):
            yield one["reference"]
