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
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from threading import Lock

from bridge.cases.intents import IntentState
from bridge.errors import DomainError, HeldBack, RemoteError, StoreUnavailable, VersionConflict
from bridge.fhir.client import FhirClient
from bridge.fhir.retry import Then, decide
from bridge.store.port import OutboxRow, Settlement, Store
from bridge.sync.hand import NotYet, Overtaken, Stop
from bridge.sync.line import Line
from bridge.sync.write import Writer
from bridge.tasks.coordination_task import Form
from bridge.tasks.route import RoutePlan

log = logging.getLogger(__name__)

MOST_CONFLICTS = 8
"""How often one attempt reads again and merges after somebody else wrote first (rule ours)."""

LEAST_PAUSE = timedelta(seconds=1)
"""The shortest wait before the same is tried again, whatever a server's ``Retry-After`` says (rule ours)."""


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


@dataclass(frozen=True)
class Channel:
    """One connection's way out. ``breaker`` lives as long as the connection, so that a pause outlasts a round."""

    line: Line
    client: FhirClient
    plan: RoutePlan
    form: Form
    knows_ready: bool = True
    direct_cancel: bool = False
    lease: timedelta = timedelta(seconds=120)
    concurrency: int = 4
    breaker: Breaker = field(default_factory=Breaker)


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
            run.settle(settled)
    return run.report()


class _Run:
    """One round of deliveries over one channel."""

    def __init__(self, store: Store, channel: Channel, clock: Callable[[], datetime], stop: Callable[[], bool]) -> None:
        self._store, self._channel, self._clock, self._stop = store, channel, clock, stop
        self._writer = Writer(store, channel, clock)
        self._ended: dict[IntentState, int] = {}
        self._reasons: list[str] = []

    def down(self) -> bool:
        """Whether the server is to be left alone."""
        return self._channel.breaker.open_until(self._clock()) is not None

    def claim(self) -> Sequence[OutboxRow]:
        """Claim what is due, a few for each sender."""
        now = self._clock()
        with self._store.transaction() as tx:
            return tx.claim(self._channel.line.name, now, now + self._channel.lease, self._channel.concurrency * 4)

    def deliver(self, row: OutboxRow) -> Settlement:
        """Try one intent; whatever happens is an answer, never an exception that loses the row."""
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
            log.exception("delivery failed", extra={"outbox": row.id, "connection": row.intent.connection})
            return self._end(row, IntentState.PARKED, code="fault", reason=f"a fault of ours: {type(error).__name__}")

    def settle(self, settled: Sequence[Settlement]) -> None:
        """Record how the attempts ended."""
        with self._store.transaction() as tx:
            tx.settle(settled)
        for one in settled:
            self._ended[one.state] = self._ended.get(one.state, 0) + 1
            if one.reason is not None and one.state is not IntentState.SUPERSEDED:
                self._reasons.append(one.reason)

    def report(self) -> DeliveryReport:
        """Return what this round came to."""
        return DeliveryReport(self._ended, self._writer.written, tuple(dict.fromkeys(self._reasons)))

    def _try(self, row: OutboxRow) -> Settlement:
        for _ in range(MOST_CONFLICTS):
            try:
                done = self._writer.make_true(row)
            except VersionConflict:
                continue
            return Settlement(
                id=row.id,
                token=row.token,
                state=IntentState.CONFIRMED,
                at=self._clock(),
                written=done.ref,
                written_version=done.version,
            )
        reason = f"somebody else wrote first, {MOST_CONFLICTS} times in a row; replay it when they are done"
        return self._end(row, IntentState.PARKED, code="conflict", reason=reason)

    def _after(self, row: OutboxRow, error: RemoteError) -> Settlement:
        now = self._clock()
        decision = decide(error, row.attempts, now, jitter=random.random())  # noqa: S311 - spreads retries, guards nothing
        if decision.then is Then.PARK or decision.at is None:
            code = f"http-{error.status}" if error.status is not None else type(error).__name__
            return self._end(row, IntentState.PARKED, code=code, reason=str(error))
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

    def _end(self, row: OutboxRow, state: IntentState, *, code: str, reason: str) -> Settlement:
        return Settlement(
            id=row.id,
            token=row.token,
            state=state,
            at=self._clock(),
            unsure_at=row.unsure_at,
            code=code,
            reason=reason,
        )
