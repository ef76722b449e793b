"""The clinic of a year: its work, its staff and who is away when, its hours, its holidays; and the rules it has."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, time, timedelta
from zoneinfo import ZoneInfo

from bridge.cases.calendar import Calendar
from bridge.cases.lanes import parse_lanes
from bridge.cases.owners import Absence, OwnerBook, OwnerEntry
from bridge.cases.rules import Rules
from bridge.cases.terms import OwnerKind
from tests.unit.cases.builders import SHIPPED_TEXT
from tests.unit.cases.year.almanac import Almanac
from tests.unit.cases.year.course import Staff, lanes_of

LANES = lanes_of(SHIPPED_TEXT)


@dataclass(frozen=True)
class Work:
    """
    One kind of work, and what the EHR says of it.

    ``blocker`` holds it up from the beginning, ``expert`` where it is not routine, ``visit`` is how its visit stands.
    """

    lane: str
    root: str = "Task/1"
    status: str = "requested"
    title: str = ""
    blocker: str | None = None
    expert: bool = False
    visit: str | None = None


REFERRAL = Work("referral", "ServiceRequest/1", "active", "Referral to cardiology")
WORK = (
    *(REFERRAL,) * 4,
    Work("prior-authorization", title="Prior authorization", blocker="authorization"),
    Work("missed-appointment", "Appointment/1", "noshow", "Visit", visit="missed"),
    *(Work("appointment-readiness", "Appointment/1", "booked", "Visit", visit="booked"),) * 3,
    Work("medication-refill", title="Refill"),
    Work("medication-refill", title="Refill of warfarin", expert=True),
    Work("missed-call", title="Missed call"),
    Work("results-follow-up", title="Abnormal result"),
    Work("discharge", title="Discharge call"),
    Work("post-visit", title="Follow-up call"),
    Work("care-gap", title="Screening due"),
    Work("monitoring", title="Home monitoring"),
)
"""All eleven lanes; those more often in which more can happen."""

PRIORITIES = ("stat", "asap", "urgent", "routine")
ROLES = ("clinician", "referral-coordinator", "refill-nurse", "supervisor")


def _every(days: int) -> list[tuple[date, date]]:
    """Return each such day of the year and a while after it, alone."""
    return [(day, day) for day in (date(2026, 1, 1) + timedelta(days=number) for number in range(0, 450, days))]


AWAY = {
    "ann": [(date(2026, 3, 5), date(2026, 3, 13)), (date(2026, 7, 1), date(2026, 7, 31))],
    "bob": [(date(2026, 7, 20), date(2026, 8, 14))],
    "carol": [(date(2026, 11, 1), date(2026, 11, 15))],
    "supervisor": _every(3),
    "clinician": _every(5),
}
STAFF = Staff(
    people=frozenset({"ann", "bob", "carol"}),
    backups={"ann": "bob", "carol": "ann", "supervisor": "bob", "clinician": "carol"},
    licensed=frozenset({"carol", "clinician", "refill-nurse"}),
    away=AWAY,
)
US_HOLIDAYS = frozenset(
    date(2026, month, day)
    for month, day in ((1, 1), (1, 19), (2, 16), (5, 25), (6, 19), (7, 3), (9, 7), (11, 26), (12, 25))
)


@dataclass(frozen=True)
class Site:
    """Where the clinic is and when it is open, for the core and for the second reading."""

    name: str
    zone: str
    hours: dict[int, tuple[int, int]]
    holidays: frozenset[date] = frozenset()

    def calendar(self) -> Calendar:
        hours = {day: (_of_day(opens), _of_day(closes)) for day, (opens, closes) in self.hours.items()}
        return Calendar(ZoneInfo(self.zone), hours, self.holidays)

    def almanac(self) -> Almanac:
        return Almanac(self.zone, self.hours, self.holidays)


def _of_day(minute: int) -> time:
    return time(minute // 60, minute % 60)


_OFFICE = (480, 1020)
_NIGHT_DESK = (30, 150)
NEW_YORK = Site("New York", "America/New_York", {**dict.fromkeys(range(5), _OFFICE), 6: _NIGHT_DESK}, US_HOLIDAYS)
"""Its desk of Sunday night closes at half past two: a time that does not exist when the clock is put forward."""
LORD_HOWE = Site("Lord Howe", "Australia/Lord_Howe", {**dict.fromkeys(range(6), (30, 1410)), 6: (30, 105)})
"""An island whose clock moves by half an hour; what closes at a quarter to two then closes at a time there twice."""


def rules_of(site: Site) -> Rules:
    """Return the shipped lanes at a site, with staff who are away at times."""
    entries = [
        OwnerEntry(
            name,
            OwnerKind.PERSON if name in STAFF.people else OwnerKind.ROLE,
            name,
            backup=STAFF.backups.get(name),
            licensed=name in STAFF.licensed,
            away=tuple(Absence(*days) for days in AWAY.get(name, ())),
        )
        for name in (*sorted(STAFF.people), *sorted(parse_lanes(SHIPPED_TEXT).roles()))
    ]
    return Rules("main", parse_lanes(SHIPPED_TEXT), OwnerBook(entries), site.calendar())
