"""The values that a case's story is told in; ``story`` tells it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from bridge.cases.model import Attempt
from bridge.cases.terms import AttemptOutcome, BlockerCategory, ClosureReason, Trigger

NEVER_WAS = frozenset({ClosureReason.ENTERED_IN_ERROR, ClosureReason.DUPLICATE})
"""Closings that say there was no such work: their round counts nowhere."""

REACHED = frozenset({AttemptOutcome.REACHED, AttemptOutcome.DECLINED})
"""Outcomes of an attempt in which somebody spoke with the patient."""


class Standing(NamedTuple):
    """What an observation is told apart by."""

    lane: str
    priority: str
    owner: str


class Stretch(NamedTuple):
    """How long something stayed as it was; ``standing`` is as of its last instant."""

    value: Any
    began_at: datetime
    ended_at: datetime
    standing: Standing


class Tried(NamedTuple):
    """One attempt; ``copied`` where it came along from a case that was merged into this one."""

    attempt: Attempt
    recorded_at: datetime
    standing: Standing
    copied: bool


class Visit(NamedTuple):
    """
    Something that happened to a visit.

    ``place`` orders the events of a case, ``version`` tells which were recorded together. ``starts_at`` is when the
    visit is or was to begin. ``replied`` where the case waited on the patient until then.
    """

    event: str
    ref: str
    starts_at: datetime | None
    recorded_at: datetime
    standing: Standing
    place: int
    version: int
    replied: bool


class Raised(NamedTuple):
    """
    A step of an escalation.

    ``trigger`` and ``begun_at`` say of which. ``asks`` on its first step, and on one taken after an answer;
    ``answered_at`` is then when somebody acknowledged it, on whatever step, or when it ended.
    """

    trigger: Trigger
    begun_at: datetime | None
    level: int
    since: datetime
    recorded_at: datetime
    standing: Standing
    copied: bool
    asks: bool
    answered_at: datetime | None = None


class Blocked(NamedTuple):
    """A blocker that was raised; ``again`` where the same kind had held up this case before, and was gone since."""

    category: BlockerCategory
    recorded_at: datetime
    standing: Standing
    again: bool


class Answered(NamedTuple):
    """What a person said to a suggestion of a rule."""

    rule: str
    accepted: bool
    recorded_at: datetime
    standing: Standing


class Closing(NamedTuple):
    """
    How a round ended.

    A closing that only repeats the reason of the one before it changes nothing but the evidence. ``reported_at`` is
    when a document or result was first recorded as what came of it; ``version`` is the case's, in which it ended so.
    """

    reason: ClosureReason
    at: datetime
    recorded_at: datetime
    standing: Standing
    version: int
    reported_at: datetime | None


class Word(NamedTuple):
    """Whoever asked was told how the case ended: of which version of it, and when that was confirmed."""

    version: int
    at: datetime


class Response(NamedTuple):
    """The first thing a person did: when, and when that was recorded."""

    at: datetime
    recorded_at: datetime
    standing: Standing


@dataclass(slots=True)
class Round:
    """
    One life of a case.

    ``begun_at`` is when the work was asked for, of a later round when the case was reopened. ``unseen`` where it was
    over when Bridge first heard of it: nobody could work on it. ``first_due_at`` is the due time it began with.
    """

    begun_at: datetime
    opened_in: int
    unseen: bool = False
    first_due_at: datetime | None = None
    response: Response | None = None
    closing: Closing | None = None
    attempts: list[Tried] = field(default_factory=list)
    visits: list[Visit] = field(default_factory=list)
    blocked: list[Blocked] = field(default_factory=list)
    answers: list[Answered] = field(default_factory=list)
    raised: list[Raised] = field(default_factory=list)
    statuses: list[Stretch] = field(default_factory=list)
    owners: list[Stretch] = field(default_factory=list)
    blockers: list[Stretch] = field(default_factory=list)
    dues: list[Stretch] = field(default_factory=list)
    steps: list[Stretch] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        """Whether somebody still had to do something at the end of what is told."""
        return self.closing is None

    @property
    def never_was(self) -> bool:
        """Whether it was closed as entered in error or as a duplicate."""
        return self.closing is not None and self.closing.reason in NEVER_WAS


@dataclass(slots=True)
class Story:
    """A case as it was known at ``until``: its rounds, and how it stood in the end."""

    case_id: str
    rounds: list[Round]
    standing: Standing
    merged: bool
    words: Sequence[Word] = ()
    """What the requester was told, in any order."""

    def told_at(self, one: Round) -> datetime | None:
        """Return when the requester was first told of the end of a round as it stands; ``None`` while nobody was."""
        if one.closing is None:
            return None
        later = (each.opened_in for each in self.rounds if each.opened_in > one.closing.version)
        versions = range(one.closing.version, min(later, default=sys.maxsize))
        return min((word.at for word in self.words if word.version in versions), default=None)
