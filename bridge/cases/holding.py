"""What the EHR says holds the work up."""

from __future__ import annotations

from bridge.cases.blockers import LABELS, category_by_code, category_of_pause
from bridge.cases.calendar import plausible
from bridge.cases.facts import FIRM_VISIT, LIVE_TASK, Answer, Facts, stated_at
from bridge.cases.lane_parts import NEVER_OPENING_INTENTS
from bridge.cases.model import Blocker
from bridge.cases.patients import death
from bridge.cases.rules import Rules
from bridge.cases.snapshot import Effect, Snapshot
from bridge.cases.sources import SourceRow
from bridge.cases.terms import BlockerCategory

_HOLDS = frozenset({Effect.PAUSED, Effect.UNCLEAR, Effect.DECLINED, Effect.FAILED, Effect.WAITLISTED})
"""Effects by which a resource may hold up the work, whatever it asks for."""


def holding(facts: Facts, rules: Rules, *, death_counts: bool = True) -> Answer[Blocker] | None:
    """
    Return what the EHR says holds the work up, the root's word first.

    Before all, that the patient has died; then, what could not be read.
    """
    died = death(facts.person, stated_at(facts.lead)) if death_counts and facts.has_died else None
    if died is not None:
        return Answer(died, "patient-deceased")
    for row in facts.rows:
        if row.unread is not None and row.gone_at is None:
            return _unread(row)
    for snapshot in facts.live:
        found = _held_by(snapshot, facts, rules)
        if found is not None:
            category, text, rule = found
            return Answer(Blocker(category, text, stated_at(snapshot), snapshot.ref), rule)
    return None


def _unread(row: SourceRow) -> Answer[Blocker]:
    """What is known may no longer be so: the version that could not be read may have called the work off."""
    text = f"The newest version of {row.ref} cannot be read; look at it in the EHR"
    assert row.unread is not None
    since = plausible(row.unread.updated_at) or stated_at(row.snapshot)
    return Answer(Blocker(BlockerCategory.INTERNAL_QUEUE, text, since, row.ref), "newest-version-unread")


def _held_by(snapshot: Snapshot, facts: Facts, rules: Rules) -> tuple[BlockerCategory, str, str] | None:
    effect = snapshot.effect
    if snapshot.do_not_perform and facts.root is not None and snapshot is facts.root.snapshot:
        return BlockerCategory.CLINICAL_REVIEW, "The request says not to do what a Task asks for", "do-not-perform"
    if snapshot is facts.lead and not [task for task in facts.tasks if task.effect in LIVE_TASK]:
        withdrawn = _not_asked_for(snapshot, rules)
        if withdrawn is not None:
            return BlockerCategory.CLINICAL_REVIEW, *withdrawn
    reason = snapshot.status_reason.label() if snapshot.status_reason is not None else None
    if snapshot.type == "Task" and effect in LIVE_TASK:
        rule = rules.lanes.rule_of(snapshot)
        if rule is not None and rule.blocker is not None:
            return rule.blocker, reason or LABELS[rule.blocker], "lane-says-task-blocks"
    coded = category_by_code(snapshot, rules.lanes.blockers) if _may_be_held(snapshot, facts) else None
    if coded is not None:
        return coded, reason or LABELS[coded], "coded-in-ehr"
    if effect not in _HOLDS:
        return None
    if effect is Effect.PAUSED and (snapshot is facts.lead or snapshot in facts.tasks):
        category = category_of_pause(snapshot, rules.lanes.blockers)
        return category, reason or LABELS[category], "paused-in-ehr"
    if effect is Effect.UNCLEAR and snapshot is facts.lead:
        return BlockerCategory.INTERNAL_QUEUE, "The EHR does not know the status", "status-unknown-in-ehr"
    if effect in (Effect.DECLINED, Effect.FAILED) and snapshot in facts.tasks and _nobody_else_does(facts):
        words = "Declined" if effect is Effect.DECLINED else "Could not be done"
        return BlockerCategory.EXTERNAL_PROVIDER, f"{words}: {reason}" if reason else words, "task-refused"
    if effect is Effect.WAITLISTED and snapshot is facts.visit:
        category = BlockerCategory.SCHEDULING_CAPACITY
        return category, reason or LABELS[category], "on-waitlist"
    return None


def _may_be_held(snapshot: Snapshot, facts: Facts) -> bool:
    """Whether what the EHR gives as a reason is one why the work waits: of a live Task, or of a visit that failed."""
    if snapshot is facts.visit:
        return snapshot.effect in (Effect.VISIT_CANCELLED, Effect.MISSED)
    return snapshot.effect in LIVE_TASK and (snapshot in facts.tasks or snapshot is facts.lead)


def _not_asked_for(lead: Snapshot, rules: Rules) -> tuple[str, str] | None:
    """Return words and rule for work that was asked for once and, by the request as it now is, is not any longer."""
    if lead.intent in NEVER_OPENING_INTENTS and not rules.open_proposals:
        return f"The request is now only a {lead.intent}", "request-is-no-order"
    if lead.effect is Effect.DRAFTED and lead.type != "MedicationRequest":
        return "The request is a draft: it waits to be signed", "request-is-draft"
    return None


def _nobody_else_does(facts: Facts) -> bool:
    booked = facts.visit is not None and facts.visit.effect in FIRM_VISIT
    return not booked and not any(task.effect in LIVE_TASK for task in facts.tasks)
