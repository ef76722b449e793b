"""Where a case stands: by what ended it, who stepped in, what holds it up, the visit, the Tasks, the attempts."""

from __future__ import annotations

from datetime import datetime

from bridge.cases.blockers import WAITS
from bridge.cases.facts import LIVE_TASK, Answer, Facts, visit_failed_at
from bridge.cases.model import Attempt, Blocker, Case, Closure
from bridge.cases.rules import Rules, running_out_since
from bridge.cases.snapshot import Effect
from bridge.cases.terms import AttemptOutcome, Status

_TO_TAKE_UP = frozenset({Status.NEW, Status.NEEDS_OUTREACH})
_PATIENT_SIDE = frozenset({"Patient", "RelatedPerson"})


def status_of(
    facts: Facts,
    rules: Rules,
    prior: Case | None,
    blocker: Answer[Blocker] | None,
    closure: Answer[Closure] | None,
    now: datetime,
) -> Answer[Status]:
    """Return where the case stands, whoever was asked to step in: the first of these that has something to say."""
    if closure is not None:
        return Answer(Status.CLOSED, closure.rule)
    if blocker is not None:
        return Answer(WAITS[blocker.value.category], f"blocked:{blocker.rule}")
    by_sources = _status_of_visit(facts) or _status_of_work(facts, rules, now)
    if by_sources.value in _TO_TAKE_UP:
        return _status_of_outreach(prior, facts) or by_sources
    return by_sources


def _status_of_visit(facts: Facts) -> Answer[Status] | None:
    visit = facts.visit
    if visit is None:
        return None
    match visit.effect:
        case Effect.BOOKED | Effect.ARRIVED:
            return Answer(Status.SCHEDULED, f"visit-{visit.effect.value}")
        case Effect.ATTENDED:
            return Answer(Status.WAITING_ON_DOCUMENTS, "visit-attended-report-open")
        case Effect.AWAITING_REPLIES if "patient" in visit.waits_for:
            return Answer(Status.WAITING_ON_PATIENT, "patient-has-not-replied")
        case Effect.AWAITING_REPLIES:
            return Answer(Status.WAITING_ON_PROVIDER, "provider-has-not-replied")
        case Effect.PROPOSED:
            return Answer(Status.NEEDS_OUTREACH, "visit-proposed")
        case Effect.MISSED | Effect.VISIT_CANCELLED:
            return Answer(Status.NEEDS_OUTREACH, f"{visit.effect.value}-not-rebooked")
    return None


def _status_of_work(facts: Facts, rules: Rules, now: datetime) -> Answer[Status]:
    """Tasks that ask *us* say nothing by their progress: we are the ones who move them."""
    live = [task for task in facts.tasks if task.effect in LIVE_TASK and not rules.owners.is_us(task.owner)]
    if live and any(task.owner is not None and task.owner.type in _PATIENT_SIDE for task in live):
        return Answer(Status.WAITING_ON_PATIENT, "task-with-patient")
    effects = [task.effect for task in live]
    if Effect.UNDER_WAY in effects:
        return Answer(Status.SCHEDULED, "task-in-progress")
    if Effect.ACCEPTED in effects:
        return Answer(Status.WAITING_ON_PROVIDER, "task-accepted")
    if facts.lead.type == "MedicationRequest":
        if facts.lead.effect is Effect.DRAFTED:
            return Answer(Status.WAITING_ON_PROVIDER, "prescription-unsigned")
        if facts.lead.effect is Effect.PRESCRIBED and running_out_since(facts.lead, facts.lane, rules.calendar, now):
            return Answer(Status.NEEDS_OUTREACH, "supply-runs-out")
    return Answer(Status.NEW, "nobody-acted-yet")


_AFTER_ATTEMPT = {
    AttemptOutcome.LEFT_MESSAGE: Status.WAITING_ON_PATIENT,
    AttemptOutcome.SENT: Status.WAITING_ON_PATIENT,
    AttemptOutcome.REACHED: Status.NEEDS_OUTREACH,
    AttemptOutcome.NO_ANSWER: Status.NEEDS_OUTREACH,
    AttemptOutcome.WRONG_NUMBER: Status.NEEDS_OUTREACH,
    AttemptOutcome.DECLINED: Status.NEEDS_OUTREACH,
    AttemptOutcome.FAILED: Status.NEEDS_OUTREACH,
}


def _status_of_outreach(prior: Case | None, facts: Facts) -> Answer[Status] | None:
    """What people did counts from when the visit was missed or called off, or the case reopened, where it was."""
    if prior is None:
        return None
    last = _last_attempt(prior, facts)
    if last is not None:
        if last.outcome is AttemptOutcome.REACHED and last.promised_by == "patient":
            return Answer(Status.WAITING_ON_PATIENT, "outreach-promised-by-patient")
        return Answer(_AFTER_ATTEMPT[last.outcome], f"outreach-{last.outcome.value}")
    if prior.local.owner is not None or prior.local.next_action is not None:
        return Answer(Status.NEEDS_OUTREACH, "taken-up-by-person")
    return None


def _last_attempt(prior: Case, facts: Facts) -> Attempt | None:
    since = max(filter(None, (visit_failed_at(facts.visit), prior.local.reopened_at)), default=None)
    attempts = [attempt for attempt in prior.outreach if since is None or attempt.at >= since]
    return max(attempts, key=lambda attempt: (attempt.at, attempt.id), default=None)


def deciding_attempt(status: Answer[Status], facts: Facts, prior: Case | None) -> Attempt | None:
    """Return the attempt that put the case where it stands, if one did."""
    return _last_attempt(prior, facts) if prior is not None and status.rule.startswith("outreach-") else None
