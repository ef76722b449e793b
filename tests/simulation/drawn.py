"""What the seed decides before anything happens: which EHR this is, what is wrong with it, and who does what."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from conformance.simulator import Options
from conformance.simulator.vendors import VENDORS

STEPS = 45
"""How many things happen in a run before all is well."""

HABITS = (
    "late-commit=120",
    "late-commit=1500",
    "reindex=200",
    "reindex=900",
    "equal-timestamps=60",
    "clock-skew=3600",
    "clock-skew=-3600",
    "zone-shift=5",
    "still-timestamps",
    "search-cache",
    "offset-paging",
    "repeat-rows",
    "expire-cursors-after=1",
    "expire-cursors=5",
    "next-link=relative",
    "next-link=port-twice",
    "next-link=loop",
    "unescaped-plus",
    "truncate=2,note",
    "truncate=2,total",
    "ignore-parameters=_lastUpdated",
    "ignore-silently=_lastUpdated",
    "no-last-updated",
    "no-last-updated=Appointment,Task",
    "no-scans",
    "no-scans=Appointment",
    "outcome-among-matches",
    "outcome-among-matches=error",
    "outcome-when-empty",
    "outcome-instead=3",
    "forbidden=Task",
    "forbidden=ServiceRequest,401",
    "throttle=7",
    "throttle=5,date",
    "rate-limit=20,1,1",
    "outage=900",
    "outage=900,close",
    "empty-201",
    "drop-answer=3",
    "drop-answer=3,502",
    "broken-answer=cut,3",
    "broken-answer=login-page,3",
    "broken-answer=no-content,3",
    "conditional-create-race=60",
    "conflict-storm=2",
    "wedged-updates=4",
    "shared-ids",
)
"""Habits of EHRs that a run may have, of those that the simulator knows and Bridge promises to get along with."""

HOOK_HABITS = (
    "hook-late=0-900",
    "hook-gives-up=60,active",
    "hook-gives-up=60,off",
    "hook-lost",
    "hook-lost=2",
    "hook-copies=5",
    "hook-shuffle=900",
    "hook-picky",
    "counter-per-bundle",
    "counter-restarts=3",
    "counter-stuck",
    "subscription-fails=2,error",
    "subscription-fails=2,off",
    "subscription-fails=2,gone",
    "subscription-silent",
)
"""What may be wrong with an EHR's notifications."""

LASTING = (
    "clock-skew",
    "equal-timestamps",
    "offset-paging",
    "search-cache",
    "unescaped-plus",
    "zone-shift",
    "no-last-updated",
    "no-scans",
    "still-timestamps",
    "merged-patients",
)
"""Habits that no server gets rid of, and that must not keep anything from coming to rest."""

LAGGING = ("late-commit", "reindex", "conditional-create-race")
"""Habits by which a search, or the server itself, does not see at once what was made."""

WRITABLE = ("generic", "hapi", "medplum", "azure", "google", "healthlake")
"""EHRs on which everything that Bridge has to say has a place."""

ELSEWHERE = tuple(name for name in VENDORS if name != "generic")

SECRET = "a-secret-of-the-simulation"
HEADER = ("X-Clinic", "a-header-of-the-simulation")
SIGNING_KEY = "a-signing-key-of-the-simulation"
HERE = "https://bridge.example"
TOPICS = "http://ehr.example/SubscriptionTopic"
TYPES = ("ServiceRequest", "MedicationRequest", "Appointment", "Task")


@dataclass(frozen=True)
class Hooks:
    """
    How the EHR rings.

    Args:
        topics: The types that a topic tells of; of the others, searches do.
        unreachable: How much of what it sends does not arrive.
    """

    fhir_version: str
    topics: tuple[str, ...]
    header: bool
    signed: bool
    heartbeat: int | None
    unreachable: float


@dataclass(frozen=True)
class Drawn:
    """
    Everything that is decided beforehand.

    Args:
        habits: Faults of the simulator beside those of the vendor.
        blind: Whether a search, or the server itself, does not see yet what was created under an id of its own
            choice. Where the answer to a create is lost then, two may stand for a while, and one in the end; with its
            database Bridge would lose that there was a doubt, so in these runs it keeps it.
        schedule: Whether appointments are read by practitioner.
        moving: Whether patients are merged, die or turn out to be somebody else.
        pauses, restores, outages: Whether people pause Bridge, it loses its database, it is down for hours.
        skew_seconds: How far its own clock is ahead.
        rate: Requests a second that it may send.
    """

    vendor: str
    options: Options
    habits: tuple[str, ...]
    blind: bool
    hooks: Hooks | None
    schedule: bool
    moving: bool
    pauses: bool
    restores: bool
    outages: bool
    skew_seconds: int
    rate: float | None

    @property
    def in_words(self) -> str:
        """What is particular about the run, for its trace."""
        names = ("schedule", "moving", "pauses", "restores", "outages", "skew_seconds", "rate", "blind")
        said = [f"{name} {getattr(self, name)}" for name in names if getattr(self, name)]
        options = self.options
        said += [f"own ids {options.update_as_create}", f"stale {options.stale_write_status}"]
        said += [f"lenient {options.lenient}", f"pages of {options.page_size}"]
        return f"{self.vendor}, {', '.join([*self.habits, *said])}, {self.hooks}"

    def has(self, *names: str) -> bool:
        """Whether the EHR has one of these habits, by itself or by the draw."""
        return any(habit.startswith(names) for habit in (*VENDORS[self.vendor].faults, *self.habits))

    @property
    def writable(self) -> bool:
        """Whether everything that Bridge has to say can be written there, and found again."""
        return self.vendor in WRITABLE and "no-scans" not in self.habits

    def section(self, base: str, we_are: Sequence[str], patients: Sequence[str]) -> Mapping[str, Any]:
        """Return the section of the connection in Bridge's configuration."""
        found: dict[str, Any] = {
            "base_url": base,
            "vendor": self.vendor,
            "page_size": 3,
            "we_are": list(we_are),
            "patients": list(patients),
            "practitioners": ["Practitioner/house"] if self.schedule else [],
            "days_back": 365,
            "requests_per_second": self.rate,
        }
        return found | (_hook_settings(self.hooks) if self.hooks is not None else {})


def _hook_settings(hooks: Hooks) -> dict[str, Any]:
    found: dict[str, Any] = {
        "fhir_version": {"4.0.1": "R4", "4.3.0": "R4B"}[hooks.fhir_version],
        "subscribe": "auto",
        "subscribe_url": HERE,
        "subscribe_topics": {kind: f"{TOPICS}/{kind}" for kind in hooks.topics},
        "subscribe_heartbeat_seconds": hooks.heartbeat,
        "hook_secret": SECRET,
    }
    if hooks.header:
        found |= {"hook_header": HEADER[0], "hook_header_secret": HEADER[1]}
    if hooks.signed:
        found |= {"hook_signing_key": SIGNING_KEY}
    return found


@dataclass(frozen=True)
class Disaster:
    """
    That the database is lost in the midst of everything, drawn apart so that a seed means what it meant without.

    Args:
        kept_at: After which step a backup is made.
        lost_at: After which steps the database is lost, and the backup put back.
        remembers: How much of what people entered in between they enter again.
    """

    kept_at: int
    lost_at: tuple[int, ...]
    remembers: float


def draw_disaster(seed: int, *, certain: bool) -> Disaster | None:
    """Decide whether and when the database is lost: in every eighth run, or where it is to be in each."""
    rng = Random(f"disaster {seed}")
    happens = rng.random() < 1 / 8
    kept_at = rng.randrange(2, 30)
    lost_at = sorted(rng.sample(range(kept_at + 1, STEPS), rng.choice((1, 1, 1, 2))))
    found = Disaster(kept_at, tuple(lost_at), rng.choice((0.0, 0.5, 1.0)))
    return found if happens or certain else None


def draw_tenders(seed: int) -> Random | None:
    """Decide, apart as well, whether both replicas look after the Subscriptions at the same time, and when."""
    rng = Random(f"at once {seed}")
    return rng if rng.random() < 1 / 4 else None


def draw(rng: Random) -> Drawn:
    """Decide everything that is decided beforehand."""
    vendor = "generic" if rng.random() < 0.4 else rng.choice(ELSEWHERE)
    own = rng.random() < 0.4
    options = Options(
        update_as_create=own,
        stale_write_status=rng.choice((409, 412)),
        lenient=rng.random() < 0.5,
        page_size=rng.choice((2, 20)),
    )
    VENDORS[vendor].apply(options)
    habits = rng.sample(HABITS, rng.choice((0, 1, 1, 2)))
    lagging = any(habit.startswith(LAGGING) for habit in habits)
    blind = lagging and not options.update_as_create
    hooks = _hooks(rng, vendor)
    if hooks is not None:
        options.fhir_version = hooks.fhir_version
        if hooks.signed:
            options.hooks.signature = options.hooks.signature or rng.choice(("X-Hub-Signature", "X-Signature"))
        habits += rng.sample(HOOK_HABITS, rng.choice((0, 1, 1, 2)))
    moving = rng.random() < 0.4
    if moving and rng.random() < 0.5:
        habits.append(f"merged-patients={rng.choice(('link', 'gone', 'missing', 'redirect'))}")
    return Drawn(
        vendor=vendor,
        options=options,
        habits=tuple(habits),
        blind=blind,
        hooks=hooks,
        schedule=vendor in ("oracle", "meditech") and rng.random() < 0.5,
        moving=moving,
        pauses=rng.random() < 0.2,
        restores=not blind and rng.random() < 0.15,
        outages=rng.random() < 0.25,
        skew_seconds=rng.choice((0, 0, 0, 0, 0, 0, 3600, -3600)),
        rate=rng.choice((None, None, None, 5.0)),
    )


def _hooks(rng: Random, vendor: str) -> Hooks | None:
    surface = VENDORS[vendor].surface
    if (surface is not None and "Subscription" not in surface.types) or rng.random() < 0.4:
        return None
    return Hooks(
        fhir_version=rng.choice(("4.0.1", "4.0.1", "4.3.0")),
        topics=rng.choice(((), (), TYPES, ("Task", "Appointment"))),
        header=rng.random() < 0.3,
        signed=rng.random() < 0.3,
        heartbeat=rng.choice((None, None, 600)),
        unreachable=rng.choice((0.0, 0.0, 0.2, 0.6)),
    )
