"""ServiceRequest -> Snapshot (FHIR R4 servicerequest.html; R5 shapes read alike)."""

from __future__ import annotations

import msgspec

from bridge.cases.snapshot import Snapshot
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    business_identifier,
    codes,
    concepts,
    effect_of,
    identifiers,
    read,
    references,
    remarks,
    security,
    words,
)
from bridge.mappers.mapper import Mapper

_decoder = msgspec.json.Decoder(wire.ServiceRequest)


def normalize(version: SourceVersion, base_url: str) -> Snapshot:
    """Return the Snapshot of one ServiceRequest version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, base_url)
    request = reading.resource
    status, effect = effect_of("ServiceRequest", request.status)
    reasons = (*(request.reasonCode or ()), *(request.reason or ()))
    others = (
        *(request.basedOn or ()),
        *(request.replaces or ()),
        request.encounter,
        *(request.reasonReference or ()),
        *references(request.reason or ()),
        *(request.insurance or ()),
    )
    period_end = request.occurrencePeriod.end if request.occurrencePeriod is not None else None
    performers = request.performer or ()
    return Snapshot(
        ref=version.ref,
        type="ServiceRequest",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        intent=request.intent,
        priority=reading.priority(request.priority),
        do_not_perform=request.doNotPerform is True,
        patient=reading.patient(request.subject),
        owner=reading.party(performers[0]) if performers else None,
        requester=reading.party(request.requester),
        about=tuple(reading.local(others)),
        identifiers=identifiers(request.identifier),
        group=business_identifier(request.requisition),
        title=words((request.code,)) or words(request.category or ()) or "Service request",
        codes=codes((request.code,)),
        categories=codes(request.category or ()),
        reasons=concepts(reasons),
        authored_at=reading.instant(request.authoredOn, "authoredOn"),
        due=reading.when(period_end or request.occurrenceDateTime, "occurrence"),
        remarks=remarks(reading, request.note),
        security=security(request.meta),
        oddities=tuple(reading.oddities),
    )


MAPPER = Mapper("ServiceRequest", normalize)
