"""Search results and their pages: cached, expiring, shifting, truncated, badly linked."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from urllib.parse import urlsplit, urlunsplit

from conformance.simulator.ehr import Ehr
from conformance.simulator.faults.base import Fault, FaultKind, OptionFault, json_in, natural, one_of, seconds
from conformance.simulator.pages import Listing
from conformance.simulator.store import Version
from conformance.simulator.wire import Answer, FhirError, Json, Request, encode, outcome

_LONGEST_URL = 4096
_PARALLEL_PAGE_SECONDS = 0.2
_PAGE_TIMEOUT_SECONDS = 60.0


class SearchCache(Fault):
    """Answer the same search with the resources it found before, in their present state, while that is fresh."""

    def __init__(self, lifetime: str = "60") -> None:
        self._lifetime = seconds(lifetime)
        self._found: dict[object, tuple[datetime, list[str]]] = {}

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        if listing.query is None:
            return listing.versions
        key, now = (listing.query.type, tuple(sorted(listing.query.used))), ehr.clock()
        known = self._found.get(key)
        fresh = known is not None and now - known[0] <= self._lifetime
        if known is None or not fresh or "no-cache" in request.headers.get("cache-control", ""):
            self._found[key] = (now, [version.id for version in listing.versions])
            return listing.versions
        current = ehr.index.of(listing.query.type).current
        return [current[id_] for id_ in known[1] if id_ in current]


class RepeatRows(Fault):
    """Every so many results of several pages, repeat rows of page one on page two, and omit as many."""

    def __init__(self, rows: str = "2", every: str = "2") -> None:
        self._rows, self._every = natural(rows), natural(every)
        self._seen = 0

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        found, count = list(listing.versions), listing.count
        if len(found) <= count:
            return found
        self._seen += 1
        if self._seen % self._every == 0:
            rows = min(self._rows, count)
            found[count : 2 * count] = found[count - rows : 2 * count - rows][: len(found[count : 2 * count])]
        return found


class ParallelPages(Fault):
    """Let a page time out while another page of the same search is under way."""

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        search = _search_of(request)
        others = (other for other in ehr.in_flight if other is not request)
        if search is None or all(_search_of(other) != search for other in others):
            return None
        text = "Request timed out after 60 seconds: another page of this search is being read"
        return replace(FhirError(500, "timeout", text).answer(), wait_seconds=_PAGE_TIMEOUT_SECONDS)

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        if _search_of(request) is None or answer.status >= 400:
            return answer
        return replace(answer, wait_seconds=max(answer.wait_seconds, _PARALLEL_PAGE_SECONDS))


class NextLink(Fault):
    """Write the ``next`` link in a way that has been seen in the field."""

    manners = ("relative", "port-twice", "other-host", "scheme", "long", "loop")

    def __init__(self, manner: str) -> None:
        self._manner = one_of(manner, *self.manners)

    def before(self, request: Request, ehr: Ehr) -> Answer | None:
        length = sum(len(name) + len(value) + 2 for name, value in request.query)
        if self._manner == "long" and length > _LONGEST_URL:
            return FhirError(404, "not-found", "No such page").answer()
        return None

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        bundle = bundle_in(answer)
        for link in _links(bundle, "next"):
            link["url"] = self._written(link["url"], bundle)
        return replace(answer, body=encode(bundle)) if bundle else answer

    def _written(self, url: str, bundle: Json) -> str:
        parts = urlsplit(url)
        match self._manner:
            case "relative":
                return urlunsplit(parts._replace(scheme="", netloc=""))
            case "port-twice":
                return urlunsplit(parts._replace(netloc=f"{parts.hostname}:443:443"))
            case "other-host":
                return urlunsplit(parts._replace(netloc="internal.ehr.example:8080"))
            case "scheme":
                return urlunsplit(parts._replace(scheme="http" if parts.scheme == "https" else "https"))
            case "long":
                return f"{url}&_ignored={'x' * _LONGEST_URL}"
        return next((link["url"] for link in _links(bundle, "self")), url)


class UnescapedPlus(Fault):
    """Leave the ``+`` of a time zone as it is in the links of a Bundle, where it reads as a space."""

    def after(self, request: Request, answer: Answer, ehr: Ehr) -> Answer:
        bundle = bundle_in(answer)
        for link in bundle.get("link", []):
            link["url"] = re.sub("%2B", "+", link["url"], flags=re.IGNORECASE)
        return replace(answer, body=encode(bundle)) if bundle else answer


class Truncate(Fault):
    """Give no more than so many results, and say so, or only in the total, or not at all."""

    def __init__(self, rows: str, manner: str = "note") -> None:
        self._rows = natural(rows)
        self._manner = one_of(manner, "note", "total", "silent")

    def listed(self, request: Request, listing: Listing, ehr: Ehr) -> list[Version]:
        found = listing.versions
        if listing.query is None or len(found) <= self._rows:
            return found
        if self._manner == "note":
            listing.query.notes.append(
                outcome("information", "too-costly", "59133: The search found too many results; some are left out")
            )
        if self._manner == "total":
            listing.total = len(found)
        return found[: self._rows]


def bundle_in(answer: Answer) -> Json:
    """Return the searchset or history in *answer*, or an empty object."""
    body = json_in(answer) if answer.status == 200 else {}
    return body if body.get("type") in {"searchset", "history"} else {}


def _links(bundle: Json, relation: str) -> Iterator[Json]:
    return (link for link in bundle.get("link", []) if link["relation"] == relation)


def _search_of(request: Request) -> str | None:
    cursor = dict(request.query).get("_page")
    return cursor.partition(".")[0] if cursor is not None else None


KINDS = (
    FaultKind(
        "search-cache",
        "[SECONDS]",
        "the same search is answered from a cache for 60 seconds, unless it carries Cache-Control: no-cache",
        "HAPI starter, reuse_cached_search_results_millis: 60000; hapi-fhir #647, #1389, #2277",
        SearchCache,
    ),
    FaultKind(
        "expire-cursors-after",
        "PAGES",
        "a search's cursor answers 410 after that many pages",
        "HAPI starter, retain_cached_searches_mins: 60; google/fhir-data-pipes #647 (80,138 patients)",
        lambda pages: OptionFault(cursor_pages=natural(pages)),
    ),
    FaultKind(
        "expire-cursors",
        "[SECONDS]",
        "a search's cursor answers 410 when it is older than that",
        "HAPI starter, retain_cached_searches_mins: 60; Epic error 4113, session of a cached search has expired",
        lambda lifetime="60": OptionFault(cursor_lifetime=seconds(lifetime)),
    ),
    FaultKind(
        "offset-paging",
        "",
        "pages are cut from a new search each time, so they drift as data changes",
        "Oracle Health, R4 overview: one id may be on more than one page",
        lambda: OptionFault(stable_pages=False),
    ),
    FaultKind(
        "repeat-rows",
        "[ROWS[,EVERY]]",
        "every second result of several pages repeats 2 rows of page one on page two and omits 2 others",
        "hapi-fhir #481, #616; of histories #5720",
        RepeatRows,
    ),
    FaultKind(
        "parallel-pages",
        "",
        "a page times out while another page of the same search is under way",
        "hapi-fhir #6109",
        ParallelPages,
    ),
    FaultKind(
        "next-link",
        "|".join(NextLink.manners),
        "next links are relative, name the port twice, another host or scheme, are too long to be found, or loop",
        "beda-software/fhir-py #54, #83; opensrp fhircore #1714; metriport #4974; microsoft/fhir-server #2250",
        NextLink,
    ),
    FaultKind(
        "unescaped-plus",
        "",
        "links in Bundles carry a time zone's + as it is, not as %2B",
        "hapi-fhir #6043",
        UnescapedPlus,
    ),
    FaultKind(
        "truncate",
        "ROWS[,note|total|silent]",
        "a search finds no more than that; an OperationOutcome in the 200 says so, or only the total, or nothing",
        "Epic 59133 (more than 100 results) and 4127; Oracle Health, Communication: at most 1,000",
        Truncate,
    ),
)
