"""An EHR with its clinic, and one or two replicas of Bridge on one database, on one clock."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bridge.cases import commands as do
from bridge.cases.model import Action, AttemptOutcome, BlockerCategory, Case, Channel, ClosureReason
from bridge.config import Settings
from bridge.errors import BridgeError, CommandRefused, RemoteError, StaleVersion
from bridge.fhir.client import Endpoint, FhirClient
from bridge.fhir.vendors import profile
from bridge.store.memory import MemoryStore
from bridge.store.opening import create_or_open, open_store
from bridge.store.port import CaseFilter, Store
from bridge.sync.command import execute
from bridge.sync.connector import Connector
from bridge.sync.deliver import Breaker
from bridge.sync.deliver import Channel as WayOut
from bridge.tasks.coordination_task import Form
from bridge.tasks.route import route_plan
from bridge.wiring import make_line, read_lanes
from conformance.simulator import ManualClock, Options, Simulator, SimulatorTransport

from .clinic import WE, Clinic
from .seams import Crash, Network, Seams, SeamStore, Wire

START = datetime(2026, 6, 1, 14, tzinfo=UTC)
BASE = "http://ehr.example/fhir"
HABITS = (
    "late-commit=120",
    "late-commit=1500",
    "reindex=200",
    "reindex=900",
    "equal-timestamps=60",
    "clock-skew=3600",
    "clock-skew=-3600",
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
    "outcome-among-matches",
    "outcome-among-matches=error",
    "outcome-when-empty",
    "outcome-instead=3",
    "forbidden=Task",
    "throttle=7",
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
)
"""Habits of EHRs that a run may have, of those that the simulator knows and Bridge promises to get along with."""

LOSING = ("drop-answer", "broken-answer", "outage")
"""Habits by which the answer to a write is lost."""

_SETTINGS = Settings.model_validate(
    {
        "site": {"time_zone": "America/New_York"},
        "connections": {"main": {"base_url": BASE, "page_size": 3, "we_are": [WE]}},
        "owners": {"ann": {"kind": "person", "display": "Ann", "references": ["Practitioner/ann"]}},
    }
)
LINE = make_line("main", _SETTINGS.connections["main"], _SETTINGS, read_lanes(_SETTINGS))


@dataclass
class Replica:
    """One process of Bridge."""

    name: str
    seams: Seams
    bridge: Connector


class World:
    """
    Everything of one run.

    Args:
        seed: Decides everything that happens.
        folder: Where an SQLite database may stand; without one, the database is in memory and plays a server
            that several replicas share.
        template: A database file with nothing in it, to be copied.
    """

    def __init__(self, seed: int, folder: Path | None, template: Path | None) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        random.seed(seed)  # The jitter of retries.
        self.clock = ManualClock(START)
        self.trace: list[str] = []
        self.ehr = Simulator(self.clock, self._options())
        self.habits = self._habits()
        for habit in self.habits:
            self.ehr.add_fault(habit)
        self.clinic = Clinic(self.ehr, self.clock, self.rng)
        self.network = Network(self.rng)
        self.blind = not self.ehr.options.update_as_create and any(
            habit.startswith(("late-commit", "reindex", "conditional-create-race")) for habit in self.habits
        )
        """
        Whether a search, or the server itself, does not see yet what was created under an id of its own choice.

        Then nobody can know what became of a create whose answer was lost, so in these runs none is.
        """
        self.notes: dict[str, set[str]] = {}
        self.attempts: dict[str, set[str]] = {}
        self.decided: set[str] = set()
        """Cases that a person closed or reopened."""
        self.written: list[tuple[datetime, str]] = []
        self._busy, self._names, self._url = 0, 0, None
        self.calm = False
        """Whether nobody acts in between any more."""
        if folder is not None and template is not None:
            shutil.copy(template, folder / "bridge.sqlite3")
            self._url = f"sqlite:///{folder / 'bridge.sqlite3'}"
        self.store: Store = open_store(self._url, pool_size=2) if self._url is not None else MemoryStore()
        self.replicas = (
            [self._replica("one")] if self._url is not None else [self._replica("one"), self._replica("two")]
        )

    def _options(self) -> Options:
        rng = self.rng
        return Options(
            update_as_create=rng.random() < 0.4,
            stale_write_status=rng.choice((409, 412)),
            lenient=rng.random() < 0.5,
            page_size=rng.choice((2, 20)),
        )

    def _habits(self) -> list[str]:
        chosen = self.rng.sample(HABITS, self.rng.choice((0, 1, 1, 2)))
        if self.ehr.options.update_as_create:
            return chosen
        if any(habit.startswith(("late-commit", "reindex", "conditional-create-race")) for habit in chosen):
            return [habit for habit in chosen if not habit.startswith(LOSING)]
        return chosen

    # Processes --------------------------------------------------------------------------------------------

    def _replica(self, name: str) -> Replica:
        seams = Seams()
        wire = Wire(SimulatorTransport(self.ehr), seams, self.network, self._meanwhile)
        endpoint = Endpoint("main", BASE, attempts=2, ids_per_search=4)
        client = FhirClient(endpoint, clock=self.clock, sleep=self._sleep, transport=_Watched(self, wire))
        store, breaker = SeamStore(self.store, seams), Breaker()
        return Replica(name, seams, Connector(LINE, client, store, self.clock, lambda: _way_out(client, breaker)))

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)

    def restart(self, replica: Replica) -> None:
        """Start the process anew; on SQLite the database is opened anew and its leases are given back."""
        if self._url is not None:
            self.store.close()
            self.store = open_store(self._url, pool_size=2)
        fresh = self._replica(replica.name)
        replica.seams, replica.bridge = fresh.seams, fresh.bridge
        if self._url is not None:
            with self.store.transaction() as tx:
                tx.release_leases(self.clock())

    def run(self, replica: Replica, what: str, work: Callable[[Connector], object]) -> None:
        """Let a process do something; it may die of it, and then is started anew."""
        hit = not (self.calm or self.blind) and self.rng.random() < 0.15
        if hit:
            replica.seams.arm(self.rng.randint(1, 25))
        self._busy += 1
        try:
            came = work(replica.bridge)
            self.note(f"{replica.name} {what}: {came}")
        except RemoteError as error:
            self.note(f"{replica.name} {what}: {type(error).__name__} {error}")
        except Crash:
            self.note(f"{replica.name} {what}: dies")
            self.restart(replica)
        finally:
            self._busy -= 1
            replica.seams.disarm()

    def note(self, words: str) -> None:
        """Write down what happened."""
        self.trace.append(f"{self.clock():%d %H:%M:%S} {'  ' * self._busy}{words}")

    # Others, while a request is on its way ----------------------------------------------------------------

    def _meanwhile(self) -> None:
        if self.calm or self._busy > 1 or self.rng.random() >= 0.04:
            return
        self._busy += 1
        try:
            chance = self.rng.random()
            if chance < 0.5:
                self.note(f"clinic {self.clinic.act()}")
            elif chance < 0.7:
                self.command()
            elif chance < 0.8:
                self.clock.advance(seconds=self.rng.choice((1, 40, 130)))
            elif len(self.replicas) > 1:
                self._other_replica()
        finally:
            self._busy -= 1

    def _other_replica(self) -> None:
        """The replica that is not waiting for an answer; only one of them crawls or compares at a time."""
        other = self.replicas[1] if self.working == self.replicas[0].name else self.replicas[0]
        work = self.rng.choice((Connector.deliver, Connector.answer, Connector.pass_time))
        self.run(other, work.__name__, work)

    working = ""

    # People -----------------------------------------------------------------------------------------------

    def cases(self) -> list[Case]:
        """Return every case, merged ones too."""
        with self.store.reading() as tx:
            return list(tx.list_cases(CaseFilter(merged=True), limit=1000).cases)

    def command(self) -> None:
        """Let a coordinator do something to a case."""
        cases = self.cases()
        if not cases:
            return
        case, rng = self.rng.choice(cases), self.rng
        self._names += 1
        name = f"act-{self._names}"
        command = rng.choice(
            (
                do.Assign(owner=rng.choice(("ann", "supervisor"))),
                do.LogOutreach(channel=rng.choice(list(Channel)), outcome=rng.choice(list(AttemptOutcome))),
                do.LogOutreach(channel=Channel.PHONE, outcome=AttemptOutcome.NO_ANSWER),
                do.RaiseBlocker(category=rng.choice(list(BlockerCategory)), text="waits"),
                do.ClearBlocker(),
                do.SetNextAction(code=rng.choice(list(Action))),
                do.Escalate(why="late"),
                do.Note(text=name),
                do.Close(reason=rng.choice(list(ClosureReason)), outcome="seen"),
                do.Reopen(why="again"),
            )
        )
        try:
            execute(
                self.store,
                {"main": LINE},
                case.id,
                command,
                by="ann",
                expected_version=case.version,
                now=self.clock(),
                new_id=name,
            )
        except (CommandRefused, StaleVersion) as error:
            self.note(f"ann may not {type(command).__name__} {case.root}: {error}")
            return
        self.note(f"ann does {type(command).__name__} {name} to {case.root}")
        if isinstance(command, do.Close | do.Reopen):
            self.decided.add(case.id)
        if isinstance(command, do.Note):
            self.notes.setdefault(case.id, set()).add(name)
        if isinstance(command, do.LogOutreach):
            self.attempts.setdefault(case.id, set()).add(name)

    def notify(self) -> None:
        """Let a notification come: of something that changed, now or long ago, repeated, or of a whole type."""
        rng, refs = self.rng, self.clinic.changed
        chosen = set(rng.choices(refs, k=rng.randint(1, 3))) if refs else set()
        if rng.random() < 0.2:
            chosen |= {rng.choice(("Task", "ServiceRequest", "Patient", "Task/never-was"))}
        try:
            with self.store.transaction() as tx:
                tx.note_hints("main", chosen, self.clock(), rng.getrandbits(60))
        except BridgeError as error:
            self.note(f"hint refused: {error}")
        self.note(f"EHR notifies of {sorted(chosen)}")

    def integrity(self) -> list[str]:
        """Return what SQLite itself finds wrong with the database."""
        if self._url is None:
            return []
        with closing(sqlite3.connect(self._url.removeprefix("sqlite:///"))) as conn:
            said = [row[0] for row in conn.execute("PRAGMA integrity_check")]
            broken = conn.execute("PRAGMA foreign_key_check").fetchall()
        return ([] if said == ["ok"] else [f"O9: {said}"]) + ([f"O9: foreign keys {broken}"] if broken else [])

    def close(self) -> None:
        """Give everything back."""
        self.store.close()


class _Watched(httpx.BaseTransport):
    """Writes down what Bridge sent."""

    def __init__(self, world: World, inner: httpx.BaseTransport) -> None:
        self._world, self._inner = world, inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = self._inner.handle_request(request)
        if request.method != "GET":
            words = f"{request.method} {request.url.path} -> {answer.status_code}"
            self._world.written.append((self._world.clock(), words))
            self._world.note(f"    {words}")
        return answer


def _way_out(client: FhirClient, breaker: Breaker) -> WayOut:
    vendor = profile("generic")
    form = Form(task_intent=vendor.task_intent, message_status=vendor.message_status)
    plan = route_plan(client.capability(), vendor, writes=True)
    return WayOut(LINE, client, plan, form, concurrency=1, breaker=breaker)


def blank(folder: Path) -> Path:
    """Make a database file with nothing in it."""
    create_or_open(f"sqlite:///{folder / 'blank.sqlite3'}").close()
    return folder / "blank.sqlite3"
