"""Working time a second time: every minute in which the site is open, counted one by one on the clock on the wall."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
BEGIN = datetime(2025, 12, 1)
DAYS = 800


class Almanac:
    """The minutes of a site's opening hours from December 2025 on, by the clock on its wall."""

    def __init__(self, zone: str, hours: Mapping[int, tuple[int, int]], holidays: frozenset[date]) -> None:
        """Take for each weekday from which to which minute of the day the site is open."""
        self.zone = ZoneInfo(zone)
        self.open_minutes: list[int] = []
        self.closings: list[tuple[date, datetime]] = []
        for number in range(DAYS):
            day = BEGIN + number * DAY
            if day.weekday() in hours and day.date() not in holidays:
                opens, closes = hours[day.weekday()]
                self.open_minutes += range(number * 1440 + opens, number * 1440 + closes)
                self.closings.append((day.date(), day + closes * MINUTE))
        every_hour = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=hour) / 2 for hour in range(2 * 24 * 365)]
        offsets = [at.astimezone(self.zone).utcoffset() for at in every_hour]
        pairs = zip(every_hour[1:], offsets, offsets[1:], strict=False)
        self.turns = [at for at, before, after in pairs if before != after]
        """When the clock is put forward or back."""
        self.open_days = [day for day, _ in self.closings]

    def wall(self, at: datetime) -> datetime:
        return at.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def instant(self, wall: datetime) -> datetime:
        return wall.replace(tzinfo=self.zone).astimezone(UTC)

    def on(self, at: datetime) -> date:
        return self.wall(at).date()

    def after(self, start: datetime, words: str) -> datetime:
        """Return when what *words* say, such as ``2 business days``, is over."""
        amount, _, unit = words.partition(" ")
        number = int(amount)
        if unit.startswith("business day"):
            return max(start, self._days_after(start, number))
        if unit.startswith("business hour"):
            return max(start, self.minutes_after(start, number * 60))
        if unit.startswith(("minute", "hour")):
            return start + number * (MINUTE if unit.startswith("minute") else 60 * MINUTE)
        assert unit.startswith(("day", "week"))
        return max(start, self.instant(self.wall(start) + number * DAY * (7 if unit.startswith("week") else 1)))

    def before(self, end: datetime, words: str) -> datetime:
        """Return the closing time of the open day so many business days before."""
        number, _, unit = words.partition(" ")
        assert unit.startswith("business day")
        return self.instant(self.closings[bisect_left(self.open_days, self.on(end)) - int(number)][1])

    def moments_after(self, start: datetime) -> list[datetime]:
        """Return when the site opens, closes, and when its day ends next."""
        wall = self.wall(start)
        closing = next(
            closes for _, closes in self.closings[bisect_left(self.open_days, wall.date()) :] if closes > wall
        )
        opening = BEGIN + self.open_minutes[bisect_left(self.open_minutes, (wall - BEGIN) // MINUTE + 1)] * MINUTE
        midnight = datetime(wall.year, wall.month, wall.day) + DAY
        return [self.instant(at) for at in (closing, opening, midnight)]

    def beyond(self, deadline: datetime, words: str) -> datetime:
        """The same, where *start* may be a closing time that ends its own day."""
        is_days = "business day" in words and not words.startswith("0 ")
        return self.after(deadline - MINUTE if is_days else deadline, words)

    def awake(self, at: datetime, quiet: str) -> datetime:
        """Return the first moment from *at* on at which patients are called; quiet hours are over midnight here."""
        begins, ends = (time.fromisoformat(text) for text in quiet.split(" to "))
        if ends <= self.wall(at).time() < begins:
            return at
        mornings = (self.instant(datetime.combine(self.on(at) + day * DAY, ends)) for day in range(2))
        return min((morning for morning in mornings if morning > at), default=at)

    def _days_after(self, start: datetime, number: int) -> datetime:
        wall = self.wall(start)
        index = bisect_left(self.open_days, wall.date())
        if self.open_days[index] == wall.date() and wall >= self.closings[index][1]:
            index += 1
        return self.instant(self.closings[index + number][1])

    def minutes_after(self, start: datetime, minutes: int) -> datetime:
        """Return the end of the last of so many open minutes."""
        wall = self.wall(start)
        first = bisect_left(self.open_minutes, (wall - BEGIN) // MINUTE)
        if minutes == 0:
            return self.instant(max(wall, BEGIN + self.open_minutes[first] * MINUTE))
        return self.instant(BEGIN + (self.open_minutes[first + minutes - 1] + 1) * MINUTE)

    def open_between(self, since: datetime, until: datetime) -> int:
        """Return how many open minutes there are."""
        low, high = ((self.wall(at) - BEGIN) // MINUTE for at in (since, until))
        return max(0, bisect_left(self.open_minutes, high) - bisect_left(self.open_minutes, low))

    def put_off(self, deadline: datetime, words: str, since: datetime, until: datetime) -> datetime:
        """Return a deadline with a pause in it."""
        if since >= deadline or until <= since:
            return deadline
        if "business" not in words:
            return deadline + (until - since)
        minutes = self.open_between(since, until)
        return self.minutes_after(deadline, minutes) if minutes else deadline
