"""A real Bridge beside a simulated EHR on a clock that is told, scraped every simulated minute onto a tape."""

from __future__ import annotations

import io
import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

import httpx
from fastapi.testclient import TestClient
from prometheus_client.parser import text_string_to_metric_families

from bridge import logs
from bridge.errors import RemoteError, StoreUnavailable
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import profile
from bridge.store.memory import MemoryStore, MemoryTx
from bridge.store.rows import Pause
from bridge.sync.connector import Connector
from bridge.sync.governor import Governor
from bridge.sync.ladder import Ladder
from bridge.sync.replay import replay_inbox, replay_outbox
from bridge.web.app import create_app
from bridge.web.context import Disk, WebContext
from bridge.web.gate import Gate
from bridge.wiring import make_subscriber
from tests.unit.sync.ringing import HERE, SECRET, Registry
from tests.unit.sync.world import BASE, START, World, _Line, order, patient

GIB = 1024**3


class Database(MemoryStore):
    """A database that can be down, or on a full disk; tests/faults/test_f33_disk_full.py has a real one."""

    def __init__(self) -> None:
        super().__init__()
        self.down = self.full = False

    @property
    def problem(self) -> str | None:
        return "database: database or disk is full" if self.full else None

    @contextmanager
    def transaction(self) -> Iterator[MemoryTx]:
        self._check()
        if self.full:
            raise StoreUnavailable("database: database or disk is full")
        with super().transaction() as tx:
            yield tx

    @contextmanager
    def reading(self) -> Iterator[MemoryTx]:
        self._check()
        with super().reading() as tx:
            yield tx

    def _check(self) -> None:
        if self.down:
            raise StoreUnavailable("database: connection refused")


@dataclass
class Tape:
    """What Prometheus would have stored: for every series its value at each step, ``None`` where it was not told."""

    minutes: int
    """From one scrape to the next."""
    steps: int = 0
    series: dict[tuple[str, tuple[tuple[str, str], ...]], list[float | None]] = field(default_factory=dict)

    def scrape(self, text: str | None, other: bool | None = None) -> None:
        """Store one scrape, or that nobody answered; *other* is whether a second replica did, where there is one."""
        found: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {("up", ()): float(text is not None)}
        if other is not None:
            found["up", (("instance", "other:8000"),)] = float(other)
        for family in text_string_to_metric_families(text or ""):
            for sample in family.samples:
                if not sample.name.endswith("_created"):
                    found[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
        for key in found.keys() - self.series.keys():
            self.series[key] = [None] * self.steps
        for key, values in self.series.items():
            values.append(found.get(key))
        self.steps += 1


class Staged(World):
    """A Bridge with all that the real one has around its connector, and a web view that is scraped."""

    def __init__(self, minutes: int = 1, faults: Iterable[str] = ()) -> None:
        self.tape = Tape(minutes)
        self.answering = True
        """Whether the process is there to be scraped."""
        self.other: bool | None = None
        """Whether the other replica answers; None where there is none."""
        self._swept_at: datetime | None = None
        self.lost = 0
        """The status with which the EHR refuses every request; 0 for none."""
        self.skew = timedelta(0)
        """How far our clock is ahead of the EHR's."""
        self.free = 40 * GIB
        self.registry: Registry | None = None
        super().__init__(faults=faults, subscribe="auto", subscribe_url=HERE, hook_secret=SECRET)
        self.web = TestClient(create_app(self._context()), raise_server_exceptions=False)
        self.ehr.put(patient())
        self.ehr.put(order())
        self.answers = self._refused

    def now(self) -> Any:
        """Return what Bridge's own clock says."""
        return self.clock() + self.skew

    def way(self) -> httpx.BaseTransport:
        self.registry = self.registry or Registry(super().way())
        return self.registry

    def _refused(self, sent: httpx.Request) -> httpx.Response | None:
        return httpx.Response(self.lost, request=sent) if self.lost else None

    def new_bridge(self) -> Connector:
        self.store = Database()
        self.governor = Governor("main", self.store, self.now, sleep=lambda seconds: None)
        client = FhirClient(
            Endpoint("main", BASE, attempts=1, ids_per_search=20),
            clock=self.now,
            sleep=lambda _: None,
            transport=_Line(self, self.way()),
            turn=self.governor.turn,
        )
        ladder = Ladder(self.line, client, profile("generic"), client.capability, self.now)
        bridge = Connector(self.line, client, self.store, self.now, lambda: self._channel(client), ladder=ladder)
        return replace(bridge, subscriber=make_subscriber(bridge, self.settings.connections["main"]))

    def _context(self) -> WebContext:
        return WebContext(
            store=self.store,
            lines={"main": self.line},
            connections=list,
            replay_inbox=lambda ids: replay_inbox(self.store, {"main": self.line}, ids, self.now()),
            replay_outbox=lambda ids: replay_outbox(self.store, ids, self.now()),
            clock=self.now,
            new_id=lambda: "id",
            version="0",
            zone=self.line.rules.calendar.zone,
            allowed_hosts=frozenset({"testserver"}),
            gates={"main": Gate(path=SECRET)},
            asked=lambda: {("main", outcome.value): number for outcome, number in self.governor.asked().items()},
            disk=lambda: Disk(self.free, 100 * GIB, GIB),
        )

    # Time ---------------------------------------------------------------------------------------------------

    def pass_steps(self, steps: int, *, working: bool = True) -> int:
        """Let Bridge work for so many scrapes, unless it does not; returns how many there are on the tape."""
        for _ in range(steps):
            self.clock.advance(minutes=self.tape.minutes)
            if working and self.answering:
                self._work()
            self.tape.scrape(self.web.get("/metrics").text if self.answering else None, self.other)
        return self.tape.steps

    def pause(self, type_: str | None = None) -> None:
        """Do what ``bridge pause`` does."""
        with self.store.transaction() as tx:
            assert tx.pause(Pause(connection="main", type=type_, by="ops", at=self.now()))

    def resume(self, type_: str | None = None) -> None:
        """Do what ``bridge resume`` does."""
        with self.store.transaction() as tx:
            assert tx.resume("main", type_)

    def _work(self) -> None:
        """Do what the loops of ``bridge serve`` do in a while."""
        sweeping = self._sweep_is_due()
        for work in (
            self.bridge.read,
            self.bridge.name_people,
            *([self.bridge.compare] if sweeping else []),
            self.bridge.answer,
            self.bridge.deliver,
            self._tend,
        ):
            self._try(work)

    def _sweep_is_due(self) -> bool:
        """Whether the last one was begun half an hour ago; a pause puts it off until it ends."""
        with suppress(StoreUnavailable):
            due = self._swept_at is None or self.clock() - self._swept_at >= timedelta(minutes=30)
            if due and self.bridge.pauses().whole is None:
                self._swept_at = self.clock()
                return True
        return False

    def _tend(self) -> None:
        assert self.bridge.subscriber is not None
        assert self.registry is not None
        self.bridge.pauses().check()
        self.bridge.subscriber.tend()
        if all(one["status"] == "requested" for one in self.registry.kept.values()):
            self.registry.activate()

    def _try(self, work: Callable[[], object]) -> None:
        try:
            work()
        except (RemoteError, StoreUnavailable):
            return


@contextmanager
def logging_counted() -> Iterator[io.StringIO]:
    """Have what Bridge logs written and counted, as ``bridge serve`` does; gives what was written."""
    written = io.StringIO()
    handler = logs.handler_to(written, "json")
    logger = logging.getLogger("bridge")
    logger.addHandler(handler)
    try:
        yield written
    finally:
        logger.removeHandler(handler)


def seconds_from_start(value: float) -> float:
    """Return a timestamp as if the world had begun at 1970, as time does in ``promtool test rules``."""
    return value - START.timestamp()
