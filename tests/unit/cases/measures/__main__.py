"""
``python -m tests.unit.cases.measures [GROUPS] [SEED]``: a larger year against the oracle than the tests have time for.

Compares every measure and stratum for the year and each of its months; says what was compared.
"""

from __future__ import annotations

import sys
from calendar import monthrange
from datetime import date

from bridge.cases.measures.period import period_of
from tests.unit.cases.measures import oracle
from tests.unit.cases.measures.histories import NEW_YORK, OFFICE, a_year, words_of_a_year
from tests.unit.cases.measures.test_oracle import LATER, compare, reported


def main(groups: int = 3000, seed: int = 7) -> None:
    """Compare, and stop at the first difference."""
    cases, words = a_year(groups, seed), words_of_a_year(groups, seed)
    months = [(date(2026, month, 1), date(2026, month, monthrange(2026, month)[1])) for month in range(1, 13)]
    for first, last in ((date(2026, 1, 1), date(2026, 12, 31)), *months):
        period = period_of(first, last, NEW_YORK, LATER)
        report = reported(cases, first, last, words=words)
        compare(report, oracle.figures(cases, period.begins_at, period.until, OFFICE, words))
        print(f"{first} to {last}: {report.cases} cases, {len(report.measures)} measures equal")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
