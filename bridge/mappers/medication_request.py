"""MedicationRequest -> Snapshot (FHIR R4 medicationrequest.html; R5 shapes read alike)."""

from __future__ import annotations

import msgspec

from bridge.cases.snapshot import Party, Snapshot, When
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
)
from bridge.mappers.mapper import Mapper, Search
from bridge.mappers.modifiers import refuse_in
from bridge.mappers.names import coded_as
from bridge.mappers.reading import VITAL, Reading, read
from bridge.mappers.supply import supply_end

_decoder = msgspec.json.Decoder(wire.MedicationRequest)
_VITAL = VITAL | {"subject", "subject.reference"}


def normalize(version: SourceVersion, base_url: str, fhir_version: str = "R4") -> Snapshot:
    """Return the Snapshot of one MedicationRequest version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, _VITAL, base_url, fhir_version)
    request = reading.resource
    refuse_in((request.dispenseRequest,), "dispenseRequest")
    status, effect = effect_of("MedicationRequest", request.status)
    intent = intent_of(reading, request.intent)
    patient = reading.patient(request.subject)
    medication = _medication(reading)
    reading.newer(request.reason, request.medication, "" if status == "ended" else None)
    return Snapshot(
        ref=version.ref,
        type="MedicationRequest",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        intent=intent,
        priority=reading.priority(request.priority),
        do_not_perform=request.doNotPerform is True,
        patient=patient,
        owner=_performer(reading),
        requester=reading.party(request.requester),
        about=reading.links(_others(request), patient=patient),
        identifiers=identifiers(request.identifier),
        group=business_identifier(request.groupIdentifier),
        title=title_of(label_of(medication), "Medication request"),
        codes=codes((medication,)),
        categories=codes(request.category or ()),
        reasons=concepts((*(request.reasonCode or ()), *(request.reason or ()))),
        status_reason=concept(request.statusReason),
        authored_at=reading.moment(request.authoredOn, "authoredOn"),
        run_out=_run_out(reading),
        remarks=remarks(reading, request.note),
        security=security(request.meta),
        oddities=tuple(reading.oddities),
    )


def _medication(reading: Reading[wire.MedicationRequest]) -> wire.Coded | None:
    """Return what is prescribed: a concept or a reference; a contained Medication by its code."""
    request = reading.resource
    stated = request.medicationCodeableConcept or request.medication
    if request.medicationReference is not None:
        if stated is not None:
            reading.odd("has two medications; the coded one counts")
        else:
            stated = wire.Coded(reference=request.medicationReference)
    reference = stated.reference if stated is not None and stated.concept is None else None
    if stated is None or reference is None or not (reference.reference or "").startswith("#"):
        return stated
    inner = reading.contained((reference.reference or "")[1:])
    return coded_as(inner.code) or stated if inner is not None else stated


def _performer(reading: Reading[wire.MedicationRequest]) -> Party | None:
    """Return the performer: one in R4, the first of several in R5."""
    stated = reading.resource.performer
    if isinstance(stated, list):
        return reading.party(stated[0]) if stated else None
    return reading.party(stated)


def _run_out(reading: Reading[wire.MedicationRequest]) -> When | None:
    """Return when the supply ends: as stated, else as it can be reckoned."""
    dispense = reading.resource.dispenseRequest
    if dispense is None:
        return None
    if dispense.validityPeriod is not None and dispense.validityPeriod.end is not None:
        return reading.when(dispense.validityPeriod.end, "dispenseRequest.validityPeriod.end")
    if dispense.expectedSupplyDuration is None:
        return None
    return supply_end(reading.resource.authoredOn, dispense.expectedSupplyDuration, dispense.numberOfRepeatsAllowed)


def _others(request: wire.MedicationRequest) -> list[wire.Reference | None]:
    found: list[wire.Reference | None] = [
        request.priorPrescription,
        request.encounter,
        *references(request.reason),
    ]
    for several in (
        request.basedOn,
        request.reasonReference,
        request.insurance,
        request.supportingInformation,
    ):
        if several:
            found += several
    return found


MAPPER = Mapper("MedicationRequest", Search(("draft", "active", "on-hold"), ("authoredon",)), normalize)
