"""
Adding up: stories come in one after the other, and a report comes out.

Kept are counters, and of distributions one integer for each value, because a median needs them all: no case and no
history. A year of 100,000 cases is some megabytes.
"""

from __future__ import annotations

from array import array
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import date, datetime

import msgspec

from bridge.cases.calendar import Calendar
from bridge.cases.changes import Change
from bridge.cases.measures.defining import Definition, Kind, Stratum
from bridge.cases.measures.definitions import DEFINITIONS
from bridge.cases.measures.period import OpenTime, Period
from bridge.cases.measures.rounds import Standing, Story, Word
from bridge.cases.measures.seeing import Part, Seen, Surroundings
from bridge.cases.measures.story import story_of


class Proportion(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="proportion"):
    """
    How many of how many. ``rate`` is from 0 to 1, and ``null`` where there is nothing to divide by.

    ``excluded`` and ``pending`` are not in the denominator.
    """

    denominator: int
    numerator: int
    excluded: int
    pending: int
    rate: float | None


class Distribution(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="distribution"):
    """
    Measured values, in the measure's unit; all ``null`` where nothing was measured.

    ``median`` and ``p90`` are values that occurred, by nearest rank: the smallest that at least half, or nine in ten,
    of the values do not exceed.
    """

    measured: int
    excluded: int
    pending: int
    median: int | None
    p90: int | None
    least: int | None
    most: int | None
    total: int


class Count(msgspec.Struct, frozen=True, kw_only=True, tag_field="kind", tag="count"):
    """How much in each category, most first: a number, or seconds where the measure is about time."""

    total: int
    categories: dict[str, int]


Figure = Proportion | Distribution | Count


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One measure in one period: the whole, and each stratum; docs/measures.md says what it means."""

    code: str
    title: str
    unit: str
    whole: Figure
    by: dict[str, dict[str, Figure]]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """
    Every measure in one period. ``until`` is the end of the period, or when it was measured if that was before.

    ``first_on`` and ``last_on`` are days in ``zone``, both included. ``complete`` where the period is over.
    """

    connections: tuple[str, ...]
    first_on: date
    last_on: date
    zone: str
    until: datetime
    complete: bool
    cases: int
    """How many histories were looked at."""
    measures: tuple[Measured, ...]


class Tally:
    """Every measure of one period, while histories come in."""

    def __init__(
        self,
        period: Period,
        calendar: Calendar,
        strata: Collection[Stratum] = tuple(Stratum),
        *,
        hours: OpenTime | None = None,
    ) -> None:
        """Measure everything, told apart by no more than *strata*; *hours* are the calendar's, where they are known."""
        open_time = hours or OpenTime(calendar)
        self.period, self._zone = period, calendar.zone.key
        self._sums = [
            (one, Surroundings(period, open_time, one.lanes, one.clock), _Sums(one, strata)) for one in DEFINITIONS
        ]
        self._cases = 0

    def add(self, history: Iterable[Change], words: Iterable[Word] = ()) -> None:
        """Count one case, with what its requester was told."""
        story = story_of(history, self.period.until, words)
        if story is not None:
            self.see(story)

    def see(self, story: Story) -> None:
        """Count one case by what it tells as of the end of the period."""
        self._cases += 1
        for definition, surroundings, sums in self._sums:
            for seen in definition.observe(story, surroundings):
                sums.add(seen)

    def report(self, connections: Iterable[str]) -> Report:
        """Return what came of it."""
        period = self.period
        return Report(
            connections=tuple(connections),
            first_on=period.first_on,
            last_on=period.last_on,
            zone=self._zone,
            until=period.until,
            complete=period.is_over,
            cases=self._cases,
            measures=tuple(sums.measured() for _, _, sums in self._sums),
        )


class _Sum:
    """The observations of one measure, or of one stratum of it."""

    def __init__(self) -> None:
        self.parts = [0] * len(Part)
        self.values = array("q")
        self.categories: dict[str, int] = {}

    def add(self, seen: Seen, kind: Kind) -> None:
        if kind is Kind.COUNT or kind is Kind.TIME:
            self.categories[seen.category] = self.categories.get(seen.category, 0) + seen.value
            return
        self.parts[seen.part] += 1
        if kind is Kind.DISTRIBUTION and seen.part is Part.MET:
            self.values.append(seen.value)

    def figure(self, kind: Kind) -> Figure:
        if kind is Kind.PROPORTION:
            return self._proportion()
        if kind is Kind.DISTRIBUTION:
            return self._distribution()
        ordered = sorted(self.categories.items(), key=lambda item: (-item[1], item[0]))
        return Count(total=sum(self.categories.values()), categories=dict(ordered))

    def _proportion(self) -> Proportion:
        met = self.parts[Part.MET]
        denominator = met + self.parts[Part.NOT_MET]
        return Proportion(
            denominator=denominator,
            numerator=met,
            excluded=self.parts[Part.EXCLUDED],
            pending=self.parts[Part.PENDING],
            rate=met / denominator if denominator else None,
        )

    def _distribution(self) -> Distribution:
        values = sorted(self.values)
        return Distribution(
            measured=len(values),
            excluded=self.parts[Part.EXCLUDED],
            pending=self.parts[Part.PENDING],
            median=nearest_rank(values, 50),
            p90=nearest_rank(values, 90),
            least=values[0] if values else None,
            most=values[-1] if values else None,
            total=sum(values),
        )


def nearest_rank(ordered: Sequence[int], percent: int) -> int | None:
    """Return the smallest of the *ordered* values that at least *percent* of them do not exceed; none of none."""
    if not ordered:
        return None
    return ordered[-(-len(ordered) * percent // 100) - 1]


class _Sums:
    """One measure: the whole and its strata."""

    def __init__(self, definition: Definition, strata: Collection[Stratum]) -> None:
        self._definition = definition
        self._whole = _Sum()
        self._by: Mapping[Stratum, dict[str, _Sum]] = {one: {} for one in definition.strata if one in strata}
        places = (Standing._fields.index(one) if one is not Stratum.CATEGORY else None for one in self._by)
        self._strata = list(zip(places, self._by.values(), strict=True))

    def add(self, seen: Seen) -> None:
        kind = self._definition.kind
        self._whole.add(seen, kind)
        for place, sums in self._strata:
            name = seen.category if place is None else seen.standing[place]
            if name not in sums:
                sums[name] = _Sum()
            sums[name].add(seen, kind)

    def measured(self) -> Measured:
        definition = self._definition
        return Measured(
            code=definition.code,
            title=definition.title,
            unit=definition.unit,
            whole=self._whole.figure(definition.kind),
            by={
                stratum.value: {name: sums[name].figure(definition.kind) for name in sorted(sums)}
                for stratum, sums in self._by.items()
            },
        )
