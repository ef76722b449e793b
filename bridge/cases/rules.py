"""
Everything the pure core needs to know about one connection: lanes, calendar, owners, switches.

``bootstrap`` builds one ``Rules`` per connection from the configuration; nothing in here is read twice.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec

from bridge.cases.calendar import Calendar, plausible
from bridge.cases.lane_parts import NEVER_OPENING_INTENTS, Opens
from bridge.cases.lanes import Lane, Lanes
from bridge.cases.owners import OwnerBook
from bridge.cases.snapshot import Effect, Snapshot

STALE_SUPPLY = timedelta(days=30)
"""A supply that ended longer ago is history, not work (rule ours): old prescriptions often stay ``active``."""


@dataclass(frozen=True)
class Rules:
    """What is work on one connection, and how it is handled there."""

    connection: str
    lanes: Lanes
    owners: OwnerBook
    calendar: Calendar
    tenant: str = "default"
    open_proposals: bool = False
    """Whether ``intent`` proposal and plan open cases."""


def fingerprint(rules: Rules) -> str:
    """Return what tells these rules from others: what is derived by them may be otherwise by others."""
    calendar, owners = rules.calendar, rules.owners
    told = (
        [lane.model_dump_json() for lane in rules.lanes.all],
        [line.model_dump_json() for line in rules.lanes.blockers],
        [repr(entry) for entry in owners.entries()],
        calendar.zone.key,
        sorted((day, str(opens), str(closes)) for day, (opens, closes) in calendar.hours.items()),
        sorted(map(str, calendar.holidays)),
        rules.open_proposals,
    )
    return hashlib.sha256(repr(told).encode()).hexdigest()[:32]


class Opening(msgspec.Struct, frozen=True, gc=False):
    """Whether a version opens a case, and when time alone might make it do so or change what has to be done."""

    opens: bool
    watch_at: datetime | None = None


def opening(snapshot: Snapshot, rules: Rules, now: datetime) -> Opening:
    """
    Say whether *snapshot* is work.

    ``doNotPerform`` and, unless switched on, ``intent`` proposal and plan never are (FHIR R4 request.html,
    intent; FHIR-to-work rule ours).
    """
    if snapshot.do_not_perform:
        return Opening(False)
    if snapshot.intent in NEVER_OPENING_INTENTS and not rules.open_proposals:
        return Opening(False)
    lane, belongs = rules.lanes.find(snapshot)
    if lane is None:
        return Opening(False)
    watch = _visit_ahead(snapshot, now)
    for rule in lane.opens:
        if snapshot.status in rule.statuses and (rule is belongs or rule.fits(snapshot)):
            if rule.runs_out_within is None:
                return Opening(True, watch)
            watch = runs_out_at(snapshot, rule, rules.calendar)
            if watch is not None and watch <= now:
                ended = _supply_end(snapshot, rules.calendar)
                return Opening(ended is not None and ended > now - STALE_SUPPLY)
    return Opening(False, watch)


def runs_out_at(snapshot: Snapshot, rule: Opens, calendar: Calendar) -> datetime | None:
    """Return when the supply of *snapshot* is about to run out by *rule*, where both can be told."""
    end = _supply_end(snapshot, calendar)
    if end is None or rule.runs_out_within is None:
        return None
    return calendar.before(end, rule.runs_out_within)


def running_out_since(snapshot: Snapshot, lane: Lane, calendar: Calendar, now: datetime) -> datetime | None:
    """
    Return since when the supply is about to run out, or ran out; ``None`` while it lasts.

    However long ago that was: ``STALE_SUPPLY`` keeps old prescriptions from becoming work, but does not end work
    that nobody did.
    """
    for rule in lane.opens:
        if rule.runs_out_within is not None and rule.fits(snapshot):
            at = runs_out_at(snapshot, rule, calendar)
            if at is not None and at <= now:
                return at
    return None


def _visit_ahead(snapshot: Snapshot, now: datetime) -> datetime | None:
    """Return when a booked visit begins, while that lies ahead: from then on it has to be found out how it went."""
    start = plausible(snapshot.start_at) if snapshot.effect is Effect.BOOKED else None
    return start if start is not None and start > now else None


def case_id(connection: str, root: str) -> str:
    """
    Return the id of the case of *root*: the same for the same work, also after a restore.

    32 lower-case hexadecimal digits with a leading ``c``, fit for a FHIR id and a URL.
    """
    return "c" + hashlib.sha256(f"{connection}\n{root}".encode()).hexdigest()[:31]


def _supply_end(snapshot: Snapshot, calendar: Calendar) -> datetime | None:
    return calendar.end_of(snapshot.run_out) if snapshot.run_out is not None else None
