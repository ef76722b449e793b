"""The one place where everything comes together: from a configuration to a Bridge that works."""

from __future__ import annotations

import dataclasses
import gc
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from bridge import __version__
from bridge.config import ConnectionSection, Settings
from bridge.errors import ConfigError
from bridge.store.engine import own, sqlite_file
from bridge.store.memory import MemoryStore
from bridge.store.opening import create_or_open
from bridge.store.port import Store
from bridge.sync.connector import Connector
from bridge.sync.deliver import hand_back
from bridge.sync.governor import Governor
from bridge.sync.line import Line
from bridge.sync.notify import Doorbell
from bridge.sync.replay import replay_inbox, replay_outbox
from bridge.sync.retention import Keeping
from bridge.sync.service import Service
from bridge.sync.turns import Turns
from bridge.tracing import make_tracer, tracing_with
from bridge.wiring import (
    Exit,
    make_client,
    make_gate,
    make_governor,
    make_line,
    make_subscriber,
    read_lanes,
    resting,
    until_stopped,
    utc_now,
)

if TYPE_CHECKING:
    from bridge.web.context import ConnectionInfo, Disk, Ring, WebContext


def spare_what_stays() -> None:
    """
    Keep Python from looking for reference cycles in what was loaded at start, again with every few pages.

    Measured 2026-11: that took 15 of 240 us per resource. Collecting less often instead let a backfill grow by
    100 MB: the few cycles there are hold whole answers of a server.
    """
    gc.freeze()


@dataclass(frozen=True)
class Bridge:
    """Everything wired up: what the commands and the web view work with."""

    settings: Settings
    store: Store
    lines: Mapping[str, Line]
    connectors: Mapping[str, Connector]
    exits: Mapping[str, Exit]
    governors: Mapping[str, Governor]
    turns: Turns
    stopping: Event
    """Set when the process is about to end: nobody waits any longer, and nothing more is asked of an EHR."""
    clock: Callable[[], datetime] = utc_now

    def service(self) -> Service:
        """Return the loops that keep every connection going."""
        sections = self.settings.connections
        return Service(
            list(self.connectors.values()),
            self.store,
            self.clock,
            poll={name: timedelta(seconds=section.poll_seconds) for name, section in sections.items()},
            sweep={name: timedelta(minutes=section.sweep_minutes) for name, section in sections.items()},
            turns=self.turns,
            stopping=self.stopping,
            keeping=self.keeping,
        )

    @property
    def keeping(self) -> Keeping:
        """For how long what nobody needs is kept."""
        chosen = self.settings.retention
        days = (chosen.body_days, chosen.write_days)
        return Keeping(*(timedelta(days=count) if count else None for count in days))

    def connection_infos(self) -> Sequence[ConnectionInfo]:
        """Return what is configured, as the web view shows it; asks no EHR."""
        from bridge.web.context import ConnectionInfo, RouteLine

        return [
            ConnectionInfo(
                name=name,
                base_url=way_out.section.base_url,
                vendor=way_out.section.vendor,
                fhir_version=way_out.section.fhir_version,
                types=way_out.line.types,
                writes=way_out.section.write,
                without=_without(self.connectors[name]),
                routes=[
                    RouteLine(kind.value, route.how.value, route.why) for kind, route in way_out.known_plan.items()
                ],
                reads={stream: choice.words for stream, choice in dict(way_out.ladder.known).items()},
                disagreements=way_out.ladder.disagreements,
            )
            for name, way_out in self.exits.items()
        ]

    def doorbell(self, wake: Callable[[str], None]) -> Doorbell:
        """Return what keeps notifications; *wake* is told the connection that they are for."""
        return Doorbell(self.store, self.clock, wake)

    def hand_back(self) -> int:
        """Give back everything that is under way, for whoever goes on; returns how many deliveries that were."""
        handed = sum(hand_back(self.store, way_out.underway, self.clock()) for way_out in self.exits.values())
        self.turns.hand_back()
        return handed

    def web(self, ring: Ring | None = None) -> WebContext:
        """Return what the web view needs; *ring* keeps what notifications are about, where any can come."""
        from bridge.web.context import WebContext, no_ring

        sections = self.settings.connections
        gates = {name: make_gate(name, sections[name]) for name in self.lines}
        return WebContext(
            store=self.store,
            lines=self.lines,
            connections=self.connection_infos,
            replay_inbox=lambda ids: replay_inbox(self.store, self.lines, ids, self.clock()),
            replay_outbox=lambda ids: replay_outbox(self.store, ids, self.clock()),
            clock=self.clock,
            new_id=lambda: uuid.uuid4().hex,
            version=__version__,
            zone=ZoneInfo(self.settings.site.time_zone),
            clinic=self.settings.site.name,
            callback=self.settings.site.phone,
            allowed_hosts=frozenset(self.settings.web.allowed_hosts),
            gates={name: gate for name, gate in gates.items() if gate is not None},
            ring=ring or no_ring,
            asked=self.asked,
            disk=lambda: disk_of(self.settings),
            stopping=self.stopping.is_set,
        )

    def asked(self) -> Mapping[tuple[str, str], int]:
        """Return what came of this process's requests to each EHR."""
        return {
            (name, outcome.value): number
            for name, governor in self.governors.items()
            for outcome, number in governor.asked().items()
        }


def _without(connector: Connector) -> Mapping[str, str]:
    return connector.subscriber.without if connector.subscriber is not None else {}


@contextmanager
def open_bridge(settings: Settings, *, owning: bool = True, only: str | None = None) -> Iterator[Bridge]:
    """
    Wire everything up, and give everything back in the end.

    Args:
        owning: Whether this process takes in or delivers; on SQLite only one may.
        only: The one connection to work with; ``None`` for all.

    Raises:
        ConfigError: The configuration, the lanes or the database are not fit to start with.
    """
    if only is not None and only not in settings.connections:
        known = ", ".join(settings.connections) or "none"
        raise ConfigError(f"connections: there is no connection called {only!r}; configured: {known}")
    lanes = read_lanes(settings)
    chosen = {name: section for name, section in settings.connections.items() if only in (None, name)}
    url = settings.database.url.get_secret_value()
    with ExitStack() as stack:
        stack.enter_context(tracing_with(make_tracer(settings.tracing, __version__)))
        if owning:
            spare_what_stays()
            stack.enter_context(own(url))
        store = create_or_open(url)
        stack.callback(store.close)
        lines = {name: make_line(name, section, settings, lanes) for name, section in chosen.items()}
        exits: dict[str, Exit] = {}
        governors: dict[str, Governor] = {}
        stopping = Event()
        # Who only looks may not write to a file that another process owns: it keeps a budget of its own.
        shared = store if owning or not url.startswith("sqlite") else MemoryStore()
        rest, worker = resting(stopping), None if url.startswith("sqlite") else uuid.uuid4().hex
        lease = timedelta(seconds=settings.database.lease_seconds)
        turns = Turns(store, utc_now, lease, shared=worker is not None)
        for name, section in chosen.items():
            governors[name] = make_governor(lines[name], section, shared, worker, rest)
            client = make_client(name, section, utc_now, turn=until_stopped(governors[name].turn, stopping), sleep=rest)
            stack.callback(client.close)
            exits[name] = Exit(lines[name], client, section, _patients_in(store, name), lease)
        connectors = {
            name: Connector(
                line=lines[name],
                client=exits[name].client,
                store=store,
                clock=utc_now,
                channel=exits[name].channel,
                learn=exits[name].plan,
                since=_since(section),
                ladder=exits[name].ladder,
                snapshots=timedelta(minutes=section.snapshot_minutes),
                turns=turns,
            )
            for name, section in chosen.items()
        }
        connectors = {
            name: dataclasses.replace(connector, subscriber=make_subscriber(connector, chosen[name]))
            for name, connector in connectors.items()
        }
        if owning and url.startswith("sqlite"):
            with store.transaction() as tx:
                tx.release_leases(utc_now())
        yield Bridge(settings, store, lines, connectors, exits, governors, turns, stopping)


def disk_of(settings: Settings) -> Disk | None:
    """Return how much room there is where the SQLite file is; ``None`` with PostgreSQL."""
    from bridge.web.context import Disk

    file = sqlite_file(settings.database.url.get_secret_value())
    if file is None:
        return None
    usage = shutil.disk_usage(next(parent for parent in file.absolute().parents if parent.exists()))
    parts = [Path(f"{file}{end}") for end in ("", "-wal", "-shm")]
    return Disk(usage.free, usage.total, sum(part.stat().st_size for part in parts if part.exists()))


def _patients_in(store: Store, name: str) -> Callable[[], Sequence[str]]:
    def known() -> Sequence[str]:
        with store.reading() as tx:
            return tx.patients(name)

    return known


def _since(section: ConnectionSection) -> datetime | None:
    return datetime.combine(section.start_date, time.min, UTC) if section.start_date is not None else None
