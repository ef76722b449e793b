"""An EHR with its clinic, and one or two replicas of Bridge on one database, on one clock."""

from __future__ import annotations

import copy
import random
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from bridge.cases.model import Case
from bridge.config import Settings
from bridge.errors import BridgeError, RemoteError
from bridge.store.opening import create_or_open
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from bridge.sync.connector import Connector
from bridge.sync.retention import Keeping, forget
from bridge.wiring import make_gate, make_line, read_lanes
from conformance.simulator import ManualClock, Simulator, SimulatorTransport

from .clinic import WE, Clinic
from .database import Database
from .doorstep import Doorstep
from .drawn import draw, draw_disaster, draw_tenders
from .people import Local, People
from .process import Replica, start, tend
from .registry import PATIENTS
from .retold import Told
from .seams import Crash, Network, Seams, Wire
from .watching import Watched

START = datetime(2026, 6, 1, 14, tzinfo=UTC)
BASE = "http://ehr.example/fhir"
OWNERS = {"ann": {"kind": "person", "display": "Ann", "references": ["Practitioner/ann"]}}
LANES = read_lanes(Settings())


class World:
    """
    Everything of one run.

    Args:
        seed: Decides everything that happens.
        folder: Where an SQLite database may stand; without one, the database is in memory and plays a server
            that several replicas share.
        template: A database file with nothing in it, to be copied.
        disaster: Whether the database is certainly lost once, and not by chance alone.
    """

    def __init__(self, seed: int, folder: Path | None, template: Path | None, *, disaster: bool = False) -> None:
        self.seed = seed
        self.tenders = draw_tenders(seed)
        self.rng = random.Random(seed)
        random.seed(seed)  # The jitter of retries.
        self.clock = ManualClock(START)
        self.trace: list[str] = []
        self.drawn = drawn = draw(self.rng)
        self.disaster = draw_disaster(seed, certain=disaster) if not drawn.blind else None
        self.ehr = Simulator(self.clock, drawn.options, drawn.habits, seed=seed, vendor=drawn.vendor)
        self.clinic = Clinic(self.ehr, self.clock, self.rng, moving=drawn.moving, schedule=drawn.schedule)
        self.network = Network(self.rng)
        self.settings = Settings.model_validate(
            {
                "site": {"time_zone": "America/New_York"},
                "connections": {"main": drawn.section(BASE, [WE], PATIENTS)},
                "owners": OWNERS,
            }
        )
        self.section = self.settings.connections["main"]
        self.line = make_line("main", self.section, self.settings, LANES)
        self.local = Local()
        self.found: list[str] = []
        """What must not be, seen in passing."""
        self.skew = timedelta(seconds=drawn.skew_seconds)
        self.down_until = START
        self.calm = False
        """Whether nobody acts in between any more."""
        self.working = ""
        self.doing = ""
        self._busy = 0
        self.people = People(self)
        self.told = Told()
        self.watched = Watched(self)
        self.database = Database(folder, template)
        names = ("one",) if self.database.is_file else ("one", "two")
        self.replicas = [self._replica(name) for name in names]
        self.door = self._door()

    def now(self) -> datetime:
        """Return what Bridge's own clock says."""
        return self.clock() + self.skew

    @property
    def store(self) -> Store:
        """The database as it is, past all seams."""
        return self.database.store

    # Processes --------------------------------------------------------------------------------------------

    def _replica(self, name: str) -> Replica:
        def transport(seams: Seams) -> httpx.BaseTransport:
            inner = Wire(SimulatorTransport(self.ehr), seams, self.network, self._meanwhile)
            return self.watched.on(inner)

        shared = not self.database.is_file
        return start(
            name, self.line, self.section, self.database.store, self.now, self._sleep, transport, shared=shared
        )

    def _door(self) -> Doorstep | None:
        gate = make_gate("main", self.section)
        if self.drawn.hooks is None or gate is None:
            return None
        door = Doorstep(
            self.ehr, self.database.store, self.line, gate, self.drawn.hooks, self.rng, lambda: self.is_down
        )
        self.ehr.hooks.sender = door
        return door

    @property
    def is_down(self) -> bool:
        """Whether no process of Bridge runs."""
        return self.clock() < self.down_until

    def _sleep(self, seconds: float) -> None:
        self.clock.advance(seconds=seconds)

    def restart(self, replica: Replica) -> None:
        """Start the process anew; on SQLite the database is opened anew and its leases are given back."""
        if self.database.is_file:
            self._shut()
            self.database.open()
            self.door = self._door()
        fresh = self._replica(replica.name)
        replica.seams, replica.bridge = fresh.seams, fresh.bridge
        if self.database.is_file:
            with self.store.transaction() as tx:
                tx.release_leases(self.now())

    def _shut(self) -> None:
        if self.door is not None:
            self.found += self.door.found
            self.door.close()
        self.database.store.close()

    def back_up(self) -> None:
        """Copy the database as it is."""
        self.database.back_up()
        self.local.kept = copy.deepcopy(self.local.here)
        self.people.entered_since.clear()

    def restore(self) -> None:
        """Put the copy in the place of the database: what was done since then, Bridge knows nothing of."""
        if self.local.kept is None:
            return
        self.note("the database is lost, and restored from its copy")
        self._shut()
        self.database.restore(self.now())
        self.told.lose(self)
        # What people entered since is lost, but for what the EHR holds: the oracle asks for that by itself.
        self.local.here = copy.deepcopy(self.local.kept)
        self.people.remember()
        self.door = self._door()
        for replica in self.replicas:
            fresh = self._replica(replica.name)
            replica.seams, replica.bridge = fresh.seams, fresh.bridge

    def forget(self) -> None:
        """Drop what nobody needs any more, however short ago it was needed."""
        done = forget(self.store, Keeping(timedelta(hours=2), timedelta(hours=2)), self.now())
        self.note(f"retention: {done}")

    def run(self, replica: Replica, what: str, work: Callable[[Connector], object]) -> None:
        """Let a process do something; it may die of it, and then is started anew."""
        if self.is_down:
            return
        hit = not self.calm and self.rng.random() < 0.15
        if hit:
            replica.seams.arm(self.rng.randint(1, 25))
        self._busy += 1
        before, self.doing = self.doing, what
        try:
            with self.watched.at_work(what):
                came = work(replica.bridge)
            self.note(f"{replica.name} {what}: {came}")
        except RemoteError as error:
            self.note(f"{replica.name} {what}: {type(error).__name__} {error}")
        except Crash:
            self.note(f"{replica.name} {what}: dies")
            self.restart(replica)
        finally:
            self._busy -= 1
            self.doing = before
            replica.seams.disarm()

    def note(self, words: str) -> None:
        """Write down what happened."""
        self.trace.append(f"{self.clock():%d %H:%M:%S} {'  ' * self._busy}{words}")

    # Others, while a request is on its way ----------------------------------------------------------------

    def _meanwhile(self) -> None:
        if self.calm or self._busy > 1:
            return
        self._tend_at_once()
        if self.rng.random() >= 0.04:
            return
        self._busy += 1
        try:
            chance = self.rng.random()
            if chance < 0.45:
                self.act()
            elif chance < 0.6:
                self.people.command()
            elif chance < 0.7:
                self.ring()
            elif chance < 0.8:
                self.clock.advance(seconds=self.rng.choice((1, 40, 130)))
            elif len(self.replicas) > 1:
                self._other_replica()
        finally:
            self._busy -= 1

    def _tend_at_once(self) -> None:
        """Let the other replica look after the Subscriptions while this one does: its turn was over before it was."""
        if self.tenders is None or self.doing != "tends" or len(self.replicas) < 2 or self.tenders.random() >= 0.2:
            return
        self._busy += 1
        try:
            self.run(self._other, "tends", tend)
        finally:
            self._busy -= 1

    @property
    def _other(self) -> Replica:
        """The replica that is not waiting for an answer."""
        return self.replicas[1] if self.working == self.replicas[0].name else self.replicas[0]

    def _other_replica(self) -> None:
        other = self._other
        work = self.rng.choice(
            (Connector.deliver, Connector.answer, Connector.pass_time, Connector.read, Connector.compare)
        )
        self.run(other, work.__name__, work)

    def act(self) -> None:
        """Let somebody in the clinic do something."""
        said = self.clinic.act()
        self.watched.moved()
        self.note(f"clinic {said}")

    def ring(self) -> None:
        """Let the EHR send the notifications that are due."""
        for ring, reply in self.ehr.deliver():
            said = "no answer" if reply is None else reply.status
            self.note(f"EHR rings: {ring.kind} {ring.method} {list(ring.events)} -> {said}")

    def cases(self) -> list[Case]:
        """Return every case, merged ones too."""
        with self.store.reading() as tx:
            return list(tx.list_cases(CaseFilter(merged=True), limit=1000).cases)

    def notify(self) -> None:
        """Let a notification come: of something that changed, now or long ago, repeated, or of a whole type."""
        rng, refs = self.rng, self.clinic.changed
        chosen = set(rng.choices(refs, k=rng.randint(1, 3))) if refs else set()
        if rng.random() < 0.2:
            chosen |= {rng.choice(("Task", "ServiceRequest", "Patient", "Task/never-was"))}
        try:
            with self.store.transaction() as tx:
                tx.note_hints("main", chosen, self.now(), rng.getrandbits(60))
        except BridgeError as error:
            self.note(f"hint refused: {error}")
        self.note(f"EHR notifies of {sorted(chosen)}")

    def integrity(self) -> list[str]:
        """Return what SQLite itself finds wrong with the database."""
        if self.database.file is None:
            return []
        with closing(sqlite3.connect(self.database.file)) as conn:
            said = [row[0] for row in conn.execute("PRAGMA integrity_check")]
            broken = conn.execute("PRAGMA foreign_key_check").fetchall()
        return ([] if said == ["ok"] else [f"O9: {said}"]) + ([f"O9: foreign keys {broken}"] if broken else [])

    def close(self) -> None:
        """Give everything back."""
        self._shut()


def blank(folder: Path) -> Path:
    """Make a database file with nothing in it."""
    create_or_open(f"sqlite:///{folder / 'blank.sqlite3'}").close()
    return folder / "blank.sqlite3"
