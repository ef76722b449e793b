"""
A period of civil days at the site, and time counted while the site is open.

A period is half-open: it begins with midnight, in the site's time zone, of its first day and ends before midnight
after its last one. So periods that follow each other share no instant and miss none, whatever the clock does
in between: a day may have 23 or 25 hours.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from itertools import accumulate
from zoneinfo import ZoneInfo

from bridge.cases.calendar import Calendar

_SECOND = timedelta(seconds=1)
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Period:
    """
    The days from *first_on* to *last_on*, both included, and up to when of them is known.

    ``begins_at`` and ``ends_at`` are aware UTC. ``until`` is the end, or now where the period is not over: nothing
    recorded at or after it counts.
    """

    first_on: date
    last_on: date
    begins_at: datetime
    ends_at: datetime
    until: datetime

    @property
    def is_over(self) -> bool:
        """Whether nothing that is still to come can change what is measured."""
        return self.until == self.ends_at

    def holds(self, at: datetime) -> bool:
        """Whether *at* is in the part of the period that is known."""
        return self.begins_at <= at < self.until

    def overlaps(self, began_at: datetime, ended_at: datetime) -> bool:
        """Whether something that lasted from one instant to before the other went on in this period."""
        return began_at < self.until and (ended_at > self.begins_at or self.holds(began_at))

    def seconds_of(self, began_at: datetime, ended_at: datetime) -> int:
        """Return how many whole seconds of a stretch of time are in this period."""
        return seconds_between(max(began_at, self.begins_at), min(ended_at, self.until))


def period_of(first_on: date, last_on: date, zone: ZoneInfo, now: datetime) -> Period:
    """
    Return the period of the days *first_on* to *last_on*.

    Raises:
        ValueError: It ends before it begins, or has not begun by *now*.
    """
    if last_on < first_on:
        raise ValueError("the last day lies before the first")
    begins_at, ends_at = midnight(first_on, zone), midnight(last_on + _DAY, zone)
    if now < begins_at:
        raise ValueError("the period has not begun yet")
    return Period(first_on, last_on, begins_at, ends_at, min(now, ends_at))


class Step(StrEnum):
    """How long each of a row of periods is."""

    WEEK = "week"
    """From Monday to Sunday (ISO 8601)."""
    MONTH = "month"


def periods_to(last_on: date, step: Step, number: int, zone: ZoneInfo, now: datetime) -> tuple[Period, ...]:
    """
    Return *number* whole weeks or months in a row; the last is the one that *last_on* is in.

    Raises:
        ValueError: The last one has not begun by *now*, or the first would lie before the year 1.
    """
    first_on = last_on.replace(day=1) if step is Step.MONTH else last_on - timedelta(days=last_on.weekday())
    found = []
    for _ in range(number):
        found.append(period_of(first_on, _next(first_on, step) - _DAY, zone, now))
        day_before = first_on - _DAY
        first_on = day_before.replace(day=1) if step is Step.MONTH else first_on - timedelta(days=7)
    return tuple(reversed(found))


def _next(first_on: date, step: Step) -> date:
    return (first_on + timedelta(days=31)).replace(day=1) if step is Step.MONTH else first_on + timedelta(days=7)


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return when *day* begins; where a clock change takes midnight away, the first instant after it."""
    return datetime.combine(day, time.min, zone).astimezone(UTC)


def seconds_between(began_at: datetime, ended_at: datetime) -> int:
    """Return whole seconds from one instant to another, none where the other comes first."""
    return max(0, (ended_at - began_at) // _SECOND)


class OpenTime:
    """
    Counts the time between two instants while a site is open.

    Opening hours are civil time, what is counted is the time that really passed: a day on which the clock is put
    back while the site is open is an hour longer. A year is laid out once and then looked up.
    """

    def __init__(self, calendar: Calendar) -> None:
        self._calendar = calendar
        self._years: dict[int, _Year] = {}

    def seconds_between(self, began_at: datetime, ended_at: datetime) -> int:
        """Return whole open seconds from one instant to another, none where the other comes first."""
        if ended_at <= began_at:
            return 0
        first, last = self._year_of(began_at), self._year_of(ended_at)
        passed = self._year(last).until(ended_at) - self._year(first).until(began_at)
        for year in range(first, last):
            passed += self._year(year).whole
        return passed // _SECOND

    def _year_of(self, at: datetime) -> int:
        return at.astimezone(self._calendar.zone).year

    def _year(self, year: int) -> _Year:
        if year not in self._years:
            self._years[year] = _Year(self._calendar, year)
        return self._years[year]


class _Year:
    """The opening hours of one year as instants, and how long the site had been open before each."""

    def __init__(self, calendar: Calendar, year: int) -> None:
        first = date(year, 1, 1)
        days = (first + timedelta(days=n) for n in range((date(year + 1, 1, 1) - first).days))
        hours = [_hours(calendar, day) for day in days if calendar.is_open_on(day)]
        self._opens = [opens for opens, _ in hours]
        self._lasts = [closes - opens for opens, closes in hours]
        self._before = list(accumulate(self._lasts, initial=timedelta()))
        self.whole = self._before[-1]

    def until(self, at: datetime) -> timedelta:
        """Return how long the site was open this year until *at*."""
        index = bisect_right(self._opens, at) - 1
        if index < 0:
            return timedelta()
        return self._before[index] + min(at - self._opens[index], self._lasts[index])


def _hours(calendar: Calendar, day: date) -> tuple[datetime, datetime]:
    """Return when the site opens and closes; a civil time that exists twice means the first (as in ``calendar``)."""
    opens, closes = calendar.hours[day.weekday()]
    begin = datetime.combine(day, opens, calendar.zone).astimezone(UTC)
    return begin, max(begin, datetime.combine(day, closes, calendar.zone).astimezone(UTC))
