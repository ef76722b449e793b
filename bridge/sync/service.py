"""
``bridge serve``: every connection read, compared and delivered for as long as the process runs.

APScheduler only wakes; what is due is in the database. Each tick of a timer must be won there (a shared job
store runs jobs twice, so every replica has its own scheduler and one of them wins). A tick that is missed, or
comes while the last one still runs, is simply the next one.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from threading import Event, Lock, Thread

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler

from bridge.errors import HeldBack, PutOff, RemoteError, StoreUnavailable
from bridge.logs import where
from bridge.store.port import Store
from bridge.sync.connector import Connector
from bridge.sync.retention import EVERY, Keeping, forget
from bridge.sync.subscribe import LOOK_AGAIN
from bridge.sync.turns import Turns

log = logging.getLogger(__name__)

LOOK_FOR_WORK = timedelta(seconds=1)
"""How often outbox and hints are looked at, when nobody wakes their readers: one indexed read (rule ours)."""

BETWEEN_ANSWERS = timedelta(milliseconds=500)
"""A resource that rings all the time is read again no more often than this (rule ours)."""

LOOK_AT_CLOCK = timedelta(seconds=20)
"""How often it is looked whose time has come, whether or not the EHR answers: two indexed reads (rule ours)."""

SAY_AGAIN = timedelta(minutes=1)
"""How often the log says that the database does not save (rule ours)."""

LOOK_FOR_RETENTION = timedelta(minutes=10)
"""How often it is looked whether retention is due, and how long after the start first: begun late, it harms nobody."""

LOOK_FOR_SWEEP = timedelta(minutes=1)
"""How often it is looked whether a sweep is due: one that another process died over is not late for long."""


class Service:
    """
    Keeps the connectors going.

    Args:
        poll, sweep: Intervals by the connection's name.
        turns: Shares the work among processes.
        stopping: Set when the process is to end: nothing is begun any more.
        keeping: For how long what nobody needs is kept all the same.
    """

    def __init__(
        self,
        connectors: Sequence[Connector],
        store: Store,
        clock: Callable[[], datetime],
        *,
        poll: dict[str, timedelta],
        sweep: dict[str, timedelta],
        turns: Turns,
        stopping: Event | None = None,
        keeping: Keeping | None = None,
    ) -> None:
        self._connectors, self._store, self._clock = connectors, store, clock
        self._poll, self._sweep, self._turns = poll, sweep, turns
        self._stopping, self._keeping = stopping or Event(), keeping or Keeping()
        self._said_at: datetime | None = None
        self._resting: dict[str, datetime] = {}
        self._never_read = set(poll)
        self._ending = Thread(target=self._end, name="stop", daemon=True)
        self._ends = Lock()
        self._rung = {connector.line.name: Event() for connector in connectors}
        self._listeners = [
            Thread(target=self._listen, args=(connector,), name=f"notify-{connector.line.name}", daemon=True)
            for connector in connectors
        ]
        self._scheduler = BackgroundScheduler(
            executors={"default": ThreadPoolExecutor(max(4, 4 * len(connectors)))},
            job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": None},
            timezone="UTC",
        )

    def start(self) -> None:
        """
        Begin; the first poll of every connection is at once, however short ago another process had its tick.

        Nobody listened between that process and this one, and an EHR does not ring for ever.
        """
        for connector in self._connectors:
            name = connector.line.name
            self._every(self._poll[name], self._read, connector, f"poll/{name}")
            self._every(LOOK_AT_CLOCK, self._pass_time, connector, f"clock/{name}")
            self._every(
                min(LOOK_FOR_SWEEP, self._sweep[name]), self._compare, connector, f"sweep/{name}", at_once=False
            )
            if connector.subscriber is not None:
                self._every(LOOK_AGAIN, self._tend, connector, f"subscribe/{name}")
            if connector.line.writes:
                self._every(LOOK_FOR_WORK, self._send, connector, f"deliver/{name}")
        self._scheduler.add_job(
            self._with_database,
            "interval",
            (self._forget,),
            seconds=LOOK_FOR_RETENTION.total_seconds(),
            id="retention",
            next_run_time=self._clock() + LOOK_FOR_RETENTION,
        )
        self._scheduler.start()
        for listener in self._listeners:
            listener.start()

    def stop(self, within: timedelta | None = None) -> bool:
        """
        Let what is in flight finish, claim nothing new, and end; returns whether all has ended *within* the time.

        May be asked again, by whichever thread.
        """
        self._stopping.set()
        for rung in self._rung.values():
            rung.set()
        with self._ends:
            if self._ending.ident is None:
                self._ending.start()
        self._ending.join(within.total_seconds() if within is not None else None)
        return not self._ending.is_alive()

    def _end(self) -> None:
        for listener in self._listeners:
            listener.join()
        self._scheduler.shutdown(wait=True)

    def wake(self, connection: str) -> None:
        """Answer the connection's hints now, or as soon as the last answer is long enough ago."""
        if connection in self._rung:
            self._rung[connection].set()

    def _listen(self, connector: Connector) -> None:
        """Answer hints when woken; those that another process kept are found within ``LOOK_FOR_WORK``."""
        name = connector.line.name
        rung = self._rung[name]
        while not self._stopping.is_set():
            rung.wait(LOOK_FOR_WORK.total_seconds())
            rung.clear()
            try:
                self._answer(connector)
            except StoreUnavailable as error:
                self._not_saved(error)
            except Exception as error:  # noqa: BLE001 - the top of a loop; the hints are still there
                log.error("hints could not be answered: %s", where(error), extra={"connection": name})
            self._stopping.wait(BETWEEN_ANSWERS.total_seconds())

    def _every(
        self,
        interval: timedelta,
        job: Callable[[Connector], None],
        connector: Connector,
        name: str,
        *,
        at_once: bool = True,
    ) -> None:
        seconds = interval.total_seconds()
        first = self._clock() if at_once else self._clock() + interval
        self._scheduler.add_job(
            self._with_database,
            "interval",
            (job, connector),
            seconds=seconds,
            id=name,
            next_run_time=first,
            jitter=seconds / 20,
        )

    def _with_database(self, job: Callable[..., None], *connector: Connector) -> None:
        """Do a job; where the database does not take what came of it, nothing of it happened, and it comes again."""
        try:
            job(*connector)
        except StoreUnavailable as error:
            self._not_saved(error)

    def _not_saved(self, error: StoreUnavailable) -> None:
        """Say that nothing can be saved, once a minute."""
        now = self._clock()
        if self._said_at is None or now - self._said_at >= SAY_AGAIN:
            self._said_at = now
            log.warning("%s; nothing is taken in until the database saves again, and nothing is lost", error)

    def _won(self, name: str, interval: timedelta) -> bool:
        """Whether this process is the one to act on the timer's tick."""
        now = self._clock()
        with self._store.transaction() as tx:
            return not self._stopping.is_set() and tx.win_tick(name, now, now + interval * 0.9)

    def _read(self, connector: Connector) -> None:
        name = connector.line.name
        first, won = name in self._never_read, self._won(f"poll/{name}", self._poll[name])
        self._never_read.discard(name)
        if won or (first and not self._stopping.is_set()):
            self._guarded(connector, connector.recover)
            connector.read(due_only=True)
            if connector.pauses().whole is not None:
                return
            self._guarded(connector, connector.name_people)
            self._guarded(connector, connector.learn)

    def _pass_time(self, connector: Connector) -> None:
        """Look whose time has come; an EHR that is down or paused puts nothing off."""
        if self._won(f"clock/{connector.line.name}", LOOK_AT_CLOCK):
            connector.pass_time()

    def _answer(self, connector: Connector) -> None:
        """Read again what rang, if anything did."""
        name, now = connector.line.name, self._clock()
        if self._resting.get(name, now) > now or self._stopping.is_set():
            return
        pauses = connector.pauses()
        with self._store.reading() as tx:
            waiting = tx.hints(name, 1, pauses.types)
        if waiting and pauses.whole is None:
            self._guarded(connector, connector.answer)
            self._guarded(connector, connector.name_people)

    def _compare(self, connector: Connector) -> None:
        """Sweep where it is due; a pause puts it off until it ends."""
        name = connector.line.name
        if self._stopping.is_set() or connector.pauses().whole is not None:
            return

        def work() -> None:
            with self._turns.due(f"sweep/{name}", self._sweep[name]) as keep:
                if keep is not None:
                    connector.compare(keep)

        self._guarded(connector, work)

    def _forget(self) -> None:
        """Drop what nobody needs any more, where that is due; one process at a time."""
        try:
            with self._turns.due("retention", EVERY) as keep:
                if keep is not None:
                    done = forget(self._store, self._keeping, self._clock(), keep=keep, stop=self._stopping.is_set)
                    log.info("retention: %d bodies and %d writes dropped", done.bodies, done.writes)
        except HeldBack:
            return

    def _tend(self, connector: Connector) -> None:
        """Look after the EHR's Subscriptions."""
        if connector.pauses().whole is not None:
            return
        if connector.subscriber is not None and self._won(f"subscribe/{connector.line.name}", LOOK_AGAIN):
            self._guarded(connector, connector.subscriber.tend)

    def _send(self, connector: Connector) -> None:
        """Deliver if anything is due, unless the server asked to be left alone a while."""
        name, now = connector.line.name, self._clock()
        if self._resting.get(name, now) > now:
            return
        with self._store.reading() as tx:
            due = tx.next_due(name)
        if due is not None and due <= now and not self._stopping.is_set() and connector.pauses().whole is None:
            self._guarded(connector, lambda: connector.deliver(self._stopping.is_set))

    def _guarded(self, connector: Connector, work: Callable[[], object]) -> None:
        try:
            work()
        except HeldBack:
            return
        except RemoteError as error:
            self._resting[connector.line.name] = self._clock() + timedelta(seconds=15)
            level = logging.DEBUG if isinstance(error, PutOff) else logging.WARNING
            log.log(level, "the EHR did not answer: %s", error, extra={"connection": connector.line.name})
