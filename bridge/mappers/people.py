"""Patient, Practitioner, Organization and the like -> Person: who a case names, as a person reads it."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from bridge.cases.people import Person
from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.fhir.reference import parse_reference
from bridge.fhir.source import SourceVersion
from bridge.mappers import Parked
from bridge.mappers.common import Why, identifiers, name_of

READABLE = frozenset(
    {
        "Patient",
        "Practitioner",
        "PractitionerRole",
        "Organization",
        "CareTeam",
        "HealthcareService",
        "RelatedPerson",
        "Location",
        "Device",
    }
)
"""Types that are read by name."""

_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*")
_decoder = msgspec.json.Decoder(wire.Named)


def person(version: SourceVersion, *, base_url: str) -> Person | Parked:
    """Return who a version names, or why it cannot be read. Never raises for what a server may send."""
    try:
        return _person(version, base_url)
    except SourceError as error:
        return Parked(Why(error.code), str(error))


def _person(version: SourceVersion, base_url: str) -> Person:
    if version.issue is not None:
        raise SourceError(Why.UNREADABLE, version.issue)
    try:
        found = _decoder.decode(version.raw)
    except msgspec.ValidationError:
        raise SourceError(Why.WRONG_SHAPE, f"{version.type} has an element of a wrong type") from None
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError, ValueError) as error:
        raise SourceError(Why.UNREADABLE, f"not readable as JSON ({type(error).__name__})") from None
    return Person(
        ref=version.ref,
        type=version.type,
        version=version.version,
        display=name_of(found) or _role_name(found),
        identifiers=identifiers(found.identifier),
        language=_language(found.communication),
        contact_preference=_contact(found.telecom),
        birth_on=found.birthDate,
        deceased=found.deceasedBoolean is True or found.deceasedDateTime is not None,
        active=found.active is not False,
        replaced_by=_replaced_by(found, base_url),
        updated_at=version.updated_at,
    )


def _role_name(found: wire.Named) -> str | None:
    parts = [party.display for party in (found.practitioner, found.organization) if party is not None]
    return ", ".join(part for part in parts if part) or None


def _language(communication: Any) -> str | None:
    """Return the preferred language, else the first; Practitioner.communication is a plain CodeableConcept."""
    try:
        spoken = msgspec.convert(communication or [], list[wire.Language])
    except msgspec.ValidationError:
        return None
    ordered = sorted(spoken, key=lambda one: one.preferred is not True)
    for one in ordered:
        for coding in (one.language.coding or ()) if one.language is not None else ():
            if coding.code and _LANGUAGE.fullmatch(coding.code):
                return coding.code
    return None


def _contact(telecom: list[wire.ContactPoint] | None) -> str | None:
    ranked = [point for point in telecom or () if point.rank is not None and point.system]
    return min(ranked, key=lambda point: point.rank or 0).system if ranked else None


def _replaced_by(found: wire.Named, base_url: str) -> str | None:
    for link in found.link or ():
        if link.type == "replaced-by" and link.other is not None and link.other.reference:
            return parse_reference(link.other.reference, base_url=base_url).ref
    return None
