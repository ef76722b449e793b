"""
Notify: what an EHR tells us of its own accord, made durable at once and read again soon after.

A notification is a hint. The *doorbell* keeps which resources it is about, before the sender is told that it
was heard; many rings share one commit, so that a flood costs the disk no more than a trickle. The *answer*
reads those resources from the EHR and takes them in like any others. A resource that rings a thousand times
waits in one row and is read once each time round. Nothing here is the only way in: whatever a notification
misses, the poll and the sweep find.

What a notification tells of its Subscription is kept in the same commit. Where it shows that events are missing,
a hint names the Subscription itself, and the answer asks for what they were about.
"""

from __future__ import annotations

import functools
import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from dataclasses import dataclass, field
from datetime import datetime
from threading import Condition, Thread

from bridge.cases.sources import SourceRow
from bridge.errors import AuthExpired, HeldBack, Refused, RemoteError, StoreUnavailable, UnsafeAnswer
from bridge.fhir.client import FhirClient
from bridge.fhir.notification import Notification
from bridge.fhir.source import SourceVersion
from bridge.logs import where
from bridge.store.port import Store, Tx
from bridge.store.rows import Counts, Hint
from bridge.sync.hearing import heard, hears
from bridge.sync.ingest import Intake, ingest
from bridge.sync.line import Line
from bridge.sync.people import Asking
from bridge.sync.several import read_several
from bridge.sync.sweep import compare
from bridge.sync.taking import add

log = logging.getLogger(__name__)

NOTIFY_STREAM = "notify"
AT_ONCE = 100
PATIENCE_SECONDS = 1.5
"""How long a sender waits for its hint to be durable; athenahealth hangs up after 2 s (rule ours)."""


class NotKept(Exception):
    """A hint could not be made durable in time; the sender has to be told to send it again."""


def _begun() -> Future[None]:
    """Return a future that nobody can cancel: what is under way is kept, whoever still waits for it."""
    future: Future[None] = Future()
    future.set_running_or_notify_cancel()
    return future


@dataclass
class _Commit:
    """What goes into the database together: what to read again and what was said, by connection."""

    refs: dict[str, set[str]] = field(default_factory=dict)
    said: dict[str, list[Notification]] = field(default_factory=dict)
    kept: Future[None] = field(default_factory=_begun)


class Doorbell:
    """
    Makes hints durable; safe to ring from any number of threads.

    Args:
        wake: Told the connections that something was noted for, once it is durable.
    """

    def __init__(
        self, store: Store, clock: Callable[[], datetime], wake: Callable[[str], None] = lambda _: None
    ) -> None:
        self._store, self._clock, self._wake = store, clock, wake
        self._next = _Commit()
        self._changed = Condition()
        self._ended = False
        self._thread = Thread(target=self._keep, name="doorbell", daemon=True)
        self._thread.start()

    def ring(
        self,
        connection: str,
        refs: Iterable[str],
        said: Notification | None = None,
        *,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        """
        Return once it is durable that *refs* (``Type/id``, or ``Type`` for all of a type) should be read again.

        Args:
            said: The notification, for what it tells of its Subscription.

        Raises:
            NotKept: The database did not take it in time. It may yet do so; that does no harm.
        """
        try:
            self.take(connection, refs, said).result(patience_seconds)
        except NotInTime:
            raise NotKept(f"not durable after {patience_seconds} s") from None

    def take(self, connection: str, refs: Iterable[str], said: Notification | None = None) -> Future[None]:
        """
        Ring, as ``ring`` does, without waiting for it.

        What is returned is done once it is durable, or fails with ``NotKept``. All that goes into one commit
        gets the same future, so that many who wait can be woken at once.

        Raises:
            NotKept: The process is ending.
        """
        with self._changed:
            if self._ended:
                raise NotKept("the process is ending")
            commit = self._next
            commit.refs.setdefault(connection, set()).update(refs)
            if said is not None:
                commit.said.setdefault(connection, []).append(said)
            self._changed.notify()
        return commit.kept

    def close(self, within_seconds: float | None = None) -> bool:
        """
        Keep what was rung and end; returns whether that was done within the time.

        What was not kept by then, its sender was told to send again.
        """
        with self._changed:
            self._ended = True
            self._changed.notify()
        self._thread.join(within_seconds)
        return not self._thread.is_alive()

    def _keep(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._next.refs or self._ended)
                commit, self._next = self._next, _Commit()
            if not commit.refs:
                return
            self._commit(commit)

    def _commit(self, commit: _Commit) -> None:
        now = self._clock()
        try:
            with self._store.transaction() as tx:
                for connection, refs in sorted(commit.refs.items()):
                    short = _listen(tx, connection, commit.said.get(connection, ()), now)
                    tx.note_hints(connection, refs | short, now, secrets.randbits(62))
        except StoreUnavailable as error:
            log.warning("hints were not kept: %s", error)
            commit.kept.set_exception(NotKept("the database refused"))
            return
        except Exception as error:  # noqa: BLE001 - the top of a loop: every sender is told, the loop goes on
            log.error("hints were not kept: %s", where(error))
            commit.kept.set_exception(NotKept(f"a fault of ours ({type(error).__name__})"))
            return
        commit.kept.set_result(None)
        for connection in commit.refs:
            self._wake(connection)


def _listen(tx: Tx, connection: str, said: Sequence[Notification], now: datetime) -> set[str]:
    """Keep what was heard of each Subscription, and return those that are short of events."""
    before = tx.subscribed(connection) if said else []
    after = before
    for one in said:
        after = [heard(row, one, now) if hears(row, one) else row for row in after]
    tx.save_subscribed([new for old, new in zip(before, after, strict=True) if new != old])
    return {row.ref for row in after if row.gap is not None and row.ref is not None}


@dataclass(frozen=True)
class AnswerReport:
    """What came of some hints: resources asked for, streams to be polled, resources the EHR would not show."""

    asked: int = 0
    streams: frozenset[str] = frozenset()
    refused: int = 0
    waiting: frozenset[str] = frozenset()
    """Hints that are kept: streams that somebody else is reading, and what our credentials do not open just now."""
    counts: Counts = field(default_factory=Counts)
    locked: frozenset[str] = frozenset()
    """The types that our credentials do not open just now."""
    problem: RemoteError | None = None
    """Why hints are kept, where the EHR is why."""


def answer(
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    poll_stream: Callable[[str], object],
    trace: Callable[[str], object] = lambda _: None,
    leave_out: Callable[[], Collection[str]] = tuple,
) -> AnswerReport:
    """
    Read again what rang, each resource once; what rings again meanwhile waits for the next round.

    Args:
        poll_stream: Reads a whole stream up to now; for hints that name no resource.
        trace: Notes what the events were about that a Subscription (``Subscription/id``) is short of.
        leave_out: Says, before every step, of which types hints are to wait.

    Raises:
        RemoteError: The EHR does not answer, or answers unsafely, or refuses our credentials; those hints stay.
    """
    total, answered = AnswerReport(), set[str]()
    while True:
        but = {*leave_out(), *total.locked}
        with store.reading() as tx:
            hints = [hint for hint in tx.hints(line.name, AT_ONCE, but) if hint.ref not in answered]
        if not hints:
            if total.problem is not None:
                raise total.problem
            return total
        answered.update(hint.ref for hint in hints)
        report = _answer_some(client, store, line, clock, _traced(hints, trace), poll_stream)
        total = _sum(total, report)
        with store.transaction() as tx:
            tx.drop_hints(line.name, [hint for hint in hints if hint.ref not in report.waiting])


def _traced(hints: Sequence[Hint], trace: Callable[[str], object]) -> list[str]:
    """Return what to read again; what a Subscription is short of is noted for the next time round."""
    for hint in hints:
        if hint.ref.startswith("Subscription/"):
            trace(hint.ref)
    return [hint.ref for hint in hints if not hint.ref.startswith("Subscription/")]


def _answer_some(
    client: FhirClient,
    store: Store,
    line: Line,
    clock: Callable[[], datetime],
    wanted: Sequence[str],
    poll_stream: Callable[[str], object],
) -> AnswerReport:
    refs = [ref for ref in wanted if "/" in ref]
    streams = frozenset(wanted) - frozenset(refs)
    polled = [_polled(stream, poll_stream) for stream in sorted(streams & frozenset(line.types))]
    total = functools.reduce(_sum, polled, AnswerReport(len(refs), streams))
    with store.reading() as tx:
        known = {ref: row for ref, row in tx.sources(line.name, refs).items() if row.gone_at is None}
    rows = [row for row in known.values() if row.snapshot.type not in total.locked]
    total = _sum(total, _compared(client, store, line, clock, rows))
    by_type: dict[str, list[str]] = {}
    for ref in refs:
        by_type.setdefault(ref.partition("/")[0], []).extend([ref] if ref not in known else [])
    for kind in by_type.keys() - total.locked:
        total = _sum(total, _read_type(client, store, line, clock, kind, by_type[kind]))
    kept = [ref for kind in by_type.keys() & total.locked for ref in refs if ref.startswith(f"{kind}/")]
    return _sum(total, AnswerReport(waiting=frozenset(kept)))


def _polled(stream: str, poll_stream: Callable[[str], object]) -> AnswerReport:
    """Read a stream that rang as a whole; one that cannot be read now holds up no other."""
    try:
        poll_stream(stream)
    except HeldBack:
        return AnswerReport(waiting=frozenset({stream}))
    except AuthExpired as error:
        return AnswerReport(waiting=frozenset({stream}), locked=frozenset({stream}), problem=error)
    except Refused as error:
        # Its cursor stands, and the poll goes on from there once it may. Kept, the hint would be tried for ever.
        log.warning("%s cannot be polled: %s", stream, error)
        return AnswerReport(refused=1)
    except UnsafeAnswer as error:
        return AnswerReport(waiting=frozenset({stream}), problem=error)
    return AnswerReport()


def _compared(
    client: FhirClient, store: Store, line: Line, clock: Callable[[], datetime], rows: Sequence[SourceRow]
) -> AnswerReport:
    """Compare what is known with the EHR, deletions included, as a sweep does."""
    if not rows:
        return AnswerReport()
    report = compare(client, store, line, rows, clock, NOTIFY_STREAM)
    refused = report.refused + sum(isinstance(report.closed.get(row.snapshot.type), Refused) for row in rows)
    locked = {kind: error for kind, error in report.closed.items() if isinstance(error, AuthExpired)}
    problem = next(iter(locked.values()), None)
    return AnswerReport(refused=refused, counts=report.counts, locked=frozenset(locked), problem=problem)


def _read_type(
    client: FhirClient, store: Store, line: Line, clock: Callable[[], datetime], kind: str, refs: Sequence[str]
) -> AnswerReport:
    """Take in resources of one type that were not known."""
    try:
        several = read_several(client, refs)
    except AuthExpired as error:
        return AnswerReport(locked=frozenset({kind}), problem=error)
    absent = set(refs) - {version.ref for version in several.found} - several.refused.keys()
    found = [*several.found, *_unsearched(client, sorted(absent))]
    if not found:
        return AnswerReport(refused=len(several.refused))
    ask = Asking(client, store, line, clock)
    report = ingest(Intake(NOTIFY_STREAM, found, "notify"), store, line, clock(), ask)
    return AnswerReport(refused=len(several.refused), counts=report.counts)


def _unsearched(client: FhirClient, refs: Sequence[str]) -> Iterator[SourceVersion]:
    """Yield what no search shows: a notification may be faster than the index (LinuxForHealth/FHIR #2030: 120 s)."""
    for ref in refs:
        try:
            yield client.read(ref)
        except Refused:
            continue


def _sum(one: AnswerReport, other: AnswerReport) -> AnswerReport:
    return AnswerReport(
        one.asked + other.asked,
        one.streams | other.streams,
        one.refused + other.refused,
        one.waiting | other.waiting,
        add(one.counts, other.counts),
        one.locked | other.locked,
        one.problem or other.problem,
    )
