"""Periods of civil days, and time while the site is open."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.cases.calendar import Calendar
from bridge.cases.measures.period import OpenTime, midnight, period_of

NEW_YORK = ZoneInfo("America/New_York")
LATER = datetime(2030, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("day", "hours"), [(date(2026, 3, 8), 23), (date(2026, 11, 1), 25), (date(2026, 6, 1), 24)], ids=str
)
def test_a_day_is_as_long_as_the_clock_makes_it(day: date, hours: int) -> None:
    period = period_of(day, day, NEW_YORK, LATER)

    assert period.ends_at - period.begins_at == timedelta(hours=hours)


def test_periods_that_follow_each_other_share_no_instant_and_miss_none() -> None:
    october = period_of(date(2026, 10, 1), date(2026, 10, 31), NEW_YORK, LATER)
    november = period_of(date(2026, 11, 1), date(2026, 11, 30), NEW_YORK, LATER)

    assert october.ends_at == november.begins_at
    assert (october.holds(november.begins_at), november.holds(november.begins_at)) == (False, True)


def test_midnight_that_does_not_exist_is_the_first_instant_after_it() -> None:
    """In Beirut the clock went from 23:59:59 on 25 March 2023 to 01:00."""
    assert midnight(date(2023, 3, 26), ZoneInfo("Asia/Beirut")) == datetime(2023, 3, 25, 22, tzinfo=UTC)


def test_a_period_that_is_not_over_ends_now() -> None:
    now = datetime(2026, 6, 3, 12, tzinfo=UTC)

    period = period_of(date(2026, 6, 1), date(2026, 6, 30), NEW_YORK, now)

    assert (period.until, period.is_over) == (now, False)


def test_a_period_that_has_not_begun_or_ends_before_it_begins_is_refused() -> None:
    with pytest.raises(ValueError, match="not begun"):
        period_of(date(2026, 6, 1), date(2026, 6, 2), NEW_YORK, datetime(2026, 6, 1, tzinfo=UTC))
    with pytest.raises(ValueError, match="before the first"):
        period_of(date(2026, 6, 2), date(2026, 6, 1), NEW_YORK, LATER)


ROUND_THE_CLOCK = Calendar(NEW_YORK, {day: (time(0), time(23, 59)) for day in range(7)}, frozenset({date(2026, 3, 9)}))
OFFICE = Calendar(NEW_YORK, holidays=frozenset({date(2026, 11, 3)}))


@pytest.mark.parametrize("calendar", [ROUND_THE_CLOCK, OFFICE], ids=["round the clock", "office hours"])
@pytest.mark.parametrize("begin", [datetime(2026, 3, 6, 3, tzinfo=UTC), datetime(2026, 10, 30, 3, tzinfo=UTC)], ids=str)
def test_open_time_is_what_a_walk_by_the_minute_counts(calendar: Calendar, begin: datetime) -> None:
    """Over a weekend with a clock change and a holiday after it."""
    minutes = [begin + timedelta(minutes=n) for n in range(6 * 1440)]

    walked = 60 * sum(calendar.is_open_at(at) for at in minutes)

    assert OpenTime(calendar).seconds_between(begin, minutes[-1] + timedelta(minutes=1)) == walked


instants = st.datetimes(datetime(2024, 12, 28), datetime(2027, 1, 5), timezones=st.just(UTC))


@given(instants, instants, instants)
def test_open_time_adds_up_and_never_runs_backwards(one: datetime, two: datetime, three: datetime) -> None:
    first, middle, last = sorted(at.replace(microsecond=0) for at in (one, two, three))
    counted = OpenTime(OFFICE).seconds_between

    assert counted(first, middle) + counted(middle, last) == counted(first, last)
    assert counted(last, first) == 0
