"""Appointment -> Snapshot (FHIR R4 appointment.html; R5 shapes read alike)."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from bridge.cases.snapshot import Party, Priority, Snapshot
from bridge.fhir import wire
from bridge.fhir.source import SourceVersion
from bridge.mappers.common import (
    codes,
    concept,
    concepts,
    effect_of,
    identifiers,
    label_of,
    references,
    remarks,
    security,
    title_of,
    words,
)
from bridge.mappers.mapper import Mapper, Search
from bridge.mappers.modifiers import refuse_in
from bridge.mappers.reading import VITAL, Reading, read

_decoder = msgspec.json.Decoder(wire.Appointment)
_VITAL = VITAL | {
    "subject",
    "subject.reference",
    "participant",
    "participant.actor",
    "participant.actor.reference",
}
_UNDECIDED = frozenset({"needs-action", "tentative"})
_NEED_NOT_REPLY = ("optional", "information-only", False)
"""R4 participantrequired codes, and what R5 makes of them, of those whose reply nobody awaits."""

_PATIENT_SIDE = frozenset({"Patient", "RelatedPerson"})
_CLINICIANS = frozenset({"Practitioner", "PractitionerRole", "CareTeam"})
_MAY_LACK_TIMES = frozenset({"proposed", "cancelled", "waitlist", "entered-in-error"})
"""app-3 (FHIR R4 appointment.html) names these, apart from entered-in-error."""

_ACT_PRIORITY = {
    "R": Priority.ROUTINE,
    "EL": Priority.ROUTINE,
    "UR": Priority.URGENT,
    "A": Priority.ASAP,
    "S": Priority.STAT,
    "EM": Priority.STAT,
}
"""HL7 v3 ActPriority, R5's example binding of Appointment.priority. R4's number has no agreed meaning."""

Actor = tuple[Party | None, wire.Participant]


def normalize(version: SourceVersion, base_url: str, fhir_version: str = "R4") -> Snapshot:
    """Return the Snapshot of one Appointment version; raises SourceError where it must be parked."""
    reading = read(version, _decoder, _VITAL, base_url, fhir_version)
    visit = reading.resource
    refuse_in(visit.participant or (), "participant")
    status, effect = effect_of("Appointment", visit.status)
    actors = [(reading.party(one.actor), one) for one in visit.participant or ()]
    patient = _patient(reading, actors)
    parent, about = reading.lineage(visit.basedOn or (), _others(visit), patient)
    reading.newer(visit.subject, visit.reason, visit.note, visit.cancellationReason)
    _note_oddities(reading, status)
    title, description = _title(visit)
    return Snapshot(
        ref=version.ref,
        type="Appointment",
        version=version.version,
        updated_at=version.updated_at,
        status=status,
        effect=effect,
        priority=_priority(visit.priority),
        patient=patient,
        owner=_provider(actors),
        parent=parent,
        about=about,
        identifiers=identifiers(visit.identifier),
        title=title,
        codes=codes((*(visit.serviceType or ()), visit.appointmentType)),
        categories=codes((*(visit.serviceCategory or ()), *(visit.specialty or ()))),
        reasons=concepts((*(visit.reasonCode or ()), *(visit.reason or ()))),
        status_reason=concept(visit.cancellationReason or visit.cancelationReason),
        authored_at=reading.moment(visit.created, "created"),
        start_at=reading.instant(visit.start, "start"),
        end_at=reading.instant(visit.end, "end"),
        waits_for=_waits_for(actors),
        remarks=remarks(reading, visit.note, description, visit.comment),
        security=security(visit.meta),
        oddities=tuple(reading.oddities),
    )


def _patient(reading: Reading[wire.Appointment], actors: Sequence[Actor]) -> Party | None:
    """Return the patient: the one Patient taking part, else R5's subject; of a group visit none is chosen."""
    subject = reading.resource.subject
    patients = [party for party, _ in actors if party is not None and party.type == "Patient"]
    if not patients:
        return reading.patient(subject)
    stated = reading.party(subject)
    if stated is not None and stated.type == "Patient":
        patients.append(stated)
    if len({party.ref or party for party in patients}) > 1:
        reading.odd("has several patients; none was chosen")
        return None
    return patients[0]


def _provider(actors: Sequence[Actor]) -> Party | None:
    """Return the first clinician taking part, else the first place, service or device."""
    others = [party for party, _ in actors if party is not None and party.type not in _PATIENT_SIDE]
    return next((party for party in others if party.type in _CLINICIANS), others[0] if others else None)


def _waits_for(actors: Sequence[Actor]) -> tuple[str, ...]:
    found = set()
    for party, participant in actors:
        if participant.required in _NEED_NOT_REPLY and participant.required is not None:
            continue
        side = "patient" if party is not None and party.type in _PATIENT_SIDE else "provider"
        if participant.status in _UNDECIDED:
            found.add(side)
        elif participant.status == "declined":
            found.add(f"declined-by-{side}")
    return tuple(sorted(found))


def _note_oddities(reading: Reading[wire.Appointment], status: str) -> None:
    visit = reading.resource
    if visit.start is None and status not in _MAY_LACK_TIMES:
        reading.odd(f"{status} without times")
    elif (visit.start is None) != (visit.end is None):
        reading.odd("has only one of start and end")
    if status == "noshow" and visit.cancelationReason is not None:
        # R4's app-4 is misspelt, so that this pair fails validation although the value set has codes for it.
        reading.odd("noshow with a cancellation reason")


def _others(visit: wire.Appointment) -> list[wire.Reference | None]:
    found: list[wire.Reference | None] = [visit.previousAppointment, *references(visit.reason)]
    for several in (visit.reasonReference, visit.supportingInformation, visit.replaces, visit.slot):
        if several:
            found += several
    return found


def _priority(stated: int | wire.Coded | None) -> Priority | None:
    if not isinstance(stated, wire.Coded):
        return None
    return next((_ACT_PRIORITY[one.code] for one in codes((stated,)) if one.code in _ACT_PRIORITY), None)


def _title(visit: wire.Appointment) -> tuple[str, str | None]:
    """Return the title, and the description where it is not the title already."""
    service = words(visit.serviceType)
    if service:
        return title_of(service), visit.description
    kind = label_of(visit.appointmentType) or words(visit.specialty) or words(visit.serviceCategory)
    return title_of(visit.description, kind, "Appointment"), None


_OPEN = ("proposed", "pending", "booked", "arrived", "checked-in", "waitlist")

MAPPER = Mapper("Appointment", Search(_OPEN, window="date"), normalize)
