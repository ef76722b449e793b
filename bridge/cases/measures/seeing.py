"""What a measure sees: observations of a case's story in a period."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple

from bridge.cases.measures.period import OpenTime, Period, seconds_between
from bridge.cases.measures.rounds import Closing, Round, Standing, Story


class Clock(StrEnum):
    """Which time is counted."""

    CALENDAR = "calendar"
    """All of it."""
    BUSINESS = "business"
    """Only while the site is open."""


class Part(IntEnum):
    """What an observation is to its measure; a number, because it is what counters are looked up by."""

    MET = 0
    """In the denominator and in the numerator; for durations and counts: measured."""
    NOT_MET = 1
    """In the denominator only."""
    EXCLUDED = 2
    """Of the kind that is measured, and left out for a reason that the definition gives."""
    PENDING = 3
    """Not decided by the end of the period: it counts in the period in which it will be."""


class Seen(NamedTuple):
    """One observation. ``value`` is seconds or a number, ``category`` what a count is told apart by."""

    part: Part
    standing: Standing
    value: int = 0
    category: str = ""


@dataclass(frozen=True)
class Surroundings:
    """What a measure looks at beside the story."""

    period: Period
    open_time: OpenTime
    lanes: frozenset[str]
    clock: Clock

    def covers(self, standing: Standing) -> bool:
        """Whether the measure is about this lane."""
        return not self.lanes or standing.lane in self.lanes

    def elapsed(self, began_at: datetime, ended_at: datetime) -> int:
        """Return whole seconds by the measure's clock, none where the end comes first."""
        if self.clock is Clock.BUSINESS:
            return self.open_time.seconds_between(began_at, ended_at)
        return seconds_between(began_at, ended_at)


Observe = Callable[[Story, Surroundings], Iterable[Seen]]


def is_work(story: Story, one: Round) -> bool:
    """Whether a round counts: it was somebody's to do, and is nobody's error, duplicate or part of another case."""
    return not (story.merged or one.unseen or one.never_was)


def closed(story: Story, on: Surroundings) -> Iterator[tuple[Round, Closing]]:
    for one in story.rounds:
        closing = one.closing
        if closing is not None and on.period.holds(closing.recorded_at) and on.covers(closing.standing):
            yield one, closing


def still_open(story: Story, on: Surroundings) -> Iterator[Round]:
    last = story.rounds[-1]
    if last.is_open and not story.merged and on.covers(story.standing):
        yield last


def without(story: Story, on: Surroundings, lacks: Callable[[Round], bool]) -> Iterator[Seen]:
    """Rounds that ended without what is waited for are left out, those that are open still wait for it."""
    for one, closing in closed(story, on):
        if lacks(one):
            yield Seen(Part.EXCLUDED, closing.standing)
    for one in still_open(story, on):
        if lacks(one):
            yield Seen(Part.PENDING, story.standing)
