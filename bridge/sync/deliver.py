"""
Deliver: the only place that writes to an EHR.

Theory of operation. Each intent is claimed under a lease, at most one of a case at a time. Whatever it is, it
goes the same way: the case as it is now; who the patient is at this moment, read from the EHR; what stands on
the EHR already, looked up before anything is sent; then only what differs, conditional on the version just
read. So an intent may be tried any number of times, after any crash or lost answer, and the EHR holds one
resource with the right content. Settling names the lease's token: a sender that was overtaken changes nothing.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from bridge import tracing
from bridge.cases.intents import IntentKind, IntentState
from bridge.errors import DomainError, HeldBack, PutOff, RemoteError, StoreUnavailable, VersionConflict
from bridge.fhir.client import FhirClient
from bridge.fhir.retry import Then, decide
from bridge.logs import about
from bridge.store.port import Store
from bridge.store.rows import OutboxRow, Settlement
from bridge.sync.hand import NotYet, Outrun, Overtaken, Stop
from bridge.sync.line import Line
from bridge.sync.write import Writer
from bridge.tasks.coordination_task import Form
from bridge.tasks.intents import copy_intent
from bridge.tasks.route import How, RoutePlan

log = logging.getLogger(__name__)

MOST_CONFLICTS = 8
"""How often one attempt reads again and merges after somebody else wrote first (rule ours)."""

NEVER_UPDATED = "never-updated"
"""Why something was parked that the EHR refuses to update though nobody else changes it."""

A_DAY = timedelta(days=1)
"""How long it is left alone then: ``MOST_CONFLICTS`` tries a day (rule ours)."""

_UPDATING = (IntentKind.COORDINATION_TASK, IntentKind.SOURCE_TASK, IntentKind.RETRACTION)

AGAIN = "again"
"""What came of a delivery that is tried again, beside the states in which one ends."""

LEAST_PAUSE = timedelta(seconds=1)
"""The shortest wait before the same is tried again, whatever a server's ``Retry-After`` says (rule ours)."""


class Idle(Stop):
    """This intent ends here, and was not tried."""


class Breaker:
    """Whether a server may be asked: open until the time it is to be left alone, for all of a connection's senders."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._until: datetime | None = None

    def trip(self, until: datetime) -> None:
        """Leave the server alone until *until*, or longer where that was already so."""
        with self._lock:
            self._until = until if self._until is None else max(self._until, until)

    def open_until(self, now: datetime) -> datetime | None:
        """Return until when nothing may be sent, or ``None`` where it may."""
        with self._lock:
            return self._until if self._until is not None and self._until > now else None


class Underway:
    """What is claimed and not settled yet, of all of a connection's senders."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._rows: dict[int, OutboxRow] = {}

    def add(self, rows: Sequence[OutboxRow]) -> None:
        """Note what was claimed."""
        with self._lock:
            self._rows |= {row.id: row for row in rows}

    def drop(self, rows: Sequence[OutboxRow]) -> None:
        """Forget what was settled."""
        with self._lock:
            for row in rows:
                self._rows.pop(row.id, None)

    def rows(self) -> Sequence[OutboxRow]:
        """Return all of it."""
        with self._lock:
            return list(self._rows.values())


@dataclass(frozen=True)
class Channel:
    """One connection's way out. ``breaker`` and ``underway`` live as long as the connection, and outlast a round."""

    line: Line
    client: FhirClient
    plan: RoutePlan
    form: Form
    knows_ready: bool = True
    direct_cancel: bool = False
    lease: timedelta = timedelta(seconds=120)
    concurrency: int = 4
    breaker: Breaker = field(default_factory=Breaker)
    underway: Underway = field(default_factory=Underway)


@dataclass(frozen=True)
class DeliveryReport:
    """How many intents ended in each state; ``written`` counts resources created or changed on the EHR."""

    ended: dict[IntentState, int] = field(default_factory=dict)
    written: int = 0
    reasons: tuple[str, ...] = ()


def deliver_due(
    store: Store,
    channel: Channel,
    clock: Callable[[], datetime],
    *,
    stop: Callable[[], bool] = lambda: False,
) -> DeliveryReport:
    """Send every intent that is due until none is, the server cannot be reached, or *stop* says so."""
    run = _Run(store, channel, clock, stop)
    with ThreadPoolExecutor(channel.concurrency, thread_name_prefix=f"deliver-{channel.line.name}") as pool:
        while not stop() and not run.down():
            rows = run.claim()
            if not rows:
                break
            settled = list(pool.map(run.deliver, rows))
            run.settle(rows, settled)
    return run.report()


def hand_back(store: Store, underway: Underway, now: datetime) -> int:
    """
    Queue again what is under way, for a process that ends before it is answered; returns how much that was.

    Nobody knows whether the EHR has it, so whoever goes on looks before sending. The sender's own settling, should
    it still come, changes nothing: the lease is gone.

    Raises:
        StoreUnavailable: The database does not answer.
    """
    reason = "Bridge was stopped before the EHR answered"
    settled = [
        Settlement(
            id=row.id,
            token=row.token,
            state=IntentState.QUEUED,
            at=now,
            next_at=now + LEAST_PAUSE,
            spent=False,
            unsure_at=now,
            reason=reason,
        )
        for row in underway.rows()
    ]
    if not settled:
        return 0
    with store.transaction() as tx:
        return tx.settle(settled)


class _Run:
    """One round of deliveries over one channel."""

    def __init__(self, store: Store, channel: Channel, clock: Callable[[], datetime], stop: Callable[[], bool]) -> None:
        self._store, self._channel, self._clock, self._stop = store, channel, clock, stop
        self._writer = Writer(store, channel, clock)
        self._ended: dict[IntentState, int] = {}
        self._reasons: list[str] = []
        self._again_for: dict[int, str] = {}
        """Why rows were put off, by id, of those that an EHR was asked about."""

    def down(self) -> bool:
        """Whether the server is to be left alone."""
        return self._channel.breaker.open_until(self._clock()) is not None

    def claim(self) -> Sequence[OutboxRow]:
        """Claim what is due, a few for each sender."""
        now = self._clock()
        with self._store.transaction() as tx:
            rows = tx.claim(self._channel.line.name, now, now + self._channel.lease, self._channel.concurrency * 4)
        self._channel.underway.add(rows)
        return rows

    def deliver(self, row: OutboxRow) -> Settlement:
        """Try one intent; whatever happens is an answer, never an exception that loses the row."""
        ids = about(connection=row.intent.connection, case=row.intent.case_id, outbox=str(row.id))
        with ids, tracing.delivering(self._store, row) as tell:
            settled = self._tried(row)
            tell(settled)
            if settled.state in (IntentState.PARKED, IntentState.NOT_WRITABLE):
                log.warning("a write is %s (%s): %s", settled.state, settled.code, settled.reason)
        return settled

    def _tried(self, row: OutboxRow) -> Settlement:
        now = self._clock()
        until = self._channel.breaker.open_until(now)
        if until is not None:
            return self._again(row, now if self._stop() else until, spent=False, reason=row.reason)
        if row.lease_until is not None and now > row.lease_until - self._channel.lease / 2:
            # It waited for its turn too long to be done in time: it is claimed anew.
            return self._again(row, now, spent=False, reason=row.reason)
        try:
            return self._try(row)
        except Overtaken as late:
            # Later, not at once: an EHR as slow as that would be asked the same for ever.
            return self._again(row, self._clock() + self._channel.lease / 2, spent=False, reason=str(late))
        except NotYet as wait:
            return self._again(row, wait.at, spent=False, code="unanswered", reason=str(wait))
        except Idle as idle:
            return self._end(row, idle.state, code=idle.code, reason=idle.reason, spent=False)
        except Stop as end:
            return self._end(row, end.state, code=end.code, reason=end.reason)
        except DomainError as error:
            return self._end(row, IntentState.PARKED, code="not-allowed", reason=str(error))
        except RemoteError as error:
            return self._after(row, error)
        except StoreUnavailable as error:
            # Something may have been sent before the database broke off.
            return self._again(
                row, self._clock() + LEAST_PAUSE, spent=False, unsure_at=self._clock(), reason=str(error)
            )
        except Exception as error:
            log.exception("delivery failed")
            return self._end(row, IntentState.PARKED, code="fault", reason=f"a fault of ours: {type(error).__name__}")

    def settle(self, rows: Sequence[OutboxRow], settled: Sequence[Settlement]) -> None:
        """
        Record how the attempts ended.

        A message that was confirmed in doubt is looked at once more when all of it shows: it is not read back.
        """
        now = self._clock()
        with self._store.transaction() as tx:
            tx.settle(settled)
            for row, how in zip(rows, settled, strict=True):
                case = tx.case(row.intent.case_id) if self._may_be_two(row, how) else None
                if case is not None and how.written is not None:
                    again = copy_intent(case, how.written, f"after-{row.id}")
                    tx.add_intents([again], now, now + self._channel.line.shows_within)
            # Last: every process counts in the same few rows.
            tx.count_deliveries(self._channel.line.name, self._counted(rows, settled))
        self._channel.underway.drop(rows)
        for one in settled:
            self._ended[one.state] = self._ended.get(one.state, 0) + 1
            if one.reason is not None and one.state is not IntentState.SUPERSEDED:
                self._reasons.append(one.reason)

    def _counted(self, rows: Sequence[OutboxRow], settled: Sequence[Settlement]) -> Counter[tuple[str, str, str]]:
        """Return how many attempts ended how, by (kind, outcome, code); one that was not made is none."""
        found: Counter[tuple[str, str, str]] = Counter()
        for row, how in zip(rows, settled, strict=True):
            again = self._again_for.pop(row.id, None)
            if how.state is not IntentState.QUEUED:
                found[row.intent.kind, how.state, how.code or ""] += 1
            elif again is not None:
                found[row.intent.kind, AGAIN, again] += 1
        return found

    def _may_be_two(self, row: OutboxRow, how: Settlement) -> bool:
        created = row.intent.message is not None and self._channel.plan[row.intent.kind].how is How.CONDITIONAL_CREATE
        return created and row.unsure and how.state is IntentState.CONFIRMED

    def report(self) -> DeliveryReport:
        """Return what this round came to."""
        return DeliveryReport(self._ended, self._writer.written, tuple(dict.fromkeys(self._reasons)))

    def _try(self, row: OutboxRow) -> Settlement:
        self._check_updatable(row)
        tried: set[tuple[str, str] | None] = set()
        for _ in range(MOST_CONFLICTS):
            try:
                done = self._writer.make_true(row)
            except Outrun as outrun:
                tried.add((outrun.ref, outrun.version))
                continue
            except VersionConflict:
                tried.add(None)
                continue
            return Settlement(
                id=row.id,
                token=row.token,
                state=IntentState.CONFIRMED,
                at=self._clock(),
                written=done.ref,
                written_version=done.version,
                reason=done.reason,
            )
        if len(tried) == 1 and (stuck := tried.pop()) is not None:
            reason = (
                f"the EHR refused {MOST_CONFLICTS} writes over version {stuck[1]} of {stuck[0]} as conflicts, and "
                "nobody changed it meanwhile: it may never be updated again; ask who runs the EHR, then replay"
            )
            return self._end(row, IntentState.PARKED, code=NEVER_UPDATED, reason=reason)
        reason = f"somebody else wrote first, {MOST_CONFLICTS} times in a row; replay it when they are done"
        return self._end(row, IntentState.PARKED, code="conflict", reason=reason)

    def _check_updatable(self, row: OutboxRow) -> None:
        """
        Stop what was refused a day's tries already; see hapi-fhir #5288.

        Raises:
            Idle: It is not to be tried.
        """
        if row.intent.kind not in _UPDATING:
            return
        with self._store.reading() as tx:
            last = tx.given_up_at(row.intent.case_id, row.intent.slot, NEVER_UPDATED)
        if last is not None and self._clock() < last + A_DAY:
            until = last + A_DAY
            reason = f"the EHR refuses every update of it; it is not tried again before {until:%Y-%m-%d %H:%M} UTC"
            raise Idle(IntentState.PARKED, NEVER_UPDATED, reason)

    def _after(self, row: OutboxRow, error: RemoteError) -> Settlement:
        now = self._clock()
        decision = decide(error, row.attempts, now, jitter=random.random())  # noqa: S311 - spreads retries, guards nothing
        code = f"http-{error.status}" if error.status is not None else type(error).__name__
        if decision.then is Then.PARK or decision.at is None:
            return self._end(row, IntentState.PARKED, code=code, reason=str(error))
        if not isinstance(error, PutOff):
            self._again_for[row.id] = code
        at = max(decision.at, now + LEAST_PAUSE)
        if decision.channel_down:
            self._channel.breaker.trip(at)
        if isinstance(error, HeldBack):
            at = decision.at  # Whoever goes on after this process need not wait.
        unsure_at = now if decision.then is Then.LOOK else None
        return self._again(row, at, spent=decision.then is not Then.WAIT, unsure_at=unsure_at, reason=str(error))

    def _again(
        self,
        row: OutboxRow,
        at: datetime,
        *,
        spent: bool,
        unsure_at: datetime | None = None,
        code: str | None = None,
        reason: str | None = None,
    ) -> Settlement:
        return Settlement(
            id=row.id,
            token=row.token,
            state=IntentState.QUEUED,
            at=self._clock(),
            next_at=at,
            spent=spent,
            unsure_at=unsure_at or row.unsure_at,
            code=code,
            reason=reason,
        )

    def _end(self, row: OutboxRow, state: IntentState, *, code: str, reason: str, spent: bool = True) -> Settlement:
        return Settlement(
            id=row.id,
            token=row.token,
            state=state,
            at=self._clock(),
            spent=spent,
            unsure_at=row.unsure_at,
            code=code,
            reason=reason,
        )
