"""Words and times for people: plain English for every code, every time in the site's zone."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from bridge.cases import changes as facts
from bridge.cases.changes import Fact
from bridge.cases.intents import IntentKind
from bridge.cases.loops import Mark
from bridge.cases.model import Attempt
from bridge.cases.terms import AttemptOutcome, Channel

INTENT_TEXT = {
    IntentKind.COORDINATION_TASK: "Coordination Task",
    IntentKind.SOURCE_TASK: "Status of the EHR's own Task",
    IntentKind.STATUS_MESSAGE: "Status message to the requester",
    IntentKind.OUTREACH_RECORD: "Record of an outreach attempt",
    IntentKind.RETRACTION: "Taking back what should not stand there",
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

CHANNEL_KEYS = {
    Channel.PHONE: "p",
    Channel.VOICEMAIL: "v",
    Channel.PORTAL: "w",
    Channel.TEXT: "t",
    Channel.EMAIL: "e",
    Channel.LETTER: "l",
    Channel.IN_PERSON: "i",
}
"""The letter that says how the patient was approached, while an attempt is recorded by the keyboard."""

OUTCOME_KEYS = {
    AttemptOutcome.REACHED: "r",
    AttemptOutcome.LEFT_MESSAGE: "m",
    AttemptOutcome.NO_ANSWER: "n",
    AttemptOutcome.WRONG_NUMBER: "w",
    AttemptOutcome.DECLINED: "d",
    AttemptOutcome.SENT: "s",
    AttemptOutcome.FAILED: "f",
}
"""The letter that says what came of it."""

MARK_TEXT = {
    Mark.RECEIVED: "Received",
    Mark.ACCEPTED: "Taken up",
    Mark.DOCUMENTS: "Documents complete",
    Mark.REACHED: "Patient reached",
    Mark.UNDERSTOOD: "Understanding checked",
    Mark.SCHEDULED: "Visit scheduled",
    Mark.CONFIRMED: "Visit confirmed",
    Mark.SEEN: "Patient seen",
    Mark.REPORT: "Report back",
    Mark.DECIDED: "Decided",
    Mark.TOLD: "Requester told",
}
"""Each milestone in words; none may be without (tested)."""

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


def source_text(source: str) -> str:
    """Return where a remark was made, in words (``suggesting.Said``)."""
    return {"note": "Note", "attempt": "Outreach"}.get(source.partition(":")[0], source)


def proof_text(evidence: str | None) -> str:
    """Return what proves a milestone, in words: who did it, or ``Type/id``; nothing for what says no more."""
    kind, _, name = (evidence or "").partition(":")
    return f"by {name}" if kind == "person" else kind if "/" in kind else ""


def script_text(script: str, *, clinic: str | None, callback: str | None) -> str:
    """Return a lane's script with what the site is called and its number; what is not configured stays to be said."""
    filled = script.replace("{clinic}", clinic or "[name of the clinic]")
    return filled.replace("{callback}", callback or "[number to call back]").replace("{time}", "[day and time]")


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


def counted_text(count: int, up_to: int) -> str:
    """Return how many there are, or where they were counted no further: "1,000+"."""
    return f"{up_to:,}+" if count > up_to else f"{count:,}"


def age_text(seconds: float) -> str:
    """Return a span of time in its largest sensible unit: "3 min", "2 h", "5 d"."""
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds)} s"


Clock = Callable[[datetime | None], str]


def fact_text(fact: Fact, zone: ZoneInfo, now: datetime) -> str:
    """Return a change as one sentence."""
    return FACT_TEXT[type(fact)](fact, lambda at: clock_text(at, zone, now))


def _opened(fact: facts.CaseOpened, _: Clock) -> str:
    return f"Case opened as {_low(fact.case.status)}, owned by {fact.case.owner.display}"


def _sources(fact: facts.SourcesChanged, _: Clock) -> str:
    return "From the EHR: " + ", ".join(f"{line.ref} is {line.status}" for line in fact.sources)


def _visit(fact: facts.VisitHappened, clock: Clock) -> str:
    return f"Visit {fact.event}{f', {clock(fact.at)}' if fact.at else ''}"


def _next(fact: facts.NextActionSet, clock: Clock) -> str:
    if fact.next_action is None:
        return "Nothing is left to do"
    return f"Next: {fact.next_action.text}{f', due {clock(fact.due_at)}' if fact.due_at else ''}"


def _escalated(fact: facts.Escalated, _: Clock) -> str:
    escalation = fact.escalation
    if escalation.resolved_at is not None:
        return f"Escalation to {escalation.to.display} ended: {escalation.why}"
    seen = f", seen by {escalation.acknowledged_by}" if escalation.acknowledged_by else ""
    return f"Escalated to {escalation.to.display}: {escalation.why}{seen}"


def _low(code: object) -> str:
    return spoken(code).lower()


FACT_TEXT: Mapping[type, Callable[[Any, Clock], str]] = {
    facts.CaseOpened: _opened,
    facts.SourcesChanged: _sources,
    facts.StatusChanged: lambda fact, _: f"Status: {_low(fact.status)} (was {_low(fact.was)})",
    facts.LaneChanged: lambda fact, _: f"Lane: {_low(fact.lane)} (was {_low(fact.was)})",
    facts.VisitHappened: _visit,
    facts.FactsChanged: lambda fact, _: f"Known better: {fact.title}, {fact.priority}",
    facts.PatientKnown: lambda fact, _: "Patient details read" if fact.patient else "The patient is not known",
    facts.PatientMerged: lambda fact, _: f"The patient's record {fact.was} was replaced by {fact.patient.ref}",
    facts.OwnerAssigned: lambda fact, _: f"Owner: {fact.owner.display}",
    facts.NextActionSet: _next,
    facts.BlockerRaised: lambda fact, _: f"Blocked: {_low(fact.blocker.category)}: {fact.blocker.text}",
    facts.BlockerCleared: lambda fact, _: f"No longer blocked ({_low(fact.was.category)})",
    facts.OutreachLogged: lambda fact, _: attempt_text(fact.attempt),
    facts.Escalated: _escalated,
    facts.NoteAdded: lambda fact, _: f"Note: {fact.note.text}",
    facts.SuggestionAnswered: lambda fact, _: (
        f"Suggestion {'accepted' if fact.answer.accepted else 'dismissed'}: {_low(fact.answer.rule)}"
    ),
    facts.LocalDecided: lambda fact, _: "A person's decision was recorded or lapsed",
    facts.CaseClosed: lambda fact, _: f"Closed: {_low(fact.closure.reason)}. {fact.closure.outcome}",
    facts.CaseReopened: lambda fact, _: "Reopened",
    facts.CaseMerged: lambda fact, _: f"Merged into {fact.into}" if fact.into else "Split off: a case of its own",
    facts.OddityNoted: lambda fact, _: f"Noted: {fact.text}",
}
"""Each change in words; none may be without (tested)."""
