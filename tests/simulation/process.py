"""One process of Bridge, wired up as ``bootstrap`` does it, with the seams in between."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import httpx

from bridge.config import ConnectionSection
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import profile
from bridge.store.port import Store
from bridge.store.rows import Subscribed
from bridge.sync.connector import Connector
from bridge.sync.line import Line
from bridge.sync.turns import Turns
from bridge.wiring import Exit, make_governor, make_subscriber

from .seams import Seams, SeamStore


@dataclass
class Replica:
    """One process of Bridge."""

    name: str
    seams: Seams
    bridge: Connector


def start(
    name: str,
    line: Line,
    section: ConnectionSection,
    database: Store,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    transport: Callable[[Seams], httpx.BaseTransport],
    *,
    shared: bool,
) -> Replica:
    """
    Start a process on *database*.

    Args:
        transport: Makes the way to the EHR, through the seams.
        shared: Whether other processes work on the same database.
    """
    seams = Seams()
    store = SeamStore(database, seams)
    governor = make_governor(line, section, store, name if shared else None, sleep, clock)
    endpoint = Endpoint("main", section.base_url, attempts=2, ids_per_search=4, headers=profile(section.vendor).headers)
    client = FhirClient(endpoint, clock=clock, sleep=sleep, transport=transport(seams), turn=governor.turn)
    way_out = Exit(line, client, section.model_copy(update={"concurrency": 1}), _patients(store), clock=clock)
    connector = Connector(
        line,
        client,
        store,
        clock,
        way_out.channel,
        ladder=way_out.ladder,
        turns=Turns(store, clock, shared=shared),
    )
    return Replica(name, seams, replace(connector, subscriber=make_subscriber(connector, section)))


def _patients(store: Store) -> Callable[[], Sequence[str]]:
    def known() -> Sequence[str]:
        with store.reading() as tx:
            return tx.patients("main")

    return known


def tend(bridge: Connector) -> object:
    """Look after the Subscriptions, as the service does: not while all is paused."""
    if bridge.subscriber is None or bridge.pauses().whole is not None:
        return None
    bridge.subscriber.tend()
    return [f"{row.ref} {row.state} {row.problem or ''}" for row in subscribed(bridge)]


def subscribed(bridge: Connector) -> list[Subscribed]:
    """Return what Bridge keeps of its Subscriptions."""
    with bridge.store.reading() as tx:
        return tx.subscribed("main")
