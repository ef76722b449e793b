"""
Communications: where the work stands, told to the requester; and each attempt to reach the patient.

A failed attempt is ``not-done`` with a statusReason (FHIR R4 communication.html, value set
communication-not-done-reason). Whether "sent" is ``completed`` or ``in-progress`` differs between EHRs.
"""

from __future__ import annotations

from bridge.cases.intents import Intent, IntentKind
from bridge.cases.model import Attempt, Case
from bridge.cases.snapshot import Party
from bridge.cases.terms import AttemptOutcome, Channel
from bridge.tasks.coordination_task import Form
from bridge.tasks.elements import (
    MESSAGE_RECIPIENTS,
    Json,
    clean,
    concept,
    identifier,
    instant,
    narrative,
    reference,
)
from bridge.tasks.identity import MESSAGE_SYSTEM

_CATEGORY = "http://terminology.hl7.org/CodeSystem/communication-category"
_NOT_DONE = "http://terminology.hl7.org/CodeSystem/communication-not-done-reason"
_MODE = "http://terminology.hl7.org/CodeSystem/v3-ParticipationMode"

NOT_DONE = {
    AttemptOutcome.NO_ANSWER: ("recipient-unavailable", "No answer"),
    AttemptOutcome.WRONG_NUMBER: ("invalid-phone-number", "Wrong number"),
    AttemptOutcome.DECLINED: ("patient-objection", "Declined"),
    AttemptOutcome.FAILED: ("system-error", "Could not be sent"),
}
"""Attempts in which nothing reached anybody, and the code that says why."""

_MEDIUM = {
    Channel.PHONE: "PHONE",
    Channel.VOICEMAIL: "PHONE",
    Channel.PORTAL: "ELECTRONIC",
    Channel.TEXT: "WRITTEN",
    Channel.EMAIL: "EMAILWRIT",
    Channel.LETTER: "MAILWRIT",
    Channel.IN_PERSON: "PHYSICAL",
}
"""Channel -> v3 ParticipationMode. SMSWRIT came after R4: HAPI 8.0.0's $validate calls it an error (2026-11)."""


def render_message(case: Case, intent: Intent, form: Form, *, part_of: str | None) -> Json:
    """
    Return the Communication that *intent* asks for.

    Args:
        part_of: Our coordination Task (``Task/id``), once it stands on the EHR.
    """
    assert case.patient is not None
    assert case.patient.ref is not None
    assert intent.message is not None
    attempt = next((one for one in case.outreach if one.id == intent.message.attempt_id), None)
    failed = NOT_DONE.get(attempt.outcome) if attempt is not None else None
    message: Json = {
        "resourceType": "Communication",
        "text": narrative([intent.message.text]),
        "identifier": [identifier(MESSAGE_SYSTEM, intent.key)],
        "basedOn": [{"reference": case.root}],
        "partOf": [{"reference": part_of}] if part_of is not None else None,
        "status": "not-done" if failed is not None else form.message_status,
        "statusReason": concept(failed[1], (_NOT_DONE, failed[0])) if failed is not None else None,
        "category": [concept("Notification", (_CATEGORY, "notification"))],
        "priority": case.priority.value,
        "medium": _medium(attempt),
        "subject": reference(Party("Patient", case.patient.ref, None, case.patient.display), {"Patient"}),
        "recipient": _recipients(case, intent),
        "sent": instant(intent.message.at) if failed is None else None,
        "payload": [_payload(intent.message.text, form)],
    }
    return {name: value for name, value in message.items() if value is not None}


def _payload(text: str, form: Form) -> Json:
    if form.fhir_version == "R5":
        return {"contentCodeableConcept": {"text": clean(text)}}
    return {"contentString": clean(text)}


def _medium(attempt: Attempt | None) -> list[Json] | None:
    if attempt is None:
        return None
    return [concept(attempt.channel.value, (_MODE, _MEDIUM[attempt.channel]))]


def _recipients(case: Case, intent: Intent) -> list[Json] | None:
    """A status message goes to the requester where that is a clinician; an attempt went to the patient."""
    if intent.kind is IntentKind.OUTREACH_RECORD:
        assert case.patient is not None
        return [{"reference": case.patient.ref}]
    requester = case.requester
    if requester is None or requester.type is None:
        return None
    named = reference(requester, MESSAGE_RECIPIENTS)
    return [named] if named is not None else None
