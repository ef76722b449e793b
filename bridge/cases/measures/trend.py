"""How measures moved: the same measures in each of a row of periods, by one pass over the histories."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from bridge.cases.calendar import Calendar
from bridge.cases.changes import Change
from bridge.cases.measures.defining import Stratum
from bridge.cases.measures.of_endings import LOOP_CLOSES_WITHIN
from bridge.cases.measures.period import OpenTime, Period, Step
from bridge.cases.measures.rounds import Word
from bridge.cases.measures.story import stories_of
from bridge.cases.measures.tally import Report, Tally


class Trend(msgspec.Struct, frozen=True, kw_only=True):
    """A report of each period, the oldest first, told apart by lane alone; each equals what is measured of it alone."""

    by: Step
    reports: tuple[Report, ...]


class Tallies:
    """Every measure of periods that follow each other, while histories come in."""

    def __init__(self, periods: Sequence[Period], calendar: Calendar) -> None:
        hours = OpenTime(calendar)
        self._tallies = [Tally(period, calendar, (Stratum.LANE,), hours=hours) for period in periods]
        self._spans = [(period.begins_at - LOOP_CLOSES_WITHIN, period.until) for period in periods]

    def add(self, history: Iterable[Change], words: Iterable[Word] = ()) -> None:
        """Count one case in each period in which something of it may count."""
        for tally, story in zip(self._tallies, stories_of(history, self._spans, words), strict=True):
            if story is not None:
                tally.see(story)

    def reports(self, connections: Iterable[str]) -> tuple[Report, ...]:
        """Return what came of it."""
        return tuple(tally.report(connections) for tally in self._tallies)
