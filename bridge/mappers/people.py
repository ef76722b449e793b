"""Patient, Practitioner, Organization and the like -> Person: who a case names, as a person reads it."""

from __future__ import annotations

import re

import msgspec

from bridge.cases.people import Person
from bridge.errors import SourceError
from bridge.fhir import wire
from bridge.fhir.reference import parse_reference
from bridge.fhir.source import SourceVersion
from bridge.fhir.times import instant_in
from bridge.fhir.wire_decode import decode
from bridge.mappers.common import identifiers
from bridge.mappers.modifiers import refuse_in, refuse_modifiers
from bridge.mappers.names import name_of
from bridge.mappers.verdict import Parked, Why

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

_VITAL = frozenset(
    {
        "resourceType",
        "implicitRules",
        "active",
        "deceasedBoolean",
        "deceasedDateTime",
        "link",
        "link.type",
        "link.other",
    }
)
"""Elements without which somebody could be taken for another, or for alive (FHIR R4, isModifier)."""

_NO_LONGER = frozenset({"inactive", "suspended", "entered-in-error"})
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{1,8})*", re.ASCII)
_decoder = msgspec.json.Decoder(wire.Named)


def person(version: SourceVersion, *, base_url: str) -> Person | Parked:
    """Return who a version names, or why it cannot be read. Never raises, whatever a server sends."""
    if version.issue is not None:
        return Parked(Why.UNREADABLE, version.issue)
    try:
        return _person(version, base_url)
    except SourceError as error:
        return Parked(Why(error.code), str(error))


def _person(version: SourceVersion, base_url: str) -> Person:
    found, _ = decode(version.raw, _decoder, _VITAL)
    if found.resourceType != version.type or version.type not in READABLE:
        raise SourceError(Why.WRONG_SHAPE, f"{version.type or 'it'} is nobody that has a name")
    refuse_modifiers(found)
    refuse_in(found.link or (), "link")
    return Person(
        ref=version.ref,
        type=version.type,
        version=version.version,
        display=name_of(found),
        identifiers=identifiers(found.identifier),
        language=_language(found.communication),
        contact_preference=_contact(found.telecom),
        birth_on=found.birthDate,
        deceased=found.deceasedBoolean is True or found.deceasedDateTime is not None,
        deceased_at=instant_in(found.deceasedDateTime),
        active=found.active is not False and found.status not in _NO_LONGER,
        replaced_by=_replaced_by(found, base_url),
        updated_at=version.updated_at,
    )


def _language(communication: list[wire.Language] | None) -> str | None:
    """Return the preferred language, else the first."""
    for one in sorted(communication or (), key=lambda each: each.preferred is not True):
        for coding in (one.language or one).coding or ():
            if coding.code and _LANGUAGE.fullmatch(coding.code):
                return coding.code
    return None


def _contact(telecom: list[wire.ContactPoint] | None) -> str | None:
    """Return the system of the contact point ranked first; without ranks nothing is preferred."""
    ranked = [point for point in telecom or () if point.rank is not None and point.system]
    return min(ranked, key=lambda point: point.rank or 0).system if ranked else None


def _replaced_by(found: wire.Named, base_url: str) -> str | None:
    for link in found.link or ():
        if link.type == "replaced-by" and link.other is not None and link.other.reference:
            return parse_reference(link.other.reference, base_url=base_url).ref
    return None
