"""What this server allows and how it behaves where FHIR leaves room; HAPI 8.0.0's choice is the default."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta

from conformance.simulator.hooks.habits import Habits
from conformance.simulator.surface import Surface


@dataclass(slots=True)
class Options:
    """
    Switches of one simulated EHR. They may be changed while it runs.

    Attributes:
        lenient: Ignore an unknown search parameter with a warning in the answer, instead of refusing it with
            400. FHIR R4 search.html#errors allows both.
        stale_write_status: Status for an ``If-Match`` that does not hold: 409 as HAPI and Oracle Health
            answer, or the specification's 412.
        update_as_create: Whether PUT to an unused id creates.
        conditional_create: Whether ``If-None-Exist`` is honoured; where it is not, it is ignored.
        referential_integrity: Refuse references to what is not there, and deleting what is referred to.
        search_by_last_updated: Whether ``_lastUpdated`` may be searched and sorted by.
        stable_pages: Whether pages come from one snapshot. If not, each page is searched anew by its offset.
        cursor_pages: How many pages one search may serve before its cursor expires; None for any number.
        cursor_lifetime: How long a search may be paged through.
        commit_delay: How long after its ``lastUpdated`` a version appears in searches and histories.
        commit_delay_at_most: Where it is longer than *commit_delay*, each version is late by a chance time
            between the two.
        page_size: Page size when the client names none.
        count_parameter: A name for the page size that is known beside ``_count``, and declared.
        page_limit: Largest page, whatever ``_count`` says.
        authorization: The ``Authorization`` header every request but ``/metadata`` must carry, or None.
        conditional_create_must_fit: Refuse to create what does not fit its own ``If-None-Exist`` (HAPI 8.0.0,
            HAPI-0929, seen 2026-11).
        conditional_update: Whether PUT with search criteria is carried out; where it is not, it is refused.
        conditional_blindness: How old a resource must be before ``If-None-Exist`` sees it.
        without_last_updated: Types on which ``_lastUpdated`` may not be searched.
        date_prefixes: The prefixes that dates in searches may have; None for all.
        last_updated_prefixes: Those that ``_lastUpdated`` must have one of, with a time of day; None for all.
        ignored_parameters: Search parameters that are passed over with a warning inside the 200.
        silently_ignored_parameters: Search parameters that are passed over without a word.
        timestamp_step: ``lastUpdated`` is cut to a multiple of this.
        silent_updates: Elements whose change alone leaves ``lastUpdated`` as it was; the empty set for any
            change; None for a server that always moves it.
        zone_shift: What the server's own time zone is ahead of UTC: it reads dates without a zone in it.
        clock_skew: How far the server's clock is ahead.
        fhir_version: What the CapabilityStatement declares, and the form of the server's notifications.
        hooks: How it goes about its notifications.
        surface: What of all this clients see; None for everything.
    """

    lenient: bool = False
    stale_write_status: int = 409
    update_as_create: bool = True
    conditional_create: bool = True
    referential_integrity: bool = False
    search_by_last_updated: bool = True
    stable_pages: bool = True
    cursor_pages: int | None = None
    cursor_lifetime: timedelta = timedelta(hours=1)
    commit_delay: timedelta = timedelta(0)
    commit_delay_at_most: timedelta = timedelta(0)
    page_size: int = 20
    count_parameter: str = "_count"
    page_limit: int = 1000
    authorization: str | None = None
    conditional_create_must_fit: bool = True
    conditional_update: bool = True
    conditional_blindness: timedelta = timedelta(0)
    without_last_updated: frozenset[str] = frozenset()
    date_prefixes: frozenset[str] | None = None
    last_updated_prefixes: frozenset[str] | None = None
    ignored_parameters: frozenset[str] = frozenset()
    silently_ignored_parameters: frozenset[str] = frozenset()
    timestamp_step: timedelta = timedelta(milliseconds=1)
    silent_updates: frozenset[str] | None = None
    zone_shift: timedelta = timedelta(0)
    clock_skew: timedelta = timedelta(0)
    fhir_version: str = "4.0.1"
    surface: Surface | None = None
    hooks: Habits = field(default_factory=Habits)

    def searches_last_updated(self, type_: str) -> bool:
        """Tell whether ``_lastUpdated`` may be searched and sorted by on *type_*."""
        return self.search_by_last_updated and type_ not in self.without_last_updated
