"""One figure of one measure, for tests that look closely."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from typing import Any

from bridge.cases.changes import Change
from bridge.cases.measures.period import period_of
from bridge.cases.measures.rounds import Word
from bridge.cases.measures.tally import Tally
from tests.unit.cases.builders import OFFICE, Desk

MONTH = (date(2026, 6, 1), date(2026, 6, 30))


def measured(
    desk: Desk, code: str, days: tuple[date, date] = MONTH, *, running: bool = False, words: Sequence[Word] = ()
) -> Any:
    """Return the whole figure of a measure over every history of a desk, by default long after the period."""
    now = desk.now if running else desk.now + timedelta(days=400)
    return of_histories(desk.history.values(), code, days, now, words)


def of_histories(
    histories: Iterable[Iterable[Change]], code: str, days: tuple[date, date], now: Any, words: Sequence[Word] = ()
) -> Any:
    tally = Tally(period_of(*days, OFFICE.zone, now), OFFICE)
    for history in histories:
        tally.add(history, words)
    return next(one.whole for one in tally.report([]).measures if one.code == code)
