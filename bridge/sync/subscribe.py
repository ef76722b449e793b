"""
The Subscriptions of one connection: created once, verified, renewed, repaired, and taken away again.

They are looked at once a minute, more often while one is to become active. One that is not as it should be is
written again, with growing pauses; where the EHR ended it, or it proved deaf, its types are polled first, and once
more when it is active: so nothing that changed in between is missed. None is ever made twice: its id is ours where
the EHR allows that, else the EHR is asked to create only what is not there, and either way it was looked for
before. One whose creation got no answer is looked for again. Only what carries our mark, or was recorded as
written by us, is ever changed or deleted.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from bridge.errors import RemoteError
from bridge.fhir.client import FhirClient
from bridge.fhir.subscription import Flavor, Remote, State, Wanted
from bridge.store.port import Store, Tx
from bridge.store.rows import Subscribed
from bridge.sync.desire import Desire, Need, does_the_same, is_settled, made_by_hand, need, ours_of, wait_after
from bridge.sync.hearing import found_first, judged, told_of
from bridge.sync.line import Line
from bridge.sync.remotes import Remotes

LOOK_EVERY = timedelta(minutes=1)
LOOK_AGAIN = timedelta(seconds=10)
"""How often the EHR is asked for its Subscriptions, and how often while one is to become active (rule ours)."""

_MOST_WAITING = 10_000

_BY_HAND = "it is not active, and was made by hand"

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Standing:
    """One Subscription as the EHR shows it now; ``problem`` is ``None`` where it is as it should be."""

    about: str
    ref: str | None
    state: State
    problem: str | None


class Subscriber:
    """
    Keeps the Subscriptions of one connection.

    Args:
        poll_stream: Reads a whole type up to now.
        unreadable: Returns the types that there is no way to poll.
    """

    def __init__(
        self,
        client: FhirClient,
        store: Store,
        line: Line,
        clock: Callable[[], datetime],
        desire: Desire,
        poll_stream: Callable[[str], object],
        unreadable: Callable[[], Collection[str]] = tuple,
    ) -> None:
        self._store, self._line, self._clock = store, line, clock
        self._desire, self._poll_stream, self._unreadable = desire, poll_stream, unreadable
        self._listening_since = clock()
        self._looked_at: datetime | None = None
        self._ehr = Remotes(client, line, desire, clock)

    @property
    def without(self) -> Mapping[str, str]:
        """The types that nothing tells of, and why; empty before the EHR was asked."""
        return self._ehr.plan.without

    # Keeping ----------------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Look after every Subscription, if it is time to. What goes wrong is kept with it, and tried again."""
        now = self._clock()
        with self._store.reading() as tx:
            rows = tx.subscribed(self._line.name)
            begun = {cursor.stream for cursor in tx.cursors(self._line.name) if cursor.checked_at is not None}
        if not begun.union(self._unreadable()).issuperset(self._line.types) or not self._is_time(rows, now):
            return
        self._looked_at = now
        self._judge(now)
        try:
            found = self._ehr.look(_refs(rows))
        except RemoteError as error:
            log.warning("subscriptions: %s", self.hidden(str(error)), extra=self._extra)
            return
        done = [self._accept(remote, rows).key for remote in made_by_hand(self._desire, found)]
        for wanted in self._ours(rows, found):
            done.append(wanted.key)
            self._tend_one(wanted, rows, found)
        if self._ehr.plan.possible:
            self._give_up([row for row in rows if row.key not in done], found)

    def _ours(self, rows: Sequence[Subscribed], found: Sequence[Remote]) -> list[Wanted]:
        """Return what is ours to keep: all that is wanted, but what somebody made by hand before we did."""
        by_hand, known = made_by_hand(self._desire, found), {row.key for row in rows}
        return [
            wanted
            for wanted in self._ehr.plan.wanted
            if wanted.key in known
            or ours_of(found, wanted.key, None)
            or not any(does_the_same(remote, wanted) for remote in by_hand)
        ]

    def _is_time(self, rows: Sequence[Subscribed], now: datetime) -> bool:
        unsettled = any(row.state == State.REQUESTED for row in rows)
        return self._looked_at is None or now - self._looked_at >= (LOOK_AGAIN if unsettled else LOOK_EVERY)

    def _judge(self, now: datetime) -> None:
        with self._store.transaction() as tx:
            before = tx.subscribed(self._line.name)
            after = [judged(row, now) for row in before]
            _save_changed(tx, before, after)

    # One Subscription -------------------------------------------------------------------------------------

    def _accept(self, remote: Remote, rows: Iterable[Subscribed]) -> Subscribed:
        """Keep how a Subscription stands that somebody made by hand."""
        topics = self._desire.topics
        told = (
            (remote.type,)
            if remote.type is not None
            else (k for k in self._line.types if topics.get(k) == remote.about)
        )
        row = self._row(rows, remote.ref, remote.flavor, remote.about, tuple(told))
        row = self._saw(replace(row, ours=False), self._ehr.asked(remote))
        well = row.state in (State.ACTIVE, State.REQUESTED)
        return self._keep(row, problem=None if well else f"the EHR calls it {row.state}; it was made by hand")

    def _tend_one(self, wanted: Wanted, rows: Iterable[Subscribed], found: Iterable[Remote]) -> None:
        row = self._row(rows, wanted.key, wanted.flavor, wanted.about, wanted.types)
        mine = ours_of(found, wanted.key, row.ref)
        self._delete(mine[1:])
        remote = self._ehr.asked(mine[0]) if mine else None
        row = self._saw(row, remote) if remote is not None else self._keep(row, state=State.ABSENT.value)
        now = self._clock()
        wrong = need(wanted, row, remote, now)
        if wrong is None:
            self._keep(row, problem=None, **({"tries": 0, "next_at": None} if is_settled(row) else {}))
        elif row.next_at is None or row.next_at <= now:
            self._write(wanted, row, remote, wrong)

    def _row(
        self, rows: Iterable[Subscribed], key: str, flavor: Flavor, about: str, types: tuple[str, ...]
    ) -> Subscribed:
        known = next((row for row in rows if row.key == key), None)
        row = known or Subscribed(connection=self._line.name, key=key, flavor=flavor.value, about=about, types=types)
        return replace(row, flavor=flavor.value, about=about, types=types)

    def _saw(self, row: Subscribed, remote: Remote) -> Subscribed:
        """Keep what the EHR shows. One that became active is read up to now: it did not tell of what was before."""
        now = self._clock()
        with self._store.transaction() as tx:
            seen = _merged(
                tx,
                row,
                ours=row.ours,
                ref=remote.ref,
                state=remote.state.value,
                looked_at=now,
                ends_at=remote.ends_at,
                heartbeat_seconds=remote.heartbeat_seconds,
            )
            if remote.state is State.ACTIVE and (row.state != State.ACTIVE or row.active_at is None):
                seen = replace(seen, active_at=now)
                tx.note_hints(self._line.name, row.types, now, secrets.randbits(62))
            seen = told_of(seen, remote.counter)
            if seen.gap is not None:
                tx.note_hints(self._line.name, [remote.ref], now, secrets.randbits(62))
            tx.save_subscribed([seen])
            return seen

    def _keep(self, row: Subscribed, **changes: Any) -> Subscribed:
        with self._store.transaction() as tx:
            kept = _merged(tx, row, **changes)
            tx.save_subscribed([kept])
            return kept

    # Writing ----------------------------------------------------------------------------------------------

    def _write(self, wanted: Wanted, row: Subscribed, remote: Remote | None, wrong: Need) -> None:
        """Write a Subscription, after its types are read up to now where it may have been deaf."""
        now, tries = self._clock(), row.tries + 1
        row = self._keep(row, tries=tries, next_at=now + wait_after(tries), problem=wrong.why)
        log.info("subscription to %s: %s", wanted.about, wrong.why, extra=self._extra)
        try:
            unreadable = self._unreadable()
            for stream in wanted.types if wrong.catch_up else ():
                if stream not in unreadable:
                    self._poll_stream(stream)
            written = self._ehr.write(wanted, remote, now + self._desire.lifetime)
        except RemoteError as error:
            words = self.hidden(str(error))
            log.warning("subscription to %s: %s", wanted.about, words, extra=self._extra)
            self._keep(row, problem=words)
            return
        self._keep(row, ref=written.ref, state=State.REQUESTED.value, digest=wanted.digest(), wrote_at=now)

    def _delete(self, remotes: Iterable[Remote]) -> str | None:
        """Delete ours; returns what went wrong, in words, if anything did."""
        try:
            for remote in remotes:
                self._ehr.delete(remote.ref)
        except RemoteError as error:
            words = self.hidden(str(error))
            log.warning("a subscription could not be removed: %s", words, extra=self._extra)
            return words
        return None

    def _give_up(self, rows: Iterable[Subscribed], found: Sequence[Remote]) -> None:
        """Take away what is not wanted any more; of what others made only our row."""
        for row in rows:
            problem = self._delete(ours_of(found, row.key, row.ref)) if row.ours else None
            if problem is not None:
                self._keep(row, problem=f"it is to be removed: {problem}")
                continue
            with self._store.transaction() as tx:
                tx.drop_subscribed(self._line.name, [row.key])

    def remove(self) -> list[str]:
        """
        Delete every Subscription of ours and forget it; returns which they were (``Subscription/id``).

        Raises:
            RemoteError: The EHR does not answer, or does not delete one; those after it were left.
        """
        with self._store.reading() as tx:
            rows = tx.subscribed(self._line.name)
        found = self._ehr.look(_refs(rows))
        keys = {row.key: row.ref for row in rows if row.ours} | {
            wanted.key: None for wanted in self._ehr.plan.wanted if wanted.key not in {row.key for row in rows}
        }
        removed = [remote.ref for key, ref in keys.items() for remote in ours_of(found, key, ref)]
        for ref in removed:
            self._ehr.delete(ref)
        with self._store.transaction() as tx:
            tx.drop_subscribed(self._line.name, [row.key for row in rows])
        return removed

    def verify(self) -> list[Standing]:
        """
        Return how each Subscription stands on the EHR; nothing is written.

        Raises:
            RemoteError: It does not answer.
        """
        with self._store.reading() as tx:
            rows = tx.subscribed(self._line.name)
        found, now = self._ehr.look(_refs(rows)), self._clock()
        standings = [
            Standing(remote.about, remote.ref, remote.state, None if remote.state is State.ACTIVE else _BY_HAND)
            for remote in made_by_hand(self._desire, found)
        ]
        for wanted in self._ours(rows, found):
            row = self._row(rows, wanted.key, wanted.flavor, wanted.about, wanted.types)
            remote = next(map(self._ehr.asked, ours_of(found, wanted.key, row.ref)), None)
            wrong = need(wanted, row, remote, now)
            state = remote.state if remote is not None else State.ABSENT
            standings.append(
                Standing(wanted.about, remote.ref if remote else None, state, wrong.why if wrong is not None else None)
            )
        return standings + [Standing(kind, None, State.ABSENT, why) for kind, why in self._ehr.plan.without.items()]

    def hidden(self, words: str) -> str:
        """Return *words* without our secrets."""
        return self._desire.hidden(words)

    # Hearing ----------------------------------------------------------------------------------------------

    def found(self, ref: str, changed_at: datetime) -> None:
        """Note that the poll brought a change; whether anybody rings for it, time will tell."""
        now = self._clock()
        with self._store.transaction() as tx:
            before = tx.subscribed(self._line.name)
            waiting = {hint.ref for hint in tx.hints(self._line.name, _MOST_WAITING)} if before else set()
            after = [
                found_first(row, ref, changed_at, now, waiting=waiting, listening_since=self._listening_since)
                for row in before
            ]
            _save_changed(tx, before, after)

    def trace(self, ref: str) -> None:
        """
        Note what the events were about that the Subscription *ref* is short of: resources, or whole types.

        Raises:
            RemoteError: The EHR does not answer.
        """
        with self._store.reading() as tx:
            row = next((row for row in tx.subscribed(self._line.name) if row.ref == ref), None)
        if row is None or row.gap is None:
            return
        meant = self._ehr.events(ref, *row.gap) or frozenset(row.types or self._line.types)
        with self._store.transaction() as tx:
            now = _merged(tx, row)
            tx.note_hints(self._line.name, meant, self._clock(), secrets.randbits(62))
            tx.save_subscribed([replace(now, gap=None if now.gap == row.gap else now.gap, gaps=now.gaps + 1)])
        log.info("%s: events %d to %d were not heard", ref, *row.gap, extra=self._extra)

    @property
    def _extra(self) -> dict[str, str]:
        return {"connection": self._line.name}


def _merged(tx: Tx, row: Subscribed, **changes: Any) -> Subscribed:
    """Return the row with *changes*, over what was heard meanwhile; it is locked until the transaction ends."""
    stored = next((one for one in tx.subscribed(row.connection) if one.key == row.key), row)
    return replace(stored, flavor=row.flavor, about=row.about, types=row.types, **changes)


def _refs(rows: Iterable[Subscribed]) -> list[str]:
    return [row.ref for row in rows if row.ref is not None]


def _save_changed(tx: Tx, before: Sequence[Subscribed], after: Sequence[Subscribed]) -> None:
    tx.save_subscribed([new for old, new in zip(before, after, strict=True) if new != old])
