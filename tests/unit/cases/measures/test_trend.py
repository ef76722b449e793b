"""A row of periods, measured by one pass, is what each of them is measured alone."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bridge.cases.changes import Change
from bridge.cases.measures.defining import Stratum
from bridge.cases.measures.period import Step, midnight, periods_to
from bridge.cases.measures.rounds import Word
from bridge.cases.measures.tally import Report, Tally
from bridge.cases.measures.trend import Tallies
from tests.unit.cases.measures.histories import NEW_YORK, OFFICE, YEAR_BEGINS, a_year, words_of_a_year
from tests.unit.cases.measures.test_any_history import CALENDAR, ZONE, any_history, words


def measures_of(report: Report) -> object:
    """How many histories were looked at may differ: those of which nothing counts are left out."""
    return msgspec.structs.replace(report, cases=0)


def test_each_of_some_months_is_what_it_is_alone() -> None:
    """Over a clock change, to a day within a month: the last one is not over."""
    now = YEAR_BEGINS + timedelta(days=311, seconds=4711)
    periods = periods_to(date(2026, 11, 7), Step.MONTH, 5, NEW_YORK, now)
    together, alone = Tallies(periods, OFFICE), [Tally(one, OFFICE, (Stratum.LANE,)) for one in periods]

    for history in a_year():
        told = words_of_a_year()[history[0].case_id]
        together.add(history, told)
        for one in alone:
            one.add(history, told)

    assert list(map(measures_of, together.reports(["main"]))) == [measures_of(one.report(["main"])) for one in alone]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(any_history(), st.lists(words, max_size=3), st.integers(0, 40))
def test_each_week_of_any_history_is_what_it_is_alone(history: list[Change], told: list[Word], days: int) -> None:
    last_on = date(2026, 3, 20) + timedelta(days=days)
    periods = periods_to(last_on, Step.WEEK, 7, ZONE, midnight(last_on, ZONE) + timedelta(hours=9))
    together = Tallies(periods, CALENDAR)

    together.add(history, told)

    for period, report in zip(periods, together.reports([]), strict=True):
        alone = Tally(period, CALENDAR, (Stratum.LANE,))
        alone.add(history, told)
        assert measures_of(report) == measures_of(alone.report([])), period


@pytest.mark.parametrize(
    ("last_on", "step", "first", "last"),
    [
        ("2026-11-21", Step.MONTH, "2026-09-01 2026-09-30", "2026-11-01 2026-11-30"),
        ("2026-03-31", Step.MONTH, "2026-01-01 2026-01-31", "2026-03-01 2026-03-31"),
        ("2026-01-01", Step.MONTH, "2025-11-01 2025-11-30", "2026-01-01 2026-01-31"),
        ("2026-03-08", Step.WEEK, "2026-02-16 2026-02-22", "2026-03-02 2026-03-08"),
        ("2026-03-09", Step.WEEK, "2026-02-23 2026-03-01", "2026-03-09 2026-03-15"),
    ],
)
def test_periods_in_a_row_are_whole_weeks_or_months(last_on: str, step: Step, first: str, last: str) -> None:
    later = datetime(2030, 1, 1, tzinfo=UTC)

    found = periods_to(date.fromisoformat(last_on), step, 3, NEW_YORK, later)

    assert [f"{one.first_on} {one.last_on}" for one in (found[0], found[-1])] == [first, last]
    assert all(before.ends_at == after.begins_at for before, after in pairwise(found))


def test_a_row_that_is_not_over_ends_now_and_one_to_come_is_refused() -> None:
    now = datetime(2026, 11, 21, 12, tzinfo=UTC)

    found = periods_to(date(2026, 11, 21), Step.MONTH, 12, NEW_YORK, now)

    assert ([one.is_over for one in found], found[-1].until) == ([True] * 11 + [False], now)
    with pytest.raises(ValueError, match="not begun"):
        periods_to(date(2026, 12, 1), Step.MONTH, 12, NEW_YORK, now)
