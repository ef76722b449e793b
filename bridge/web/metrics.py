"""
``/metrics`` for Prometheus, read from the store at every scrape: any replica tells the same, but of the requests to
its hooks, which each counts for itself.

Labels come from closed sets (configured connections, the four types, our states, lanes and statuses), so the
number of series does not grow with the number of cases, and none can hold anything about a person.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator
from datetime import datetime

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bridge.cases.intents import IntentState
from bridge.store.port import Counts, Tx
from bridge.sync.hearing import Condition, condition
from bridge.sync.line import Line
from bridge.web.connections import oldest_unsent_at, repairs
from bridge.web.context import WebContext
from bridge.web.rings import Outcome, Rings

_RESULTS = ("applied", "duplicate", "ignored", "parked")


class _Families:
    """The metrics of one scrape."""

    def __init__(self) -> None:
        stream = ["connection", "type"]
        self.lag = GaugeMetricFamily(
            "bridge_lag_seconds", "Now minus the watermark: everything older is stored.", labels=stream
        )
        self.success = GaugeMetricFamily(
            "bridge_last_success_timestamp_seconds", "When a stream was last read to its end.", labels=stream
        )
        self.inbox = CounterMetricFamily(
            "bridge_inbox", "Received versions by what became of them.", labels=[*stream, "result"]
        )
        self.late = CounterMetricFamily(
            "bridge_late_rows", "Versions that a poll had read past and another way in brought.", labels=stream
        )
        self.repairs = CounterMetricFamily(
            "bridge_sweep_repairs", "Versions that the sweep found and nothing else had brought.", labels=["connection"]
        )
        self.copies = CounterMetricFamily(
            "bridge_second_copies_retired",
            "Resources of ours that stood twice on the EHR; the second is marked as entered in error.",
            labels=["connection"],
        )
        self.outbox = GaugeMetricFamily("bridge_outbox", "Intents by state.", labels=["connection", "state"])
        self.oldest = GaugeMetricFamily(
            "bridge_outbox_oldest_age_seconds",
            "How long the oldest unsent intent has waited; 0 when none waits.",
            labels=["connection"],
        )
        self.away = GaugeMetricFamily(
            "bridge_ehr_away", "1 while the EHR does not answer and is only tried now and then.", labels=["connection"]
        )
        self.notifications = CounterMetricFamily(
            "bridge_notifications",
            "Requests to the hooks of this process by what came of them.",
            labels=["connection", "outcome"],
        )
        self.waiting = GaugeMetricFamily(
            "bridge_hints_oldest_age_seconds",
            "How long the oldest notification has waited to be read after; 0 when none waits.",
            labels=["connection"],
        )
        self.subscriptions = GaugeMetricFamily(
            "bridge_subscriptions", "Subscriptions on the EHR by what they are worth.", labels=["connection", "state"]
        )
        self.missed = CounterMetricFamily(
            "bridge_notifications_missed",
            "Changes that a poll found and no Subscription told of.",
            labels=["connection"],
        )
        self.cases = GaugeMetricFamily(
            "bridge_cases", "Cases by lane and status.", labels=["connection", "lane", "status"]
        )

    def all(self) -> Iterator[Metric]:
        """Return every metric."""
        yield from (
            self.lag,
            self.success,
            self.inbox,
            self.late,
            self.repairs,
            self.copies,
            self.outbox,
            self.oldest,
            self.away,
            self.notifications,
            self.waiting,
            self.subscriptions,
            self.missed,
            self.cases,
        )


class StoreCollector(Collector):
    """Reads the figures from the store whenever Prometheus asks."""

    def __init__(self, context: WebContext) -> None:
        self._context = context

    def describe(self) -> Iterator[Metric]:
        """Return the metrics without figures, so that registering reads nothing."""
        return _Families().all()

    def collect(self) -> Iterator[Metric]:
        """Read every connection's figures."""
        families, now = _Families(), self._context.clock()
        with self._context.store.reading() as tx:
            for line in self._context.lines.values():
                _intake(families, tx, line, now)
                _outgoing(families, tx, line.name, now)
                _heard(families, tx, line.name, self._context.rings, now)
                _cases(families, tx, line)
        yield from families.all()


def router(context: WebContext) -> APIRouter:
    """Return the route."""
    registry = CollectorRegistry()
    registry.register(StoreCollector(context))
    metrics = APIRouter()

    @metrics.get("/metrics", include_in_schema=False)
    def scrape() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return metrics


def _cases(families: _Families, tx: Tx, line: Line) -> None:
    counts: Tally[tuple[str, str]] = Tally()
    for (lane, status), number in tx.case_counts(line.name).items():
        counts[lane if lane in line.rules.lanes else "other", str(status)] += number
    for (lane, status), number in sorted(counts.items()):
        families.cases.add_metric([line.name, lane, status], number)


def _intake(families: _Families, tx: Tx, line: Line, now: datetime) -> None:
    totals, late = tx.totals(line.name), Tally[str]()
    for group in tx.late(line.name):
        late[group.type] += group.found
    families.repairs.add_metric([line.name], repairs(totals))
    cursors = {cursor.stream: cursor for cursor in tx.cursors(line.name)}
    for stream in line.types:
        labels = [line.name, stream]
        cursor, counts = cursors.get(stream), totals.get(stream, Counts())
        if cursor is not None and cursor.watermark is not None:
            families.lag.add_metric(labels, max(0.0, (now - cursor.watermark).total_seconds()))
        if cursor is not None and cursor.checked_at is not None:
            families.success.add_metric(labels, cursor.checked_at.timestamp())
        families.late.add_metric(labels, late[stream])
        for result in _RESULTS:
            families.inbox.add_metric([*labels, result], getattr(counts, result))


def _heard(families: _Families, tx: Tx, connection: str, rings: Rings, now: datetime) -> None:
    for outcome in Outcome:
        families.notifications.add_metric([connection, outcome.value], rings.of(connection, outcome))
    waiting = tx.hints(connection, 1)
    age = max(0.0, (now - waiting[0].noted_at).total_seconds()) if waiting else 0.0
    families.waiting.add_metric([connection], age)
    rows = tx.subscribed(connection)
    worth = Tally(condition(row, now) for row in rows)
    for state in Condition:
        families.subscriptions.add_metric([connection, state.value], worth[state])
    families.missed.add_metric([connection], sum(row.missed for row in rows))


def _outgoing(families: _Families, tx: Tx, connection: str, now: datetime) -> None:
    counts = tx.outbox_counts(connection)
    for state in IntentState:
        families.outbox.add_metric([connection, state.value], counts.get(state, 0))
    families.copies.add_metric([connection], tx.copies(connection).get(IntentState.CONFIRMED, 0))
    oldest = oldest_unsent_at(tx, connection)
    age = 0.0 if oldest is None else max(0.0, (now - oldest).total_seconds())
    families.oldest.add_metric([connection], age)
    families.away.add_metric([connection], tx.budget(connection).open_until is not None)
