"""
The rungs of the polling ladder: every way in which a resource type can be read, from the best to the last.

Pure. Which rungs there are for a type on a server is worked out here, from what the server declares, what its
profile says and what the site has configured; ``ladder`` tries them in this order.

``last-updated`` asks for what changed. ``date`` asks for what was made since, and reads everything again that
is still open. The others read everything there is and compare: the whole type, or all of each patient,
practitioner or location, for servers that refuse a search without one. What a snapshot does not show is never
taken for deleted: the sweep asks for it by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from bridge.fhir.times import format_instant
from bridge.fhir.vendors.compare import LAST_UPDATED, Readable
from bridge.mappers.mapper import Search

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
"""Where a stream begins that is searched by nothing else than a date (rule ours)."""


class Rung(StrEnum):
    """A way to read a resource type."""

    LAST_UPDATED = "last-updated"
    DATE = "date"
    SNAPSHOT = "snapshot"
    BY_PRACTITIONER = "by-practitioner"
    BY_LOCATION = "by-location"
    BY_PATIENT = "by-patient"


KEYED = {
    Rung.BY_PRACTITIONER: "practitioner",
    Rung.BY_LOCATION: "location",
    Rung.BY_PATIENT: "patient",
}
"""By which parameter the rungs search that go from one to the next."""


@dataclass(frozen=True)
class Roster:
    """
    Whose resources are read where a server gives no others.

    Args:
        patients, practitioners, locations: References (``Patient/1``); a ``Group`` stands for its members.
        back, ahead: Which appointments are read, where they have to be searched by day.
    """

    patients: tuple[str, ...] = ()
    practitioners: tuple[str, ...] = ()
    locations: tuple[str, ...] = ()
    back: timedelta = timedelta(days=7)
    ahead: timedelta = timedelta(days=90)

    def window(self, param: str | None, now: datetime) -> list[tuple[str, str]]:
        """Return the days that a search has to be bounded by, as search parameters; nothing without *param*."""
        if param is None:
            return []
        first, last = now - self.back, now + self.ahead
        return [(param, f"ge{format_instant(first)}"), (param, f"le{format_instant(last)}")]

    def named(self, param: str) -> tuple[str, ...]:
        """Return who is configured for searches by *param*."""
        return {"patient": self.patients, "practitioner": self.practitioners, "location": self.locations}[param]


@dataclass(frozen=True)
class Step:
    """
    A rung as one resource type climbs it on one server.

    Args:
        why: What speaks for it, in words.
        param: The parameter that it filters by.
        also: Another date that a search of its own filters by: the first need not be there in every resource.
        window: The date that its searches bound as well.
        status: Open statuses, by which what can still change is searched again, or alone where there is too much.
        bare: Whether a search without any filter is answered.
        count: The parameter that asks for a page's size.
    """

    rung: Rung
    why: str
    param: str | None = None
    also: str | None = None
    window: str | None = None
    status: str | None = None
    bare: bool = True
    count: str = "_count"


@dataclass(frozen=True)
class Steps:
    """The rungs to try for a resource type, in order, and why others are passed over."""

    steps: tuple[Step, ...]
    passed_over: tuple[str, ...]


def steps(can: Readable, search: Search, roster: Roster) -> Steps:
    """Return the rungs for a type that *can* be read so, best first."""
    if not can.search:
        return Steps((), (f"it cannot be searched for, says {can.said_by}",))
    offers: Mapping[Rung, Step | str] = {
        Rung.LAST_UPDATED: _last_updated(can),
        Rung.DATE: _date(can, search),
        Rung.SNAPSHOT: _snapshot(can, search),
        **{rung: _keyed(rung, can, search, roster) for rung in KEYED},
    }
    found = [step for offer in offers.values() if isinstance(offer, Step) for step in _and_bounded(offer, can, search)]
    return Steps(
        tuple(replace(step, count=can.count) for step in found),
        tuple(f"{rung}: {offer}" for rung, offer in offers.items() if isinstance(offer, str)),
    )


def wanted(rung: Rung, can: Readable, search: Search) -> tuple[Step, ...]:
    """Return the step that the site has set, whatever the server declares; it is tried all the same."""
    return _and_bounded(replace(_wanted(rung, can, search), count=can.count), can, search)


def _and_bounded(step: Step, can: Readable, search: Search) -> tuple[Step, ...]:
    """Return *step*, and the same within some days: a server may want a date beside the patient, and not declare it."""
    if step.rung is not Rung.BY_PATIENT or step.window is not None or not can.takes(search.window or ""):
        return (step,)
    return (step, replace(step, why=f"{step.why} and {search.window}", window=search.window))


def _wanted(rung: Rung, can: Readable, search: Search) -> Step:
    why = "set in the configuration"
    window = search.window if can.takes(search.window or "") else None
    if rung is Rung.LAST_UPDATED:
        return Step(rung, why, LAST_UPDATED)
    if rung is Rung.DATE:
        dates = [date for date in search.dates if can.takes(date)] or list(search.dates)
        first, also = [*dates, None, None][:2]
        return Step(rung, why, first, also, status=_open(can, search))
    bounds = can.window if rung is Rung.BY_PATIENT else window
    status = _open(can, search) if rung in KEYED else None
    return Step(rung, why, KEYED.get(rung), window=bounds, status=status)


def _only_by(can: Readable) -> str | None:
    return f"every search needs {' or '.join(can.keys)}, says the profile" if can.keys else None


def _last_updated(can: Readable) -> Step | str:
    if not can.takes(LAST_UPDATED):
        return f"{LAST_UPDATED} is not among the search parameters, says {can.said_by}"
    how = f"{LAST_UPDATED} is declared" if can.params is not None else f"nobody says that {LAST_UPDATED} is missing"
    return _only_by(can) or Step(Rung.LAST_UPDATED, how, LAST_UPDATED)


def _date(can: Readable, search: Search) -> Step | str:
    if not search.dates:
        return "it has no time at which it was made to search by"
    date, also = [*(date for date in search.dates if can.takes(date)), None, None][:2]
    if date is None:
        return f"it is not searched by {' or '.join(search.dates)}, says {can.said_by}"
    by = f"{date} and {also}" if also is not None else date
    return _only_by(can) or Step(Rung.DATE, f"searched by {by}", date, also, status=_open(can, search))


def _open(can: Readable, search: Search) -> str | None:
    return ",".join(search.open) if can.takes(search.status) else None


def _snapshot(can: Readable, search: Search) -> Step | str:
    window = search.window if search.window is not None and can.takes(search.window) else None
    return _only_by(can) or Step(Rung.SNAPSHOT, "the whole type can be searched", window=window)


def _keyed(rung: Rung, can: Readable, search: Search, roster: Roster) -> Step | str:
    param = KEYED[rung]
    if not can.takes(param) or (can.keys and param not in can.keys):
        return f"it is not searched by {param}, says {can.said_by}"
    if rung is not Rung.BY_PATIENT and (search.window is None or not roster.named(param)):
        return f"no {param}s are configured" if search.window is not None else "it is not on a schedule"
    if rung is Rung.BY_PATIENT:
        return Step(rung, "searched by patient", param, window=can.window, status=_open(can, search))
    window = search.window if can.takes(search.window or "") else None
    return Step(
        rung, f"searched by {param}, of whom some are configured", param, window=window, status=_open(can, search)
    )
