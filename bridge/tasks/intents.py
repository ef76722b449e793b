"""From a case's changes to what should be true in the EHR: which intents a change leaves in the outbox."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, tzinfo

from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases.blockers import LABELS
from bridge.cases.changes import CauseKind, Change
from bridge.cases.intents import Intent, IntentKind, Message
from bridge.cases.model import Case, Closure
from bridge.cases.snapshot import Snapshot
from bridge.cases.terms import AttemptOutcome, Channel, Status
from bridge.fhir.times import format_instant
from bridge.tasks.standing import asked_status
from bridge.tasks.words import by_day, day, ended_sentences, in_sentence, our_words, status_words

_SHOWN = {
    facts_of.CaseOpened,
    facts_of.StatusChanged,
    facts_of.LaneChanged,
    facts_of.FactsChanged,
    facts_of.PatientKnown,
    facts_of.PatientMerged,
    facts_of.OwnerAssigned,
    facts_of.NextActionSet,
    facts_of.BlockerRaised,
    facts_of.BlockerCleared,
    facts_of.OutreachLogged,
    facts_of.Escalated,
    facts_of.CaseClosed,
    facts_of.CaseReopened,
    facts_of.CaseMerged,
}
"""Facts that the coordination Task shows; the others change nothing an EHR user sees."""

_DELETED = "/_history/deleted"
"""A cause that is no version: what is deleted may come back, and be deleted again."""


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
    told_before: Collection[str] = (),
) -> list[Intent]:
    """
    Return what should become true in the EHR after these changes of one case.

    Args:
        asked: The case's Tasks that ask us to do the work, at their newest version.
        tell: Case statuses whose entering is told to the requester.
        acknowledge_with: Status of an asking Task that we know of (``received`` or ``accepted``).
        zone: The site's time zone, for the days in messages.
        silent: Whether nothing was ever said about the case: it was over before Bridge first saw it.
        told_before: What *tell* was for the case as it was: another lane tells of other statuses.

    A case that was over before Bridge first saw it has nothing to say, also when its patient's name becomes known
    later, until it is reopened; an attempt to reach the patient is recorded all the same.
    """
    facts = [change.fact for change in changes]
    if prior is None and not case.is_open:
        return []
    if silent and not case.is_open:
        return [_outreach(case, fact.attempt.id, fact) for fact in facts if isinstance(fact, facts_of.OutreachLogged)]
    found: list[Intent] = []
    kinds = set(map(type, facts))
    if prior is not None and facts_of.PatientKnown in kinds and facts_of.is_other_patient(prior.patient, case.patient):
        found.append(_level(case, IntentKind.RETRACTION, "retraction", None))
    if not kinds.isdisjoint(_SHOWN):
        found.append(_level(case, IntentKind.COORDINATION_TASK, "task", None))
    for task in asked:
        if asked_status(case, task, acknowledge_with=acknowledge_with):
            found.append(_level(case, IntentKind.SOURCE_TASK, f"source/{task.ref}", task.ref))
    if case.merged_into is not None:
        return found
    found += [_outreach(case, fact.attempt.id, fact) for fact in facts if isinstance(fact, facts_of.OutreachLogged)]
    entered = prior is None or prior.status is not case.status or _tells_now(case, changes, told_before)
    if (entered and case.status.value in tell) or (prior is not None and _is_not_so_any_more(prior, case, facts, tell)):
        failed = prior.visit_at if prior is not None and _has_failed(facts) else None
        found.append(_told(case, _entering(case, changes), zone, failed))
    return found


def _tells_now(case: Case, changes: Sequence[Change], told_before: Collection[str]) -> bool:
    """
    Whether what was read made the case one of a lane that may tell its status, where the lane before did not.

    A visit may be read before the order it is for: whoever ordered is to hear of it all the same.
    """
    moved = any(isinstance(one.fact, facts_of.LaneChanged) and one.cause.kind is CauseKind.SOURCE for one in changes)
    return moved and case.status.value not in told_before


def _is_not_so_any_more(prior: Case, case: Case, facts: Sequence[facts_of.Fact], tell: Collection[str]) -> bool:
    """Whether the requester was told of a visit that was called off, missed or moved since: the last word is wrong."""
    if not case.is_open or Status.SCHEDULED.value not in tell or prior.visit_at is None:
        return False
    was_told = prior.status is Status.SCHEDULED
    if not was_told or (case.status is prior.status and case.visit_at == prior.visit_at):
        return False
    return _has_failed(facts) or case.status is prior.status


def _has_failed(facts: Sequence[facts_of.Fact]) -> bool:
    return any(isinstance(fact, facts_of.VisitHappened) and fact.event in ("missed", "cancelled") for fact in facts)


def task_again(case: Case, why: str) -> Intent:
    """
    Return the intent that the case's Task stands as it should, though the case did not change.

    Args:
        why: What happened to the Task, in the same words however often it is seen: the intent is queued once.
    """
    return _level(case, IntentKind.COORDINATION_TASK, "task", None, moment=why)


def copy_intent(case: Case, ref: str, why: str) -> Intent:
    """
    Return the intent that *ref* (``Type/id``) is no second copy of a resource of the case.

    Args:
        why: Why it may be one, in the same words however often that is seen: the intent is queued once.
    """
    return _level(case, IntentKind.RETRACTION, f"copy/{ref}", ref, moment=why)


def retraction(case: Case, why: str) -> Intent:
    """
    Return the intent that nothing of the case stands in another patient's record.

    Args:
        why: What was found there, in the same words however often it is found: the intent is queued once.
    """
    return _level(case, IntentKind.RETRACTION, "retraction", None, moment=why)


def _level(case: Case, kind: IntentKind, slot: str, target: str | None, moment: str | None = None) -> Intent:
    return Intent(
        connection=case.connection,
        case_id=case.id,
        kind=kind,
        slot=slot,
        key=f"{case.id}/{slot}/{moment or case.version}",
        case_version=case.version,
        target=target,
    )


def _entering(case: Case, changes: Sequence[Change]) -> Change:
    """Return the change by which the case entered its status, or came to the lane that tells it."""
    for kinds in ((facts_of.CaseOpened, facts_of.StatusChanged), (facts_of.LaneChanged,)):
        found = next((change for change in reversed(changes) if isinstance(change.fact, kinds)), None)
        if found is not None:
            return found if not isinstance(found.fact, facts_of.LaneChanged) else _as_if_read_in_order(case, found)
    return changes[-1]


def _as_if_read_in_order(case: Case, change: Change) -> Change:
    """Name what brought the status about, as it would be had the request been read first: the newest of the others."""
    others = [line for line in case.sources if line.ref != case.root and line.updated_at is not None]
    newest = max(others, key=lambda line: (line.updated_at, line.ref), default=None)
    if newest is None:
        return change
    return replace(change, cause=replace(change.cause, what=f"{newest.ref}/_history/{newest.version}"))


def _told(case: Case, change: Change, zone: tzinfo, failed: datetime | None = None) -> Intent:
    """
    The key names the status and what brought it about: the version of a resource, or the moment.

    A version comes once, so each entering has a key of its own; and the same version read again into a new
    database finds the message that was sent, where a count of ours would begin anew and double it.
    """
    cause = change.cause
    by_version = cause.kind is CauseKind.SOURCE and not cause.what.endswith(_DELETED)
    moment = cause.what if by_version else f"{format_instant(change.at)}/{case.version}"
    key = f"{case.id}/told/{case.status.value}/{moment}"
    return Intent(
        connection=case.connection,
        case_id=case.id,
        kind=IntentKind.STATUS_MESSAGE,
        slot="told",
        key=key,
        case_version=case.version,
        message=Message(at=change.at, text=message_text(case, zone, failed), status=case.status.value),
    )


def _outreach(case: Case, attempt_id: str, fact: facts_of.OutreachLogged) -> Intent:
    """The key names the attempt alone: an attempt that moves to another case is not written again."""
    attempt = fact.attempt
    text = outreach_text(attempt.channel, attempt.outcome)
    return Intent(
        connection=case.connection,
        case_id=case.id,
        kind=IntentKind.OUTREACH_RECORD,
        slot=f"outreach/{attempt_id}",
        key=f"outreach/{attempt_id}",
        case_version=case.version,
        message=Message(at=attempt.at, text=text, attempt_id=attempt_id),
    )


def outreach_text(channel: Channel, outcome: AttemptOutcome) -> str:
    """Return how an attempt to reach the patient is told."""
    return f"Outreach by {channel.value}: {outcome.value.replace('-', ' ')}."


def message_text(case: Case, zone: tzinfo, failed: datetime | None = None) -> str:
    """
    Return where the work stands, with the least a clinician needs: no diagnosis, drug or reason.

    Only words of the lane and of ours, as a person's own may say more. The one exception is the outcome that a
    person gave in closing: it is the answer to whoever asked.

    Args:
        failed: When the visit was to be that does not take place, where the requester may have been told of it.
    """
    parts = [f"{case.lane.replace('-', ' ').capitalize()}: {status_words(case.status).lower()}."]
    if case.closure is not None:
        parts.append(ended_sentences(case.closure, _told_outcome(case, case.closure), "Outcome"))
    if case.status is Status.SCHEDULED and case.visit_at is not None:
        parts.append(f"Visit on {day(case.visit_at, zone)}.")
    elif failed is not None:
        parts.append(f"The visit on {day(failed, zone)} does not take place.")
    if case.blocker is not None:
        parts.append(f"Waiting because: {in_sentence(LABELS[case.blocker.category])}.")
    if case.next_action is not None:
        parts.append(f"Next: {by_day(our_words(case, case.next_action), case.due_at, zone)}.")
    if case.is_open:
        parts.append(f"Responsible: {case.owner.display}.")
    return " ".join(parts)


def _told_outcome(case: Case, closure: Closure) -> str:
    """Return the outcome; of one that the EHR stated only our words, which end where its own reason begins."""
    by_person = case.local.closure is not None and case.local.closure.closure is not None
    return closure.outcome if by_person else closure.outcome.partition(":")[0]
