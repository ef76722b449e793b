"""ServiceRequest -> Snapshot (FHIR R4 servicerequest.html; R5 shapes read alike)."""

from __future__ import annotations

import msgspec

from bridge.cases.snapshot import Concept, Snapshot
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    business_identifier,
    codes,
    concept,
    concepts,
    effect_of,
    identifiers,
    intent_of,
    label_of,
    references,
    remarks,
    security,
    title_of,
    words,
)
from bridge.mappers.mapper import Mapper, Search
from bridge.mappers.reading import VITAL, read

_decoder = msgspec.json.Decoder(wire.ServiceRequest)
_VITAL = VITAL | {"subject", "subject.reference"}
_STATUS_REASON = "http://hl7.org/fhir/StructureDefinition/request-statusReason"
"""ServiceRequest has no statusReason of its own; this is FHIR's extension for it."""


def normalize(version: SourceVersion, base_url: str, fhir_version: str = "R4") -> Snapshot:
    """Return the Snapshot of one ServiceRequest version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, _VITAL, base_url, fhir_version)
    request = reading.resource
    status, effect = effect_of("ServiceRequest", request.status)
    intent = intent_of(reading, request.intent)
    patient = reading.patient(request.subject)
    code = request.code
    reading.newer(request.reason, code.concept or code.reference if code is not None else None)
    return Snapshot(
        ref=version.ref,
        type="ServiceRequest",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        intent=intent,
        priority=reading.priority(request.priority),
        do_not_perform=request.doNotPerform is True,
        patient=patient,
        owner=reading.party(request.performer[0]) if request.performer else None,
        requester=reading.party(request.requester),
        about=reading.links(_others(request), patient=patient),
        identifiers=identifiers(request.identifier),
        group=business_identifier(request.requisition),
        title=title_of(label_of(code)) or title_of(words(request.category), "Service request"),
        codes=codes((code,)),
        categories=codes(request.category or ()),
        reasons=concepts((*(request.reasonCode or ()), *(request.reason or ()))),
        status_reason=_status_reason(request),
        authored_at=reading.moment(request.authoredOn, "authoredOn"),
        due=reading.when(_wanted_by(request), "occurrence"),
        remarks=remarks(reading, request.note),
        security=security(request.meta),
        oddities=tuple(reading.oddities),
    )


def _others(request: wire.ServiceRequest) -> list[wire.Reference | None]:
    found: list[wire.Reference | None] = [request.encounter]
    for several in (request.basedOn, request.replaces, request.reasonReference, request.insurance):
        if several:
            found += several
    found += references(request.reason)
    for info in request.supportingInfo or ():
        inner = info.reference
        found.append(wire.Reference(reference=inner) if isinstance(inner, str) else inner)
    return found


def _status_reason(request: wire.ServiceRequest) -> Concept | None:
    for extension in request.extension or ():
        if extension.url == _STATUS_REASON:
            return concept(extension.valueCodeableConcept)
    return None


def _wanted_by(request: wire.ServiceRequest) -> str | None:
    """Return the last moment at which the service is wanted."""
    if request.occurrencePeriod is not None:
        return request.occurrencePeriod.end
    if request.occurrenceDateTime is not None:
        return request.occurrenceDateTime
    repeat = request.occurrenceTiming.repeat if request.occurrenceTiming is not None else None
    bounds = repeat.boundsPeriod if repeat is not None else None
    return bounds.end if bounds is not None else None


MAPPER = Mapper("ServiceRequest", Search(("draft", "active", "on-hold"), ("authored",)), normalize)
