"""A case whose work turned out to belong to another: it goes on there, with everything that people did."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec.structs import replace

from bridge.cases import changes as facts_of
from bridge.cases.book import Book, Known, cause_for
from bridge.cases.changes import Cause, Fact
from bridge.cases.escalating import ended
from bridge.cases.model import Case, Closure
from bridge.cases.sources import SourceRow
from bridge.cases.terms import ClosureReason, Status


def merge_away(
    root: str, known: Known, rows: Mapping[str, SourceRow], causes: Mapping[str, Cause], book: Book
) -> str | None:
    """
    Merge the case of *root* into that of the group to which what made it work has gone.

    Returns the root of that group, or ``None`` where there was nothing to merge.
    """
    case = book.case(root)
    if case is None or case.merged_into is not None:
        return None
    left = [row for row in known.sources.values() if row.root == root and rows[row.ref].root != root]
    heir = min((rows[row.ref].root for row in left if row.opened), default=None)
    target = book.case(heir) if heir is not None else None
    if heir is None or target is None:
        return None
    cause = cause_for([rows[row.ref] for row in left], causes)
    _hand_over(case, heir, book, replace(cause, rule="merged"))
    closure = Closure(reason=ClosureReason.DUPLICATE, outcome="Belongs to another case", by=cause.what, at=book.now)
    ending: list[Fact] = [facts_of.SourcesChanged(())]
    ending += [facts_of.Escalated(one) for one in ended(case, "rule:case-merged", book.now)]
    if case.blocker is not None:
        ending.append(facts_of.BlockerCleared(case.blocker))
    if case.status is not Status.CLOSED:
        ending.append(facts_of.StatusChanged(Status.CLOSED, case.status))
    ending += [
        facts_of.NextActionSet(None, None),
        facts_of.CaseClosed(closure),
        facts_of.CaseMerged(target.id),
    ]
    for fact in ending:
        book.write(root, cause, fact)
    return heir


def _hand_over(case: Case, heir: str, book: Book, cause: Cause) -> None:
    """Give the heir what people did on *case*: attempts, remarks, standing decisions, and who was asked to step in."""
    target = book.case(heir)
    assert target is not None
    known = {attempt.id for attempt in target.outreach}
    for attempt in case.outreach:
        if attempt.id not in known:
            book.write(heir, cause, facts_of.OutreachLogged(attempt))
    for answer in case.answered:
        if answer not in target.answered:
            book.write(heir, cause, facts_of.SuggestionAnswered(answer))
    for remark in case.notes:
        if remark not in target.notes:
            book.write(heir, cause, facts_of.NoteAdded(remark))
    asked = {(one.trigger, one.begun_at) for one in target.escalations}
    for escalation in case.escalations:
        if (escalation.trigger, escalation.begun_at) not in asked:
            book.write(heir, cause, facts_of.Escalated(escalation))
    ours, theirs = target.local, case.local
    combined = replace(
        ours,
        owner=ours.owner or theirs.owner,
        blocker=ours.blocker or theirs.blocker,
        next_action=ours.next_action or theirs.next_action,
        snoozed_until=ours.snoozed_until or theirs.snoozed_until,
        snooze_reason=ours.snooze_reason or theirs.snooze_reason,
        snoozed_over=ours.snoozed_over or theirs.snoozed_over,
        reopened_at=ours.reopened_at or theirs.reopened_at,
    )
    if combined != ours:
        book.write(heir, cause, facts_of.LocalDecided(combined))
