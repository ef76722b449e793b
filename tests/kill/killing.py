"""
Kill Bridge at chance moments, and know what it was doing when it was hit.

A process is watched until it has begun what is to be hit, and then left alone for a random share of the time that
an undisturbed run took for all of it. Then it is stopped (SIGSTOP), so that the database can be looked at as the
kill will leave it, and killed (SIGKILL).
"""

from __future__ import annotations

import signal
import sqlite3
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from random import Random

from conformance.simulator import Clock, Simulator
from conformance.simulator.wire import Answer, Request
from tests.hapi.line import WORK, Workplace

from .process import BridgeProcess

DATABASE = "bridge.sqlite3"
SHARE = 15
"""A kill waits for at most one part in so many of what an undisturbed run takes, so that many fit in."""
TRIES = 200


@dataclass(frozen=True)
class Glimpse:
    """
    What a database shows of the process at work on it.

    Attributes:
        received: Versions in the inbox.
        at_rest: Streams that were read to their end at least once.
        settled: Intents that ended.
        sending: Intents that were claimed, with the token of each claim.
    """

    received: int = 0
    at_rest: int = 0
    settled: int = 0
    sending: frozenset[tuple[int, int]] = frozenset()

    def backfilling_since(self, before: Glimpse) -> bool:
        """Whether the backfill got on since *before* and is not through."""
        return self.received > before.received and self.at_rest < len(WORK)

    def delivering_since(self, before: Glimpse) -> bool:
        """Whether something that was claimed since *before* is on its way."""
        return bool(self.sending - before.sending)


def glimpse(database: Path) -> Glimpse:
    """Look into *database* without touching it; one that is not made yet shows nothing."""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True, timeout=1)) as conn:
            conn.isolation_level = None
            conn.execute("BEGIN")
            received, at_rest, settled = conn.execute(
                "SELECT (SELECT count(*) FROM source_version),"
                " (SELECT count(*) FROM cursor WHERE checked_at IS NOT NULL),"
                " (SELECT count(*) FROM outbox WHERE settled_at IS NOT NULL)"
            ).fetchone()
            sending = conn.execute("SELECT id, token FROM outbox WHERE state = 'sending'").fetchall()
            return Glimpse(received, at_rest, settled, frozenset(sending))
    except sqlite3.OperationalError:
        return Glimpse()


def in_transaction(database: Path) -> bool:
    """Whether somebody is between ``BEGIN IMMEDIATE`` and the end of its commit."""
    if glimpse(database) == Glimpse():
        return False
    with closing(sqlite3.connect(f"file:{database}?mode=rw", uri=True, timeout=0)) as conn:
        conn.isolation_level = None
        try:
            conn.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return True
        conn.execute("ROLLBACK")
        return False


class Aim(StrEnum):
    """When a kill is to come: at any time since the start, or in the midst of something."""

    ANYWHERE = "anywhere"
    BACKFILL = "backfill"
    BACKFILL_TRANSACTION = "transaction of the backfill"
    DELIVERY = "delivery"
    DELIVERY_TRANSACTION = "transaction of the delivery"


@dataclass(frozen=True)
class Pace:
    """Seconds that an undisturbed run took to its first page, from there to its first delivery, and to its end."""

    start: float
    backfill: float
    delivery: float


class Ambush(Simulator):
    """A simulated EHR that kills a process after its so-and-so-many-th write, before that is answered."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(clock)
        self.sprung = False
        self._victim: BridgeProcess | None = None
        self._writes = 0

    def lie_in_wait(self, victim: BridgeProcess, writes: int) -> None:
        """Kill *victim* after that many writes from now on."""
        self.sprung, self._victim, self._writes = False, victim, writes

    def handle(self, request: Request) -> Answer:
        """Carry *request* out; whoever is to be killed is, before the answer leaves."""
        answer = super().handle(request)
        if self._victim is not None and request.writes and answer.status < 400:
            self._writes -= 1
            if self._writes == 0:
                self._victim.shoot()
                self._victim, self.sprung = None, True
        return answer


class CameTooLate(Exception):
    """The machine was too busy to kill in time: what ran through undisturbed shows nothing."""


class Killer:
    """Starts Bridge in one workplace and kills it; *rng* chooses the moments. ``found`` counts what was hit."""

    def __init__(self, workplace: Workplace, pace: Pace, rng: Random) -> None:
        self.folder, self.pace, self.rng = workplace.folder, pace, rng
        self.database = workplace.folder / DATABASE
        self.found: Counter[str] = Counter()

    @property
    def kills(self) -> int:
        """How many processes were killed before they were through."""
        return self.found["killed"]

    def kill(self, aim: Aim, *command: str) -> None:
        """Start ``bridge COMMAND`` and kill it as *aim* says; one that is through before that must have ended well."""
        before = glimpse(self.database)
        process = BridgeProcess(self.folder, *command)
        self._await(process, aim, before)
        process.freeze()
        if "transaction" in aim:
            self._await_transaction(process)
        self._finish(process, before)

    def kill_unheard(self, ambush: Ambush, *command: str) -> None:
        """Start ``bridge COMMAND`` and kill it when the server has done what it asked but not answered yet."""
        before = glimpse(self.database)
        process = BridgeProcess(self.folder, *command)
        ambush.lie_in_wait(process, self.rng.randint(1, 8))
        process.wait()
        if not ambush.sprung:
            raise CameTooLate(f"{process.command} wrote too little: {process.said()}")
        self._finish(process, before)

    def check(self, **least: int) -> None:
        """Raise `CameTooLate` unless each was hit at least so often; underscores in names stand for spaces."""
        for name, count in least.items():
            hit = self.found[name.replace("_", " ")]
            if hit < count:
                raise CameTooLate(f"{name}: {hit} times, not {count}")

    def _finish(self, process: BridgeProcess, before: Glimpse) -> None:
        now, locked = glimpse(self.database), in_transaction(self.database)
        ended = process.wait(0)
        process.kill()
        if ended and process.code != -signal.SIGKILL:
            process.end_well()
            self.found["was through"] += 1
            return
        self.found["killed"] += 1
        self.found[process.command] += 1
        self.found["in the backfill"] += now.backfilling_since(before)
        self.found["in the delivery"] += now.delivering_since(before)
        self.found["in a transaction"] += locked

    def _await(self, process: BridgeProcess, aim: Aim, before: Glimpse) -> None:
        if aim is Aim.ANYWHERE:
            process.wait(self.rng.uniform(0, self.pace.start))
            return
        backfill = aim in (Aim.BACKFILL, Aim.BACKFILL_TRANSACTION)
        begun = Glimpse.backfilling_since if backfill else Glimpse.delivering_since
        process.watch(lambda: begun(glimpse(self.database), before))
        process.wait(self.rng.uniform(0, (self.pace.backfill if backfill else self.pace.delivery) / SHARE))

    def _await_transaction(self, process: BridgeProcess) -> None:
        for _ in range(TRIES):
            if in_transaction(self.database) or process.wait(0):
                return
            process.thaw()
            process.wait(self.rng.uniform(0, 0.004))
            process.freeze()


def undisturbed(workplace: Workplace) -> Pace:
    """Do a whole ``sync --once`` in a new workplace, and time it."""
    BridgeProcess(workplace.folder, "--version").wait()  # The first of a run waits for the imports.
    database, began = workplace.folder / DATABASE, time.monotonic()
    process = BridgeProcess(workplace.folder, "sync", "--once")
    process.watch(lambda: glimpse(database).received > 0)
    first = time.monotonic()
    process.watch(lambda: glimpse(database).delivering_since(Glimpse()))
    read = time.monotonic()
    process.end_well()
    return Pace(first - began, read - first, time.monotonic() - read)
