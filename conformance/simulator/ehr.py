"""The parts of one simulated EHR, as its interactions see them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import TYPE_CHECKING

from conformance.simulator.clock import Clock, micros
from conformance.simulator.index import Index
from conformance.simulator.options import Options
from conformance.simulator.pages import Listing, Pages
from conformance.simulator.store import Store, Version
from conformance.simulator.surface import Surface, TypeSurface
from conformance.simulator.wire import FhirError, Json, Request

if TYPE_CHECKING:
    from conformance.simulator.faults.base import Fault


@dataclass(frozen=True, slots=True)
class Writing:
    """A write about to happen: *head* is the version before it, *resource* what comes, None for a deletion."""

    request: Request
    method: str
    type: str
    id: str
    head: Version | None
    resource: Json | None


_CONTENT_OF_SERVER = frozenset({"meta"})


class Ehr:
    """
    Clock, options, store, index and pages of one server, wired together.

    Attributes:
        random: The server's chance; the same seed gives the same run.
        in_flight: Requests whose answers are still under way, in the order in which they came.
        from_outside: Whether the request at hand comes through the API, and not from the clinic's own screens.
        playing: The faults that meet the request at hand; none while the clinic's own is carried out.
        surface: What the request at hand may ask for; None for everything.
        checks: Called with the type and the content of each write; they refuse it with a ``FhirError``.
    """

    def __init__(self, clock: Clock, options: Options, seed: int = 0) -> None:
        self.options = options
        self.random = Random(seed)
        self.index = Index()
        self.store = Store(self._stamp, self._publish)
        self.pages = Pages(self.clock, options, self.index)
        self.in_flight: list[Request] = []
        self.from_outside = False
        self.playing: tuple[Fault, ...] = ()
        self.surface: Surface | None = None
        self.checks: list[Callable[[str, Json | None], None]] = []
        self._clock = clock
        self._hearers: list[Callable[[Version], None]] = []

    def clock(self) -> datetime:
        """Return the server's time."""
        return self._clock() + self.options.clock_skew

    def settle(self) -> datetime:
        """Let the index catch up with what is due by now; return now."""
        now = self.clock()
        self.index.settle(micros(now))
        return now

    def hear(self, hearer: Callable[[Version], None]) -> None:
        """Have *hearer* called with each version when it is committed."""
        self._hearers.append(hearer)

    @contextmanager
    def visited(self, faults: tuple[Fault, ...]) -> Iterator[None]:
        """Carry out a request from outside: *faults* play, and the surface holds."""
        self.from_outside, self.playing, self.surface = True, faults, self.options.surface
        try:
            yield
        finally:
            self.from_outside, self.playing, self.surface = False, (), None

    def surface_of(self, type_: str) -> TypeSurface | None:
        """Return what the request at hand may do with *type_*, or None for everything."""
        return None if self.surface is None else self.surface.types.get(type_)

    def listed(self, request: Request, listing: Listing) -> Listing:
        """Return what a search or history lists once the faults have had their say."""
        for fault in self.playing:
            listing.versions = fault.listed(request, listing, self)
        return listing

    def check_write(self, request: Request, type_: str, id_: str, resource: Json | None, method: str) -> None:
        """
        Refuse a write that the surface does not allow, or that a fault is against.

        Raises:
            FhirError: it is refused.
        """
        head = self.store.head(type_, id_)
        if self.surface is not None:
            self._check_surface(self.surface, request, head, type_, resource, method)
        for check in self.checks:
            check(type_, resource)
        writing = Writing(request, method, type_, id_, head, resource)
        for fault in self.playing:
            fault.storing(writing, self)

    def _check_surface(
        self, surface: Surface, request: Request, head: Version | None, type_: str, resource: Json | None, method: str
    ) -> None:
        before = head.resource() if head is not None and not head.deleted else None
        here = surface.types.get(type_)
        for rule in here.writes if here is not None else ():
            rule(method, before, resource)
        if surface.needs_if_match and method in {"PUT", "PATCH"} and before:
            _need_if_match(request)

    def _stamp(self, previous: Version | None, resource: Json | None) -> datetime:
        """Return the time of the version after *previous*: now, cut to the server's precision."""
        step = self.options.timestamp_step // timedelta(microseconds=1)
        now = self.clock()
        at = now - timedelta(microseconds=micros(now) % step)
        if previous is None or previous.deleted or resource is None or not self._is_silent(previous, resource):
            return at
        return previous.at

    def _is_silent(self, previous: Version, resource: Json) -> bool:
        silent = self.options.silent_updates
        if not silent:
            return silent is not None
        before = previous.resource()
        names = before.keys() | resource.keys()
        changed = {name for name in names if before.get(name) != resource.get(name)} - _CONTENT_OF_SERVER
        return changed <= silent

    def _publish(self, version: Version) -> None:
        low, high = self.options.commit_delay, self.options.commit_delay_at_most
        delay = low if high <= low else low + (high - low) * self.random.random()
        self.index.add(version, micros(version.at + delay))
        for hearer in self._hearers:
            hearer(version)


def _need_if_match(request: Request) -> None:
    if "if-match" not in request.headers:
        raise FhirError(412, "conflict", "This server changes a resource only with If-Match")
