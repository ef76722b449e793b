"""What holds a case up: from what the EHR says to a blocker by the site's table, and from a blocker to what follows."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Protocol

from bridge.cases.snapshot import Concept, Snapshot
from bridge.cases.terms import Action, BlockerCategory, Status

WAITS = {
    BlockerCategory.PATIENT_UNREACHABLE: Status.WAITING_ON_PATIENT,
    BlockerCategory.MISSING_DOCUMENTATION: Status.WAITING_ON_DOCUMENTS,
    BlockerCategory.AUTHORIZATION: Status.WAITING_ON_PROVIDER,
    BlockerCategory.ELIGIBILITY: Status.WAITING_ON_PROVIDER,
    BlockerCategory.SCHEDULING_CAPACITY: Status.WAITING_ON_PROVIDER,
    BlockerCategory.TRANSPORT: Status.WAITING_ON_PATIENT,
    BlockerCategory.LANGUAGE: Status.WAITING_ON_PATIENT,
    BlockerCategory.EXTERNAL_PROVIDER: Status.WAITING_ON_PROVIDER,
    BlockerCategory.CLINICAL_REVIEW: Status.WAITING_ON_PROVIDER,
    BlockerCategory.INTERNAL_QUEUE: Status.NEEDS_OUTREACH,
}
"""Whom a blocked case waits for; an internal queue waits for nobody outside."""

UNBLOCKS = {
    BlockerCategory.PATIENT_UNREACHABLE: Action.CALL_PATIENT,
    BlockerCategory.MISSING_DOCUMENTATION: Action.REQUEST_DOCUMENT,
    BlockerCategory.AUTHORIZATION: Action.CHECK_AUTHORIZATION,
    BlockerCategory.ELIGIBILITY: Action.CHECK_AUTHORIZATION,
    BlockerCategory.SCHEDULING_CAPACITY: Action.SCHEDULE,
    BlockerCategory.TRANSPORT: Action.CALL_PATIENT,
    BlockerCategory.LANGUAGE: Action.CALL_PATIENT,
    BlockerCategory.EXTERNAL_PROVIDER: Action.UPDATE_REFERRAL_SOURCE,
    BlockerCategory.CLINICAL_REVIEW: Action.ESCALATE_TO_CLINICIAN,
    BlockerCategory.INTERNAL_QUEUE: Action.REVIEW_CARE_PLAN,
}
"""What is done about a blocker first."""

LABELS = {
    BlockerCategory.PATIENT_UNREACHABLE: "Patient cannot be reached",
    BlockerCategory.MISSING_DOCUMENTATION: "Missing documentation",
    BlockerCategory.AUTHORIZATION: "Authorization pending",
    BlockerCategory.ELIGIBILITY: "Eligibility unclear",
    BlockerCategory.SCHEDULING_CAPACITY: "No free appointment",
    BlockerCategory.TRANSPORT: "Transport needed",
    BlockerCategory.LANGUAGE: "Interpreter needed",
    BlockerCategory.EXTERNAL_PROVIDER: "Waiting for the other provider",
    BlockerCategory.CLINICAL_REVIEW: "Clinical review needed",
    BlockerCategory.INTERNAL_QUEUE: "Waiting in our queue",
}
"""What people read."""

_PAUSED_WITHOUT_REASON = {
    "Task": BlockerCategory.EXTERNAL_PROVIDER,
    "ServiceRequest": BlockerCategory.CLINICAL_REVIEW,
    "MedicationRequest": BlockerCategory.CLINICAL_REVIEW,
}


class Holds(Protocol):
    """One line of a site's table: what stands for a category of blocker (``lanes.Holds``)."""

    @property
    def category(self) -> BlockerCategory: ...
    @property
    def codes(self) -> tuple[str, ...]: ...
    @property
    def words(self) -> tuple[str, ...]: ...


def category_of_pause(snapshot: Snapshot, table: Sequence[Holds]) -> BlockerCategory:
    """
    Return what holds a paused resource up: by the codes, then the words of its status reason, else by its type.

    Why the work was asked for says nothing about why it waits ("speech and language delay" needs no
    interpreter), except where it names the payer: an R4 ServiceRequest has no status reason.

    Args:
        table: The site's, of which the first line that fits counts.
    """
    coded = category_by_code(snapshot, table)
    if coded is not None:
        return coded
    if snapshot.status_reason is not None or snapshot.business_status is not None:
        spoken = _words(snapshot.status_reason, snapshot.business_status)
        for line in table:
            if _begins(spoken, line.words):
                return line.category
    payer = (line for line in table if line.category is BlockerCategory.AUTHORIZATION)
    if any(_begins(_words(*snapshot.reasons), line.words) for line in payer):
        return BlockerCategory.AUTHORIZATION
    return _PAUSED_WITHOUT_REASON.get(snapshot.type, BlockerCategory.INTERNAL_QUEUE)


def category_by_code(snapshot: Snapshot, table: Sequence[Holds]) -> BlockerCategory | None:
    """Return what the codes of a resource's status reason or business status say holds it up, if they do."""
    concepts = (snapshot.status_reason, snapshot.business_status)
    if concepts == (None, None):
        return None
    said = {coding.token for concept in concepts if concept is not None for coding in concept.codes}
    return next((line.category for line in table if not said.isdisjoint(line.codes)), None) if said else None


def _begins(spoken: str, words: tuple[str, ...]) -> bool:
    """Whether any of *words* stands at the beginning of a word: "form" is in "forms", but not in "performer"."""
    return any(f" {word}" in spoken for word in words)


def _words(*concepts: Concept | None) -> str:
    parts = [
        part
        for concept in concepts
        if concept is not None
        for part in (concept.text, *(f"{coding.display or ''} {coding.code}" for coding in concept.codes))
    ]
    return " " + _BETWEEN_WORDS.sub(" ", " ".join(filter(None, parts))).casefold()


_BETWEEN_WORDS = re.compile(r"[\W_]+|(?<=[a-z])(?=[A-Z])")
"""What parts words, also in codes such as ``missing-documentation`` and ``priorAuthorization``."""
