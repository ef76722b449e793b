"""Whose record something is written to: asked of the EHR at the moment of sending, never taken from memory."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.cases.model import CasePatient
from bridge.cases.people import MOST_LINKS, Person
from bridge.errors import Gone, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.mappers.people import person
from bridge.tasks.elements import is_local


def leads_to(client: FhirClient, base_url: str, ref: str | None, to: str | None) -> bool:
    """
    Whether the EHR says now that the record *ref* was replaced by *to*, which is there.

    Each record on the way is read, and has to say itself which one took its place (``Patient.link`` replaced-by,
    FHIR R4 patient.html#links). Names, birth dates and what *to* says of *ref* are no proof.

    Raises:
        RemoteError: The EHR could not be asked.
    """
    seen: set[str] = set()
    while ref is not None and is_local(ref) and to is not None and ref not in seen and len(seen) <= MOST_LINKS:
        found = _read(client, base_url, ref)
        if found is None or found.type != "Patient":
            return False
        if ref == to:
            return bool(seen)
        seen.add(ref)
        ref = found.replaced_by
    return False


def is_deleted(client: FhirClient, ref: str) -> bool:
    """
    Whether the EHR says twice, now, that *ref* is deleted (410).

    Raises:
        RemoteError: The EHR could not be asked.
    """
    for _ in range(2):
        try:
            client.read(ref)
        except Gone:
            continue
        except Refused:
            return False
        return False
    return True


def has_died(client: FhirClient, base_url: str, patient: CasePatient) -> bool:
    """
    Whether the patient has died, by the record as it is now; where that cannot be read, as it was read last.

    Raises:
        RemoteError: The EHR could not be asked.
    """
    found = _read(client, base_url, patient.ref) if patient.ref is not None else None
    return found.deceased if found is not None else patient.deceased


def _read(client: FhirClient, base_url: str, ref: str) -> Person | None:
    """Return one record, also where only a search shows it: some EHRs show a replaced one in no other way."""
    try:
        versions: Sequence[SourceVersion] = (client.read(ref),)
    except Refused:
        versions = _searched(client, ref)
    found = [person(version, base_url=base_url) for version in versions]
    return next((who for who in found if isinstance(who, Person) and who.ref == ref), None)


def _searched(client: FhirClient, ref: str) -> Sequence[SourceVersion]:
    try:
        return client.batch_read([ref])
    except (Refused, UnsafeAnswer):
        return ()
