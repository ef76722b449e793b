"""Search parameters of the resource types this server knows, and the values they index.

The table is FHIR R4's own (searchparameter-registry.html), reduced to what an integration engine asks for. A
path is element names joined by dots; lists on the way are walked through.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

from conformance.simulator.dates import span_of
from conformance.simulator.wire import Json


class Kind(Enum):
    """How values are compared; the word is FHIR's search parameter type."""

    TOKEN = "token"  # noqa: S105
    REFERENCE = "reference"
    DATE = "date"
    STRING = "string"
    URI = "uri"


@dataclass(frozen=True, slots=True)
class Parameter:
    """One search parameter: its kind, the elements it reads, and the only target type it accepts, if any."""

    kind: Kind
    paths: tuple[str, ...]
    target: str | None = None


def _token(*paths: str) -> Parameter:
    return Parameter(Kind.TOKEN, paths)


def _reference(*paths: str, target: str | None = None) -> Parameter:
    return Parameter(Kind.REFERENCE, paths, target)


def _date(*paths: str) -> Parameter:
    return Parameter(Kind.DATE, paths)


def _string(*paths: str) -> Parameter:
    return Parameter(Kind.STRING, paths)


_NAME = ("name.text", "name.family", "name.given", "name.prefix", "name.suffix")
_PERSON = {
    "active": _token("active"),
    "family": _string("name.family"),
    "given": _string("name.given"),
    "identifier": _token("identifier"),
    "name": _string(*_NAME),
    "phone": _token("telecom"),
}

COMMON = {
    "_profile": Parameter(Kind.URI, ("meta.profile",)),
    "_security": _token("meta.security"),
    "_source": Parameter(Kind.URI, ("meta.source",)),
    "_tag": _token("meta.tag"),
}
"""Indexed for every type. ``_id`` and ``_lastUpdated`` are answered from the index itself."""

PARAMETERS: dict[str, dict[str, Parameter]] = {
    "Task": {
        "authored-on": _date("authoredOn"),
        "based-on": _reference("basedOn"),
        "business-status": _token("businessStatus"),
        "code": _token("code"),
        "encounter": _reference("encounter", target="Encounter"),
        "focus": _reference("focus"),
        "group-identifier": _token("groupIdentifier"),
        "identifier": _token("identifier"),
        "intent": _token("intent"),
        "modified": _date("lastModified"),
        "owner": _reference("owner"),
        "part-of": _reference("partOf", target="Task"),
        "patient": _reference("for", target="Patient"),
        "performer": _token("performerType"),
        "period": _date("executionPeriod"),
        "priority": _token("priority"),
        "requester": _reference("requester"),
        "status": _token("status"),
        "subject": _reference("for"),
    },
    "ServiceRequest": {
        "authored": _date("authoredOn"),
        "based-on": _reference("basedOn"),
        "category": _token("category"),
        "code": _token("code"),
        "encounter": _reference("encounter", target="Encounter"),
        "identifier": _token("identifier"),
        "intent": _token("intent"),
        "occurrence": _date("occurrenceDateTime", "occurrencePeriod", "occurrenceTiming"),
        "patient": _reference("subject", target="Patient"),
        "performer": _reference("performer"),
        "performer-type": _token("performerType"),
        "priority": _token("priority"),
        "replaces": _reference("replaces", target="ServiceRequest"),
        "requester": _reference("requester"),
        "requisition": _token("requisition"),
        "status": _token("status"),
        "subject": _reference("subject"),
    },
    "Appointment": {
        "actor": _reference("participant.actor"),
        "appointment-type": _token("appointmentType"),
        "based-on": _reference("basedOn", target="ServiceRequest"),
        "date": _date("start"),
        "identifier": _token("identifier"),
        "location": _reference("participant.actor", target="Location"),
        "part-status": _token("participant.status"),
        "patient": _reference("participant.actor", target="Patient"),
        "practitioner": _reference("participant.actor", target="Practitioner"),
        "reason-code": _token("reasonCode"),
        "reason-reference": _reference("reasonReference"),
        "service-category": _token("serviceCategory"),
        "service-type": _token("serviceType"),
        "slot": _reference("slot", target="Slot"),
        "specialty": _token("specialty"),
        "status": _token("status"),
    },
    "MedicationRequest": {
        "authoredon": _date("authoredOn"),
        "category": _token("category"),
        "code": _token("medicationCodeableConcept"),
        "date": _date("dosageInstruction.timing"),
        "encounter": _reference("encounter", target="Encounter"),
        "identifier": _token("identifier"),
        "intended-dispenser": _reference("dispenseRequest.performer", target="Organization"),
        "intended-performer": _reference("performer"),
        "intended-performertype": _token("performerType"),
        "intent": _token("intent"),
        "medication": _reference("medicationReference", target="Medication"),
        "patient": _reference("subject", target="Patient"),
        "priority": _token("priority"),
        "requester": _reference("requester"),
        "status": _token("status"),
        "subject": _reference("subject"),
    },
    "Communication": {
        "based-on": _reference("basedOn"),
        "category": _token("category"),
        "encounter": _reference("encounter", target="Encounter"),
        "identifier": _token("identifier"),
        "medium": _token("medium"),
        "part-of": _reference("partOf"),
        "patient": _reference("subject", target="Patient"),
        "received": _date("received"),
        "recipient": _reference("recipient"),
        "sender": _reference("sender"),
        "sent": _date("sent"),
        "status": _token("status"),
        "subject": _reference("subject"),
    },
    "Patient": {
        **_PERSON,
        "birthdate": _date("birthDate"),
        "gender": _token("gender"),
        "general-practitioner": _reference("generalPractitioner"),
        "language": _token("communication.language"),
        "link": _reference("link.other"),
        "organization": _reference("managingOrganization", target="Organization"),
    },
    "Practitioner": {**_PERSON, "communication": _token("communication")},
    "PractitionerRole": {
        "active": _token("active"),
        "date": _date("period"),
        "identifier": _token("identifier"),
        "location": _reference("location", target="Location"),
        "organization": _reference("organization", target="Organization"),
        "practitioner": _reference("practitioner", target="Practitioner"),
        "role": _token("code"),
        "service": _reference("healthcareService", target="HealthcareService"),
        "specialty": _token("specialty"),
    },
    "Organization": {
        "active": _token("active"),
        "identifier": _token("identifier"),
        "name": _string("name", "alias"),
        "partof": _reference("partOf", target="Organization"),
        "type": _token("type"),
    },
    "CareTeam": {
        "category": _token("category"),
        "encounter": _reference("encounter", target="Encounter"),
        "identifier": _token("identifier"),
        "participant": _reference("participant.member"),
        "patient": _reference("subject", target="Patient"),
        "status": _token("status"),
        "subject": _reference("subject"),
    },
    "HealthcareService": {
        "active": _token("active"),
        "identifier": _token("identifier"),
        "location": _reference("location", target="Location"),
        "name": _string("name"),
        "organization": _reference("providedBy", target="Organization"),
        "service-category": _token("category"),
        "service-type": _token("type"),
        "specialty": _token("specialty"),
    },
    "Location": {
        "identifier": _token("identifier"),
        "name": _string("name", "alias"),
        "organization": _reference("managingOrganization", target="Organization"),
        "partof": _reference("partOf", target="Location"),
        "status": _token("status"),
        "type": _token("type"),
    },
    "Device": {
        "identifier": _token("identifier"),
        "organization": _reference("owner", target="Organization"),
        "patient": _reference("patient", target="Patient"),
        "status": _token("status"),
        "type": _token("type"),
    },
    "RelatedPerson": {
        **_PERSON,
        "patient": _reference("patient", target="Patient"),
        "relationship": _token("relationship"),
    },
    "Provenance": {
        "agent": _reference("agent.who"),
        "entity": _reference("entity.what"),
        "patient": _reference("target", target="Patient"),
        "recorded": _date("recorded"),
        "target": _reference("target"),
    },
    "Basic": {
        "author": _reference("author"),
        "code": _token("code"),
        "created": _date("created"),
        "identifier": _token("identifier"),
        "patient": _reference("subject", target="Patient"),
        "subject": _reference("subject"),
    },
    "Encounter": {
        "date": _date("period"),
        "identifier": _token("identifier"),
        "patient": _reference("subject", target="Patient"),
        "status": _token("status"),
        "subject": _reference("subject"),
    },
    "DocumentReference": {
        "category": _token("category"),
        "date": _date("date"),
        "identifier": _token("masterIdentifier", "identifier"),
        "patient": _reference("subject", target="Patient"),
        "status": _token("status"),
        "subject": _reference("subject"),
        "type": _token("type"),
    },
    "Subscription": {
        "criteria": _string("criteria"),
        "payload": _token("channel.payload"),
        "status": _token("status"),
        "type": _token("channel.type"),
        "url": Parameter(Kind.URI, ("channel.endpoint",)),
    },
    "Medication": {"code": _token("code"), "identifier": _token("identifier"), "status": _token("status")},
}
"""Resource types of this server and their search parameters."""


def parameter(type_: str, name: str) -> Parameter | None:
    """Return the parameter *name* of *type_*, or None when this server does not know it."""
    return PARAMETERS[type_].get(name) or COMMON.get(name)


def values_of(search: Parameter, resource: Json) -> tuple[object, ...]:
    """
    Return the comparable values of *search* in *resource*.

    Tokens, references and URIs give the very texts a client may ask for, strings their folded form, dates a
    pair of inclusive bounds in microseconds.
    """
    elements = [element for path in search.paths for element in _walk(resource, path.split("."))]
    match search.kind:
        case Kind.TOKEN:
            return tuple(key for element in elements for key in token_keys(element))
        case Kind.REFERENCE:
            return tuple(key for element in elements for key in reference_keys(element, search.target))
        case Kind.STRING:
            return tuple(fold(element) for element in elements if isinstance(element, str))
        case Kind.DATE:
            return tuple(span for element in elements for span in span_of(element))
        case Kind.URI:
            return tuple(element for element in elements if isinstance(element, str))


def exact_values_of(search: Parameter, resource: Json) -> tuple[object, ...]:
    """Return the texts that the modifier ``:exact`` compares."""
    elements = (element for path in search.paths for element in _walk(resource, path.split(".")))
    return tuple(element for element in elements if isinstance(element, str))


def fold(text: str) -> str:
    """Return *text* without case and accents (FHIR R4 search.html#string)."""
    plain = unicodedata.normalize("NFKD", text)
    return "".join(letter for letter in plain if not unicodedata.combining(letter)).casefold()


def token_keys(element: Any) -> Iterator[str]:
    """Yield what finds *element*: ``code``, ``system|code``, ``|code`` without a system, ``system|``."""
    match element:
        case bool():
            yield from token_keys({"code": "true" if element else "false"})
        case str():
            yield from (element, f"|{element}")
        case {"coding": list(codings)}:
            for coding in codings:
                yield from token_keys(coding)
        case {"code": str(code)} | {"value": str(code)}:
            system = element.get("system", "")
            yield from (code, f"{system}|{code}")
            if system:
                yield f"{system}|"
        case _:
            return


def reference_keys(element: object, target: str | None) -> Iterator[str]:
    """Yield what finds the Reference *element*: ``Type/id`` and ``id``, or the URL of another server."""
    if not isinstance(element, dict) or not isinstance(element.get("reference"), str):
        return
    reference = element["reference"].partition("/_history/")[0]
    type_, _, id_ = reference.rpartition("/")
    if not type_ or "://" in reference or reference.startswith(("urn:", "#")):
        if target is None:
            yield reference
    elif target is None or type_ == target:
        yield from (reference, id_)


def _walk(value: object, path: list[str]) -> Iterator[object]:
    if isinstance(value, list):
        for item in value:
            yield from _walk(item, path)
    elif not path:
        yield value
    elif isinstance(value, dict) and path[0] in value:
        yield from _walk(value[path[0]], path[1:])
