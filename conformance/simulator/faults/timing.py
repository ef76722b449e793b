"""When a change shows, and what time it carries."""

from __future__ import annotations

from datetime import datetime, timedelta

from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, OptionFault, seconds
from conformance.simulator.pages import Listing
from conformance.simulator.store import Version
from conformance.simulator.wire import Request

_STRONG = "x-amz-fhir-history-consistency-level"


class YoungHistory(Fault):
    """Leave the first version out of histories while it is young."""

    def __init__(self, age: str = "60") -> None:
        self._age = seconds(age)

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        if listing.query is not None:
            return listing.versions
        old = ehr.clock() - self._age
        return [version for version in listing.versions if version.number > 1 or version.at <= old]


class Reindex(Fault):
    """Leave a resource out of searches for a while after each of its versions; a read finds it."""

    def __init__(self, lasting: str = "600") -> None:
        self._lasting = seconds(lasting)

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        if listing.query is None or request.headers.get(_STRONG) == "strong":
            return listing.versions
        since = ehr.clock() - self._lasting
        return [version for version in listing.versions if not _changed_after(version, since, ehr)]


def _changed_after(version: Version, since: datetime, ehr: Ehr) -> bool:
    head = ehr.store.head(version.type, version.id)
    assert head is not None
    return head.at > since


def _positive(span: timedelta) -> timedelta:
    if span < timedelta(milliseconds=1):
        raise ValueError("a step is a millisecond or more")
    return span


def _late(delay: str = "120") -> Fault:
    low, _, high = delay.partition("-")
    return OptionFault(commit_delay=seconds(low), commit_delay_at_most=seconds(high or low))


def _silent(elements: str = "") -> Fault:
    return OptionFault(silent_updates=frozenset(elements.split("+")) - {""})


KINDS = (
    FaultKind(
        "late-commit",
        "[SECONDS|FROM-TO]",
        "a version shows up in searches that long after its lastUpdated; with a range each by chance",
        "LinuxForHealth/FHIR #2030: commits become visible up to 120 s late",
        _late,
    ),
    FaultKind(
        "equal-timestamps",
        "[SECONDS]",
        "all versions of one such span carry the same lastUpdated",
        "hapi-fhir #3086, #5720: histories skipped and repeated rows that share a timestamp",
        lambda step="10": OptionFault(timestamp_step=_positive(seconds(step))),
    ),
    FaultKind(
        "young-history",
        "[SECONDS]",
        "histories leave out the first version of a resource while it is younger than that",
        "hapi-fhir #3369, #7897",
        YoungHistory,
    ),
    FaultKind(
        "reindex",
        "[SECONDS]",
        "a changed resource is missing from searches for that long; a read finds it",
        "AWS HealthLake developer guide, FHIR search consistency levels; microsoft/fhir-server adr-2505",
        Reindex,
    ),
    FaultKind(
        "still-timestamps",
        "[ELEMENT+ELEMENT...]",
        "an update does not move lastUpdated; with elements, an update of nothing but these",
        "Oracle Health R4, ServiceRequest: _lastUpdated moves for clinically relevant changes",
        _silent,
    ),
    FaultKind(
        "zone-shift",
        "HOURS",
        "dates without a zone are read in the server's own, so many hours ahead of UTC",
        "hapi-fhir #2113, #1499",
        lambda hours: OptionFault(zone_shift=timedelta(hours=float(hours))),
    ),
    FaultKind(
        "clock-skew",
        "SECONDS",
        "the server's clock, its Date header and its timestamps are so much ahead; behind, with a minus",
        "ours; LinuxForHealth/FHIR #2030 allows for 2 s between nodes",
        lambda skew: OptionFault(clock_skew=seconds(skew)),
    ),
)
