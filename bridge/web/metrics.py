"""
``/metrics`` for Prometheus, read from the store at every scrape: any replica tells the same, but of what each counts
for itself: requests to its hooks and to the EHR, log records, and its own process.

Labels come from closed sets (configured connections, the four types, our states, lanes, statuses and reasons), so the
number of series does not grow with the number of cases, and none can hold anything about a person.

A scrape costs what is unfinished, parked or overdue. What has to be counted over everything there ever was is kept
for twenty times as long as counting it took (``Counted``). Measured 2026-11 on SQLite with a million cases, 100,000 of
them open, and three million writes: 20 ms a scrape, and 2.2 s for the one in 40 s that counts anew.
"""

from __future__ import annotations

import time
from collections import Counter as Tally
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from threading import Lock

import msgspec
from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from bridge import logs
from bridge.cases.intents import IntentState
from bridge.errors import StoreUnavailable
from bridge.store.port import Tx
from bridge.store.rows import Counts, Cursor
from bridge.sync.governor import Away
from bridge.sync.hearing import Condition, condition
from bridge.sync.line import Line
from bridge.sync.pauses import Pauses
from bridge.sync.sweep import SWEEP_STREAM
from bridge.web.connections import not_asked, repairs
from bridge.web.context import WebContext
from bridge.web.families import Scrape
from bridge.web.rings import Outcome, Rings

_RESULTS = ("applied", "duplicate", "ignored", "parked")
_UNFINISHED = (IntentState.QUEUED, IntentState.SENDING, IntentState.PARKED, IntentState.NOT_WRITABLE)
_UNSENT = (IntentState.QUEUED, IntentState.SENDING)
_OTHER = "other"

SHARE = 20
"""At most one part in so many of the time is spent on counting over everything (rule ours)."""

AT_ONCE_SECONDS = 0.05
"""What is counted faster than this is counted at every scrape (rule ours)."""


@dataclass(frozen=True)
class Totals:
    """What can only be counted over everything there ever was."""

    cases: Mapping[tuple[str, str], int]
    outbox: Mapping[IntentState, int]


class Counted:
    """Totals by connection, counted by one thread at a time and kept for a while where that took long."""

    def __init__(self, timer: Callable[[], float] = time.monotonic) -> None:
        self._timer, self._busy = timer, Lock()
        self._kept: dict[str, tuple[float, Totals]] = {}

    def of(self, connection: str, count: Callable[[], Totals]) -> Totals:
        """Return the totals of *connection*, by *count* where those that are kept are too old."""
        with self._busy:
            until, kept = self._kept.get(connection, (0.0, None))
            began = self._timer()
            if kept is None or began >= until:
                kept = count()
                took = self._timer() - began
                self._kept[connection] = (began + (SHARE * took if took >= AT_ONCE_SECONDS else 0.0), kept)
            return kept


class StoreCollector(Collector):
    """Reads the figures from the store whenever Prometheus asks."""

    def __init__(self, context: WebContext) -> None:
        self._context, self._counted = context, Counted()

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without figures, so that registering reads nothing."""
        return Scrape().all()

    def collect(self) -> Iterator[Metric]:
        """Read every connection's figures; without a database, those of this process alone."""
        scrape = Scrape()
        try:
            with self._context.store.reading() as tx:
                for line in self._context.lines.values():
                    self._line(scrape, tx, line, self._context.clock())
            scrape.add("bridge_database_up", 1)
        except StoreUnavailable:
            scrape = Scrape()
            scrape.add("bridge_database_up", 0)
        scrape.add("bridge_database_saves", self._context.store.problem is None)
        self._process(scrape)
        yield from scrape.all()

    def _line(self, scrape: Scrape, tx: Tx, line: Line, now: datetime) -> None:
        totals = self._counted.of(line.name, lambda: Totals(tx.case_counts(line.name), tx.outbox_counts(line.name)))
        _intake(scrape, tx, line, now)
        _parked(scrape, tx, line, now)
        _outgoing(scrape, tx, line, totals.outbox, now)
        _heard(scrape, tx, line.name, self._context.rings, now)
        _ehr(scrape, tx, line.name, now)
        _cases(scrape, tx, line, totals.cases, now)

    def _process(self, scrape: Scrape) -> None:
        context = self._context
        scrape.add("bridge_build_info", 1, context.version)
        for level in logs.LEVELS:
            scrape.add("bridge_log_records", logs.RECORDED[level], level)
        for (connection, outcome), number in sorted(context.asked().items()):
            scrape.add("bridge_requests", number, connection, outcome)
        disk = context.disk()
        if disk is not None:
            scrape.add("bridge_disk_free_bytes", disk.free)
            scrape.add("bridge_disk_size_bytes", disk.size)
            scrape.add("bridge_database_bytes", disk.database)


def registry(context: WebContext) -> CollectorRegistry:
    """Return what is scraped: the store's figures, and this process's (``process_*``)."""
    made = CollectorRegistry()
    made.register(StoreCollector(context))
    ProcessCollector(registry=made)
    return made


def router(context: WebContext) -> APIRouter:
    """Return the route."""
    scraped, metrics = registry(context), APIRouter()

    @metrics.get("/metrics", include_in_schema=False)
    def scrape() -> Response:
        return Response(generate_latest(scraped), media_type=CONTENT_TYPE_LATEST)

    return metrics


def _cases(scrape: Scrape, tx: Tx, line: Line, cases: Mapping[tuple[str, str], int], now: datetime) -> None:
    lanes = line.rules.lanes
    counts: Tally[tuple[str, str]] = Tally()
    for (lane, status), number in cases.items():
        counts[lane if lane in lanes else _OTHER, str(status)] += number
    for (lane, status), number in sorted(counts.items()):
        scrape.add("bridge_cases", number, line.name, lane, status)
    overdue = Tally({lane.name: 0 for lane in lanes.all})
    for lane_name, number in tx.overdue_counts(line.name, now).items():
        overdue[lane_name if lane_name in lanes else _OTHER] += number
    for lane_name, number in sorted(overdue.items()):
        scrape.add("bridge_cases_overdue", number, line.name, lane_name)


def _intake(scrape: Scrape, tx: Tx, line: Line, now: datetime) -> None:
    totals, groups, late = tx.totals(line.name), tx.late(line.name), Tally[str]()
    for group in groups:
        late[group.type] += group.found
    scrape.add("bridge_sweep_repairs", repairs(groups), line.name)
    pauses = Pauses(tuple(tx.pauses(line.name)))
    scrape.add("bridge_paused", pauses.whole is not None, line.name)
    scrape.add("bridge_paused_seconds", _age(min((row.at for row in pauses.rows), default=None), now), line.name)
    cursors = {cursor.stream: cursor for cursor in tx.cursors(line.name)}
    proof = cursors.get(SWEEP_STREAM)
    scrape.add("bridge_proof_failing", proof is not None and proof.problem is not None, line.name)
    if proof is not None and (age := proof.lag(now)) is not None:
        scrape.add("bridge_proof_age_seconds", age.total_seconds(), line.name)
    if proof is not None and proof.checked_at is not None:
        scrape.add("bridge_last_proof_timestamp_seconds", proof.checked_at.timestamp(), line.name)
    ahead = tx.budget(line.name).ahead
    for stream in line.types:
        counts = totals.get(stream, Counts())
        _reading(scrape, cursors.get(stream) or Cursor(connection=line.name, stream=stream), now, ahead)
        scrape.add("bridge_type_paused", pauses.whole is not None or stream in pauses.types, line.name, stream)
        scrape.add("bridge_late_rows", late[stream], line.name, stream)
        for result, number in msgspec.structs.asdict(counts).items():
            if result in _RESULTS:
                scrape.add("bridge_inbox", number, line.name, stream, result)


def _reading(scrape: Scrape, cursor: Cursor, now: datetime, ahead: timedelta | None) -> None:
    labels, lag = (cursor.connection, cursor.stream), cursor.lag(now, ahead)
    scrape.add("bridge_read_failing", cursor.problem is not None, *labels)
    if lag is not None:
        scrape.add("bridge_lag_seconds", lag.total_seconds(), *labels)
    scrape.add("bridge_crawl_resources", cursor.read, *labels)
    scrape.add("bridge_crawl_seconds", _age(cursor.started_at, now + (ahead or timedelta(0))), *labels)
    if cursor.checked_at is not None:
        scrape.add("bridge_last_success_timestamp_seconds", cursor.checked_at.timestamp(), *labels)


def _parked(scrape: Scrape, tx: Tx, line: Line, now: datetime) -> None:
    parked: Tally[tuple[str, str]] = Tally()
    for _, type_, code, number in tx.parked_groups(line.name):
        parked[type_ if type_ in line.types else _OTHER, code] += number
    for (type_, code), number in sorted(parked.items()):
        scrape.add("bridge_inbox_parked", number, line.name, type_, code)
    scrape.add("bridge_parked", parked.total(), line.name, "inbox")
    scrape.add("bridge_inbox_parked_oldest_age_seconds", _age(tx.parked_since(line.name), now), line.name)


def _heard(scrape: Scrape, tx: Tx, connection: str, rings: Rings, now: datetime) -> None:
    for outcome in Outcome:
        scrape.add("bridge_notifications", rings.of(connection, outcome), connection, outcome.value)
    waiting = tx.hints(connection, 1, Pauses(tuple(tx.pauses(connection))).types)
    age = _age(waiting[0].noted_at if waiting else None, now)
    scrape.add("bridge_hints_oldest_age_seconds", age, connection)
    rows = tx.subscribed(connection)
    worth = Tally(condition(row, now) for row in rows)
    for state in Condition:
        scrape.add("bridge_subscriptions", worth[state], connection, state.value)
    scrape.add("bridge_notifications_missed", sum(row.missed for row in rows), connection)
    heard_at = max((row.heard_at for row in rows if row.heard_at is not None), default=None)
    if heard_at is not None:
        scrape.add("bridge_last_notification_timestamp_seconds", heard_at.timestamp(), connection)


def _outgoing(scrape: Scrape, tx: Tx, line: Line, ever: Mapping[IntentState, int], now: datetime) -> None:
    connection, unfinished = line.name, tx.unfinished(line.name)
    parked: Tally[str] = Tally()
    for state in IntentState:
        rows = [row for row in unfinished if row.state is state]
        number = sum(row.found for row in rows) if state in _UNFINISHED else ever.get(state, 0)
        scrape.add("bridge_outbox", number, connection, state.value)
        if state in _UNFINISHED:
            waits = line.writes or state not in _UNSENT
            since = min((row.since for row in rows), default=None) if waits else None
            scrape.add("bridge_outbox_oldest_age_seconds", _age(since, now), connection, state.value)
        if state is IntentState.PARKED:
            parked.update({row.code or "": row.found for row in rows})
    for code, number in sorted(parked.items()):
        scrape.add("bridge_outbox_parked", number, connection, code)
    scrape.add("bridge_parked", parked.total(), connection, "outbox")
    for row in tx.deliveries(connection):
        scrape.add("bridge_deliveries", row.found, connection, row.kind, row.outcome, row.code)
    scrape.add("bridge_second_copies_retired", tx.copies(connection).get(IntentState.CONFIRMED, 0), connection)


def _ehr(scrape: Scrape, tx: Tx, connection: str, now: datetime) -> None:
    budget = tx.budget(connection)
    away = budget.open_until is not None
    scrape.add("bridge_ehr_away", away, connection)
    scrape.add("bridge_ehr_away_seconds", _age(budget.away_since, now), connection)
    for cause in Away:
        scrape.add("bridge_ehr_away_cause", away and budget.cause == cause, connection, cause.value)
    asked = not_asked(budget, now) if not away else None
    wait = (asked.until - now).total_seconds() if asked is not None else 0.0
    scrape.add("bridge_ehr_asked_to_wait_seconds", wait, connection)
    if budget.ahead is not None:
        scrape.add("bridge_ehr_clock_ahead_seconds", budget.ahead.total_seconds(), connection)


def _age(since: datetime | None, now: datetime) -> float:
    return 0.0 if since is None else max(0.0, (now - since).total_seconds())
