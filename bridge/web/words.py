"""Words and times for people: plain English for every code, every time in the site's zone."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from bridge.cases import changes as facts
from bridge.cases.changes import Fact
from bridge.cases.intents import IntentKind
from bridge.cases.model import Attempt, AttemptOutcome, Channel

INTENT_TEXT = {
    IntentKind.COORDINATION_TASK: "Coordination Task",
    IntentKind.SOURCE_TASK: "Status of the EHR's own Task",
    IntentKind.STATUS_MESSAGE: "Status message to the requester",
    IntentKind.OUTREACH_RECORD: "Record of an outreach attempt",
}

STATE_TEXT = {
    "queued": "queued",
    "sent": "sent, no answer yet",
    "sending": "sent, no answer yet",
    "confirmed": "confirmed by the EHR",
    "superseded": "superseded by a newer one",
    "parked": "parked",
    "not-writable": "not writable here",
}

_OUTCOMES = {
    AttemptOutcome.REACHED: "patient reached",
    AttemptOutcome.LEFT_MESSAGE: "message left",
    AttemptOutcome.NO_ANSWER: "no answer",
    AttemptOutcome.WRONG_NUMBER: "wrong number",
    AttemptOutcome.DECLINED: "patient declined",
    AttemptOutcome.SENT: "sent",
    AttemptOutcome.FAILED: "failed",
}

_LANGUAGES = {
    "ar": "Arabic",
    "de": "German",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fr": "French",
    "hi": "Hindi",
    "ht": "Haitian Creole",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "pl": "Polish",
    "pt": "Portuguese",
    "ru": "Russian",
    "so": "Somali",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "zh": "Chinese",
}
"""ISO 639-1 codes often seen in BCP 47 tags; any other tag is shown as it is."""


def spoken(code: object) -> str:
    """Return a code of ours as words: ``waiting-on-patient`` is "Waiting on patient"."""
    text = str(code).replace("-", " ")
    return text[:1].upper() + text[1:]


def language(tag: str) -> str:
    """Return a BCP 47 language tag as words, with the tag: "Spanish (es-US)"."""
    name = _LANGUAGES.get(tag.partition("-")[0].lower())
    return tag if name is None else f"{name} ({tag})"


def attempt_text(attempt: Attempt) -> str:
    """Return an outreach attempt in a few words: "Phone: message left"."""
    return f"{spoken(Channel(attempt.channel))}: {_OUTCOMES[attempt.outcome]}"


def outcome_text(outcome: AttemptOutcome) -> str:
    """Return what came of an attempt, in words."""
    return spoken(_OUTCOMES[outcome])


def clock_text(at: datetime | None, zone: ZoneInfo, now: datetime) -> str:
    """Return an instant as people at the site read it; this year's dates go without the year."""
    if at is None:
        return ""
    local, today = at.astimezone(zone), now.astimezone(zone)
    if local.date() == today.date():
        return f"today {local:%H:%M}"
    if local.year == today.year:
        return f"{local:%a} {local.day} {local:%b %H:%M}"
    return f"{local:%Y-%m-%d %H:%M}"


def age_text(seconds: float) -> str:
    """Return a span of time in its largest sensible unit: "3 min", "2 h", "5 d"."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


def fact_text(fact: Fact, zone: ZoneInfo, now: datetime) -> str:
    """Return a change as one sentence."""
    match fact:
        case facts.CaseOpened():
            return f"Case opened as {spoken(fact.case.status).lower()}, owned by {fact.case.owner.display}"
        case facts.SourcesChanged():
            sources = ", ".join(f"{line.ref} is {line.status}" for line in fact.sources)
            return f"From the EHR: {sources}"
        case facts.StatusChanged():
            return f"Status: {spoken(fact.status).lower()} (was {spoken(fact.was).lower()})"
        case facts.LaneChanged():
            return f"Lane: {spoken(fact.lane).lower()} (was {spoken(fact.was).lower()})"
        case facts.VisitHappened():
            when = f", {clock_text(fact.at, zone, now)}" if fact.at else ""
            return f"Visit {fact.event}{when}"
        case facts.FactsChanged():
            return f"Known better: {fact.title}, {fact.priority}"
        case facts.PatientKnown():
            return "Patient details read" if fact.patient else "The patient is not known"
        case facts.OwnerAssigned():
            return f"Owner: {fact.owner.display}"
        case facts.NextActionSet():
            if fact.next_action is None:
                return "Nothing is left to do"
            due = f", due {clock_text(fact.due_at, zone, now)}" if fact.due_at else ""
            return f"Next: {fact.next_action.text}{due}"
        case facts.BlockerRaised():
            return f"Blocked: {spoken(fact.blocker.category).lower()}: {fact.blocker.text}"
        case facts.BlockerCleared():
            return f"No longer blocked ({spoken(fact.was.category).lower()})"
        case facts.OutreachLogged():
            return attempt_text(fact.attempt)
        case facts.Escalated():
            if fact.escalation is None:
                return "Escalation ended"
            seen = f", seen by {fact.escalation.acknowledged_by}" if fact.escalation.acknowledged_by else ""
            return f"Escalated to {fact.escalation.to.display}: {fact.escalation.why}{seen}"
        case facts.NoteAdded():
            return f"Note: {fact.note.text}"
        case facts.LocalDecided():
            return "A person's decision was recorded or lapsed"
        case facts.CaseClosed():
            return f"Closed: {spoken(fact.closure.reason).lower()}. {fact.closure.outcome}"
        case facts.CaseReopened():
            return "Reopened"
        case facts.CaseMerged():
            return f"Merged into {fact.into}" if fact.into else "Split off again: a case of its own"
        case facts.OddityNoted():
            return f"Noted: {fact.text}"
