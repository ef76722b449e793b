"""What holds a case up, as tables: from what the EHR says to a blocker, and from a blocker to what follows."""

from __future__ import annotations

import re

from bridge.cases.model import Action, BlockerCategory, Status
from bridge.cases.snapshot import Concept, Snapshot

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

_AUTHORIZATION_WORDS = ("authorization", "authorisation", "prior auth", "preauth", "payer")
_WORDS: tuple[tuple[tuple[str, ...], BlockerCategory], ...] = (
    (_AUTHORIZATION_WORDS, BlockerCategory.AUTHORIZATION),
    (("eligib", "ineligib", "coverage", "insurance"), BlockerCategory.ELIGIBILITY),
    (("document", "record", "form", "information", "attachment"), BlockerCategory.MISSING_DOCUMENTATION),
    (("transport", "ride"), BlockerCategory.TRANSPORT),
    (("interpreter", "language"), BlockerCategory.LANGUAGE),
    (("unreachable", "unable to reach", "no contact"), BlockerCategory.PATIENT_UNREACHABLE),
    (("capacity", "no slot", "waitlist", "wait list", "no availability"), BlockerCategory.SCHEDULING_CAPACITY),
    (("review", "clarif", "prescriber", "physician", "clinician"), BlockerCategory.CLINICAL_REVIEW),
)
"""How words in a pause's reason begin and what they mean; the first hit counts (rule ours)."""

_PAUSED_WITHOUT_REASON = {
    "Task": BlockerCategory.EXTERNAL_PROVIDER,
    "ServiceRequest": BlockerCategory.CLINICAL_REVIEW,
    "MedicationRequest": BlockerCategory.CLINICAL_REVIEW,
}


def category_of_pause(snapshot: Snapshot) -> BlockerCategory:
    """
    Return what holds a paused resource up, by the words of its status reason, else by its type.

    Why the work was asked for says nothing about why it waits ("speech and language delay" needs no
    interpreter), except where it names the payer: an R4 ServiceRequest has no status reason.
    """
    if snapshot.status_reason is not None or snapshot.business_status is not None:
        spoken = _words(snapshot.status_reason, snapshot.business_status)
        for words, category in _WORDS:
            if _begins(spoken, words):
                return category
    if _begins(_words(*snapshot.reasons), _AUTHORIZATION_WORDS):
        return BlockerCategory.AUTHORIZATION
    return _PAUSED_WITHOUT_REASON.get(snapshot.type, BlockerCategory.INTERNAL_QUEUE)


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
