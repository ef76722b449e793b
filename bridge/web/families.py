"""What ``/metrics`` tells, by name: every family with its meaning and its labels. Nothing is read here."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_ONE, _STREAM = ("connection",), ("connection", "type")


@dataclass(frozen=True)
class Family:
    """One family: what it means, its labels, and whether it only ever counts up."""

    means: str
    labels: Sequence[str] = ()
    counts: bool = False


FAMILIES = MappingProxyType(
    {
        # This process and its machine.
        "bridge_build_info": Family("Always 1; which release this is.", ("version",)),
        "bridge_database_up": Family("1 while the database answers; without it little else is told."),
        "bridge_database_saves": Family("0 while the database did not save the last thing that it was to save."),
        "bridge_disk_free_bytes": Family("Free space where the SQLite file is."),
        "bridge_disk_size_bytes": Family("All space there."),
        "bridge_database_bytes": Family("What the SQLite file takes, its write-ahead log included."),
        "bridge_log_records": Family("What this process logged, by level.", ("level",), counts=True),
        # Reading.
        "bridge_lag_seconds": Family(
            "Now minus the watermark: everything older is stored. Before the first whole read: since it was asked for.",
            _STREAM,
        ),
        "bridge_crawl_resources": Family(
            "What the read that is under way has brought so far; 0 when none is.", _STREAM
        ),
        "bridge_crawl_seconds": Family("How long ago it began; 0 when none is.", _STREAM),
        "bridge_last_success_timestamp_seconds": Family("When a stream was last read to its end.", _STREAM),
        "bridge_read_failing": Family("1 while the last try to read a stream failed.", _STREAM),
        "bridge_last_proof_timestamp_seconds": Family(
            "When a sweep last compared all that open cases rest on with the EHR.", _ONE
        ),
        "bridge_proof_age_seconds": Family("How long ago that was; before the first, since it was begun.", _ONE),
        "bridge_proof_failing": Family("1 while the last sweep could not look at everything.", _ONE),
        "bridge_paused": Family("1 while a person has the whole connection paused.", _ONE),
        "bridge_type_paused": Family("1 while a person has the type, or the whole connection, paused.", _STREAM),
        "bridge_paused_seconds": Family("How long the oldest of these pauses has lasted; 0 when there is none.", _ONE),
        "bridge_inbox": Family("Received versions by what became of them.", (*_STREAM, "result"), counts=True),
        "bridge_inbox_parked": Family("Received versions that wait for a person, by reason.", (*_STREAM, "code")),
        "bridge_inbox_parked_oldest_age_seconds": Family(
            "How long the oldest of them has been parked; 0 when none is.", _ONE
        ),
        "bridge_late_rows": Family(
            "Versions that a poll had read past and another way in brought.", _STREAM, counts=True
        ),
        "bridge_sweep_repairs": Family("Versions that the sweep found and a poll had read past.", _ONE, counts=True),
        "bridge_parked": Family(
            "What waits for a person: received versions (inbox) and writes (outbox).", ("connection", "box")
        ),
        # Being told.
        "bridge_notifications": Family(
            "Requests to the hooks of this process by what came of them.", ("connection", "outcome"), counts=True
        ),
        "bridge_last_notification_timestamp_seconds": Family(
            "When any Subscription of the connection was last heard of.", _ONE
        ),
        "bridge_hints_oldest_age_seconds": Family(
            "How long the oldest notification, of no paused type, has waited to be read after; 0 when none waits.",
            _ONE,
        ),
        "bridge_subscriptions": Family("Subscriptions on the EHR by what they are worth.", ("connection", "state")),
        "bridge_notifications_missed": Family(
            "Changes that a poll found and no Subscription told of.", _ONE, counts=True
        ),
        # Writing.
        "bridge_outbox": Family("Intents by state.", ("connection", "state")),
        "bridge_outbox_oldest_age_seconds": Family(
            "How long the oldest intent has been in a state that is not the end; 0 when none is or nothing is written.",
            ("connection", "state"),
        ),
        "bridge_outbox_parked": Family("Intents that wait for a person, by reason.", ("connection", "code")),
        "bridge_deliveries": Family(
            "Tries to write to the EHR by how they ended and why.",
            ("connection", "kind", "outcome", "code"),
            counts=True,
        ),
        "bridge_second_copies_retired": Family(
            "Resources of ours that stood twice on the EHR; the second is marked as entered in error.",
            _ONE,
            counts=True,
        ),
        # The EHR, and the governor that spares it.
        "bridge_ehr_away": Family("1 while the EHR does not answer and is only tried now and then.", _ONE),
        "bridge_ehr_away_cause": Family("1 for the reason why it is away.", ("connection", "cause")),
        "bridge_ehr_away_seconds": Family("How long it has been away; 0 when it is not.", _ONE),
        "bridge_ehr_asked_to_wait_seconds": Family("How long the EHR asked to be left alone from now on.", _ONE),
        "bridge_ehr_clock_ahead_seconds": Family("How far the EHR's clock is ahead of ours, to a few seconds.", _ONE),
        "bridge_requests": Family(
            "Requests of this process to the EHR by what came of them.", ("connection", "outcome"), counts=True
        ),
        # The work.
        "bridge_cases": Family("Cases by lane and status.", ("connection", "lane", "status")),
        "bridge_cases_overdue": Family("Open cases that were due before now.", ("connection", "lane")),
    }
)
"""Families by name, counters without their ``_total``."""


class Scrape:
    """The figures of one scrape."""

    def __init__(self) -> None:
        self._metrics = {name: _metric(name, family) for name, family in FAMILIES.items()}

    def add(self, name: str, value: float, *labels: str) -> None:
        """Add a figure of the family *name*, its labels in their order."""
        self._metrics[name].add_metric(labels, value)

    def all(self) -> Iterator[Metric]:
        """Return every family."""
        yield from self._metrics.values()


def _metric(name: str, family: Family) -> CounterMetricFamily | GaugeMetricFamily:
    kind = CounterMetricFamily if family.counts else GaugeMetricFamily
    return kind(name, family.means, labels=family.labels)
