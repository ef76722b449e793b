"""What a vendor profile can say: how an EHR is read, what its codes mean, what a write there looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

ALL_PREFIXES = frozenset({"eq", "ne", "gt", "ge", "lt", "le", "sa", "eb", "ap"})
"""What may stand before a date in a search (FHIR R4 search.html#prefix)."""


class Means(StrEnum):
    """What a vendor's own code within an OperationOutcome tells us."""

    FILTER_IGNORED = "a search parameter was ignored"
    CUT_SHORT = "there is more than was given"
    NEEDS_MORE = "the search lacks a parameter that is needed"
    NOTHING_FOUND = "nothing was found"
    PARTLY_HIDDEN = "there may be more that we may not see"
    PAGES_EXPIRED = "the next links are no longer served"
    DELETED = "the resource was deleted"
    MERGED = "the patient was merged into another"
    DENIED = "a policy forbids it: asking again cannot help"
    WAIT = "too many requests: ask again much later"


@dataclass(frozen=True)
class Reading:
    """
    How one resource type can be read there.

    Args:
        search: Whether it can be searched for at all; a type that is not listed in a profile may be.
        params: The search parameters it takes; ``None`` where the profile leaves that to the server's word.
        keys: Every search has to carry one of these; empty where a whole type may be searched.
        window: The date that every search has to bound as well, if any.
    """

    search: bool = True
    params: frozenset[str] | None = None
    keys: tuple[str, ...] = ()
    window: str | None = None


ABSENT = Reading(search=False, params=frozenset())
"""A resource type that the EHR does not offer."""


def by(*keys: str, params: str = "", window: str | None = None) -> Reading:
    """Return a reading that needs one of *keys*; *params* are the others, with blanks between."""
    return Reading(params=frozenset({*params.split(), *keys}), keys=keys, window=window)


def having(params: str) -> Reading:
    """Return a reading with these *params* (blanks between), of which none is known to be needed."""
    return Reading(params=frozenset(params.split()))


@dataclass(frozen=True)
class Writing:
    """
    What a write of one resource type may look like there.

    Args:
        how: The interactions it takes: ``create``, ``update``, ``patch``.
        statuses: The statuses that may be written; empty for all.
        needs: Elements that have to be there beyond what FHIR asks for.
        rules: What else holds, in words.
    """

    how: frozenset[str]
    statuses: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()


def write(how: str, *, statuses: str = "", needs: str = "", rules: tuple[str, ...] = ()) -> Writing:
    """Return a writing; *how*, *statuses* and *needs* have blanks between."""
    return Writing(frozenset(how.split()), tuple(statuses.split()), tuple(needs.split()), rules)


@dataclass(frozen=True)
class VendorProfile:
    """
    How one EHR departs from what FHIR R4 lets us expect.

    Args:
        title: The name people know it by.
        software: Words within ``CapabilityStatement.software.name`` that give it away, in small letters.
        reads, writes: By resource type; one that is not listed is as the server declares it.
        prefixes: What may stand before a date in a search.
        count: The parameter that asks for a page's size, where the server does not leave it out.
        headers: What every request carries beside the usual.
        requests_per_minute: The published limit, if there is one.
        paging, throttling: Habits worth knowing, in words.
        codes: What its own codes in an OperationOutcome mean.
        message_status: Communication.status for "sent": ``completed`` or ``in-progress``.
        task_intent: Task.intent of Tasks we create.
        knows_ready: Whether partners there understand Task.status ``ready`` and ``received``.
        own_ids: Whether resources may be created under an id we choose, where the CapabilityStatement says so.
        evidence: Where each departure comes from, dated.
    """

    name: str
    title: str = ""
    software: tuple[str, ...] = ()
    reads: Mapping[str, Reading] = field(default_factory=dict)
    writes: Mapping[str, Writing] = field(default_factory=dict)
    prefixes: frozenset[str] = ALL_PREFIXES
    count: str = "_count"
    headers: Mapping[str, str] = field(default_factory=dict)
    requests_per_minute: int | None = None
    paging: str = ""
    throttling: str = ""
    codes: Mapping[str, Means] = field(default_factory=dict)
    message_status: str = "completed"
    task_intent: str = "order"
    knows_ready: bool = True
    own_ids: bool = True
    evidence: tuple[str, ...] = ()

    def reading(self, kind: str) -> Reading:
        """Return how *kind* is read; a type that is not listed as far as the server says."""
        return self.reads.get(kind, _AS_DECLARED)


_AS_DECLARED = Reading()
