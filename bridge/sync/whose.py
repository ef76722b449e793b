"""Whose record something is written to: asked of the EHR at the moment of sending, never taken from memory."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.model import Case, CasePatient
from bridge.cases.people import MOST_LINKS, REDIRECTED, Person
from bridge.cases.snapshot import Snapshot
from bridge.cases.sources import SourceRow
from bridge.errors import Gone, Moved, NotFound, Refused, UnsafeAnswer
from bridge.fhir.client import FhirClient
from bridge.fhir.source import SourceVersion
from bridge.mappers import normalize
from bridge.mappers.people import person
from bridge.sync.hand import Stop
from bridge.sync.known import PATIENT_MISMATCH
from bridge.sync.line import Line
from bridge.tasks.elements import Json, is_local
from bridge.tasks.merge import patient_of

ROOT_MISSING, ROOT_UNREADABLE = "root-missing", "root-unreadable"
OF_THE_ROOT = frozenset({ROOT_MISSING, ROOT_UNREADABLE, PATIENT_MISMATCH})
"""Why nothing was written, where what the request says may be otherwise by now."""


class Whose:
    """Asks one EHR who the patient is. Safe to share between threads."""

    def __init__(self, client: FhirClient, line: Line) -> None:
        """Ask over *client*."""
        self._client, self._line = client, line

    def check(self, case: Case, rows: Iterable[SourceRow], kind: IntentKind, *, retiring: bool) -> None:
        """
        Read the root now and refuse to write unless its patient is the case's.

        Where the root names none, or was never there (a Task may name a request that its server does not have),
        another resource of the group has to. A root that is gone allows only the *retiring* of what we wrote.

        Args:
            rows: The sources of the case's group.
            kind: What is to be written.

        Raises:
            Stop: Nothing is written.
            RemoteError: The EHR could not be asked.
        """
        try:
            if self.said_by(self._client.read(case.root), case).patient is not None:
                return
        except (Gone, NotFound):
            if retiring:
                return
            if any(row.ref == case.root for row in rows):
                raise _root_missing(case, kind) from None
        self._check_witness(case, rows, kind)

    def _check_witness(self, case: Case, rows: Iterable[SourceRow], kind: IntentKind) -> None:
        for row in rows:
            stated = row.snapshot.patient
            if row.ref != case.root and row.gone_at is None and stated is not None and stated.ref is not None:
                try:
                    self.said_by(self._client.read(row.ref), case)
                except (Gone, NotFound):
                    continue
                return
        raise _root_missing(case, kind)

    def said_by(self, version: SourceVersion, case: Case) -> Snapshot:
        """
        Return what *version* says now.

        Raises:
            Stop: It cannot be read, or it names another patient than the case. One that names none passes.
        """
        verdict = normalize(version, base_url=self._line.base_url, fhir_version=self._line.fhir_version)
        if not isinstance(verdict, Snapshot):
            reason = f"{version.ref} cannot be read any longer: {verdict.reason}"
            raise Stop(IntentState.PARKED, ROOT_UNREADABLE, reason)
        stated = verdict.patient.ref if verdict.patient is not None else None
        if verdict.patient is not None and stated != case.patient_ref and not self._leads_to(stated, case):
            reason = f"the patient of {version.ref} is not the patient of the case; nothing was written"
            raise Stop(IntentState.PARKED, PATIENT_MISMATCH, reason)
        return verdict

    def _leads_to(self, stated: str | None, case: Case) -> bool:
        return leads_to(self._client, self._line.base_url, stated, case.patient_ref)

    def is_theirs(self, resource: Json, case: Case) -> bool:
        """
        Whether what we wrote stands in the record of the case's patient, or in one that this one took the place of.

        A record that is deleted shows no link: what we wrote there is nobody else's.
        """
        stated = patient_of(resource)
        if stated is None or stated == case.patient_ref:
            return stated == case.patient_ref
        if case.patient_ref is None or not is_local(stated):
            return False
        return self._leads_to(stated, case) or isinstance(what_became_of(self._client, stated), Gone)

    def check_lives(self, message: Json, case: Case) -> None:
        """
        Refuse to send to a patient who has died: some EHRs show a Communication to its recipient.

        Raises:
            Stop: The patient has died.
        """
        to_patient = any(one.get("reference") == case.patient_ref for one in message.get("recipient") or ())
        if to_patient and case.patient is not None and has_died(self._client, self._line.base_url, case.patient):
            reason = "the EHR says that the patient has died: nothing is sent to them; the case shows what it was"
            raise Stop(IntentState.SUPERSEDED, "patient-deceased", reason)


def _root_missing(case: Case, kind: IntentKind) -> Stop:
    """What is over with its request concerns nobody; an attempt made, or work still open, needs a person."""
    if not case.is_open and kind is not IntentKind.OUTREACH_RECORD:
        return Stop(IntentState.SUPERSEDED, "root-gone", f"{case.root} is gone, and the case is over with it")
    reason = f"nothing on the EHR confirms whose {case.root} is; nothing was written"
    return Stop(IntentState.PARKED, ROOT_MISSING, reason)


def leads_to(client: FhirClient, base_url: str, ref: str | None, to: str | None) -> bool:
    """
    Whether the EHR says now that the record *ref* was replaced by *to*, which is there.

    Each record on the way is read, and has to say itself which one took its place (``Patient.link`` replaced-by,
    FHIR R4 patient.html#links), or its server by a redirect (Epic 4107). Names, birth dates and what *to* says of
    *ref* are no proof.

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


def what_became_of(client: FhirClient, ref: str) -> Gone | Moved | None:
    """
    Return how the EHR says, now, that *ref* is no more: deleted (410, asked twice), or merged into another.

    Raises:
        RemoteError: The EHR could not be asked.
    """
    gone: Gone | None = None
    for _ in range(2):
        try:
            client.read(ref)
        except Gone as error:
            gone = error
        except Moved as error:
            return error
        except Refused:
            return None
        else:
            return None
    return gone


def has_died(client: FhirClient, base_url: str, patient: CasePatient) -> bool:
    """
    Whether the patient has died, by the record as it is now; where that cannot be read, as it was read last.

    Raises:
        RemoteError: The EHR could not be asked.
    """
    found = _read(client, base_url, patient.ref) if patient.ref is not None else None
    return found.deceased if found is not None and found.version != REDIRECTED else patient.deceased


def _read(client: FhirClient, base_url: str, ref: str) -> Person | None:
    """Return one record, also where only a search shows it: some EHRs show a replaced one in no other way."""
    try:
        versions: Sequence[SourceVersion] = (client.read(ref),)
    except Moved as moved:
        return Person(ref=ref, type=ref.partition("/")[0], version=REDIRECTED, active=False, replaced_by=moved.ref)
    except Refused:
        versions = _searched(client, ref)
    found = [person(version, base_url=base_url) for version in versions]
    return next((who for who in found if isinstance(who, Person) and who.ref == ref), None)


def _searched(client: FhirClient, ref: str) -> Sequence[SourceVersion]:
    try:
        return client.batch_read([ref])
    except (Refused, UnsafeAnswer):
        return ()
