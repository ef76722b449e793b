"""
How far round its loop a case is: which milestones were reached, when, and what proves each.

A lane names its milestones in order (``loop`` in the lanes file). Whether one was reached follows from the case's
history alone; one that is undone is not reached any more (a visit that was called off, a document that is missing
again, an end after which the case was reopened), and reached anew by what happens next.

What the requester was told is not in a history: it is in the outbox, and is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import msgspec

from bridge.cases import changes as facts_of
from bridge.cases.changes import CauseKind, Change
from bridge.cases.enums import quick
from bridge.cases.model import SourceLine
from bridge.cases.snapshot import Effect
from bridge.cases.status_table import EFFECTS
from bridge.cases.terms import AttemptOutcome, BlockerCategory, ClosureReason


@quick
class Mark(StrEnum):
    """One milestone."""

    RECEIVED = "received"
    """The work was asked for."""
    ACCEPTED = "accepted"
    """Somebody took it up: a Task was accepted or begun, or a person did something about it."""
    DOCUMENTS = "documents"
    """What was missing is there."""
    REACHED = "reached"
    """Somebody spoke with the patient."""
    UNDERSTOOD = "understood"
    """... and noted what the patient understood."""
    SCHEDULED = "scheduled"
    """A visit is booked, and was neither missed nor called off since."""
    CONFIRMED = "confirmed"
    """The patient was spoken with since it was booked."""
    SEEN = "seen"
    """A visit took place."""
    REPORT = "report"
    """A document or result was named as what came of it."""
    DECIDED = "decided"
    """The case ended as completed or declined."""
    TOLD = "told"
    """Whoever asked was told how it ended."""


class Milestone(msgspec.Struct, frozen=True, gc=False):
    """
    One milestone of a case; ``reached_at`` is ``None`` where it is still ahead.

    ``evidence`` is ``Type/id``, ``person:NAME`` or what the cause of the change was.
    """

    mark: Mark
    reached_at: datetime | None = None
    evidence: str | None = None

    @property
    def is_reached(self) -> bool:
        """Whether it lies behind."""
        return self.reached_at is not None


def milestones(loop: Sequence[Mark], history: Iterable[Change], told_at: datetime | None = None) -> list[Milestone]:
    """
    Return the milestones of a loop as a history tells them, in the order of the loop.

    Args:
        told_at: When the requester was last told how the case ended, as the outbox knows it.
    """
    walk = _Walk()
    for change in history:
        walk.take(change)
    if told_at is not None and walk.ended_at is not None and told_at >= walk.ended_at:
        walk.reach(Mark.TOLD, told_at, "requester")
    return [Milestone(mark, *walk.reached.get(mark, (None, None))) for mark in loop]


def next_mark(found: Sequence[Milestone]) -> Mark | None:
    """Return the first milestone after the last that was reached; ``None`` once the loop is closed."""
    behind = max((number for number, one in enumerate(found) if one.is_reached), default=-1)
    return found[behind + 1].mark if behind + 1 < len(found) else None


class _Walk:
    def __init__(self) -> None:
        self.reached: dict[Mark, tuple[datetime, str]] = {}
        self.ended_at: datetime | None = None

    def take(self, change: Change) -> None:
        """Let one change take effect."""
        take = _TAKE.get(type(change.fact))
        if take is not None:
            take(self, change.fact, change)
        if change.cause.kind is CauseKind.PERSON:
            self.reach(Mark.ACCEPTED, change.at, f"person:{change.cause.what}")

    def reach(self, mark: Mark, at: datetime, evidence: str) -> None:
        """Reach a milestone, unless it was reached already."""
        self.reached.setdefault(mark, (at, evidence))

    def undo(self, *marks: Mark) -> None:
        for mark in marks:
            self.reached.pop(mark, None)

    def opened(self, fact: facts_of.CaseOpened, change: Change) -> None:
        self.reach(Mark.RECEIVED, fact.case.opened_at, fact.case.root)
        self._taken_up(fact.case.sources, change)

    def sources(self, fact: facts_of.SourcesChanged, change: Change) -> None:
        self._taken_up(fact.sources, change)

    def _taken_up(self, lines: Iterable[SourceLine], change: Change) -> None:
        for line in lines:
            if line.ref.startswith("Task/") and line.effect in _TAKEN_UP:
                self.reach(Mark.ACCEPTED, line.updated_at or change.at, line.ref)

    def visit(self, fact: facts_of.VisitHappened, change: Change) -> None:
        match fact.event:
            case "booked":
                self.undo(Mark.SCHEDULED, Mark.CONFIRMED)
                self.reach(Mark.SCHEDULED, change.at, fact.ref)
            case "missed" | "cancelled":
                self.undo(Mark.SCHEDULED, Mark.CONFIRMED)
            case "attended":
                self.reach(Mark.SCHEDULED, change.at, fact.ref)
                self.reach(Mark.SEEN, fact.at or change.at, fact.ref)

    def attempt(self, fact: facts_of.OutreachLogged, _: Change) -> None:
        made = fact.attempt
        if made.outcome is not AttemptOutcome.REACHED:
            return
        self.reach(Mark.REACHED, made.at, f"person:{made.by}")
        if made.understood:
            self.reach(Mark.UNDERSTOOD, made.at, f"person:{made.by}")
        booked = self.reached.get(Mark.SCHEDULED)
        if booked is not None and made.at >= booked[0]:
            self.reach(Mark.CONFIRMED, made.at, f"person:{made.by}")

    def blocked(self, fact: facts_of.BlockerRaised, _: Change) -> None:
        if fact.blocker.category is BlockerCategory.MISSING_DOCUMENTATION:
            self.undo(Mark.DOCUMENTS)

    def freed(self, fact: facts_of.BlockerCleared, change: Change) -> None:
        if fact.was.category is BlockerCategory.MISSING_DOCUMENTATION:
            self.reach(Mark.DOCUMENTS, change.at, change.cause.what)

    def closed(self, fact: facts_of.CaseClosed, change: Change) -> None:
        closure, self.ended_at = fact.closure, change.at
        if closure.reason in (ClosureReason.COMPLETED, ClosureReason.DECLINED):
            self.reach(Mark.DECIDED, closure.at, next(iter(closure.evidence), closure.by))
        reports = (named for named in closure.evidence if is_document(named))
        for named in reports:
            self.reach(Mark.REPORT, closure.at, named)

    def reopened(self, _: facts_of.CaseReopened, __: Change) -> None:
        self.ended_at = None
        self.undo(Mark.DECIDED, Mark.REPORT, Mark.UNDERSTOOD)


_TAKEN_UP = frozenset({Effect.ACCEPTED, Effect.UNDER_WAY, Effect.DONE})


def is_document(named: str) -> bool:
    """Whether a piece of evidence is something that was written or measured: no request, visit or Task, no words."""
    kind, slash, own_id = named.partition("/")
    return bool(slash and own_id) and " " not in named and kind not in EFFECTS


_TAKE: Mapping[type, Callable[[_Walk, Any, Change], None]] = {
    facts_of.CaseOpened: _Walk.opened,
    facts_of.SourcesChanged: _Walk.sources,
    facts_of.VisitHappened: _Walk.visit,
    facts_of.OutreachLogged: _Walk.attempt,
    facts_of.BlockerRaised: _Walk.blocked,
    facts_of.BlockerCleared: _Walk.freed,
    facts_of.CaseClosed: _Walk.closed,
    facts_of.CaseReopened: _Walk.reopened,
}
