"""What this server allows and how it behaves where FHIR leaves room; HAPI 8.0.0's choice is the default."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta


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
        page_size: Page size when the client names none.
        page_limit: Largest page, whatever ``_count`` says.
        authorization: The ``Authorization`` header every request but ``/metadata`` must carry, or None.
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
    page_size: int = 20
    page_limit: int = 1000
    authorization: str | None = None
