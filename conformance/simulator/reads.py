"""Interactions that change nothing: read, vread, search, history."""

from __future__ import annotations

from conformance.simulator.clock import micros
from conformance.simulator.dates import BEGINNING, parse_span
from conformance.simulator.ehr import Ehr
from conformance.simulator.pages import Listing, count_bundle, self_link
from conformance.simulator.query import Pairs, parse_query
from conformance.simulator.search import find, fits
from conformance.simulator.store import Version
from conformance.simulator.wire import Answer, FhirError, Json, Request, encode, json_answer


def read(ehr: Ehr, type_: str, id_: str, request: Request) -> Answer:
    """Answer with the current version, or 304 when ``If-None-Match`` names it."""
    version = current(ehr, type_, id_, request.base)
    if request.headers.get("if-none-match") == version.etag:
        return Answer(304, {"ETag": version.etag})
    return _resource(version, request.base)


def vread(ehr: Ehr, type_: str, id_: str, number: str, request: Request) -> Answer:
    """Answer with one version; the version that is a deletion is 410."""
    version = ehr.store.version(type_, id_, number)
    if version is None:
        raise FhirError(404, "not-found", f"Version {number} of {type_}/{id_} is not known")
    if version.deleted:
        raise _gone(version, request.base)
    return _resource(version, request.base)


def current(ehr: Ehr, type_: str, id_: str, base: str) -> Version:
    """
    Return the current version.

    Raises:
        FhirError: 404 when the id was never used, 410 with the deletion's ``Location`` when it is deleted.
    """
    version = ehr.store.head(type_, id_)
    if version is None:
        raise FhirError(404, "not-found", f"Resource {type_}/{id_} is not known")
    if version.deleted:
        raise _gone(version, base)
    return version


def search(ehr: Ehr, type_: str, pairs: Pairs, request: Request) -> Answer:
    """Answer a search with its first page, or its count."""
    offset, asked = _offset(ehr, list(pairs))
    query = parse_query(type_, asked, ehr.options, ehr.surface_of(type_))
    now = ehr.clock()
    matches = find(ehr.index, query, micros(now))
    link = self_link(request.base, type_, query.used)
    listing = ehr.listed(request, Listing(matches, query.count, link, now, query))
    if query.count_only:
        return json_answer(200, count_bundle(len(listing.versions), link, now))
    return json_answer(200, ehr.pages.first(listing, request.base, offset))


def matches_of(ehr: Ehr, type_: str, pairs: Pairs) -> list[Version]:
    """Return what the criteria of a conditional interaction match."""
    query = parse_query(type_, pairs, ehr.options)
    return find(ehr.index, query, micros(ehr.clock()))


def would_match(ehr: Ehr, type_: str, pairs: Pairs, resource: Json) -> bool:
    """Tell whether *resource*, which is not stored, fits the criteria of a conditional interaction."""
    now = ehr.clock()
    version = Version(type_, str(resource.get("id", "")), 0, 0, now, micros(now), "POST", encode(resource))
    return fits(version, parse_query(type_, pairs, ehr.options), micros(now))


def history(ehr: Ehr, type_: str | None, id_: str | None, request: Request) -> Answer:
    """Answer with versions, newest first: of one resource, of a type, or of the whole server."""
    since, count = _history_window(ehr, request)
    log = ehr.index.log(since) if type_ is None else ehr.index.of(type_).log(since)
    versions = [version for _, _, version in log if id_ is None or version.id == id_]
    if id_ is not None and not versions and ehr.store.head(str(type_), id_) is None:
        raise FhirError(404, "not-found", f"Resource {type_}/{id_} is not known")
    link = self_link(request.base, request.path, list(request.query))
    listing = ehr.listed(request, Listing(versions, count, link, ehr.clock()))
    return json_answer(200, ehr.pages.first(listing, request.base))


def _history_window(ehr: Ehr, request: Request) -> tuple[int, int]:
    since, count = BEGINNING, ehr.options.page_size
    for name, value in request.query:
        try:
            if name == "_since":
                since = parse_span(value)[0]
            elif name == "_count":
                count = max(1, int(value))
        except ValueError as error:
            raise FhirError(400, "invalid", f"Parameter {name}: {error}") from error
    return since, min(count, ehr.options.page_limit)


def _offset(ehr: Ehr, pairs: list[tuple[str, str]]) -> tuple[int, list[tuple[str, str]]]:
    """Take this server's own ``_offset`` out of *pairs*; with stable pages there is no such parameter."""
    if ehr.options.stable_pages:
        return 0, pairs
    offsets = [int(value) for name, value in pairs if name == "_offset" and value.isdecimal()]
    return sum(offsets[:1]), [pair for pair in pairs if pair[0] != "_offset"]


def _resource(version: Version, base: str) -> Answer:
    headers = {
        "ETag": version.etag,
        "Last-Modified": version.last_modified,
        "Content-Location": f"{base}/{version.versioned}",
    }
    return json_answer(200, version.raw, headers)


def _gone(version: Version, base: str) -> FhirError:
    where = {"Location": f"{base}/{version.versioned}"}
    return FhirError(410, "deleted", f"Resource {version.reference} was deleted", where)
