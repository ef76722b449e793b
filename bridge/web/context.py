"""What the web view is given by ``bootstrap``: every outside thing that a route may touch."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from bridge.fhir.notification import Notification
from bridge.store.port import Store
from bridge.sync.line import Line
from bridge.sync.notify import PATIENCE_SECONDS, NotKept
from bridge.web.gate import Gate
from bridge.web.rings import Rings


@dataclass(frozen=True)
class RouteLine:
    """One line of a connection's route plan: how a kind of intent is written there, and why so."""

    kind: str
    how: str
    reason: str


@dataclass(frozen=True)
class ConnectionInfo:
    """
    One configured connection as people see it; never holds a secret.

    Args:
        types: The resource types that are read; each is a stream with a cursor of its own.
        without: The types that no notification tells of though that was asked for, and why.
        routes: The route plan, empty until the server's CapabilityStatement was read.
        reads: How each type is read and why so, empty until it was read.
        disagreements: Where the server declares otherwise than its vendor's profile says.
    """

    name: str
    base_url: str
    vendor: str
    fhir_version: str
    types: Sequence[str]
    writes: bool = True
    routes: Sequence[RouteLine] = ()
    reads: Mapping[str, str] = field(default_factory=dict)
    disagreements: Sequence[str] = ()
    without: Mapping[str, str] = field(default_factory=dict)


Ring = Callable[[str, Sequence[str], Notification], "Future[None]"]
"""Makes it durable that resources of a connection should be read again, and what the notification said of its
Subscription. What it returns is done as soon as that is so, or fails with ``NotKept``; nobody cancels it."""

Replay = Callable[[Sequence[int]], int]
"""Tries parked rows (by id) again and returns for how many of them that helped."""


@dataclass(frozen=True)
class Disk:
    """Bytes where the SQLite file is: free, in all, and what the database takes of them."""

    free: int
    size: int
    database: int


def no_ring(connection: str, refs: Sequence[str], said: Notification) -> Future[None]:
    """Keep nothing: no notification can come to this process."""
    raise NotKept("nothing reads notifications here")


@dataclass(frozen=True)
class WebContext:
    """
    Everything ``create_app`` needs.

    Args:
        lines: Each connection's line, for the commands of people and for the names of lanes and owners.
        connections: Says what is configured and how each EHR is written to; asked by the connections page
            only, all else is answered from the store and ``lines``.
        replay_inbox, replay_outbox: Carry out a person's replay.
        clock: Returns now (aware UTC).
        new_id: Returns an unused id.
        zone: The site's time zone; every time a person reads is in it.
        acting_as: Who a command is recorded as being by where nobody said who they are (``who``).
        clinic: What the site calls itself to patients, and ``callback`` the number they call back; for scripts.
        allowed_hosts: Names beside the loopback ones that this server may be called by (``Host`` header).
        gates: What a sender of notifications has to show, by connection; one that is not here takes none.
        ring: Keeps what a notification is about.
        patience_seconds: How long a sender of a notification waits for it to be kept.
        rings: Counts what came of them.
        asked: Says what came of the requests of this process to each EHR, by (connection, outcome).
        disk: Says how much room there is for the database; ``None`` where it is on a server of its own.
        stopping: Whether the process is about to end.
        stale_after: How old EHR data may be before people are warned.
    """

    store: Store
    lines: Mapping[str, Line]
    connections: Callable[[], Sequence[ConnectionInfo]]
    replay_inbox: Replay
    replay_outbox: Replay
    clock: Callable[[], datetime]
    new_id: Callable[[], str]
    version: str
    zone: ZoneInfo
    acting_as: str = "local user"
    clinic: str | None = None
    callback: str | None = None
    allowed_hosts: frozenset[str] = frozenset()
    gates: Mapping[str, Gate] = field(default_factory=dict)
    ring: Ring = no_ring
    patience_seconds: float = PATIENCE_SECONDS
    rings: Rings = field(default_factory=Rings)
    asked: Callable[[], Mapping[tuple[str, str], int]] = dict
    disk: Callable[[], Disk | None] = lambda: None
    stopping: Callable[[], bool] = lambda: False
    stale_after: timedelta = timedelta(minutes=15)
