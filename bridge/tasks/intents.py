"""From a case's changes to what should be true in the EHR: which intents a change leaves in the outbox."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, tzinfo

from bridge.cases import changes as facts_of
from bridge.cases.blockers import LABELS
from bridge.cases.changes import Change
from bridge.cases.intents import Intent, IntentKind, Message
from bridge.cases.model import ACTION_TEXT, Case, Status
from bridge.cases.snapshot import Snapshot
from bridge.tasks.standing import asked_status

_SHOWN = (
    facts_of.CaseOpened,
    facts_of.StatusChanged,
    facts_of.LaneChanged,
    facts_of.FactsChanged,
    facts_of.PatientKnown,
    facts_of.OwnerAssigned,
    facts_of.NextActionSet,
    facts_of.BlockerRaised,
    facts_of.BlockerCleared,
    facts_of.OutreachLogged,
    facts_of.Escalated,
    facts_of.CaseClosed,
    facts_of.CaseReopened,
    facts_of.CaseMerged,
)
"""Facts that the coordination Task shows; the others change nothing an EHR user sees."""


def intents_for(
    prior: Case | None,
    case: Case,
    changes: Sequence[Change],
    *,
    asked: Sequence[Snapshot],
    tell: Collection[str],
    acknowledge_with: str,
    zone: tzinfo,
    silent: bool = False,
) -> list[Intent]:
    """
    Return what should become true in the EHR after these changes of one case.

    Args:
        asked: The case's Tasks that ask us to do the work, at their newest version.
        tell: Case statuses whose entering is told to the requester.
        acknowledge_with: Status of an asking Task that we know of (``received`` or ``accepted``).
        zone: The site's time zone, for the days in messages.
        silent: Whether nothing was ever said about the case: it was over before Bridge first saw it.

    A case that was over before Bridge first saw it has nothing to say, also when its patient's name becomes known
    later, until it is reopened; an attempt to reach the patient is recorded all the same.
    """
    facts = [change.fact for change in changes]
    if prior is None and not case.is_open:
        return []
    if silent and not case.is_open:
        return [_outreach(case, fact.attempt.id, fact) for fact in facts if isinstance(fact, facts_of.OutreachLogged)]
    found: list[Intent] = []
    if prior is not None and facts_of.is_other_patient(prior.patient, case.patient):
        found.append(_level(case, IntentKind.RETRACTION, "retraction", None))
    if any(isinstance(fact, _SHOWN) for fact in facts):
        found.append(_level(case, IntentKind.COORDINATION_TASK, "task", None))
    for task in asked:
        if asked_status(case, task, acknowledge_with=acknowledge_with):
            found.append(_level(case, IntentKind.SOURCE_TASK, f"source/{task.ref}", task.ref))
    if case.merged_into is not None:
        return found
    found += [_outreach(case, fact.attempt.id, fact) for fact in facts if isinstance(fact, facts_of.OutreachLogged)]
    entered = (prior is None or prior.status is not case.status) and case.status.value in tell
    if entered:
        found.append(_told(case, changes[-1], zone))
    return found


def _level(case: Case, kind: IntentKind, slot: str, target: str | None) -> Intent:
    return Intent(
        connection=case.connection,
        case_id=case.id,
        kind=kind,
        slot=slot,
        key=f"{case.id}/{slot}/{case.version}",
        case_version=case.version,
        target=target,
    )


def _told(case: Case, change: Change, zone: tzinfo) -> Intent:
    key = f"{case.id}/told/{case.status.value}/{case.version}"
    return Intent(
        connection=case.connection,
        case_id=case.id,
        kind=IntentKind.STATUS_MESSAGE,
        slot="told",
        key=key,
        case_version=case.version,
        message=Message(at=change.at, text=message_text(case, zone), status=case.status.value),
    )


def _outreach(case: Case, attempt_id: str, fact: facts_of.OutreachLogged) -> Intent:
    """The key names the attempt alone: an attempt that moves to another case is not written again."""
    attempt = fact.attempt
    text = f"Outreach by {attempt.channel.value}: {attempt.outcome.value.replace('-', ' ')}."
    return Intent(
        connection=case.connection,
        case_id=case.id,
        kind=IntentKind.OUTREACH_RECORD,
        slot=f"outreach/{attempt_id}",
        key=f"outreach/{attempt_id}",
        case_version=case.version,
        message=Message(at=attempt.at, text=text, attempt_id=attempt_id),
    )


def status_words(status: Status) -> str:
    """Return a case status as people read it."""
    words = status.value.replace("-", " ")
    return words[0].upper() + words[1:]


def day(at: datetime, zone: tzinfo) -> str:
    """Return the civil day of *at* at the site."""
    return at.astimezone(zone).date().isoformat()


def message_text(case: Case, zone: tzinfo) -> str:
    """
    Return where the work stands, with the least a clinician needs: no diagnosis, drug or reason.

    Only words of ours: the next action in the words of its code, as a person's own may say more.
    """
    parts = [f"{case.lane.replace('-', ' ').capitalize()}: {status_words(case.status).lower()}."]
    if case.closure is not None:
        parts.append(f"Outcome: {case.closure.reason.value.replace('-', ' ')}.")
    if case.status is Status.SCHEDULED and case.visit_at is not None:
        parts.append(f"Visit on {day(case.visit_at, zone)}.")
    if case.blocker is not None:
        parts.append(f"Waiting because: {LABELS[case.blocker.category].lower()}.")
    if case.next_action is not None:
        due = f" by {day(case.due_at, zone)}" if case.due_at is not None else ""
        parts.append(f"Next: {ACTION_TEXT[case.next_action.code].lower()}{due}.")
    if case.is_open:
        parts.append(f"Responsible: {case.owner.display}.")
    return " ".join(parts)
