"""Every measure equals an independent computation of it, to the second, for every stratum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
import pytest

from bridge.cases.changes import Change
from bridge.cases.measures.definitions import DEFINITIONS
from bridge.cases.measures.of_endings import LOOP_CLOSES_WITHIN
from bridge.cases.measures.period import period_of
from bridge.cases.measures.rounds import Word
from bridge.cases.measures.tally import Report, Tally
from tests.unit.cases.builders import refolded
from tests.unit.cases.measures import oracle
from tests.unit.cases.measures.histories import NEW_YORK, OFFICE, YEAR_BEGINS, a_year, words_of_a_year

LATER = YEAR_BEGINS + timedelta(days=900)


@pytest.fixture(scope="module")
def year() -> list[list[Change]]:
    return a_year()


def reported(
    cases: Sequence[Sequence[Change]],
    first: date,
    last: date,
    now: datetime = LATER,
    words: Mapping[str, Sequence[Word]] | None = None,
) -> Report:
    tally = Tally(period_of(first, last, NEW_YORK, now), OFFICE)
    words = words_of_a_year() if words is None else words
    for history in cases:
        tally.add(history, words.get(history[0].case_id, ()))
    return tally.report(["main"])


def as_compared(report: Report) -> dict[str, dict[str, dict[str, Any]]]:
    found = {}
    for one in report.measures:
        strata = {"whole": {"": one.whole}, **one.by}
        plain: dict[str, dict[str, Any]] = msgspec.to_builtins(strata)
        for figures in plain.values():
            for figure in figures.values():
                del figure["kind"]
        found[one.code] = plain
    return found


def compare(report: Report, expected: dict[str, dict[str, dict[str, Any]]]) -> None:
    got = as_compared(report)
    assert set(got) == set(expected)
    for code, strata in got.items():
        for stratum, figures in strata.items():
            assert figures == expected[code][stratum], f"{code} by {stratum}"


@pytest.mark.parametrize(
    ("first", "last", "now"),
    [
        (date(2026, 1, 1), date(2026, 12, 31), LATER),
        (date(2026, 3, 8), date(2026, 3, 8), LATER),
        (date(2026, 11, 1), date(2026, 11, 30), LATER),
        (date(2026, 6, 1), date(2026, 6, 30), YEAR_BEGINS + timedelta(days=170, seconds=4711)),
    ],
    ids=["a year", "a day of 23 hours", "a month with a day of 25 hours", "a month that is not over"],
)
def test_measures_equal_the_oracle(year: list[list[Change]], first: date, last: date, now: datetime) -> None:
    period = period_of(first, last, NEW_YORK, now)

    report = reported(year, first, last, now)

    compare(report, oracle.figures(year, period.begins_at, period.until, OFFICE, words_of_a_year()))


def test_the_generated_year_has_something_of_everything(year: list[list[Change]]) -> None:
    """Otherwise equality would prove little."""
    for one in reported(year, date(2026, 1, 1), date(2026, 12, 31)).measures:
        figures = msgspec.to_builtins(one.whole)
        amount = figures.get("numerator", figures.get("measured", figures.get("total", 0)))
        assert amount >= 5, one.code


def test_the_oracle_knows_every_measure() -> None:
    assert {(one.code, one.kind.value) for one in DEFINITIONS} == {
        (code, kind) for code, (kind, _, _) in oracle.MEASURES.items()
    }


def is_open(history: Sequence[Change]) -> bool:
    case = refolded(history)
    return case is not None and case.is_open


def test_what_the_store_leaves_out_changes_nothing(year: list[list[Change]]) -> None:
    """It gives no case that was closed, and of which nothing was recorded, a week before the period began."""
    first, last = date(2026, 9, 1), date(2026, 9, 30)
    begins = period_of(first, last, NEW_YORK, LATER).begins_at

    since = begins - LOOP_CLOSES_WITHIN
    given = [history for history in year if history[-1].at >= since or is_open(history)]

    assert len(given) < len(year) - 100
    assert as_compared(reported(given, first, last)) == as_compared(reported(year, first, last))
