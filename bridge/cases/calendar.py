"""
Working time: business days and hours in the site's own time zone.

Daylight saving: days and business time are counted on civil time and turned into an instant at the end. A
civil time that does not exist (spring) is read with the offset from before the gap, so 02:30 is 03:30; one that
exists twice (autumn) means the first of the two (RFC 5545, section 3.3.5).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import lru_cache
from zoneinfo import ZoneInfo

from bridge.cases.enums import quick
from bridge.cases.snapshot import When

_SEARCH_LIMIT_DAYS = 3660
_YEARS = range(1900, 9000)


@quick
class Unit(StrEnum):
    """What a span of time is counted in."""

    MINUTES = "minutes"
    HOURS = "hours"
    DAYS = "days"
    WEEKS = "weeks"
    BUSINESS_HOURS = "business hours"
    BUSINESS_DAYS = "business days"


@dataclass(frozen=True)
class Span:
    """An amount of working or calendar time, zero or more."""

    amount: int
    unit: Unit

    def __str__(self) -> str:
        unit = self.unit.value
        return f"{self.amount} {unit[:-1] if self.amount == 1 else unit}"


_LENGTHS = {Unit.MINUTES: timedelta(minutes=1), Unit.HOURS: timedelta(hours=1)}
"""The units that are equally long wherever and whenever they are counted."""

_UNITS = frozenset(unit.value for unit in Unit)
_SPAN = re.compile(r"(\d{1,4}) (business )?(minute|hour|day|week)s?")


def parse_span(text: str) -> Span:
    """
    Read ``2 business days``, ``4 business hours``, ``30 minutes``, ``3 days``, ``1 week``.

    Raises:
        ValueError: *text* has another form; the message shows the accepted ones.
    """
    match = _SPAN.fullmatch(text.strip())
    name = f"{match[2] or ''}{match[3]}s" if match else ""
    if match is None or name not in _UNITS:
        raise ValueError(f"{text!r} is not a span such as '2 business days', '4 business hours' or '3 days'")
    return Span(int(match[1]), Unit(name))


_WEEKDAYS_8_TO_17 = {day: (time(8), time(17)) for day in range(5)}


@dataclass(frozen=True, eq=False)
class Calendar:
    """
    A site's opening hours.

    ``hours`` maps a weekday (Monday is 0) to opening and closing time; a day that is missing is closed.
    """

    zone: ZoneInfo = field(default_factory=lambda: ZoneInfo("UTC"))
    hours: Mapping[int, tuple[time, time]] = field(default_factory=lambda: _WEEKDAYS_8_TO_17)
    holidays: frozenset[date] = frozenset()

    def is_open_on(self, day: date) -> bool:
        """Whether anybody works on *day*."""
        return day.weekday() in self.hours and day not in self.holidays

    def is_open_at(self, moment: datetime) -> bool:
        """Whether the site is open at an instant."""
        local = moment.astimezone(self.zone)
        hours = self.hours.get(local.weekday())
        return hours is not None and self.is_open_on(local.date()) and hours[0] <= local.time() < hours[1]

    def after(self, start: datetime, span: Span) -> datetime:
        """
        Return when *span* after *start* is over (aware UTC).

        Business days end at closing time of the nth open day after the day *start* falls on (a start outside
        opening hours counts as the next opening). Business hours count only while the site is open. Never before
        *start*, though a start in the second of two equal hours is counted from the first.
        """
        length = _LENGTHS.get(span.unit)
        if length is not None:
            return start + span.amount * length
        if span.unit is Unit.BUSINESS_DAYS:
            return max(start, _after_days(self, self._opening_day(start), span.amount))
        if span.unit is Unit.BUSINESS_HOURS:
            return max(start, _after_hours(self, start, span.amount))
        days = span.amount * (7 if span.unit is Unit.WEEKS else 1)
        local = start.astimezone(self.zone).replace(tzinfo=None) + timedelta(days=days)
        return max(start, self._instant(local))

    def beyond(self, deadline: datetime, span: Span) -> datetime:
        """
        Return when *span* beyond a deadline is over (aware UTC).

        A deadline at closing time belongs to the day that it ends, where work that comes in at that moment belongs to
        the next: so one business day beyond a Tuesday's closing is Wednesday's.
        """
        if span.amount == 0 or span.unit is not Unit.BUSINESS_DAYS:
            return self.after(deadline, span)
        return _days_beyond(self, deadline, span.amount)

    def resumed(self, deadline: datetime, unit: Unit, since: datetime, until: datetime) -> datetime:
        """
        Return *deadline* put off by a pause: by the opening hours in it for a span in business time, else by all of it.

        A deadline that had passed when the pause began stays where it is.
        """
        if since >= deadline or until <= since:
            return deadline
        if unit not in (Unit.BUSINESS_DAYS, Unit.BUSINESS_HOURS):
            return deadline + (until - since)
        left = self.open_time(since, until)
        return self._after_hours(deadline, left) if left else deadline

    def open_time(self, since: datetime, until: datetime) -> timedelta:
        """Return how long the site is open between two instants, on civil time."""
        begin, end = (at.astimezone(self.zone).replace(tzinfo=None) for at in (since, until))
        total, day = timedelta(0), begin.date()
        while day <= end.date():
            if self.is_open_on(day):
                opens, closes = (datetime.combine(day, at) for at in self.hours[day.weekday()])
                total += max(min(closes, end) - max(opens, begin), timedelta(0))
            day += timedelta(days=1)
        return total

    def before(self, end: datetime, span: Span) -> datetime:
        """
        Return the latest instant from which *span* still fits before *end*; business days end at closing.

        Raises:
            ValueError: *span* is in business hours; a lanes file that asks for it is refused.
        """
        length = _LENGTHS.get(span.unit)
        if length is not None:
            return end - span.amount * length
        if span.unit is Unit.BUSINESS_HOURS:
            raise ValueError("'business hours before' is not supported; use hours or business days")
        if span.unit is Unit.BUSINESS_DAYS:
            return _before_days(self, end.astimezone(self.zone).date(), span.amount)
        days = span.amount * (7 if span.unit is Unit.WEEKS else 1)
        local = end.astimezone(self.zone).replace(tzinfo=None) - timedelta(days=days)
        return self._instant(local)

    def end_of(self, when: When) -> datetime | None:
        """
        Return the last instant that *when* covers, as a due time (aware UTC); ``None`` where it stands for none.

        A day ends at closing time, or at midnight where the site is closed; a month or year with its last
        day. A partial date is civil time at the site, it is never shifted by a zone.
        """
        if when.at is not None:
            return plausible(when.at)
        if int(when.text[:4]) not in _YEARS:
            return None
        day = last_day(when.text)
        if self.is_open_on(day):
            return self._instant(datetime.combine(day, self.hours[day.weekday()][1]))
        return self._instant(datetime.combine(day, time(23, 59, 59)))

    def _opening_day(self, start: datetime) -> date:
        local = start.astimezone(self.zone)
        day = local.date()
        closes = _closes(self, day)
        return day if closes is not None and local.time() < closes else _next_open(self, day)

    def _after_hours(self, start: datetime, left: timedelta) -> datetime:
        local = start.astimezone(self.zone).replace(tzinfo=None)
        day = local.date()
        while True:
            if self.is_open_on(day):
                opens, closes = (datetime.combine(day, at) for at in self.hours[day.weekday()])
                begin = max(local, opens)
                if begin < closes:
                    if begin + left <= closes:
                        return self._instant(begin + left)
                    left -= closes - begin
            day = _next_open(self, day)
            local = datetime.combine(day, time.min)

    def _closing(self, day: date) -> datetime:
        return self._instant(datetime.combine(day, self.hours[day.weekday()][1]))

    def _instant(self, local: datetime) -> datetime:
        return local.replace(tzinfo=self.zone).astimezone(UTC)


@lru_cache(maxsize=4096)
def _closes(calendar: Calendar, day: date) -> time | None:
    return calendar.hours[day.weekday()][1] if calendar.is_open_on(day) else None


@lru_cache(maxsize=4096)
def _next_open(calendar: Calendar, day: date, step: int = 1) -> date:
    for ahead in range(1, _SEARCH_LIMIT_DAYS):
        candidate = day + timedelta(days=ahead * step)
        if calendar.is_open_on(candidate):
            return candidate
    raise ValueError("the site's calendar has no open day within ten years")


@lru_cache(maxsize=4096)
def _after_days(calendar: Calendar, day: date, days: int) -> datetime:
    for _ in range(days):
        day = _next_open(calendar, day)
    return calendar._closing(day)


@lru_cache(maxsize=4096)
def _after_hours(calendar: Calendar, start: datetime, hours: int) -> datetime:
    return calendar._after_hours(start, timedelta(hours=hours))


@lru_cache(maxsize=4096)
def _days_beyond(calendar: Calendar, deadline: datetime, days: int) -> datetime:
    return calendar.after(deadline - timedelta(microseconds=1), Span(days, Unit.BUSINESS_DAYS))


@lru_cache(maxsize=4096)
def _before_days(calendar: Calendar, day: date, days: int) -> datetime:
    for _ in range(days):
        day = _next_open(calendar, day, -1)
    return calendar._closing(day if calendar.is_open_on(day) else _next_open(calendar, day, -1))


def plausible(at: datetime | None) -> datetime | None:
    """
    Return *at*, or ``None`` where it lies before 1900 or from 9000 on.

    Systems write 0001-01-01 and 9999-12-31 for "not set" and "no end": taken at their word they would be due for
    ever or never, and no zone could be applied to them (rule ours).
    """
    return at if at is not None and at.year in _YEARS else None


def last_day(text: str) -> date:
    """
    Return the last civil day that a FHIR date text covers (``2026``, ``2026-02``, ``2026-02-03``).

    Raises:
        ValueError: *text* is no such date.
    """
    parts = [int(part) for part in text[:10].split("-")]
    if len(parts) == 3:
        return date(*parts)
    if len(parts) == 2:
        parts = [parts[0] + parts[1] // 12, parts[1] % 12 + 1]
        return date(parts[0], parts[1], 1) - timedelta(days=1)
    return date(parts[0], 12, 31)
