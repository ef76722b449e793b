"""
FHIR dates and times, with the precision they were given in.

Rules: FHIR R4 datatypes.html#dateTime and #instant. ``24:00`` is not a time; a leap second ``:60`` is accepted
and read as the second before; fractions finer than a microsecond are cut off.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from typing import Literal

import msgspec

Precision = Literal["year", "month", "day", "second"]

_PATTERN = re.compile(
    r"(?P<year>\d{4})(?:-(?P<month>\d\d)(?:-(?P<day>\d\d)"
    r"(?:T(?P<clock>\d\d:\d\d)(?::(?P<second>\d\d)(?P<fraction>\.\d{1,20})?)?(?P<zone>[Zz]|[+-]\d\d:\d\d)?)?)?)?",
    re.ASCII,
)

_USUAL = re.compile(
    r"(?!0001|9999)\d{4}-\d\d-\d\dT(?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-](?:0\d|1[0-3]):[0-5]\d)", re.ASCII
)
"""Full instants that Python reads as FHIR means them; it reads more than FHIR allows, so they are told apart first."""


class Moment(msgspec.Struct, frozen=True, gc=False):
    """
    A FHIR date, dateTime or instant as precise as it was given.

    ``at`` is the instant (aware UTC) where date, time and offset were given, else ``None``.
    """

    text: str
    precision: Precision
    at: datetime | None = None

    def bounds(self, zone: tzinfo) -> tuple[datetime, datetime]:
        """Return the first and the last instant this covers (aware UTC); a civil date is read in *zone*."""
        if self.at is not None:
            return self.at, self.at
        first, last = _days(self.text, self.precision)
        begin = datetime.combine(first, time.min)
        end = datetime.combine(last, time(23, 59, 59, 999_999))
        return _civil(begin, zone), _civil(end, zone)


@lru_cache(maxsize=8192)
def parse_moment(text: str) -> Moment:
    """
    Read a FHIR date, dateTime or instant.

    Raises:
        ValueError: *text* is none; the message does not repeat it.
    """
    if _USUAL.fullmatch(text) is not None and text[17:19] != "60":
        return Moment(text, "second", datetime.fromisoformat(text).astimezone(UTC))
    match = _PATTERN.fullmatch(text)
    if match is None:
        raise ValueError("not a FHIR date or time")
    if match["month"] is None:
        date(int(match["year"]), 1, 1)
        return Moment(text, "year")
    if match["day"] is None:
        date(int(match["year"]), int(match["month"]), 1)
        return Moment(text, "month")
    day = date(int(match["year"]), int(match["month"]), int(match["day"]))
    if match["clock"] is None:
        return Moment(text, "day")
    clock = _clock(match["clock"], match["second"], match["fraction"])
    if match["zone"] is None:
        return Moment(text[:10], "day")
    local = datetime.combine(day, clock)
    return Moment(text, "second", _to_utc(local, match["zone"]))


def parse_instant(text: str) -> datetime:
    """
    Read a FHIR instant (or a dateTime with time and offset) as aware UTC; other ISO 8601 forms are let pass.

    Raises:
        ValueError: *text* is none.
    """
    if len(text) <= 32 and "T" in text:
        try:
            at = datetime.fromisoformat(text)
            zone = at.tzinfo
            if zone is not None and "24:" not in text:
                return at if zone is UTC else at.astimezone(UTC)
        except (ValueError, OverflowError):
            return _exact(text)
    return _exact(text)


def instant_in(value: object) -> datetime | None:
    """Return the instant that a JSON value is, as `parse_instant` reads it; ``None`` where it is none."""
    try:
        return parse_instant(value) if isinstance(value, str) else None
    except ValueError:
        return None


def format_instant(at: datetime) -> str:
    """Return *at* as a FHIR instant in UTC, to the microsecond where it has any, else to the millisecond."""
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    utc = at.astimezone(UTC)
    precise = utc.microsecond % 1000 != 0
    return utc.isoformat(timespec="microseconds" if precise else "milliseconds").replace("+00:00", "Z")


def _exact(text: str) -> datetime:
    at = parse_moment(text).at
    if at is None:
        raise ValueError("not a FHIR instant")
    return at


def _clock(clock: str, second: str | None, fraction: str | None) -> time:
    hour, minute = int(clock[:2]), int(clock[3:])
    seconds = int(second or 0)
    microsecond = int((fraction or ".0")[1:7].ljust(6, "0"))
    return time(hour, minute, 59 if seconds == 60 else seconds, microsecond)


def _to_utc(local: datetime, zone: str) -> datetime:
    if zone in "Zz":
        return local.replace(tzinfo=UTC)
    hours, minutes = int(zone[1:3]), int(zone[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError("not a FHIR time offset")
    offset = timedelta(hours=hours, minutes=minutes)
    try:
        return (local - offset if zone[0] == "+" else local + offset).replace(tzinfo=UTC)
    except OverflowError:
        raise ValueError("not a time between the years 1 and 9999") from None


def _civil(local: datetime, zone: tzinfo) -> datetime:
    """Return *local* in *zone* as UTC; at the ends of the calendar, where there is no such time, as it stands."""
    try:
        return local.replace(tzinfo=zone).astimezone(UTC)
    except OverflowError:
        return local.replace(tzinfo=UTC)


def _days(text: str, precision: Precision) -> tuple[date, date]:
    if precision == "year":
        return date(int(text), 1, 1), date(int(text), 12, 31)
    if precision == "month":
        first = date(int(text[:4]), int(text[5:7]), 1)
        following = (first + timedelta(days=32)).replace(day=1) if first < date(9999, 12, 1) else date.max
        return first, following - timedelta(days=1) if following != date.max else date.max
    day = date.fromisoformat(text[:10])
    return day, day
