"""What we say to people on the EHR, in sentences: how work ended, what holds it up, what is next."""

from __future__ import annotations

from datetime import datetime, tzinfo

from bridge.cases.blockers import LABELS
from bridge.cases.model import Blocker, Case, Closure, NextAction
from bridge.cases.terms import ACTION_TEXT, Status


def status_words(status: Status) -> str:
    """Return a case status as people read it."""
    words = status.value.replace("-", " ")
    return words[0].upper() + words[1:]


def day(at: datetime, zone: tzinfo) -> str:
    """Return the civil day of *at* at the site."""
    return at.astimezone(zone).date().isoformat()


def in_sentence(text: str) -> str:
    """Return *text* as it stands after a colon: its first word in small letters, unless it is an abbreviation."""
    return text if text[1:2].isupper() else text[:1].lower() + text[1:]


def by_day(text: str, due_at: datetime | None, zone: tzinfo) -> str:
    """Return what is to be done, and by which day where one is set."""
    due = f" by {day(due_at, zone)}" if due_at is not None else ""
    return f"{in_sentence(text)}{due}"


def our_words(case: Case, action: NextAction) -> str:
    """Return the next action in the lane's words; where a person wrote it, in those of its code."""
    decided = case.local.next_action
    by_person = decided is not None and decided.next_action is not None
    return ACTION_TEXT[action.code] if by_person else action.text


def ended(closure: Closure) -> str:
    """Return how the work ended in one line, ``completed: Seen``; an outcome that names the reason stands alone."""
    reason = closure.reason.value.replace("-", " ")
    if _plain(closure.outcome) == _plain(reason):
        return reason
    return closure.outcome if _names(closure.outcome, reason) else f"{reason}: {closure.outcome}"


def ended_sentences(closure: Closure, outcome: str, opening: str) -> str:
    """Return how the work ended as ``Closed: completed. Seen.``, *opening* being ``Closed``; nothing is said twice."""
    reason = closure.reason.value.replace("-", " ")
    if _plain(outcome) in ("", _plain(reason)):
        return f"{opening}: {reason}."
    if _names(outcome, reason):
        return f"{opening}. {sentence(outcome)}" if ":" in outcome else f"{opening}: {sentence(in_sentence(outcome))}"
    return f"{opening}: {reason}. {sentence(outcome)}"


def blocked_sentences(blocker: Blocker) -> str:
    """Return what holds the work up as ``Blocked: missing documentation. ECG report.``"""
    label = LABELS[blocker.category]
    told = "" if _plain(blocker.text) == _plain(label) else f" {sentence(blocker.text)}"
    return f"Blocked: {in_sentence(label)}.{told}"


def sentence(text: str) -> str:
    """Return *text* with a full stop, where it has no end of its own."""
    text = text.strip()
    return text if text[-1:] in (".", "!", "?") else f"{text}."


def _names(outcome: str, reason: str) -> bool:
    return _plain(outcome).startswith(_plain(reason))


def _plain(text: str) -> str:
    """Return the words alone: ``Cancelled by the requester.`` is the reason ``cancelled by requester``."""
    return " ".join(word for word in text.casefold().rstrip(".").replace("-", " ").split() if word != "the")
