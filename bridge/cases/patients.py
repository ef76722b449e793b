"""Whose work it is: the patient as the EHR's record says, when two records are one person, what a death means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from bridge.cases.calendar import plausible
from bridge.cases.changes import Cause, CauseKind, PatientMerged
from bridge.cases.model import Blocker, Case, CasePatient, NextAction
from bridge.cases.people import Person, heir, links
from bridge.cases.snapshot import Party
from bridge.cases.terms import Action, BlockerCategory

DIED = "The patient has died"
REVIEW = NextAction(Action.CLOSE_WITH_REASON, "Review: the patient has died")
"""What is left to do: whether work for a patient who died ends is for a person to say."""

CONTACTS_PATIENT = frozenset(
    {Action.CALL_PATIENT, Action.CONFIRM_APPOINTMENT, Action.SEND_INSTRUCTION, Action.SCHEDULE}
)
"""Actions in which somebody turns to the patient."""

NOT_ACTIVE = "the patient's record is not in use, and none took its place"
NOT_FOLLOWED = "the patient's record was replaced by one that cannot be followed to"
DELETED = "the patient's record is deleted in the EHR"


def patient_of(party: Party | None, prior: Case | None, people: Mapping[str, Person]) -> CasePatient | None:
    """
    Return the case's patient as well as known: by the record, else as before, else as the reference says.

    Where a record was replaced it is the one that took its place (``heir``).
    """
    if party is None:
        return None
    if party.ref is None:
        stated = (party.identifier,) if party.identifier is not None else ()
        return CasePatient(ref=None, display=party.display, identifiers=stated) if party.display or stated else None
    ref = heir(party.ref, people)
    person = people.get(ref)
    if person is not None:
        return CasePatient(
            ref=ref,
            display=person.display or party.display,
            identifiers=person.identifiers,
            language=person.language,
            contact_preference=person.contact_preference,
            birth_on=person.birth_on,
            deceased=person.deceased,
        )
    if prior is not None and prior.patient is not None and prior.patient.ref == party.ref:
        return prior.patient
    return CasePatient(ref=party.ref, display=party.display)


def person_of(party: Party | None, people: Mapping[str, Person]) -> Person | None:
    """Return the record of the patient, if it was read."""
    return people.get(heir(party.ref, people)) if party is not None and party.ref is not None else None


def is_same_person(before: str, after: str, people: Mapping[str, Person]) -> bool:
    """
    Whether work that was *before*'s and is *after*'s now is still the same person's.

    It is where *before* says itself that *after* took its place, and where *before* was deleted (410, asked twice)
    without a word of who took its place: an EHR that deletes one of two merged records cannot show a link. A 404 is
    no such word: it may be a permission, behind which *before* lives on as somebody else (rule ours).
    """
    if before == after or heir(before, people) == after:
        return True
    person = people.get(before)
    return person is not None and person.gone and person.replaced_by is None


def merged(
    before: str, patient: CasePatient, cause: Cause, people: Mapping[str, Person]
) -> tuple[Cause, PatientMerged]:
    """Return the entry that says who was replaced by whom, by which versions."""
    told = links(before, people)
    by = tuple(f"{person.ref}/_history/{person.version}" for person in told)
    if not by:
        return Cause(cause.kind, cause.what, "patient-deleted"), PatientMerged(patient, before)
    return Cause(CauseKind.SOURCE, by[0], "patient-replaced"), PatientMerged(patient, before, by)


def oddities_of(person: Person | None) -> tuple[str, ...]:
    """Return what is odd about the patient's record, in fixed words; none of it changes the work."""
    if person is None:
        return ()
    if person.gone:
        return (f"{person.ref}: {DELETED}",)
    if person.replaced_by is not None:
        return (f"{person.ref}: {NOT_FOLLOWED}",)
    return () if person.active else (f"{person.ref}: {NOT_ACTIVE}",)


def death(person: Person | None, otherwise: datetime) -> Blocker | None:
    """
    Return what holds up the work for a patient of whom the EHR says that they died.

    Args:
        otherwise: Since when, where the record gives no time that can be.
    """
    if person is None or not person.deceased:
        return None
    since = plausible(person.deceased_at) or otherwise
    return Blocker(BlockerCategory.CLINICAL_REVIEW, DIED, since, "rule:patient-deceased")
