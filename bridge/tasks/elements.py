"""FHIR elements as plain dicts: references, concepts, identifiers, narrative. What every renderer shares."""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime
from html import escape
from typing import Any

from bridge.cases.snapshot import Party
from bridge.fhir.times import format_instant

Json = dict[str, Any]

TASK_REQUESTERS = frozenset({"Device", "Organization", "Patient", "Practitioner", "PractitionerRole", "RelatedPerson"})
"""Types Task.requester may name (FHIR R4 and R5 task.html)."""

TASK_OWNERS = {
    "R4": frozenset(
        {
            "Practitioner",
            "PractitionerRole",
            "Organization",
            "CareTeam",
            "HealthcareService",
            "Patient",
            "Device",
            "RelatedPerson",
        }
    ),
    "R5": frozenset({"Practitioner", "PractitionerRole", "Organization", "CareTeam", "Patient", "RelatedPerson"}),
}
"""Types Task.owner may name; R5 lost HealthcareService and Device."""

MESSAGE_RECIPIENTS = frozenset({"Practitioner", "PractitionerRole", "Organization", "CareTeam", "HealthcareService"})
"""Whom we tell where work stands: clinicians and their organisations, never the patient (rule ours)."""

_LOCAL = re.compile(r"[A-Z][A-Za-z]+/[A-Za-z0-9\-.]{1,64}")
_UNPRINTABLE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufffe\uffff]")

_DIRECTION = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]")
"""Bidi controls (Unicode 15, Bidi_Control): they can make words look other than they are, and HAPI 8.0.0 warns."""


def is_local(ref: str) -> bool:
    """Whether *ref* is a relative literal reference."""
    return _LOCAL.fullmatch(ref) is not None


def reference(party: Party | None, allowed: Collection[str]) -> Json | None:
    """
    Return a reference to *party*, ``None`` where the element may not name that type.

    Literal references are relative (HAPI 8.0.0's starter refuses absolute ones to its own base, seen 2026-11);
    whoever has none is named by identifier or display.
    """
    if party is None:
        return None
    kind = party.type or (party.ref.partition("/")[0] if party.ref is not None else None)
    if kind is not None and kind not in allowed:
        return None
    found: Json = {}
    if party.ref is not None and is_local(party.ref):
        found["reference"] = party.ref
    if party.identifier is not None and "reference" not in found:
        found["identifier"] = identifier(party.identifier.system, party.identifier.value)
    if party.display:
        found["display"] = clean(party.display)
    return found or None


def identifier(system: str | None, value: str) -> Json:
    """Return an Identifier."""
    return {"system": system, "value": value} if system else {"value": value}


def concept(text: str, *codings: tuple[str, str]) -> Json:
    """Return a CodeableConcept with a text and (system, code) codings."""
    found: Json = {"coding": [{"system": system, "code": code} for system, code in codings]} if codings else {}
    return {**found, "text": clean(text)}


def reason(text: str, fhir_version: str) -> Json:
    """Return a statusReason: a CodeableConcept, in R5 a CodeableReference."""
    return {"concept": concept(text)} if fhir_version == "R5" else concept(text)


def narrative(lines: Collection[str]) -> Json:
    """Return a generated narrative that alone says all that matters (FHIR R4 narrative.html)."""
    inner = "".join(f"<p>{escape(clean(line), quote=False)}</p>" for line in lines)
    return {"status": "generated", "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{inner}</div>'}


def clean(text: str) -> str:
    """Return *text* fit for a FHIR string: no control or bidi characters, at least one visible one, trimmed."""
    return _UNPRINTABLE.sub(" ", _DIRECTION.sub("", text)).strip() or "-"


def instant(at: datetime) -> str:
    """Return *at* as a FHIR dateTime, to the second: what people's clocks and every server keep."""
    return format_instant(at.replace(microsecond=0)).replace(".000Z", "Z")
