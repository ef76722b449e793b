"""
The Subscriptions on one EHR: looked for, asked about, written, deleted. Nothing here is kept.

None is made twice: its id is ours where the EHR allows that, else the EHR is asked to create only what is not
there (FHIR R4 http.html#ccreate); whoever calls has looked for it before. HAPI 8.0.0 does not declare updateCreate,
so there it is the second (seen 2026-11). The secret address is never part of an address that is asked for.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta

from msgspec.structs import replace

from bridge.errors import Gone, NotFound, Refused, RemoteError, SourceError
from bridge.fhir.capability import Capability
from bridge.fhir.client import FhirClient, Written
from bridge.fhir.notification import read_notification, read_status
from bridge.fhir.query import encode, escape
from bridge.fhir.source import SourceVersion
from bridge.fhir.subscription import Flavor, Remote, State, Wanted, read_subscription, render
from bridge.sync.desire import SUBSCRIPTION, Desire, Plan, may_choose_id, plan
from bridge.sync.line import Line

ASK_AGAIN = timedelta(hours=1)
"""How long what an EHR declares of itself is believed (rule ours)."""

MOST_PAGES = 50
"""So many pages of Subscriptions are read; an EHR that has more is not searched to the end (rule ours)."""

MOST_EVENTS = 1000
"""A gap of more events is caught up with by a poll (rule ours)."""

_AT_ONCE = 100

log = logging.getLogger(__name__)


class Remotes:
    """The Subscriptions on one EHR."""

    def __init__(self, client: FhirClient, line: Line, desire: Desire, clock: Callable[[], datetime]) -> None:
        self._client, self._line, self._desire, self._clock = client, line, desire, clock
        self._capability: Capability | None = None
        self._asked_at: datetime | None = None
        self.plan = Plan()
        """What there should be, as last made; empty before the EHR was asked."""

    def look(self, refs: Iterable[str] = ()) -> list[Remote]:
        """
        Return the EHR's Subscriptions as it shows them, those of *refs* even where a search does not find them.

        Raises:
            RemoteError: It does not answer.
        """
        capability = self._declared()
        found = {one.ref: one for one in self._searched()} if capability.supports(SUBSCRIPTION, "search-type") else {}
        missing = {*refs}
        if may_choose_id(self._desire, capability):
            missing |= {f"{SUBSCRIPTION}/{wanted.key}" for wanted in self.plan.wanted}
        for ref in sorted(missing - found.keys()):
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

    def asked(self, remote: Remote) -> Remote:
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

    def write(self, wanted: Wanted, remote: Remote | None, ends_at: datetime) -> Written:
        """
        Write a Subscription over *remote*, or make it where there is none.

        Raises:
            RemoteError: It was not written, or that is not known.
        """
        capability = self._declared()
        if remote is not None and capability.supports(SUBSCRIPTION, "update"):
            body = render(wanted, own_id=remote.ref.partition("/")[2], ends_at=ends_at)
            return self._client.update(remote.ref, body, if_match=remote.version or None)
        if remote is not None:
            self.delete(remote.ref)
        if may_choose_id(self._desire, capability):
            body = render(wanted, own_id=wanted.key, ends_at=ends_at)
            return self._client.update(f"{SUBSCRIPTION}/{wanted.key}", body, create_only=True)
        declared = capability.of(SUBSCRIPTION)
        # All topics ring at one address: there it tells no Subscription from another.
        unique = wanted.flavor is Flavor.CLASSIC
        by_address = unique and declared.conditional_create and "url" in declared.search_params
        body = render(wanted, own_id=None, ends_at=ends_at)
        condition = encode([("url", escape(wanted.endpoint))]) if by_address else None
        return self._client.create(SUBSCRIPTION, body, if_none_exist=condition)

    def delete(self, ref: str) -> None:
        """
        Delete a Subscription; that it is gone already is as good.

        Raises:
            RemoteError: It was not deleted, or that is not known.
        """
        try:
            self._client.delete(ref)
        except (NotFound, Gone):
            return

    def events(self, ref: str, first: int, last: int) -> frozenset[str]:
        """
        Return what ``$events`` names; nothing where the EHR has no such operation, or does not tell all.

        Raises:
            RemoteError: It does not answer.
        """
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


def _readable(version: SourceVersion) -> Remote | None:
    """Return a Subscription; none of those that are not by rest-hook can be ours."""
    try:
        return read_subscription(version.raw)
    except SourceError:
        return None
