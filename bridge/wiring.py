"""One connection wired up: from its section of the configuration to its line, its client and its way out."""

from __future__ import annotations

import re
import time as waiting
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, time, timedelta
from importlib.resources import files
from threading import Event
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bridge import tracing
from bridge.cases.calendar import Calendar
from bridge.cases.clinical import unheard
from bridge.cases.lanes import Lanes, parse_lanes
from bridge.cases.owners import LICENSED_ROLES, Absence, OwnerBook, OwnerEntry
from bridge.cases.rules import Rules
from bridge.cases.terms import OwnerKind
from bridge.config import DEFAULT_ROLES, ConnectionSection, Settings
from bridge.errors import ConfigError, HeldBack
from bridge.fhir.auth import Auth, BasicAuth, BearerToken, NoAuth
from bridge.fhir.capability import Capability
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.network import Transport
from bridge.fhir.vendors import profile
from bridge.setting_values import DAYS
from bridge.settings import SECRETS
from bridge.store.port import Store
from bridge.sync.connector import Connector
from bridge.sync.deliver import Breaker, Channel, Underway
from bridge.sync.desire import Desire
from bridge.sync.governor import Governor, Limits
from bridge.sync.ladder import Ladder
from bridge.sync.line import READ_ORDER, Line
from bridge.sync.rungs import Roster, Rung
from bridge.sync.subscribe import Subscriber
from bridge.sync.turns import LEASE
from bridge.tasks.coordination_task import Form
from bridge.tasks.route import RoutePlan, route_plan
from bridge.tracing import TracedTransport

if TYPE_CHECKING:
    from bridge.web.gate import Gate

ASK_AGAIN = timedelta(hours=1)
"""How long what an EHR declares of itself is believed (rule ours)."""


def utc_now() -> datetime:
    """Return our clock (aware UTC)."""
    return datetime.now(UTC)


def read_lanes(settings: Settings) -> Lanes:
    """
    Return the lanes: the site's file over the shipped table of what holds work up, or all that is shipped.

    Raises:
        ConfigError: The file cannot be read or is wrong.
    """
    shipped = parse_lanes(files("bridge.cases").joinpath("lanes.toml").read_text(), file="shipped lanes")
    if settings.lanes is None:
        return shipped
    try:
        return parse_lanes(settings.lanes.read_text(), file=str(settings.lanes)).over(shipped)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"lanes: {settings.lanes} cannot be read ({error})") from None


def make_calendar(settings: Settings) -> Calendar:
    """Return the site's opening hours."""
    hours: dict[int, tuple[time, time]] = {
        DAYS.index(day): (open_.opens, open_.closes) for day, open_ in settings.site.business_hours.items()
    }
    return Calendar(ZoneInfo(settings.site.time_zone), hours, frozenset(settings.site.holidays))


def make_owners(settings: Settings, lanes: Lanes, we_are: Sequence[str]) -> OwnerBook:
    """
    Return who can own cases: the configured owners and, unless configured, the shipped role queues.

    Raises:
        ConfigError: A lane names an owner that does not exist, or in one a clinical question reaches nobody licensed.
    """
    entries = {
        name: OwnerEntry(name, OwnerKind.ROLE, display, licensed=name in LICENSED_ROLES)
        for name, display in DEFAULT_ROLES.items()
    }
    for name, owner in settings.owners.items():
        entries[name] = OwnerEntry(
            name,
            owner.owner_kind,
            owner.display,
            owner.references,
            owner.backup,
            owner.licensed,
            owner.roles,
            tuple(Absence(away.first, away.last) for away in owner.away),
        )
    missing = sorted(lanes.roles() - set(entries))
    if missing:
        raise ConfigError(f"owners: the lanes name {', '.join(missing)}; add a section [owners.{missing[0]}]")
    owners = OwnerBook(entries.values(), we_are)
    if silent := list(unheard(lanes, owners)):
        file = settings.lanes or "shipped lanes"
        raise ConfigError("\n".join(f"{file}: {one}" for one in silent))
    return owners


def make_line(name: str, section: ConnectionSection, settings: Settings, lanes: Lanes) -> Line:
    """Return the straight line of one connection."""
    rules = Rules(
        connection=name,
        lanes=lanes,
        owners=make_owners(settings, lanes, section.we_are),
        calendar=make_calendar(settings),
        tenant=settings.tenant,
        open_proposals=section.open_proposals,
    )
    return Line(
        name=name,
        base_url=section.base_url,
        fhir_version=section.fhir_version,
        rules=rules,
        types=tuple(kind for kind in READ_ORDER if kind in section.read),
        page_size=section.page_size,
        overlap=section.overlap,
        lag=section.lag,
        writes=section.write,
        acknowledge_with=section.acknowledge_with,
    )


def make_auth(name: str, section: ConnectionSection) -> Auth:
    """
    Return how the connection proves who it is.

    Raises:
        ConfigError: A secret's file cannot be read.
    """
    try:
        if section.auth == "basic":
            return BasicAuth(section.username or "", section.secret("password"))
        if section.auth == "bearer":
            return BearerToken(section.secret("token"))
    except ConfigError as error:
        raise ConfigError(f"connections.{name}.{error}") from None
    return NoAuth()


LEAST_SECRET = 16
"""Characters that the secret in a hook's address needs; `openssl rand -hex 24` makes 48 (rule ours)."""


_IN_ADDRESS = re.compile(r"[A-Za-z0-9._~-]+")


def make_gate(name: str, section: ConnectionSection) -> Gate | None:
    """
    Return what senders of notifications have to show; ``None`` where no secret is configured.

    Raises:
        ConfigError: A secret cannot be read or is too short.
    """
    from bridge.web.gate import Gate

    given = {secret: _hook_secret(name, section, secret) for secret in sorted(SECRETS) if secret.startswith("hook_")}
    if not any(given.values()):
        return None
    path, header, key = given["hook_secret"], given["hook_header_secret"], given["hook_signing_key"]
    if path is not None and not _IN_ADDRESS.fullmatch(path):
        raise ConfigError(f"connections.{name}.hook_secret: expected letters, digits and . _ ~ - alone")
    return Gate(
        path=path,
        header=(section.hook_header, header) if section.hook_header is not None and header is not None else None,
        signing_key=key.encode() if key is not None else None,
    )


def _hook_secret(name: str, section: ConnectionSection, secret: str) -> str | None:
    if not section.has_secret(secret):
        return None
    try:
        found = section.secret(secret)
    except ConfigError as error:
        raise ConfigError(f"connections.{name}.{error}") from None
    if len(found) < LEAST_SECRET:
        raise ConfigError(f"connections.{name}.{secret}: expected at least {LEAST_SECRET} characters")
    return found


def make_governor(
    line: Line,
    section: ConnectionSection,
    store: Store,
    worker: str | None,
    sleep: Callable[[float], None],
    clock: Callable[[], datetime] = utc_now,
) -> Governor:
    """
    Return what holds back the requests of one connection, shared with every other *worker*.

    Where the site sets no limit, that which the EHR's maker publishes holds.
    """
    published = profile(section.vendor).requests_per_minute
    usual = published / 60 if published is not None else None
    limits = Limits(section.requests_per_second or usual, section.office_requests_per_second, section.concurrency)
    return Governor(line.name, store, clock, limits, line.rules.calendar, worker, sleep)


def resting(stopping: Event) -> Callable[[float], None]:
    """Return a way to wait that ends at once when *stopping* is set: what waits then gives up unsent."""

    def rest(seconds: float) -> None:
        if stopping.wait(seconds):
            raise _held_back()

    return rest


def until_stopped(
    turn: Callable[[], AbstractContextManager[None]], stopping: Event
) -> Callable[[], AbstractContextManager[None]]:
    """Return *turn*, given to nobody any more once *stopping* is set: what is under way ends, and that was all."""

    def turn_unless_stopping() -> AbstractContextManager[None]:
        if stopping.is_set():
            raise _held_back()
        return turn()

    return turn_unless_stopping


def _held_back() -> HeldBack:
    return HeldBack("Bridge is stopping; nothing was sent", retry_at=utc_now())


def make_client(
    name: str,
    section: ConnectionSection,
    clock: Callable[[], datetime],
    *,
    turn: Callable[[], AbstractContextManager[None]] = nullcontext,
    sleep: Callable[[float], None] = waiting.sleep,
) -> FhirClient:
    """Return the client of one connection, which asks only when it is its *turn*."""
    endpoint = Endpoint(
        name=name,
        base_url=section.base_url,
        auth=make_auth(name, section),
        timeout_seconds=section.timeout_seconds,
        headers=profile(section.vendor).headers,
    )
    tracer = tracing.current()
    transport = TracedTransport(Transport(), tracer) if tracer is not None else None
    return FhirClient(endpoint, clock=clock, sleep=sleep, turn=turn, transport=transport)


def make_desire(name: str, section: ConnectionSection) -> Desire | None:
    """
    Return which Subscriptions a connection is to have; ``None`` where it is not configured how the EHR reaches us.

    Raises:
        ConfigError: A secret cannot be read or is not fit.
    """
    gate = make_gate(name, section)
    if section.subscribe_url is None or gate is None or gate.path is None:
        return None
    return Desire(
        connection=name,
        base=section.subscribe_url,
        secret=gate.path,
        header=gate.header,
        signing_key=gate.signing_key.decode() if gate.signing_key is not None else None,
        topics={str(kind): topic for kind, topic in section.subscribe_topics.items()},
        filters={str(kind): one for kind, one in section.subscribe_filters.items()},
        heartbeat_seconds=section.subscribe_heartbeat_seconds,
        lifetime=timedelta(days=section.subscribe_days),
        own_ids=profile(section.vendor).own_ids,
    )


def make_subscriber(connector: Connector, section: ConnectionSection, *, even_off: bool = False) -> Subscriber | None:
    """
    Return what keeps the EHR's Subscriptions; ``None`` where it is not to.

    Args:
        even_off: Also where it is switched off, to take away what there is.

    Raises:
        ConfigError: A secret cannot be read or is not fit.
    """
    desire = make_desire(connector.line.name, section) if even_off or section.subscribe != "off" else None
    if desire is None:
        return None
    ladder = connector.ladder
    return Subscriber(
        connector.client,
        connector.store,
        connector.line,
        connector.clock,
        desire,
        connector.read_stream,
        ladder.unreadable if ladder is not None else tuple,
    )


def make_ladder(way_out: Exit, patients: Callable[[], Sequence[str]]) -> Ladder:
    """Return what chooses how each type of a connection is read; *patients* returns those that Bridge knows."""
    section = way_out.section
    return Ladder(
        way_out.line,
        way_out.client,
        profile(section.vendor),
        way_out.capability,
        way_out.clock,
        settings={kind: Rung(way) for kind, way in section.poll.items()},
        roster=Roster(
            section.patients,
            section.practitioners,
            section.locations,
            timedelta(days=section.days_back),
            timedelta(days=section.days_ahead),
        ),
        patients=patients,
    )


class Exit:
    """The way out of one connection: asks the EHR what it can do, when that is first needed and then hourly."""

    def __init__(
        self,
        line: Line,
        client: FhirClient,
        section: ConnectionSection,
        patients: Callable[[], Sequence[str]] = lambda: (),
        lease: timedelta = LEASE,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self.line, self.client, self.section, self._lease, self.clock = line, client, section, lease, clock
        self.ladder: Ladder = make_ladder(self, patients)
        self.known_plan: RoutePlan = {}
        """The route plan as last made, without asking; empty before the EHR was asked."""
        self._declared: Capability | None = None
        self._asked_at: datetime | None = None
        self._breaker = Breaker()
        self.underway = Underway()

    def plan(self) -> RoutePlan:
        """
        Return the route plan, as the EHR declared itself within the hour.

        Raises:
            RemoteError: The EHR does not answer.
        """
        declared = self.capability()
        self.known_plan = route_plan(declared, profile(self.section.vendor), writes=self.section.write)
        return self.known_plan

    def capability(self) -> Capability:
        """
        Return what the EHR declared of itself within the hour.

        Raises:
            RemoteError: The EHR does not answer.
        """
        now = self.clock()
        if self._declared is None or self._asked_at is None or now - self._asked_at > ASK_AGAIN:
            self._declared, self._asked_at = self.client.capability(), now
        return self._declared

    def channel(self) -> Channel:
        """Return the channel for delivering."""
        vendor = profile(self.section.vendor)
        form = Form(
            fhir_version=self.line.fhir_version,
            zone=self.line.rules.calendar.zone,
            task_intent=vendor.task_intent,
            message_status=vendor.message_status,
        )
        return Channel(
            line=self.line,
            client=self.client,
            plan=self.plan(),
            form=form,
            knows_ready=vendor.knows_ready,
            direct_cancel=self.section.direct_cancel,
            lease=self._lease,
            concurrency=self.section.concurrency,
            breaker=self._breaker,
            underway=self.underway,
        )
