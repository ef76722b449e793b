"""The words of care coordination that a case is described in, each one of a fixed few."""

from __future__ import annotations

from enum import StrEnum

from bridge.cases.enums import quick


@quick
class Status(StrEnum):
    """The eight statuses of the care-coordination model. "Pending" is not a status."""

    NEW = "new"
    NEEDS_OUTREACH = "needs-outreach"
    WAITING_ON_PATIENT = "waiting-on-patient"
    WAITING_ON_PROVIDER = "waiting-on-provider"
    WAITING_ON_DOCUMENTS = "waiting-on-documents"
    SCHEDULED = "scheduled"
    ESCALATED = "escalated"
    CLOSED = "closed"


@quick
class Action(StrEnum):
    """What happens next; the code a worklist sorts and filters by."""

    CALL_PATIENT = "call-patient"
    CONFIRM_APPOINTMENT = "confirm-appointment"
    REQUEST_DOCUMENT = "request-document"
    SEND_INSTRUCTION = "send-instruction"
    REVIEW_CARE_PLAN = "review-care-plan"
    CHECK_AUTHORIZATION = "check-authorization"
    ESCALATE_TO_CLINICIAN = "escalate-to-clinician"
    UPDATE_REFERRAL_SOURCE = "update-referral-source"
    SCHEDULE = "schedule"
    CLOSE_WITH_REASON = "close-with-reason"


ACTION_TEXT: dict[Action, str] = {
    Action.CALL_PATIENT: "Call the patient",
    Action.CONFIRM_APPOINTMENT: "Confirm the appointment",
    Action.REQUEST_DOCUMENT: "Request the missing document",
    Action.SEND_INSTRUCTION: "Send instructions to the patient",
    Action.REVIEW_CARE_PLAN: "Review the care plan",
    Action.CHECK_AUTHORIZATION: "Check the authorization",
    Action.ESCALATE_TO_CLINICIAN: "Ask a clinician to decide",
    Action.UPDATE_REFERRAL_SOURCE: "Update the referral source",
    Action.SCHEDULE: "Schedule the visit",
    Action.CLOSE_WITH_REASON: "Close with a reason",
}


@quick
class BlockerCategory(StrEnum):
    """Why a case waits."""

    PATIENT_UNREACHABLE = "patient-unreachable"
    MISSING_DOCUMENTATION = "missing-documentation"
    AUTHORIZATION = "authorization"
    ELIGIBILITY = "eligibility"
    SCHEDULING_CAPACITY = "scheduling-capacity"
    TRANSPORT = "transport"
    LANGUAGE = "language"
    EXTERNAL_PROVIDER = "external-provider"
    CLINICAL_REVIEW = "clinical-review"
    INTERNAL_QUEUE = "internal-queue"


class Barrier(StrEnum):
    """What holds the patient back, where that is known."""

    FEAR = "fear"
    CONFUSION = "confusion"
    COST = "cost"
    TECHNOLOGY = "technology"
    WORK_SCHEDULE = "work-schedule"
    LOW_URGENCY = "low-urgency"
    PHONE_TAG = "phone-tag"
    INSURANCE_QUESTION = "insurance-question"


class Channel(StrEnum):
    """How the patient was approached."""

    PHONE = "phone"
    VOICEMAIL = "voicemail"
    PORTAL = "portal"
    TEXT = "text"
    EMAIL = "email"
    LETTER = "letter"
    IN_PERSON = "in-person"


class AttemptOutcome(StrEnum):
    """What came of one outreach attempt. A voicemail left never closes a case."""

    REACHED = "reached"
    LEFT_MESSAGE = "left-message"
    NO_ANSWER = "no-answer"
    WRONG_NUMBER = "wrong-number"
    DECLINED = "declined"
    SENT = "sent"
    FAILED = "failed"


@quick
class Concern(StrEnum):
    """What came up in an attempt that somebody else has to know of, whatever the attempt was for."""

    WORSENING_SYMPTOMS = "worsening-symptoms"
    MEDICATION_CONFUSION = "medication-confusion"
    COMPLAINT = "complaint"
    PRIVACY_CONCERN = "privacy-concern"


@quick
class Trigger(StrEnum):
    """What makes a case climb the ladder: a person, time that passed, attempts in vain, or a concern."""

    PERSON = "person"
    OVERDUE = "overdue"
    FAILED_CONTACT = "failed-contact"
    NOT_SCHEDULED = "not-scheduled"
    NOT_FOLLOWED_UP = "not-followed-up"
    UNOWNED = "unowned"
    WORSENING_SYMPTOMS = "worsening-symptoms"
    MEDICATION_CONFUSION = "medication-confusion"
    COMPLAINT = "complaint"
    PRIVACY_CONCERN = "privacy-concern"


CLINICAL = frozenset({Trigger.WORSENING_SYMPTOMS, Trigger.MEDICATION_CONFUSION})
"""What only licensed staff may answer: it goes to nobody else (rule ours)."""


@quick
class ClosureReason(StrEnum):
    """Why a case ended; ``other`` needs a text."""

    COMPLETED = "completed"
    DECLINED = "declined"
    REDIRECTED = "redirected"
    UNABLE_TO_REACH = "unable-to-reach"
    CANCELLED_BY_REQUESTER = "cancelled-by-requester"
    ENTERED_IN_ERROR = "entered-in-error"
    DUPLICATE = "duplicate"
    OTHER = "other"


@quick
class OwnerKind(StrEnum):
    """Whether an owner is a person of ours, a role queue of ours, or somebody the EHR names."""

    PERSON = "person"
    ROLE = "role"
    EHR = "ehr"
