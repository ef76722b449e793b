"""
Several ``bridge serve`` over one PostgreSQL database, beside one simulated EHR over HTTP.

Each replica shows the EHR a token of its own, so that the EHR knows who asks. It can stop one (SIGSTOP) or kill it
(SIGKILL) after its so-and-so-many-th write, before that is answered: the replica then does not know what it did.
"""

from __future__ import annotations

import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import httpx

from bridge.cases.intents import IntentState
from bridge.store.engine import engines
from bridge.store.sql import SqlStore
from bridge.sync.line import READ_ORDER
from conformance.generator import generate, transactions
from conformance.simulator import Simulator, client_of, start
from conformance.simulator.wire import Answer, Request
from tests.hapi.line import CONNECTION, SHOWN_AT_ONCE, WORK, Ehr, Workplace
from tests.kill.process import BridgeProcess
from tests.kill.standing import Standing
from tests.kill.test_kill_simulator import COUNT, SEED, WE_ARE, SeedingClock

PATIENCE_SECONDS = 150.0
GLANCE_SECONDS = 0.05
LEASE_SECONDS = 6
POLL_SECONDS = 1
SETTINGS = f"""page_size = 20
concurrency = 3
{SHOWN_AT_ONCE}
poll_seconds = {POLL_SECONDS}
we_are = {WE_ARE}
auth = "bearer"
token_file = "token"
""".replace("'", '"')


def until(holds: Callable[[], bool], what: str, shown: Callable[[], str] = lambda: "") -> None:
    """
    Return as soon as *holds* does; *shown* tells how it stands where it does not.

    Raises:
        AssertionError: It does not, for long.
    """
    deadline, never = time.monotonic() + PATIENCE_SECONDS, threading.Event()
    while not holds():
        assert time.monotonic() < deadline, f"this did not come about: {what} {shown()}"
        never.wait(GLANCE_SECONDS)


@dataclass(frozen=True)
class Reference:
    """What an undisturbed run came to, of an EHR filled at that time."""

    filled_at: datetime
    standing: Standing


@dataclass
class Trap:
    """What befalls a replica after so many writes; ``sprung`` is set when it has."""

    process: BridgeProcess
    writes: int
    signal: int
    sprung: threading.Event = field(default_factory=threading.Event)


class Stage(Simulator):
    """An EHR that knows its callers; ``writes`` counts what each stored, ``reads`` what each searched for."""

    def __init__(self, clock: SeedingClock) -> None:
        super().__init__(clock)
        self.writes: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.traps: dict[str, Trap] = {}

    def handle(self, request: Request) -> Answer:
        """Carry *request* out; a trapped caller is gone before the answer leaves."""
        answer = super().handle(request)
        who = request.headers.get("authorization", "").removeprefix("Bearer ")
        if request.writes and answer.status < 400:
            self.writes[who] += 1
            trap = self.traps.get(who)
            if trap is not None and self.writes[who] >= trap.writes and not trap.sprung.is_set():
                trap.process.freeze() if trap.signal == signal.SIGSTOP else trap.process.shoot()
                trap.sprung.set()
        elif not request.writes and request.path in WORK:
            self.reads[who] += 1
        return answer


@dataclass
class Site:
    """One EHR, one database, any number of replicas, each in a folder of its own."""

    folder: Path
    url: str
    server: Stage
    ehr: Ehr
    base_url: str
    store: SqlStore
    processes: list[BridgeProcess] = field(default_factory=list)

    def workplace(self, name: str) -> Workplace:
        """Return the folder of a replica with its configuration."""
        more = f'[database]\nurl = "{self.url}"\nlease_seconds = {LEASE_SECONDS}\n[web]\nport = 0\n'
        place = Workplace(self.folder / name, self.base_url, connection=SETTINGS, more=more)
        (place.folder / "token").write_text(name)
        return place

    def replica(self, name: str, *command: str) -> BridgeProcess:
        """Start ``bridge COMMAND`` (``serve``, where none is given) as the replica of that name."""
        process = BridgeProcess(self.workplace(name).folder, *(command or ("serve",)))
        self.processes.append(process)
        return process

    def trap(self, name: str, process: BridgeProcess, *, writes: int, by: int) -> Trap:
        """Let a signal befall a replica after so many writes of its own."""
        trap = self.server.traps[name] = Trap(process, writes, by)
        return trap

    def await_rest(self) -> None:
        """Wait until all that is to be written is, and two whole polls after that found nothing more to do."""
        for _ in range(2):
            since = datetime.now(UTC)
            until(lambda since=since: self._at_rest(since), "rest:", self._state)  # type: ignore[misc]

    def _at_rest(self, since: datetime) -> bool:
        with self.store.reading() as tx:
            checked = [row.checked_at for row in tx.cursors(CONNECTION) if row.stream in READ_ORDER]
            if len(checked) < len(WORK) or any(at is None or at < since for at in checked):
                return False
            counts = tx.outbox_counts(CONNECTION)
            unsent = counts.get(IntentState.QUEUED, 0) + counts.get(IntentState.SENDING, 0)
            return unsent == 0 and not tx.wanted_people(CONNECTION, datetime.now(UTC), 1)

    def _state(self) -> str:
        said = {process.out.parent.name: process.said()[-1000:] for process in self.processes}
        with self.store.reading() as tx:
            left = [row for row in tx.outbox(connection=CONNECTION, limit=10_000) if row.settled_at is None][:3]
            return f"{datetime.now(UTC)} {tx.cursors(CONNECTION)} {dict(tx.outbox_counts(CONNECTION))} {left} {said}"

    def sweep(self) -> None:
        """End all replicas, and let one process read, compare and deliver what is left; theirs it takes over."""
        for process in self.processes:
            process.kill()
        until(self._swept, "a whole round of one process")

    def _swept(self) -> bool:
        process = self.replica("last", "sync", "--once")
        process.wait()
        return process.code == 0

    def settled(self) -> int:
        """Return how many intents ended."""
        with self.store.reading() as tx:
            return tx.outbox_counts(CONNECTION).get(IntentState.CONFIRMED, 0)


@contextmanager
def site(folder: Path, url: str, filled_at: datetime) -> Iterator[Site]:
    """
    Serve an EHR that holds the same, to the millisecond, for the same *filled_at*.

    The database may still be at the schema of the release before.
    """
    clock = SeedingClock(filled_at)
    server = Stage(clock)
    with client_of(server, clinic=True) as clinic:
        for bundle in transactions(generate(SEED, COUNT, at=filled_at)):
            clinic.post("", json=bundle).raise_for_status()
    clock.live, server.options.update_as_create = True, False
    store = SqlStore(engines(url, pool_size=2))
    with start(simulator=server) as handle, httpx.Client(base_url=f"{handle.base_url}/", timeout=60) as client:
        here = Site(folder, url, server, Ehr(client), handle.base_url, store)
        try:
            yield here
        finally:
            for process in here.processes:
                process.kill()
            store.close()
