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
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from bridge.errors import Gone, NotFound, Refused, RemoteError, SourceError
from bridge.fhir.capability import Capability
from bridge.fhir.client import FhirClient, Written
from bridge.fhir.notification import read_notification, read_status
from bridge.fhir.query import encode, escape
from bridge.fhir.source import SourceVersion
from bridge.fhir.subscription import Flavor, Remote, State, Wanted, read_subscription, render
from bridge.store.port import Store, Subscribed, Tx
from bridge.sync.desire import (
    SUBSCRIPTION,
    Desire,
    Need,
    Plan,
    does_the_same,
    is_settled,
    made_by_hand,
    may_choose_id,
    need,
    ours_of,
    plan,
    wait_after,
)
from bridge.sync.hearing import found_first, judged, told_of
from bridge.sync.line import Line

LOOK_EVERY = timedelta(minutes=1)
LOOK_AGAIN = timedelta(seconds=10)
"""How often the EHR is asked for its Subscriptions, and how often while one is to become active (rule ours)."""

ASK_AGAIN = timedelta(hours=1)
"""How long what an EHR declares of itself is believed (rule ours)."""

MOST_PAGES = 50
"""So many pages of Subscriptions are read; an EHR that has more is not searched to the end (rule ours)."""

MOST_EVENTS = 1000
"""A gap of more events is caught up with by a poll (rule ours)."""

_AT_ONCE = 100
_MOST_WAITING = 10_000

log = logging.getLogger(__name__)


class Subscriber:
    """
    Keeps the Subscriptions of one connection.

    Args:
        poll_stream: Reads a whole type up to now.
    """

    def __init__(
        self,
        client: FhirClient,
        store: Store,
        line: Line,
        clock: Callable[[], datetime],
        desire: Desire,
        poll_stream: Callable[[str], object],
    ) -> None:
        self._client, self._store, self._line, self._clock = client, store, line, clock
        self._desire, self._poll_stream = desire, poll_stream
        self._listening_since = clock()
        self._looked_at: datetime | None = None
        self._capability: Capability | None = None
        self._asked_at: datetime | None = None
        self.plan = Plan()
        """What there should be, as last made; empty before the EHR was asked."""

    # Keeping ----------------------------------------------------------------------------------------------

    def tend(self) -> None:
        """Look after every Subscription, if it is time to. What goes wrong is kept with it, and tried again."""
        now = self._clock()
        with self._store.reading() as tx:
            rows = tx.subscribed(self._line.name)
            begun = {cursor.stream for cursor in tx.cursors(self._line.name) if cursor.watermark is not None}
        if not begun.issuperset(self._line.types) or not self._is_time(rows, now):
            return
        self._looked_at = now
        self._judge(now)
        try:
            found = self.look(rows)
        except RemoteError as error:
            log.warning("subscriptions: %s", self._desire.hidden(str(error)), extra=self._extra)
            return
        by_hand = made_by_hand(self._desire, found)
        done = [self._accept(remote, rows).key for remote in by_hand]
        for wanted in self.plan.wanted:
            if not any(does_the_same(remote, wanted) for remote in by_hand):
                self._tend_one(wanted, rows, found)
                done.append(wanted.key)
        if self.plan.possible:
            self._give_up([row for row in rows if row.key not in done], found)

    def _is_time(self, rows: Sequence[Subscribed], now: datetime) -> bool:
        unsettled = any(row.state == State.REQUESTED for row in rows)
        return self._looked_at is None or now - self._looked_at >= (LOOK_AGAIN if unsettled else LOOK_EVERY)

    def _judge(self, now: datetime) -> None:
        with self._store.transaction() as tx:
            before = tx.subscribed(self._line.name)
            after = [judged(row, now) for row in before]
            _save_changed(tx, before, after)

    def look(self, rows: Iterable[Subscribed] = ()) -> list[Remote]:
        """
        Return the EHR's Subscriptions as it shows them, those of *rows* even where a search does not find them.

        Raises:
            RemoteError: It does not answer.
        """
        capability = self._declared()
        found = {one.ref: one for one in self._searched()} if capability.supports(SUBSCRIPTION, "search-type") else {}
        keys = {row.ref for row in rows if row.ref is not None}
        if may_choose_id(self._desire, capability):
            keys |= {f"{SUBSCRIPTION}/{wanted.key}" for wanted in self.plan.wanted}
        for ref in sorted(keys - found.keys()):
            try:
                found[ref] = read_subscription(self._client.read(ref).raw)
            except (NotFound, Gone, SourceError):
                continue
        return list(found.values())

    def _declared(self) -> Capability:
        now = self._clock()
        if self._capability is None or self._asked_at is None or now - self._asked_at > ASK_AGAIN:
            self._capability, self._asked_at = self._client.capability(), now
            self.plan = plan(self._desire, self._capability, self._line.types, self._line.fhir_version)
        return self._capability

    def _searched(self) -> Iterable[Remote]:
        page = self._client.search(SUBSCRIPTION, [("_count", str(_AT_ONCE))])
        for _ in range(MOST_PAGES):
            yield from filter(None, map(_readable, page.entries))
            if page.next_url is None:
                return
            page = self._client.next_page(page.next_url)

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
        row = self._saw(replace(row, ours=False), self._asked(remote))
        well = row.state in (State.ACTIVE, State.REQUESTED)
        return self._keep(row, problem=None if well else f"the EHR calls it {row.state}; it was made by hand")

    def _tend_one(self, wanted: Wanted, rows: Iterable[Subscribed], found: Iterable[Remote]) -> None:
        row = self._row(rows, wanted.key, wanted.flavor, wanted.about, wanted.types)
        mine = ours_of(found, wanted.key, row.ref)
        for other in mine[1:]:
            self._delete(other.ref)
        remote = self._asked(mine[0]) if mine else None
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

    def _asked(self, remote: Remote) -> Remote:
        """Return *remote* as ``$status`` tells of it, where the EHR has that: the resource itself may say less."""
        if remote.flavor is Flavor.CLASSIC or not self._offers("status"):
            return remote
        try:
            said = read_status(self._client.ask(f"{remote.ref}/$status"), base_url=self._line.base_url)
        except (RemoteError, SourceError) as error:
            log.warning("%s/$status: %s", remote.ref, self._desire.hidden(str(error)), extra=self._extra)
            return remote
        state = State(said.status) if said.status in set(State) else remote.state
        return replace(remote, state=state, counter=said.counter)

    def _offers(self, operation: str) -> bool:
        return self._capability is not None and operation in self._capability.of(SUBSCRIPTION).operations

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
            for stream in wanted.types if wrong.catch_up else ():
                self._poll_stream(stream)
            written = self._sent(wanted, remote, now + self._desire.lifetime)
        except RemoteError as error:
            words = self._desire.hidden(str(error))
            log.warning("subscription to %s: %s", wanted.about, words, extra=self._extra)
            self._keep(row, problem=words)
            return
        self._keep(row, ref=written.ref, state=State.REQUESTED.value, digest=wanted.digest(), wrote_at=now)

    def _sent(self, wanted: Wanted, remote: Remote | None, ends_at: datetime) -> Written:
        capability = self._declared()
        if remote is not None and capability.supports(SUBSCRIPTION, "update"):
            body = render(wanted, own_id=remote.ref.partition("/")[2], ends_at=ends_at)
            return self._client.update(remote.ref, body, if_match=remote.version or None)
        if remote is not None:
            self._delete(remote.ref)
        if may_choose_id(self._desire, capability):
            body = render(wanted, own_id=wanted.key, ends_at=ends_at)
            return self._client.update(f"{SUBSCRIPTION}/{wanted.key}", body, create_only=True)
        declared = capability.of(SUBSCRIPTION)
        by_address = declared.conditional_create and "url" in declared.search_params
        body = render(wanted, own_id=None, ends_at=ends_at)
        condition = encode([("url", escape(wanted.endpoint))]) if by_address else None
        return self._client.create(SUBSCRIPTION, body, if_none_exist=condition)

    def _delete(self, ref: str) -> None:
        try:
            self._client.delete(ref)
        except (NotFound, Gone):
            return

    def _give_up(self, rows: Iterable[Subscribed], found: Sequence[Remote]) -> None:
        """Take away what is not wanted any more; of what others made only our row."""
        for row in rows:
            try:
                for remote in ours_of(found, row.key, row.ref) if row.ours else ():
                    self._delete(remote.ref)
            except RemoteError as error:
                self._keep(row, problem=f"to be removed: {self._desire.hidden(str(error))}")
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
        found = self.look(rows)
        keys = {row.key: row.ref for row in rows if row.ours} | {
            wanted.key: None for wanted in self.plan.wanted if wanted.key not in {row.key for row in rows}
        }
        removed = [remote.ref for key, ref in keys.items() for remote in ours_of(found, key, ref)]
        for ref in removed:
            self._delete(ref)
        with self._store.transaction() as tx:
            tx.drop_subscribed(self._line.name, [row.key for row in rows])
        return removed

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
        meant = self._events(ref, *row.gap) or frozenset(row.types or self._line.types)
        with self._store.transaction() as tx:
            now = _merged(tx, row)
            tx.note_hints(self._line.name, meant, self._clock(), secrets.randbits(62))
            tx.save_subscribed([replace(now, gap=None if now.gap == row.gap else now.gap, gaps=now.gaps + 1)])
        log.info("%s: events %d to %d were not heard", ref, *row.gap, extra=self._extra)

    def _events(self, ref: str, first: int, last: int) -> frozenset[str]:
        """Return what ``$events`` names; nothing where the EHR has no such operation, or does not tell all."""
        if not self._offers("events") or last - first >= MOST_EVENTS:
            return frozenset()
        params = [("eventsSinceNumber", str(first)), ("eventsUntilNumber", str(last)), ("content", "id-only")]
        try:
            said = read_notification(self._client.ask(f"{ref}/$events", params), base_url=self._line.base_url)
        except (Refused, SourceError) as error:
            log.warning("%s/$events: %s", ref, self._desire.hidden(str(error)), extra=self._extra)
            return frozenset()
        named = {event.number for event in said.events}
        if not said.complete or not named.issuperset(range(first, last + 1)):
            return frozenset()
        return frozenset(focus for focus in said.foci if focus.partition("/")[0] in self._line.types)

    @property
    def _extra(self) -> dict[str, str]:
        return {"connection": self._line.name}


def _merged(tx: Tx, row: Subscribed, **changes: Any) -> Subscribed:
    """Return the row with *changes*, over what was heard meanwhile; it is locked until the transaction ends."""
    stored = next((one for one in tx.subscribed(row.connection) if one.key == row.key), row)
    return replace(stored, flavor=row.flavor, about=row.about, types=row.types, **changes)


def _save_changed(tx: Tx, before: Sequence[Subscribed], after: Sequence[Subscribed]) -> None:
    tx.save_subscribed([new for old, new in zip(before, after, strict=True) if new != old])


def _readable(version: SourceVersion) -> Remote | None:
    """Return a Subscription; none of those that are not by rest-hook can be ours."""
    try:
        return read_subscription(version.raw)
    except SourceError:
        return None
