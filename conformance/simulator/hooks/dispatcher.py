"""
Who is told of what, and when.

A committed version becomes an event of every active Subscription that wants it, an event a delivery that is due at
an instant of the server's clock. ``run_due`` makes the attempts that are due: nothing is sent while a request is
being answered, so a subscriber may read the server while it is told. Whoever calls ``run_due`` is the time that
passes: a test after moving its clock, or the thread of a served simulator.
"""

from __future__ import annotations

import heapq
import threading
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from conformance.simulator.clock import micros
from conformance.simulator.ehr import Ehr
from conformance.simulator.hooks.habits import Habits
from conformance.simulator.hooks.notices import Event, Notice
from conformance.simulator.hooks.sender import Reply, Ring, Sender
from conformance.simulator.hooks.subscription import Wish, read_wish
from conformance.simulator.hooks.writing import classic_ring, is_accepted, topic_ring
from conformance.simulator.store import Version
from conformance.simulator.wire import Json

_ASKED = frozenset({"requested", "active"})


@dataclass(slots=True, eq=False)
class Live:
    """
    One Subscription as the server keeps it.

    Attributes:
        events: All events so far; the place in the list is the server's own count.
        counter: The number that the last event was told under.
    """

    id: str
    wish: Wish
    status: str
    events: list[Event] = field(default_factory=list)
    counter: int = 0
    told: int = 0
    heartbeat_at: datetime | None = None


@dataclass(slots=True, eq=False)
class Delivery:
    """One notification on its way: which events (places in ``Live.events``), and how it has gone so far."""

    live: Live
    kind: str
    places: list[int]
    attempts: int = 0
    first_at: datetime | None = None


class Dispatcher:
    """
    The notifications of one server.

    Attributes:
        sender: Sends them; None while nobody does, and then they wait.
        base: The address that subscribers know the server by.
    """

    def __init__(self, ehr: Ehr, sender: Sender | None = None, base: str = "http://ehr.example/fhir") -> None:
        self.sender = sender
        self.base = base
        self._ehr = ehr
        self._live: dict[str, Live] = {}
        self._due: list[tuple[datetime, int, Delivery]] = []
        self._number = 0
        self._saving = False
        self._running = threading.Lock()
        ehr.checks.append(self._check)
        ehr.hear(self._hear)

    @property
    def habits(self) -> Habits:
        """How this server goes about it."""
        return self._ehr.options.hooks

    def live(self, id_: str) -> Live | None:
        """Return a Subscription that the server knows."""
        return self._live.get(id_)

    def all(self) -> list[Live]:
        """Return every Subscription that the server knows."""
        return list(self._live.values())

    def run_due(self) -> list[tuple[Ring, Reply | None]]:
        """Make every attempt that is due by now; return what was sent and what came back."""
        done: list[tuple[Ring, Reply | None]] = []
        if self.sender is None or not self._running.acquire(blocking=False):
            return done
        try:
            while (delivery := self._next()) is not None:
                ring, copies = self._ring(delivery)
                replies = [self.sender(ring) for _ in range(copies)]
                done += [(ring, reply) for reply in replies]
                if copies:
                    with self._ehr.store.lock:
                        self._settle(delivery, ring, replies[-1])
        finally:
            self._running.release()
        return done

    # What is heard

    def _check(self, type_: str, resource: Json | None) -> None:
        if type_ == "Subscription" and resource is not None:
            read_wish(resource, self._ehr.options)

    def _hear(self, version: Version) -> None:
        if version.type == "Subscription":
            if not self._saving:
                self._register(version)
            return
        if not self._live:
            return
        before = self._ehr.store.version(version.type, version.id, str(version.number - 1))
        now = self._ehr.clock()
        for live in list(self._live.values()):
            self._end_if_over(live, now)
            if live.status == "active" and self.fires(live) and live.wish.wants(version, before, now):
                self._enter(live, version, now)

    def fires(self, live: Live) -> bool:
        """Return whether anything is ever sent by *live*: some servers call one active that never rings."""
        silent = live.wish.topic is not None and self._ehr.options.fhir_version[:3] in self.habits.silent_topics_in
        return self.habits.fires and not silent

    def _register(self, version: Version) -> None:
        """Take up what a client wrote; an active one that was changed goes on counting."""
        if version.deleted:
            self._live.pop(version.id, None)
            return
        resource = version.resource()
        wish, status = read_wish(resource, self._ehr.options), resource.get("status", "requested")
        live = self._live.setdefault(version.id, Live(version.id, wish, "off"))
        live.wish = wish
        if status not in _ASKED:
            live.status = status
        elif not status == live.status == "active":
            live.status = "requested"
            handshake = wish.topic is not None and self.habits.handshake and self.fires(live)
            kind = "handshake" if handshake else "activate"
            self._push(Delivery(live, kind, []), self._ehr.clock() + self.habits.activation_delay)

    def _enter(self, live: Live, version: Version, now: datetime) -> None:
        live.counter += 1
        if self.habits.restart_every and live.counter > self.habits.restart_every:
            live.counter = 1
        live.events.append(Event(live.counter, version, now))
        place = len(live.events) - 1
        waiting = self._waiting(live)
        if waiting is not None:
            waiting.places.append(place)
            return
        low, high = self.habits.delay, self.habits.delay_at_most
        delay = low if high <= low else low + (high - low) * self._ehr.random.random()
        self._push(Delivery(live, "event-notification", [place]), now + delay)

    def _waiting(self, live: Live) -> Delivery | None:
        """Return a delivery not yet tried that has room for one more event."""
        for _, _, delivery in self._due:
            room = 0 < len(delivery.places) < live.wish.max_count
            if delivery.live is live and delivery.attempts == 0 and room:
                return delivery
        return None

    # What is sent

    def _next(self) -> Delivery | None:
        with self._ehr.store.lock:
            now = self._ehr.clock()
            self._beat(now)
            while (delivery := self._pop(now)) is not None:
                live = delivery.live
                if self._live.get(live.id) is not live or self._end_if_over(live, now):
                    continue
                if delivery.kind == "activate":
                    self._activate(live)
                elif live.status == "active" or delivery.kind == "handshake":
                    return delivery
            return None

    def _pop(self, now: datetime) -> Delivery | None:
        """Take what is due from the queue; where failures block, what failed before goes first."""
        failed = [line for line in self._due if line[2].attempts] if self.habits.blocks else []
        if failed:
            first = min(failed)
            if first[0] > now:
                return None
            self._due.remove(first)
            heapq.heapify(self._due)
            return first[2]
        return heapq.heappop(self._due)[2] if self._due and self._due[0][0] <= now else None

    def _ring(self, delivery: Delivery) -> tuple[Ring, int]:
        """Return the notification and how often to send it: not at all, where the server loses it."""
        with self._ehr.store.lock:
            live, now = delivery.live, self._ehr.clock()
            delivery.attempts += 1
            delivery.first_at = delivery.first_at or now
            events = [live.events[place] for place in delivery.places]
            if live.wish.topic is None:
                ring = classic_ring(live.id, live.wish, events[0], self.habits)
            else:
                ring = topic_ring(live.wish, self._notice(live, delivery.kind, events, now), self.habits)
            if delivery.attempts > 1 or delivery.kind == "handshake":
                return ring, 1
            live.told += 1
            every = self.habits.lose_every
            return ring, 0 if every and live.told % every == 0 else self.habits.copies

    def _notice(self, live: Live, kind: str, events: list[Event], now: datetime) -> Notice:
        counter = live.counter
        if self.habits.numbering == "bundle":
            events = [Event(number, event.version, event.at) for number, event in enumerate(events, 1)]
            counter = len(events)
        elif self.habits.numbering == "stuck":
            events = [Event(1, event.version, event.at) for event in events]
            counter = 1
        elif events:
            counter = events[-1].number
        return self.notice(live, kind, events, counter, now)

    def notice(self, live: Live, kind: str, events: list[Event], counter: int, now: datetime) -> Notice:
        """Return a notification, or the answer to an operation, about *live*."""
        return Notice(
            subscription=live.id,
            wish=live.wish,
            status=live.status,
            kind=kind,
            counter=counter,
            events=events,
            base=self.base,
            fhir_version=self._ehr.options.fhir_version,
            form=self.habits.form,
            at=now,
        )

    def _settle(self, delivery: Delivery, ring: Ring, reply: Reply | None) -> None:
        """Go on from what came back: done, again later, or given up."""
        live, now = delivery.live, self._ehr.clock()
        if self._live.get(live.id) is not live:
            return
        if is_accepted(ring, reply, self.habits):
            self._beat_after(live, now)
            if delivery.kind == "handshake":
                self._activate(live)
            elif self.habits.fail_after and live.told >= self.habits.fail_after:
                self._fail(live)
        elif delivery.kind == "handshake":
            self._set_status(live, "error")
        elif delivery.kind == "event-notification":
            self._again(delivery, now)

    def _again(self, delivery: Delivery, now: datetime) -> None:
        habits = self.habits
        assert delivery.first_at is not None
        at = now + max(habits.retry_every, timedelta(milliseconds=1))
        tired = bool(habits.attempts) and delivery.attempts >= habits.attempts
        if tired or at - delivery.first_at > habits.give_up_after:
            if habits.giving_up != "active":
                self._set_status(delivery.live, habits.giving_up)
            return
        self._push(delivery, at)

    def _fail(self, live: Live) -> None:
        if self.habits.fail_as == "gone":
            self._live.pop(live.id)
            self._save(live.id, None)
        else:
            self._set_status(live, self.habits.fail_as)

    # Time

    def _beat(self, now: datetime) -> None:
        for live in self._live.values():
            if live.heartbeat_at is not None and live.status == "active" and now >= live.heartbeat_at:
                live.heartbeat_at = None
                self._push(Delivery(live, "heartbeat", []), now)
                self._beat_after(live, now)

    def _beat_after(self, live: Live, now: datetime) -> None:
        period = live.wish.heartbeat_seconds
        if period and live.wish.topic is not None:
            live.heartbeat_at = now + timedelta(seconds=period)

    def _end_if_over(self, live: Live, now: datetime) -> bool:
        over = live.wish.ends_at is not None and micros(now) >= live.wish.ends_at
        if over and live.status != "off":
            self._set_status(live, "off")
        return over

    def _push(self, delivery: Delivery, at: datetime) -> None:
        self._number += 1
        heapq.heappush(self._due, (at, self._number, delivery))

    def _activate(self, live: Live) -> None:
        """Make one active that is still asked for: its client may have switched it off meanwhile."""
        if live.status == "requested":
            self._set_status(live, "active")

    def _set_status(self, live: Live, status: str) -> None:
        live.status = status
        head = self._ehr.store.head("Subscription", live.id)
        if head is not None and not head.deleted and head.resource().get("status") != status:
            self._save(live.id, {**head.resource(), "status": status})

    def _save(self, id_: str, resource: Json | None) -> None:
        self._saving = True
        try:
            self._ehr.store.save("Subscription", id_, resource, "DELETE" if resource is None else "PUT")
        finally:
            self._saving = False
