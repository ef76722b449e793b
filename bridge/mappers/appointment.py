"""Appointment -> Snapshot (FHIR R4 appointment.html; R5 shapes read alike)."""

from __future__ import annotations

import msgspec

from bridge.cases.snapshot import Party, Remark, Snapshot
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    IN_SCOPE,
    Reading,
    codes,
    concept,
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

_decoder = msgspec.json.Decoder(wire.Appointment)
_UNDECIDED = frozenset({"needs-action", "tentative"})
_MAY_LACK_TIMES = frozenset({"proposed", "cancelled", "waitlist", "entered-in-error"})
"""app-3 (FHIR R4 appointment.html) also names these, apart from entered-in-error."""


def normalize(version: SourceVersion, base_url: str) -> Snapshot:
    """Return the Snapshot of one Appointment version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, base_url)
    visit = reading.resource
    status, effect = effect_of("Appointment", visit.status)
    based_on = reading.local(visit.basedOn or ())
    parent = next((ref for ref in based_on if ref.partition("/")[0] in IN_SCOPE), None)
    others = [*(visit.reasonReference or ()), *references(visit.reason or ())]
    if visit.start is None and status not in _MAY_LACK_TIMES:
        reading.odd(f"{status} without times")
    return Snapshot(
        ref=version.ref,
        type="Appointment",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        patient=_patient(reading),
        owner=_provider(reading),
        parent=parent,
        about=tuple(ref for ref in [*based_on, *reading.local(others)] if ref != parent),
        identifiers=identifiers(visit.identifier),
        title=_title(visit),
        codes=codes((*(visit.serviceType or ()), visit.appointmentType)),
        categories=codes((*(visit.serviceCategory or ()), *(visit.specialty or ()))),
        reasons=concepts((*(visit.reasonCode or ()), *(visit.reason or ()))),
        status_reason=concept(visit.cancellationReason or visit.cancelationReason),
        authored_at=reading.instant(visit.created, "created"),
        start_at=reading.instant(visit.start, "start"),
        end_at=reading.instant(visit.end, "end"),
        waits_for=_waits_for(reading),
        remarks=_remarks(reading),
        security=security(visit.meta),
        oddities=tuple(reading.oddities),
    )


def _actors(reading: Reading[wire.Appointment]) -> list[tuple[Party, str | None]]:
    found = []
    for participant in reading.resource.participant or ():
        party = reading.party(participant.actor)
        if party is not None:
            found.append((party, participant.status))
    return found


def _patient(reading: Reading[wire.Appointment]) -> Party | None:
    """Return the patient: R5's subject, else the one Patient taking part; a group visit has none."""
    subject = reading.resource.subject
    if subject is not None:
        return reading.patient(subject)
    patients = [party for party, _ in _actors(reading) if party.type == "Patient"]
    if len({(party.ref, party.identifier, party.display) for party in patients}) > 1:
        reading.odd("has several patients; none was chosen")
        return None
    return patients[0] if patients else None


def _provider(reading: Reading[wire.Appointment]) -> Party | None:
    others = [party for party, _ in _actors(reading) if party.type not in ("Patient", "RelatedPerson")]
    clinicians = [party for party in others if party.type in ("Practitioner", "PractitionerRole")]
    return next(iter(clinicians or others), None)


def _waits_for(reading: Reading[wire.Appointment]) -> tuple[str, ...]:
    found = set()
    for party, status in _actors(reading):
        side = "patient" if party.type in ("Patient", "RelatedPerson") else "provider"
        if status in _UNDECIDED:
            found.add(side)
        elif status == "declined":
            found.add(f"declined-by-{side}")
    return tuple(sorted(found))


def _remarks(reading: Reading[wire.Appointment]) -> tuple[Remark, ...]:
    comment = reading.resource.comment
    noted = remarks(reading, reading.resource.note)
    return (Remark(comment), *noted) if comment else noted


def _title(visit: wire.Appointment) -> str:
    return (
        words(visit.serviceType or ())
        or words((visit.appointmentType,))
        or visit.description
        or words(visit.serviceCategory or ())
        or "Appointment"
    )


MAPPER = Mapper("Appointment", normalize)
