"""MedicationRequest -> Snapshot (FHIR R4 medicationrequest.html; R5 shapes read alike)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation

import msgspec

from bridge.cases.snapshot import Snapshot, When
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    Reading,
    business_identifier,
    codes,
    concept,
    concepts,
    effect_of,
    identifiers,
    name_of,
    read,
    references,
    remarks,
    security,
    words,
)
from bridge.mappers.mapper import Mapper

_decoder = msgspec.json.Decoder(wire.MedicationRequest)
_DAYS_IN = {
    "min": Decimal(1) / 1440,
    "h": Decimal(1) / 24,
    "d": Decimal(1),
    "day": Decimal(1),
    "days": Decimal(1),
    "wk": Decimal(7),
    "week": Decimal(7),
    "weeks": Decimal(7),
    "mo": Decimal("30.4375"),
    "month": Decimal("30.4375"),
    "months": Decimal("30.4375"),
    "a": Decimal("365.25"),
    "year": Decimal("365.25"),
}
"""UCUM time units (a mean month is 30.4375 d, a mean year 365.25 d) and the words found in their place."""

_LONGEST_SUPPLY_DAYS = 36525


def normalize(version: SourceVersion, base_url: str) -> Snapshot:
    """Return the Snapshot of one MedicationRequest version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, base_url)
    request = reading.resource
    status, effect = effect_of("MedicationRequest", request.status)
    medication = (request.medicationCodeableConcept, request.medication)
    performers = request.performer if isinstance(request.performer, list) else [request.performer]
    others = (
        *(request.basedOn or ()),
        request.priorPrescription,
        request.encounter,
        *(request.reasonReference or ()),
        *references(request.reason or ()),
        *(request.insurance or ()),
    )
    authored = reading.instant(request.authoredOn, "authoredOn")
    return Snapshot(
        ref=version.ref,
        type="MedicationRequest",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        intent=request.intent,
        priority=reading.priority(request.priority),
        do_not_perform=request.doNotPerform is True,
        patient=reading.patient(request.subject),
        owner=next((party for party in map(reading.party, performers) if party is not None), None),
        requester=reading.party(request.requester),
        about=tuple(reading.local(others)),
        identifiers=identifiers(request.identifier),
        group=business_identifier(request.groupIdentifier),
        title=_title(reading),
        codes=codes(medication),
        categories=codes(request.category or ()),
        reasons=concepts((*(request.reasonCode or ()), *(request.reason or ()))),
        status_reason=concept(request.statusReason),
        authored_at=authored,
        run_out=_run_out(reading, authored),
        remarks=remarks(reading, request.note),
        security=security(request.meta),
        oddities=tuple(reading.oddities),
    )


def _title(reading: Reading[wire.MedicationRequest]) -> str:
    request = reading.resource
    named = words((request.medicationCodeableConcept, request.medication))
    if named:
        return named
    inner = request.medication.reference if request.medication is not None else None
    reference = request.medicationReference or inner
    party = reading.party(reference)
    return (party.display if party is not None else None) or _contained_name(reading, reference) or "Medication"


def _contained_name(reading: Reading[wire.MedicationRequest], reference: wire.Reference | None) -> str | None:
    """Return the name of a contained Medication: its code in words."""
    if reference is None or not (reference.reference or "").startswith("#"):
        return None
    inner = reading.contained((reference.reference or "")[1:])
    if inner is None:
        return None
    try:
        coded = msgspec.convert(inner.code, wire.Coded)
    except msgspec.ValidationError:
        return name_of(inner)
    return words((coded,)) or name_of(inner)


def _run_out(reading: Reading[wire.MedicationRequest], authored: datetime | None) -> When | None:
    """Return when the supply ends: as stated, else authoredOn plus the supply times one plus the repeats."""
    dispense = reading.resource.dispenseRequest
    if dispense is None:
        return None
    if dispense.validityPeriod is not None and dispense.validityPeriod.end is not None:
        return reading.when(dispense.validityPeriod.end, "dispenseRequest.validityPeriod.end")
    days = _days(dispense.expectedSupplyDuration)
    if authored is None or days is None:
        return None
    total = days * (1 + max(dispense.numberOfRepeatsAllowed or 0, 0))
    if not 0 < total <= _LONGEST_SUPPLY_DAYS:
        return None
    try:
        at = authored.astimezone(UTC) + timedelta(days=float(total))
    except OverflowError:
        return None
    return When(at.date().isoformat())


def _days(duration: wire.Duration | None) -> Decimal | None:
    if duration is None or not bytes(duration.value):
        return None
    unit = _DAYS_IN.get(duration.code or "") or _DAYS_IN.get((duration.unit or "").casefold())
    try:
        return Decimal(bytes(duration.value).decode().strip('"')) * unit if unit is not None else None
    except (InvalidOperation, UnicodeDecodeError):
        return None


MAPPER = Mapper("MedicationRequest", normalize)
