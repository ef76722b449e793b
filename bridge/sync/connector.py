"""One connection at work: its client, its line and its way out, and what ``bridge sync --once`` does with them."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from threading import Event, Lock

from msgspec import structs

from bridge.cases.intents import IntentState
from bridge.errors import AuthExpired, HeldBack, IncompleteScan, PutOff, Refused, RemoteError, UnsafeAnswer
from bridge.fhir.client import FhirClient
from bridge.fhir.times import format_instant
from bridge.store.port import Store
from bridge.store.rows import Counts, Cursor, Restored
from bridge.sync.agreement import Agreement, agreement
from bridge.sync.deliver import Channel, DeliveryReport, deliver_due
from bridge.sync.ladder import PLAIN, Ladder
from bridge.sync.line import Line
from bridge.sync.lookback import look_back
from bridge.sync.notify import AnswerReport, answer
from bridge.sync.pauses import Pauses, pauses_of
from bridge.sync.people import PeopleReport, read_wanted
from bridge.sync.poll import note_asked, note_problem, poll
from bridge.sync.recovery import Adoption
from bridge.sync.restored import distinct
from bridge.sync.rungs import BEGINNING, KEYED, Rung, Step
from bridge.sync.scan import poll_by_date, poll_snapshot
from bridge.sync.subscribe import Subscriber
from bridge.sync.sweep import SWEEP_STREAM, SweepReport, sweep
from bridge.sync.taking import PollReport, Progress
from bridge.sync.timers import notice_rules, tick
from bridge.sync.turns import Turns
from bridge.tasks.route import How

log = logging.getLogger(__name__)

_LISTS = 3
"""How many lists of a type are asked for after a restore: what is deleted meanwhile is missing from one (rule ours)."""

SAME_CLOCK = timedelta(seconds=10)
"""By how much the difference of two clocks has to change until it is noted anew (rule ours)."""


@dataclass(frozen=True)
class SyncReport:
    """What one round over a connection came to; ``problems`` are the streams that could not be read, and why."""

    connection: str
    polls: tuple[PollReport, ...] = ()
    people: PeopleReport = field(default_factory=PeopleReport)
    sweep: SweepReport = field(default_factory=SweepReport)
    deliveries: DeliveryReport | None = None
    problems: tuple[str, ...] = ()
    left: int = 0
    """Intents that are still to be delivered: the EHR did not take them now."""

    @property
    def complete(self) -> bool:
        """Whether everything due was read and everything due was delivered."""
        return not self.problems and self.left == 0


@dataclass(frozen=True)
class Connector:
    """One connection, wired up. ``channel`` makes the way out on first use: it asks the EHR what it can do."""

    line: Line
    client: FhirClient
    store: Store
    clock: Callable[[], datetime]
    channel: Callable[[], Channel]
    learn: Callable[[], object] = lambda: None
    """Asks the EHR what it can do, where that is not known, for those who look at the connection."""
    since: datetime | None = None
    subscriber: Subscriber | None = None
    """Keeps the EHR's Subscriptions, where that is configured."""
    ladder: Ladder | None = None
    """Chooses how each stream is read; without one, all are read by ``_lastUpdated``."""
    snapshots: timedelta = timedelta(minutes=10)
    """How often what cannot be asked for its changes is read again by the timer."""
    turns: Turns | None = None
    """Shares the reading out among processes; without them, this one has it all."""
    _reading: Lock = field(default_factory=Lock)
    """One crawl at a time: two over one stream would move each other's cursor."""
    _rules_noticed: Event = field(default_factory=Event)
    _recovered: Event = field(default_factory=Event)
    """Set when this process has seen that there is nothing to do, or left to do, after a restore."""

    def read(
        self, watch: Callable[[Progress], None] = lambda _: None, *, due_only: bool = False
    ) -> tuple[list[PollReport], list[str]]:
        """
        Poll every stream; one that fails is noted with its reason and does not hold up the others.

        Args:
            due_only: Leave out what is read whole and was so a short while ago.
        """
        reports, problems = [], []
        for stream in self.line.types:
            if due_only and not self._due(stream):
                continue
            try:
                reports.append(self.read_stream(stream, self._noticing(watch)))
            except HeldBack as error:
                problems.append(f"{stream}: {error}")
            except RemoteError as error:
                problems.append(f"{stream}: {error}")
                note_problem(self.store, self.line, stream, str(error))
                # What puts this off was said when it happened, and may go on for days.
                level = logging.DEBUG if isinstance(error, PutOff) else logging.WARNING
                log.log(level, "poll failed: %s", error, extra={"connection": self.line.name, "stream": stream})
        self._note_clock()
        return reports, problems

    def _note_clock(self) -> None:
        """Keep how far the EHR's clock is ahead of ours, where that is not as it was noted."""
        ahead = self.client.ahead
        if ahead is None:
            return
        with self.store.reading() as tx:
            noted = tx.budget(self.line.name).ahead
        if noted is None or abs(ahead - noted) >= SAME_CLOCK:
            with self.store.transaction() as tx:
                tx.save_budget(structs.replace(tx.budget(self.line.name), ahead=ahead))

    def _noticing(self, watch: Callable[[Progress], None]) -> Callable[[Progress], None]:
        """Return *watch*, with what nobody rang for noted first: this is how a deaf Subscription is found out."""

        def noticed(progress: Progress) -> None:
            if self.subscriber is not None and progress.page.newest is not None:
                self.subscriber.found(*progress.page.newest)
            watch(progress)

        return noticed

    def read_stream(self, stream: str, watch: Callable[[Progress], None] = lambda _: None) -> PollReport:
        """
        Poll one stream.

        Raises:
            RemoteError: It cannot be read; its cursor stands.
        """
        with self._reading, self._one_at(f"read/{self.line.name}/{stream}") as keep:
            self.pauses().check(stream)
            note_asked(self.store, self.line, stream, self.clock())
            step = self._step(stream)

            def watched(progress: Progress) -> None:
                watch(progress)
                keep()
                self.pauses().check(stream)

            try:
                return self._read_by(step, stream, watched)
            except (Refused, UnsafeAnswer):
                if self.ladder is not None:
                    self.ladder.doubt(stream)
                raise

    def pauses(self) -> Pauses:
        """Return what a person told Bridge to leave alone."""
        return pauses_of(self.store, self.line.name)

    def _one_at(self, name: str) -> AbstractContextManager[Callable[[], None]]:
        return self.turns.one_at(name) if self.turns is not None else nullcontext(lambda: None)

    def _between_steps(self, keep: Callable[[], None]) -> Callable[[], Collection[str]]:
        """Return what keeps the turn, refuses to go on where all is paused, and gives the types that are."""

        def paused_types() -> Collection[str]:
            keep()
            pauses = self.pauses()
            pauses.check()
            return pauses.types

        return paused_types

    def _step(self, stream: str) -> Step:
        """
        Return the rung by which *stream* is read.

        Raises:
            RemoteError: The EHR does not answer, or there is no way that it allows.
        """
        if self.ladder is None:
            return PLAIN
        choice = self.ladder.choice(stream)
        if choice.step is None:
            raise Refused(choice.words)
        return choice.step

    def _read_by(self, step: Step, stream: str, watch: Callable[[Progress], None]) -> PollReport:
        client, store, clock = self.client, self.store, self.clock
        line = replace(self.line, count_param=step.count)
        if step.rung is Rung.LAST_UPDATED:
            since = self.since or (None if step.bare else BEGINNING)
            return poll(stream, client, store, line, clock, since=since, watch=watch)
        if step.rung is Rung.DATE:
            return poll_by_date(stream, step, client, store, line, clock, since=self.since, watch=watch)
        assert self.ladder is not None
        keys = self.ladder.keys(step)
        return poll_snapshot(stream, step, keys, self.ladder.roster, client, store, line, clock, watch=watch)

    def _due(self, stream: str) -> bool:
        with self.store.reading() as tx:
            cursor = tx.cursor(self.line.name, stream) or Cursor(connection=self.line.name, stream=stream)
        if cursor.rung in (None, Rung.LAST_UPDATED) or cursor.checked_at is None or cursor.problem is not None:
            return True
        return self.clock() - cursor.checked_at >= self.snapshots

    def answer(self) -> AnswerReport:
        """
        Read again what notifications were about.

        Raises:
            RemoteError: The EHR does not answer, or is paused; nothing is forgotten.
        """
        trace = self.subscriber.trace if self.subscriber is not None else lambda _: None
        with self._one_at(f"answer/{self.line.name}") as keep:
            held = self._between_steps(keep)
            return answer(self.client, self.store, self.line, self.clock, self.read_stream, trace, held)

    def name_people(self) -> PeopleReport:
        """
        Read the people that cases name.

        Raises:
            RemoteError: The EHR does not answer, or is paused.
        """
        self.pauses().check()
        return read_wanted(self.client, self.store, self.line, self.clock)

    def compare(self, keep: Callable[[], None] = lambda: None) -> SweepReport:
        """
        Compare what open cases rest on with the EHR.

        Args:
            keep: Called between its steps.

        Raises:
            RemoteError: The EHR does not answer, or is paused.
        """
        held = self._between_steps(keep)
        held()
        note_asked(self.store, self.line, SWEEP_STREAM, self.clock())
        swept = sweep(self.client, self.store, self.line, self.clock, held)
        for stream in self.line.types:
            swept = swept.with_late(self._look_back(stream, held))
        for problem in swept.problems:
            log.warning(problem, extra={"connection": self.line.name})
        self._note_sweep(swept)
        return swept

    def _note_sweep(self, swept: SweepReport) -> None:
        """Keep when a sweep last came to its end, and what it could not look at."""
        problem = "; ".join(swept.problems) or None
        now = self.clock()
        with self.store.transaction() as tx:
            before = tx.cursor(self.line.name, SWEEP_STREAM) or Cursor(connection=self.line.name, stream=SWEEP_STREAM)
            checked_at = before.checked_at if problem else now
            tx.save_cursor(structs.replace(before, checked_at=checked_at, problem=problem))

    def _look_back(self, stream: str, held: Callable[[], Collection[str]]) -> Counts | str:
        """Return what of a stream became visible late, or why that could not be found out."""
        try:
            return look_back(self.client, self.store, self.line, stream, self.clock, SWEEP_STREAM, held)
        except (Refused, AuthExpired, UnsafeAnswer) as error:
            return f"{stream}: {error}"

    def prove(self, watch: Callable[[str, int], None] = lambda stream, read: None) -> Agreement:
        """
        Compare everything in scope with what is kept, and store nothing.

        Raises:
            RemoteError: The EHR does not answer as it should: nothing is proven.
        """
        return agreement(self.client, self.store, self.line, self.clock, searches=self._searches, watch=watch)

    def _searches(self, stream: str) -> list[list[tuple[str, str]]]:
        """Return the searches by which all of a stream that is in scope can be read, by the rung that it is read by."""
        step = self._step(stream)
        if step.rung in (Rung.LAST_UPDATED, Rung.DATE):
            since = self.since or (None if step.bare else BEGINNING)
            if since is None or step.param is None:
                return [[]]
            at = format_instant(since)
            return [[(step.param, f"ge{at if step.rung is Rung.LAST_UPDATED else at[:10]}")]]
        assert self.ladder is not None
        window = self.ladder.roster.window(step.window, self.clock())
        if step.param is None or step.rung not in KEYED:
            return [window]
        return [[(step.param, key.partition("/")[2]), *window] for key in self.ladder.keys(step)]

    def recover(self) -> None:
        """
        After a restore of the database: read everything again, and find what was written since its backup.

        Raises:
            RemoteError: It is not done yet: the EHR does not answer, another process is at it, or what was written last
                may not show yet.
        """
        if self._recovered.is_set():
            return
        row = self._restored()
        if row is not None and row.ready_at is None:
            self.pauses().check()
            with self._one_at(f"recover/{self.line.name}") as keep:
                row = self._restored()  # Whoever had the turn may have come to the end meanwhile.
                if row is not None and row.ready_at is None:
                    row = self._recover(row, keep)
        if row is not None and row.waiting:
            row = self._place(row)
        if row is None or not row.waiting:
            self._recovered.set()

    def _restored(self) -> Restored | None:
        with self.store.reading() as tx:
            return tx.restored(self.line.name)

    def _place(self, row: Restored) -> Restored:
        """Hold what a restore found about work that was not known then against the cases that it has by now."""
        adoption = Adoption(self.client, self.store, self.line, self.clock, row)
        if not adoption.due():
            return row
        self.pauses().check()
        with self._one_at(f"recover/{self.line.name}") as keep:
            return adoption.place(keep)

    def _recover(self, row: Restored, keep: Callable[[], None]) -> Restored:
        # One writer may have been cut off with a create on its way, on a server that nobody may choose ids of.
        shows_at = row.restored_at + self.line.shows_within
        if self.clock() < shows_at and self._chooses_no_ids():
            reason = f"restored from a backup: nothing is written before {shows_at:%H:%M:%S} UTC"
            raise HeldBack(reason, retry_at=shows_at)
        adoption = Adoption(self.client, self.store, self.line, self.clock, row)
        attempts, problems, unread = adoption.attempts(keep), list[str](), set[str]()
        for stream in self.line.types:
            problem = self._read_again(stream, row.restored_at, keep)
            if problem is not None:
                problems.append(f"{stream}: {problem}")
                unread.add(stream)
            keep()
        adoption.take_up(unread, keep)
        self.name_people()
        tick(self.store, self.line, self.clock())
        swept = self.compare(keep)
        attempts += adoption.attempts(keep)
        found = adoption.rest(keep)
        found = structs.replace(
            found,
            ready_at=self.clock(),
            attempts=attempts,
            problems=tuple(dict.fromkeys([*problems, *swept.problems, *found.problems])),
        )
        with self.store.transaction() as tx:
            found = structs.replace(found, changes=distinct(tx, self.line.name) - row.had)
            tx.save_restored(found)
        log.warning("restored from a backup: %s", found.summary, extra={"connection": self.line.name})
        return found

    def _read_again(self, stream: str, since: datetime, keep: Callable[[], None]) -> str | None:
        """
        Read all of a type that changed since the backup, unless that was done *since* the restore.

        Returns why that cannot be done, if so.
        """
        with self.store.reading() as tx:
            cursor = tx.cursor(self.line.name, stream)
        if cursor is not None and cursor.checked_at is not None and cursor.checked_at > since:
            return None
        problem: str | None = None
        for _ in range(_LISTS):
            try:
                self.read_stream(stream, lambda _: keep())
                return None
            except IncompleteScan as error:
                problem = str(error)
            except (Refused, AuthExpired, UnsafeAnswer) as error:
                return str(error)
        return problem

    def _chooses_no_ids(self) -> bool:
        if not self.line.writes:
            return False
        return any(route.how is How.CONDITIONAL_CREATE for route in self.channel().plan.values())

    def pass_time(self) -> int:
        """Look at what time alone brought about, and once at what other rules than before do."""
        if not self._rules_noticed.is_set():
            notice_rules(self.store, self.line, self.clock())
            self._rules_noticed.set()
        return tick(self.store, self.line, self.clock())

    def deliver(self, stop: Callable[[], bool] = lambda: False) -> DeliveryReport:
        """
        Send what is due; a pause ends it after what is under way. After a restore, ``recover`` comes first.

        Raises:
            RemoteError: The EHR does not answer, or is paused.
        """
        self.pauses().check()
        self.recover()
        return deliver_due(
            self.store, self.channel(), self.clock, stop=lambda: stop() or self.pauses().whole is not None
        )

    def sync_once(self, watch: Callable[[Progress], None] = lambda _: None) -> SyncReport:
        """Read everything due, compare, deliver everything due."""
        again = self._try_recover()
        polls, problems = self.read(watch)
        problems += again
        self.pass_time()
        people, swept, deliveries = PeopleReport(), SweepReport(), None
        try:
            people = self.name_people()
            swept = self.compare()
            problems += swept.problems
            people = self.name_people() if swept.repaired else people
        except RemoteError as error:
            problems.append(str(error))
        try:
            deliveries = self.deliver() if self.line.writes else None
        except RemoteError as error:
            problems += [] if str(error) in problems else [str(error)]
        return SyncReport(self.line.name, tuple(polls), people, swept, deliveries, tuple(problems), self._left())

    def _try_recover(self) -> list[str]:
        try:
            self.recover()
        except RemoteError as error:
            return [str(error)]
        return []

    def _left(self) -> int:
        if not self.line.writes:
            return 0
        with self.store.reading() as tx:
            counts, copies = tx.outbox_counts(self.line.name), tx.copies(self.line.name)
        unsent = (IntentState.QUEUED, IntentState.SENDING)
        return sum(counts.get(state, 0) - copies.get(state, 0) for state in unsent)
