"""How the EHR says that the work ended, if it does."""

from __future__ import annotations

from datetime import datetime

from bridge.cases.facts import LIVE_TASK, Answer, Facts, amended, by_time, stated_at, visit_outlives_request
from bridge.cases.model import Closure
from bridge.cases.rules import Rules, running_out_since
from bridge.cases.snapshot import Effect, Snapshot
from bridge.cases.sources import SourceRow
from bridge.cases.terms import ClosureReason

_FULFILS = "http://hl7.org/fhir/CodeSystem/task-code|fulfill"

_ENDS = {
    Effect.DONE: (ClosureReason.COMPLETED, "Completed in the EHR"),
    Effect.CANCELLED: (ClosureReason.CANCELLED_BY_REQUESTER, "Cancelled by the requester"),
    Effect.DECLINED: (ClosureReason.DECLINED, "Declined by the performer"),
    Effect.FAILED: (ClosureReason.OTHER, "Could not be done"),
    Effect.VOID: (ClosureReason.ENTERED_IN_ERROR, "Entered in error"),
}


def ending(facts: Facts, rules: Rules, now: datetime) -> Answer[Closure] | None:
    """Return how the EHR says that the work ended, if it does."""
    if facts.root is not None:
        return _root_ended(facts, facts.root, rules, now)
    return _orphans_ended(facts)


def _root_ended(facts: Facts, root: SourceRow, rules: Rules, now: datetime) -> Answer[Closure] | None:
    snapshot = root.snapshot
    if root.gone_at is not None:
        closure = Closure(reason=ClosureReason.OTHER, outcome="Deleted in the EHR", by=root.ref, at=root.gone_at)
        return Answer(closure, "root-deleted")
    if snapshot.do_not_perform and not _is_asked(facts):
        words = "The request now says that it is not to be done"
        return Answer(_ended_by(snapshot, ClosureReason.CANCELLED_BY_REQUESTER, words), "root-do-not-perform")
    if visit_outlives_request(facts, now):
        return None
    if amended(facts) is not None and snapshot.effect is not Effect.VOID:
        return None
    if snapshot.effect in _ENDS:
        return Answer(_ended_by(snapshot, *_ENDS[snapshot.effect]), f"root-{snapshot.effect.value}")
    if snapshot.type == "Appointment" and snapshot.effect is Effect.ATTENDED:
        return Answer(_ended_by(snapshot, ClosureReason.COMPLETED, "The visit took place"), "visit-attended")
    if snapshot.effect is Effect.PRESCRIBED:
        return _prescription_ended(facts, snapshot, rules, now)
    return _work_ended(facts)


def _prescription_ended(facts: Facts, snapshot: Snapshot, rules: Rules, now: datetime) -> Answer[Closure] | None:
    """A prescription in force is work only for a Task about it, or while its supply runs out unanswered."""
    ended, since = _work_ended(facts), running_out_since(snapshot, facts.lane, rules.calendar, now)
    if since is not None:
        return ended if ended is not None and ended.value.at >= since else None
    if ended is None and not _is_asked(facts) and all(task.effect is Effect.CANCELLED for task in facts.tasks):
        return Answer(_ended_by(snapshot, ClosureReason.COMPLETED, "Prescribed"), "prescription-active")
    return ended


def _work_ended(facts: Facts) -> Answer[Closure] | None:
    """The request stands, and the Task that was to fulfil it is completed with nothing else under way."""
    done = [task for task in facts.tasks if task.effect is Effect.DONE and _is_fulfilment(task)]
    if not done or any(task.effect in LIVE_TASK for task in facts.tasks):
        return None
    last = max(done, key=by_time)
    return Answer(_ended_by(last, ClosureReason.COMPLETED, "The Task was completed"), "task-completed")


def _is_asked(facts: Facts) -> bool:
    """Whether a Task in the group still asks for something, if only for leave."""
    return any(snapshot.type == "Task" and snapshot.effect in LIVE_TASK for snapshot in facts.live)


def _orphans_ended(facts: Facts) -> Answer[Closure] | None:
    """The request is not known (yet): the case ends when all that is known of it has ended."""
    rows = facts.rows
    if all(row.gone_at is not None for row in rows):
        last = max(row.gone_at for row in rows if row.gone_at is not None)
        return Answer(
            Closure(reason=ClosureReason.OTHER, outcome="Deleted in the EHR", by=rows[0].ref, at=last),
            "all-deleted",
        )
    remaining = [row.snapshot for row in rows if row.gone_at is None]
    if any(snapshot.effect not in _ENDS and snapshot.effect is not Effect.ATTENDED for snapshot in remaining):
        return None
    for effect in (Effect.DONE, Effect.ATTENDED, Effect.CANCELLED, Effect.DECLINED, Effect.FAILED, Effect.VOID):
        ended = [snapshot for snapshot in remaining if snapshot.effect is effect]
        if ended:
            reason, words = _ENDS.get(effect, (ClosureReason.COMPLETED, "The visit took place"))
            return Answer(_ended_by(max(ended, key=by_time), reason, words), f"all-{effect.value}")
    return None


def _ended_by(snapshot: Snapshot, reason: ClosureReason, words: str) -> Closure:
    told = snapshot.status_reason.label() if snapshot.status_reason is not None else None
    evidence = (snapshot.ref, *snapshot.outputs) if reason is ClosureReason.COMPLETED else ()
    return Closure(
        reason=reason,
        outcome=f"{words}: {told}" if told else words,
        evidence=evidence,
        by=snapshot.ref,
        at=stated_at(snapshot),
    )


def _is_fulfilment(task: Snapshot) -> bool:
    return not task.codes or any(coding.token == _FULFILS for coding in task.codes)
