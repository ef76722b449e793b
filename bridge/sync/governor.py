"""
The governor: how often, and whether at all, one EHR is asked, by everybody who asks it.

Theory of operation. Every request of a connection takes a *turn*. A turn is given when fewer than so many are
under way, when the rate allows it, when the EHR did not ask to be left alone, and when it was not found away.
An EHR is away after a few requests in a row that it did not answer, or answered 401 (whoever goes on asking with
credentials that are not accepted is locked out by some servers). From then on nobody asks it, but one probe
when a pause is over; pauses grow up to a minute. Once it answers, it is asked slowly at first, and at most twice
as often every minute (after an outage everybody else comes back as well). What is refused here was not sent:
it counts as no attempt, and is due again when the turn would come.

What several processes must agree on is one row in the database (``port.Budget``): turns are reserved there in
slices of about a second, so that the rate is shared exactly, and outages are known to all. The requests under
way are shared out evenly among the processes seen of late. All figures are rules of ours.
"""

from __future__ import annotations

import random
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from threading import Condition, Lock

from msgspec.structs import replace

from bridge.cases.calendar import Calendar
from bridge.errors import AuthExpired, OutcomeUnknown, PutOff, RemoteError, ServerFault, Throttled, Unreachable
from bridge.store.port import Store
from bridge.store.rows import Budget

MOST_FAILURES = 5
"""How many requests in a row go unanswered until the EHR is taken for away."""

FIRST_PAUSE = timedelta(seconds=5)
LONGEST_PAUSE = timedelta(seconds=60)
LONGEST_WAIT_ASKED_FOR = timedelta(hours=1)
"""The longest pause that is kept when the EHR asks for one (``Retry-After``)."""

A_REAL_OUTAGE = timedelta(minutes=1)
"""From how long an outage on an EHR is asked slowly at first."""

SLOW_START = 10.0
"""Requests a second in the first minute after an outage; twice as many in each minute that follows."""

FULL_AGAIN = 5
"""After how many minutes an EHR without a limit is asked without one again."""

LOOK_AGAIN = timedelta(seconds=1)
"""How old what is known of the shared budget may be."""

SEEN_OF_LATE = timedelta(seconds=30)
"""A process not seen for so long has no share in the requests under way."""

LARGEST_SLICE = 20


class Away(StrEnum):
    """Why an EHR was taken for away."""

    UNREACHABLE = "unreachable"
    SERVER_FAULT = "server-fault"
    UNANSWERED = "unanswered"
    CREDENTIALS = "credentials"
    """It answered 401: it does not accept who we are."""


_WHY: tuple[tuple[type[RemoteError], Away], ...] = (
    (AuthExpired, Away.CREDENTIALS),
    (Unreachable, Away.UNREACHABLE),
    (OutcomeUnknown, Away.UNANSWERED),
)


def _why(error: RemoteError) -> Away:
    return next((away for kind, away in _WHY if isinstance(error, kind)), Away.SERVER_FAULT)


class Asked(StrEnum):
    """What came of one request to an EHR."""

    ANSWERED = "answered"
    REFUSED = "refused"
    THROTTLED = "throttled"
    FAILED = "failed"
    CREDENTIALS = "credentials"


@dataclass(frozen=True)
class Limits:
    """
    What one EHR may be asked.

    Args:
        per_second: Requests a second; ``None`` for any number.
        office_per_second: The same in the site's business hours; ``None`` for the same as otherwise.
        concurrency: Requests under way at a time.
        patience: How long a request waits for its turn, before it is put off instead.
    """

    per_second: float | None = None
    office_per_second: float | None = None
    concurrency: int = 8
    patience: timedelta = timedelta(seconds=20)


@dataclass
class _Turn:
    """One request: whether it is the one that tries an EHR that was away, or the first since then."""

    probe: bool = False


@dataclass(frozen=True)
class Governor:
    """
    Gives out turns to ask one EHR. Safe to share between threads.

    Args:
        worker: A name of this process that no other has; ``None`` where there is only one.
        sleep: Waits that many seconds.
    """

    connection: str
    store: Store
    clock: Callable[[], datetime]
    limits: Limits = field(default_factory=Limits)
    calendar: Calendar = field(default_factory=Calendar)
    worker: str | None = None
    sleep: Callable[[float], None] = time.sleep
    jitter: Callable[[], float] = random.random
    _under_way: _UnderWay = field(default_factory=lambda: _UnderWay())
    _memory: _Memory = field(default_factory=lambda: _Memory())

    @contextmanager
    def turn(self) -> Iterator[None]:
        """
        Wait for a turn, and note how the request that is made in it ended.

        Raises:
            PutOff: The turn is too far off to wait for it; ``retry_at`` is when to try again.
        """
        with self._under_way.one_of(self._share()):
            turn = self._take()
            try:
                yield
            except Throttled as error:
                self._count(Asked.THROTTLED)
                self._back(turn)
                self._asked_to_wait(error)
                raise
            except (Unreachable, ServerFault, OutcomeUnknown, AuthExpired) as error:
                self._count(Asked.CREDENTIALS if isinstance(error, AuthExpired) else Asked.FAILED)
                self._failed(turn, error)
                raise
            except RemoteError:
                self._count(Asked.REFUSED)
                self._answered(turn)
                raise
            self._count(Asked.ANSWERED)
            self._answered(turn)

    def asked(self) -> Counter[Asked]:
        """Return what came of the requests of this process."""
        with self._memory.lock:
            return Counter(self._memory.asked)

    def _count(self, what: Asked) -> None:
        with self._memory.lock:
            self._memory.asked[what] += 1

    def budget(self) -> Budget:
        """Return what all processes know of the EHR."""
        with self.store.reading() as tx:
            return tx.budget(self.connection)

    # Taking a turn ----------------------------------------------------------------------------------------

    def _take(self) -> _Turn:
        with self._memory.lock:
            now = self.clock()
            known = self._known(now)
            asked = known.asked_until
            if known.open_until is not None:
                return self._probe(known, now)
            self._memory.began = True
            at = max(self._slot(known, now), asked or now)
        if at - now > self.limits.patience:
            raise self._put_off("the EHR asked to be left alone" if asked == at else "its budget is used up", at)
        if at > now:
            self.sleep((at - now).total_seconds())
        return _Turn()

    def _known(self, now: datetime) -> Budget:
        """Return what is known of the EHR, read again where that is old."""
        memory = self._memory
        if memory.budget is None or memory.read_at is None or not timedelta(0) <= now - memory.read_at < LOOK_AGAIN:
            memory.budget, memory.read_at = self.budget(), now
        return memory.budget

    def _probe(self, known: Budget, now: datetime) -> _Turn:
        """Try an EHR that was away, if nobody else does; a process that just began tries at once, once."""
        at_once, self._memory.began = not self._memory.began, True
        with self.store.transaction() as tx:
            found = tx.budget(self.connection)
            if found.open_until is None:
                self._memory.budget = found
                return _Turn()
            asked = found.asked_until
            if (asked is not None and asked > now) or (found.open_until > now and not at_once):
                until = max(found.open_until, asked or now)
                raise self._put_off(f"the EHR does not answer ({found.reason})", until)
            # While this one tries, the others wait as long as they would if it failed.
            self._keep(tx.save_budget, replace(found, open_until=now + self._pause(found.trips)))
        return _Turn(probe=True)

    def _put_off(self, why: str, until: datetime) -> PutOff:
        return PutOff(f"{self.connection}: not asked before {until:%Y-%m-%d %H:%M:%S} UTC: {why}", retry_at=until)

    def _slot(self, known: Budget, now: datetime) -> datetime:
        """Return when the rate allows the next request."""
        rate = self._rate(known, now)
        if rate is None:
            return now
        slots = self._memory.slots
        while slots and now - slots[0] > LOOK_AGAIN:
            slots.popleft()
        if not slots:
            self._reserve(rate, now)
        return max(slots.popleft(), now)

    def _reserve(self, rate: float, now: datetime) -> None:
        """Reserve about a second's turns, behind those that others reserved."""
        count, apart = min(LARGEST_SLICE, max(1, int(rate))), timedelta(seconds=1 / rate)
        with self.store.transaction() as tx:
            found = tx.budget(self.connection)
            first = max(found.next_at or now, now)
            if first - now > self.limits.patience:
                raise self._put_off("its budget is used up", first)
            self._keep(tx.save_budget, replace(found, next_at=first + count * apart))
        self._memory.slots.extend(first + number * apart for number in range(count))

    def _rate(self, known: Budget, now: datetime) -> float | None:
        limits, allowed = self.limits, self.limits.per_second
        if limits.office_per_second is not None and self.calendar.is_open_at(now):
            allowed = limits.office_per_second
        if known.recovered_at is None or now < known.recovered_at:
            return allowed
        minutes = (now - known.recovered_at) // timedelta(minutes=1)
        if minutes >= FULL_AGAIN:
            return allowed
        slow = SLOW_START * 2.0**minutes
        return slow if allowed is None else min(slow, allowed)

    def _share(self) -> int:
        """Return how many requests this process may have under way."""
        memory, now = self._memory, self.clock()
        if self.worker is None:
            return self.limits.concurrency
        with memory.lock:
            if memory.counted_at is None or now - memory.counted_at >= SEEN_OF_LATE / 3:
                with self.store.transaction() as tx:
                    memory.workers = tx.workers(self.worker, now, now - SEEN_OF_LATE)
                memory.counted_at = now
            return max(1, self.limits.concurrency // memory.workers)

    # How it ended -----------------------------------------------------------------------------------------

    def _answered(self, turn: _Turn) -> None:
        with self._memory.lock:
            self._memory.throttled = 0
        self._back(turn)

    def _back(self, turn: _Turn) -> None:
        """Whatever it said, it answered."""
        with self._memory.lock:
            self._memory.failures = 0
            if not turn.probe:
                return
            now = self.clock()
            with self.store.transaction() as tx:
                found = tx.budget(self.connection)
                long = found.away_since is not None and now - found.away_since >= A_REAL_OUTAGE
                back = now if long else found.recovered_at
                here = replace(found, away_since=None, open_until=None, trips=0, recovered_at=back)
                self._keep(tx.save_budget, replace(here, reason=None, cause=None))

    def _failed(self, turn: _Turn, error: RemoteError) -> None:
        with self._memory.lock:
            self._memory.failures += 1
            if not turn.probe and self._memory.failures < MOST_FAILURES:
                return
            now = self.clock()
            with self.store.transaction() as tx:
                found = tx.budget(self.connection)
                if not turn.probe and found.open_until is not None:
                    self._memory.budget = found
                    return
                until = now + self._pause(found.trips)
                since = found.away_since or now
                away = replace(found, away_since=since, open_until=until, trips=found.trips + 1)
                self._keep(tx.save_budget, replace(away, reason=str(error), cause=_why(error)))

    def _asked_to_wait(self, error: Throttled) -> None:
        """Every process keeps the pause; one that was not said how long grows with each time."""
        with self._memory.lock:
            now = self.clock()
            pause = min(timedelta(seconds=2.0 ** min(self._memory.throttled, 6)), LONGEST_PAUSE)
            self._memory.throttled += 1
            until = min(error.retry_at or now + pause * (1 + self.jitter() / 4), now + LONGEST_WAIT_ASKED_FOR)
            with self.store.transaction() as tx:
                found = tx.budget(self.connection)
                if found.asked_until is None or found.asked_until < until:
                    self._keep(tx.save_budget, replace(found, asked_until=until))

    def _pause(self, trips: int) -> timedelta:
        return min(FIRST_PAUSE * 2.0 ** min(trips, 10), LONGEST_PAUSE) * (1 + self.jitter() / 4)

    def _keep(self, save: Callable[[Budget], None], budget: Budget) -> None:
        save(budget)
        self._memory.budget = budget


@dataclass
class _Memory:
    """What one process remembers between its turns."""

    lock: Lock = field(default_factory=Lock)
    budget: Budget | None = None
    read_at: datetime | None = None
    slots: deque[datetime] = field(default_factory=deque)
    failures: int = 0
    asked: Counter[Asked] = field(default_factory=Counter)
    throttled: int = 0
    began: bool = False
    """Whether this process asked, or was refused, before."""
    workers: int = 1
    counted_at: datetime | None = None


class _UnderWay:
    """Counts requests under way, against a limit that may change."""

    def __init__(self) -> None:
        self._count, self._changed = 0, Condition()

    @contextmanager
    def one_of(self, most: int) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: self._count < most)
            self._count += 1
        try:
            yield
        finally:
            with self._changed:
                self._count -= 1
                self._changed.notify_all()
