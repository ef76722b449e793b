"""
Measuring on demand: the histories are read page by page, each page in a transaction of its own.

One measurement runs at a time: it keeps a processor busy for as long as it takes (measured 2026-11 on SQLite, a year of
histories of 28 changes each: one report 0.36 ms of a processor a case, twelve months or weeks together 0.63 ms; so
100,000 cases take 36 and 63 s, and 100 MB). What it came to is remembered: for good where the period is over, since
nothing recorded later counts in it, else for a minute. Of a row of periods only those are measured that are not known:
mostly the last one.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from threading import Lock

from bridge.cases.calendar import Calendar
from bridge.cases.changes import CaseClosed, Change
from bridge.cases.intents import IntentState, tells_the_end
from bridge.cases.measures.of_endings import LOOP_CLOSES_WITHIN
from bridge.cases.measures.period import Period, Step, period_of, periods_to
from bridge.cases.measures.rounds import Word
from bridge.cases.measures.tally import Report, Tally
from bridge.cases.measures.trend import Tallies, Trend
from bridge.store.port import Tx
from bridge.web.context import WebContext
from bridge.web.problems import ApiError

PAGE = 200
"""Histories that are in memory at once."""
PATIENCE_SECONDS = 120
"""How long a request waits for another's measurement."""
IN_A_ROW = 12
"""Weeks or months that are shown together."""
KEPT = 8 * IN_A_ROW
"""Reports that are remembered."""
FRESH = timedelta(minutes=1)
SETTLED = timedelta(minutes=10)
"""So long after its end a period's report is kept for good: the clocks of two replicas may differ a little."""

_ALL = 1_000_000

_Key = tuple[str, tuple[str, ...], date, date]
_Measure = Callable[[Sequence[Period], Sequence[str]], Sequence[Report]]
_Add = Callable[[Sequence[Change], Iterable[Word]], None]


class Measuring:
    """The measures of a site."""

    def __init__(self, context: WebContext) -> None:
        self._context = context
        self._busy = Lock()
        self._kept: OrderedDict[_Key, tuple[datetime, Report]] = OrderedDict()

    def report(self, first_on: date | None, last_on: date | None, connection: str | None) -> Report:
        """
        Return every measure of the days *first_on* to *last_on*, by default of this month until today.

        Raises:
            ApiError: 422 where these are no such days or there is no such connection, 503 where another measurement
                takes too long.
        """
        period = self._period(first_on, last_on)
        names = self._names(connection)
        with self._alone():
            [report] = self._remembered([period], names, self._whole)
        return report

    def trend(self, by: Step, last_on: date | None, connection: str | None) -> Trend:
        """
        Return every measure, by lane, of the ``IN_A_ROW`` weeks or months up to the one of *last_on*, by default today.

        Raises:
            ApiError: As for ``report``.
        """
        now, zone = self._context.clock(), self._context.zone
        try:
            periods = periods_to(last_on or now.astimezone(zone).date(), by, IN_A_ROW, zone, now)
        except (ValueError, OverflowError) as error:
            raise ApiError(422, f"to: {error}.") from error
        names = self._names(connection)
        with self._alone():
            return Trend(by=by, reports=tuple(self._remembered(periods, names, self._by_lane)))

    @contextmanager
    def _alone(self) -> Iterator[None]:
        if not self._busy.acquire(timeout=PATIENCE_SECONDS):
            raise ApiError(503, "Another measurement is still running.").with_header("Retry-After", "60")
        try:
            yield
        finally:
            self._busy.release()

    def _remembered(self, periods: Sequence[Period], names: tuple[str, ...], measure: _Measure) -> list[Report]:
        """Return the reports of these periods; all that are not known any more are measured together."""
        now, keys = self._context.clock(), [(measure.__name__, names, one.first_on, one.last_on) for one in periods]
        for key in keys:
            if key in self._kept and not _still_holds(*self._kept[key], now):
                del self._kept[key]
        unknown = [(key, one) for key, one in zip(keys, periods, strict=True) if key not in self._kept]
        if unknown:
            reports = measure([one for _, one in unknown], names)
            self._kept.update((key, (now, report)) for (key, _), report in zip(unknown, reports, strict=True))
        for key in keys:
            self._kept.move_to_end(key)
        found = [self._kept[key][1] for key in keys]
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)
        return found

    def _period(self, first_on: date | None, last_on: date | None) -> Period:
        now = self._context.clock()
        today = now.astimezone(self._context.zone).date()
        last_on = last_on or max(today, first_on or today)
        first_on = first_on or last_on.replace(day=1)
        try:
            return period_of(first_on, last_on, self._context.zone, now)
        except (ValueError, OverflowError) as error:
            raise ApiError(422, f"from and to: {error}.") from error

    def _names(self, connection: str | None) -> tuple[str, ...]:
        names = tuple(self._context.lines)
        if connection is None or connection == "":
            return names
        if connection not in names:
            raise ApiError(422, f"connection: there are {', '.join(names)}.")
        return (connection,)

    def _whole(self, periods: Sequence[Period], names: Sequence[str]) -> Sequence[Report]:
        [period] = periods
        tally = Tally(period, self._calendar(names))
        self._read(names, period, period, tally.add)
        return [tally.report(names)]

    def _by_lane(self, periods: Sequence[Period], names: Sequence[str]) -> Sequence[Report]:
        tallies = Tallies(periods, self._calendar(names))
        self._read(names, periods[0], periods[-1], tallies.add)
        return tallies.reports(names)

    def _calendar(self, names: Sequence[str]) -> Calendar:
        return next((self._context.lines[name].rules.calendar for name in names), Calendar(self._context.zone))

    def _read(self, names: Sequence[str], first: Period, last: Period, add: _Add) -> None:
        since, before = first.begins_at - LOOP_CLOSES_WITHIN, last.until
        for name in names:
            after: int | None = 0
            while after is not None:
                with self._context.store.reading() as tx:
                    page = tx.histories(name, since=since, before=before, limit=PAGE, after=after)
                    words = _words(tx, name, page.histories)
                for history in page.histories:
                    add(history, words.get(history[0].case_id, ()))
                after = page.next


def _words(tx: Tx, connection: str, histories: Iterable[Sequence[Change]]) -> dict[str, list[Word]]:
    """Return what the requesters of these cases were told of how they ended, of those that did."""
    ended = [each[0].case_id for each in histories if any(map(_is_end, each))]
    found: dict[str, list[Word]] = {}
    rows = tx.outbox(connection=connection, case_ids=ended, state=IntentState.CONFIRMED, limit=_ALL) if ended else ()
    for row in rows:
        if row.settled_at is not None and tells_the_end(row.intent):
            found.setdefault(row.intent.case_id, []).append(Word(row.intent.case_version, row.settled_at))
    return found


def _is_end(change: Change) -> bool:
    return isinstance(change.fact, CaseClosed)


def _still_holds(measured_at: datetime, report: Report, now: datetime) -> bool:
    settled = report.complete and measured_at - report.until >= SETTLED
    return settled or timedelta() <= now - measured_at < FRESH
