"""
What people decided, how long it holds, and what then is in force.

A decision holds until the EHR says something else than it said when the decision was taken: the fingerprints
below are what is compared.
"""

from __future__ import annotations

from collections.abc import Collection

from msgspec.structs import replace

from bridge.cases.facts import Answer, Facts, is_amended
from bridge.cases.model import Blocker, Closure, Local, Owner
from bridge.cases.rules import Rules
from bridge.cases.terms import ClosureReason


def blocker_said(stated: Blocker | None) -> str:
    """Return the fingerprint of what the EHR says holds the case up."""
    return "" if stated is None else f"{stated.category.value} {stated.source} {stated.text}"


def closure_said(ended: Closure | None) -> str:
    """Return the fingerprint of how the EHR says the work ended."""
    return "" if ended is None else f"{ended.reason.value} {ended.by}"


def work_said(facts: Facts, rules: Rules, stated: Answer[Blocker] | None) -> str:
    """
    Return the fingerprint of what the EHR says about where the work stands.

    A Task that asks *us* is left out: its progress is our own word coming back.
    """
    lead = "" if rules.owners.is_us(facts.lead.owner) else facts.lead.status
    visit = f"{facts.visit.ref} {facts.visit.status} {facts.visit.start_at}" if facts.visit is not None else ""
    theirs = [task for task in facts.tasks if not rules.owners.is_us(task.owner)]
    tasks = " ".join(f"{task.ref} {task.status}" for task in theirs)
    told = (lead, visit, tasks, blocker_said(stated.value if stated else None))
    anew = [f"amended {task.ref} {' '.join(task.outputs)}" for task in facts.tasks if is_amended(task)]
    return "; ".join((*told, *anew))


def lapse_blocker(local: Local, stated: Answer[Blocker] | None) -> Local:
    """Drop a person's word on blockers once the EHR gives another reason, or none."""
    if local.blocker is None or local.blocker.over == blocker_said(stated.value if stated else None):
        return local
    return replace(local, blocker=None)


def lapse_closure(local: Local, ended: Answer[Closure] | None, said: Collection[str], *, revived: bool) -> Local:
    """
    A person's closing holds until the EHR shows new life; a reopening until the EHR ends it anew.

    Args:
        said: What the EHR says about the work, and what it would if the patient had not died: a death brings no
            closed case back, but one that was closed over a death comes back where that was an error.
    """
    decided = local.closure
    if decided is None:
        return local
    if decided.closure is not None:
        holds = ended is not None or (decided.over in said and not revived)
    else:
        holds = decided.over == closure_said(ended.value if ended else None)
    return local if holds else replace(local, closure=None)


def lapse_owner(local: Local, owner: Answer[Owner]) -> Local:
    """Drop an assignment once the EHR or the lane names another owner."""
    if local.owner is None or local.owner.over == owner.value.id:
        return local
    return replace(local, owner=None)


def lapse_next_action(local: Local, said: str) -> Local:
    """Drop a decided next action once the work moved."""
    if local.next_action is None or local.next_action.over == said:
        return local
    return replace(local, next_action=None)


def lapse_snooze(local: Local, said: str) -> Local:
    """Drop a snooze once the work moved."""
    if local.snoozed_until is None or local.snoozed_over in (None, said):
        return local
    return replace(local, snoozed_until=None, snooze_reason=None, snoozed_over=None)


def blocker_in_force(local: Local, stated: Answer[Blocker] | None) -> Answer[Blocker] | None:
    """Return the blocker that a person raised, none where a person cleared it, else the EHR's."""
    if local.blocker is None:
        return stated
    return None if local.blocker.blocker is None else Answer(local.blocker.blocker, "raised-by-person")


def closure_in_force(local: Local, ended: Answer[Closure] | None) -> Answer[Closure] | None:
    """
    Return a person's closing, none where a person reopened the case, else the EHR's ending.

    What the EHR says was entered in error was never work, however a person closed it.
    """
    if local.closure is None:
        return ended
    if local.closure.closure is not None and ended is not None and ended.value.reason is ClosureReason.ENTERED_IN_ERROR:
        return ended
    return None if local.closure.closure is None else Answer(local.closure.closure, "closed-by-person")
