"""Bundles of search results and histories, and the cursors that page through them.

A cursor holds the list of versions found when the search ran, so pages neither skip nor repeat while the data
moves. It is opaque and it expires; then the answer is 410, as HAPI's is.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

import msgspec

from conformance.simulator.clock import Clock, instant
from conformance.simulator.index import Index
from conformance.simulator.options import Options
from conformance.simulator.query import Query
from conformance.simulator.search import included
from conformance.simulator.store import Version
from conformance.simulator.wire import FhirError, Json, encode, outcome

_KEPT_CURSORS = 256
_STATUS = {"POST": "201 Created", "PUT": "200 OK", "PATCH": "200 OK", "DELETE": "204 No Content"}


@dataclass(slots=True)
class Listing:
    """One search or history result, as long as it can be paged through; *query* is None for a history."""

    versions: list[Version]
    count: int
    self_link: str
    opened_at: datetime
    query: Query | None = None
    pages_served: int = 0
    total: int | None = None
    """The total to state; None for the number of versions, stated as HAPI does."""


class Pages:
    """Renders pages and keeps the cursors; the oldest cursor gives way when there are too many."""

    def __init__(self, clock: Clock, options: Options, index: Index) -> None:
        self._clock = clock
        self._options = options
        self._index = index
        self._open: OrderedDict[str, Listing] = OrderedDict()
        self._opened = 0

    def first(self, listing: Listing, base: str, offset: int = 0) -> bytes:
        """Return the first page of *listing*; on a server without stable pages, the page at *offset*."""
        if not self._options.stable_pages:
            separator = "&" if "?" in listing.self_link else "?"
            return self._page(listing, base, offset, f"{listing.self_link}{separator}_offset=")
        self._opened += 1
        token = hashlib.sha256(f"{self._opened} {listing.self_link}".encode()).hexdigest()[:32]
        if len(listing.versions) > listing.count:
            self._open[token] = listing
            while len(self._open) > _KEPT_CURSORS:
                self._open.popitem(last=False)
        return self._page(listing, base, 0, f"{base}?_page={token}.")

    def following(self, cursor: str, base: str) -> bytes:
        """
        Return the page that the cursor of a ``next`` link names; the same cursor may be asked for again.

        Raises:
            FhirError: 410, when the cursor is unknown or has expired.
        """
        token, _, offset = cursor.partition(".")
        listing = self._open.get(token)
        if listing is None or not offset.isdecimal() or self._expired(listing):
            self._open.pop(token, None)
            raise FhirError(410, "expired", "This page is no longer available: the search has expired")
        return self._page(listing, base, int(offset), f"{base}?_page={token}.")

    def _expired(self, listing: Listing) -> bool:
        limit = self._options.cursor_pages
        too_old = self._clock() - listing.opened_at > self._options.cursor_lifetime
        return too_old or (limit is not None and listing.pages_served >= limit)

    def _page(self, listing: Listing, base: str, offset: int, next_link: str) -> bytes:
        listing.pages_served += 1
        end = offset + listing.count
        page = listing.versions[offset:end]
        links = [{"relation": "self", "url": listing.self_link}]
        if end < len(listing.versions):
            links.append({"relation": "next", "url": f"{next_link}{end}"})
        bundle: Json = {
            "resourceType": "Bundle",
            "meta": {"lastUpdated": instant(self._clock())},
            "type": "history" if listing.query is None else "searchset",
            "link": links,
        }
        if listing.total is not None:
            bundle["total"] = listing.total
        elif listing.query is None or listing.query.total or len(listing.versions) <= listing.count:
            bundle["total"] = len(listing.versions)
        entries = self._entries(listing, page, base)
        return encode(bundle | ({"entry": entries} if entries else {}))

    def _entries(self, listing: Listing, page: list[Version], base: str) -> list[Json]:
        query = listing.query
        if query is None:
            return [history_entry(version, base) for version in page]
        entries = [search_entry(version, base, "match", query.elements) for version in page]
        for version in included(self._index, query.includes, page):
            entries.append(search_entry(version, base, "include", query.elements))
        for warning in query.warnings:
            entries.append({"resource": outcome("warning", "not-supported", warning), "search": {"mode": "outcome"}})
        entries += [{"resource": note, "search": {"mode": "outcome"}} for note in query.notes]
        return entries


def count_bundle(total: int, self_link: str, now: datetime) -> bytes:
    """Return the answer to ``_summary=count``: a total and no entries."""
    link = [{"relation": "self", "url": self_link}]
    meta = {"lastUpdated": instant(now)}
    return encode({"resourceType": "Bundle", "meta": meta, "type": "searchset", "total": total, "link": link})


def search_entry(version: Version, base: str, mode: str, elements: Iterable[str]) -> Json:
    """Return one entry of a searchset; with *elements* it carries only those, tagged SUBSETTED."""
    return {
        "fullUrl": f"{base}/{version.reference}",
        "resource": _subset(version, frozenset(elements)) if elements else msgspec.Raw(version.raw),
        "search": {"mode": mode},
    }


def history_entry(version: Version, base: str) -> Json:
    """Return one entry of a history; a deletion has no resource (FHIR R4 http.html#history)."""
    url = version.type if version.method == "POST" else version.reference
    entry: Json = {"fullUrl": f"{base}/{version.reference}"}
    if not version.deleted:
        entry["resource"] = msgspec.Raw(version.raw)
    entry["request"] = {"method": version.method, "url": url}
    entry["response"] = {
        "status": "201 Created" if version.number == 1 else _STATUS[version.method],
        "lastModified": instant(version.at),
        "etag": version.etag,
    }
    return entry


def self_link(base: str, type_: str, used: list[tuple[str, str]]) -> str:
    """Return the search as it was understood: ignored parameters are not in it."""
    return f"{base}/{type_}" + (f"?{urlencode(used)}" if used else "")


def _subset(version: Version, elements: frozenset[str]) -> Json:
    resource = version.resource()
    kept = elements | {"resourceType", "id", "meta"}
    tag = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "SUBSETTED"}
    resource["meta"]["tag"] = [*resource["meta"].get("tag", []), tag]
    return {key: value for key, value in resource.items() if key in kept}
