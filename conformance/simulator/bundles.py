"""Batch and transaction Bundles (FHIR R4 http.html#transaction)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from conformance.simulator.clock import instant
from conformance.simulator.codes import check_codes
from conformance.simulator.ehr import Ehr
from conformance.simulator.reads import matches_of
from conformance.simulator.references import references, rewrite
from conformance.simulator.wire import Answer, FhirError, Json, Request, decode, encode, json_answer
from conformance.simulator.writes import exists_already

Perform = Callable[[Request, str | None], Answer]
"""Carries out one request; the second argument is the id for a resource that it creates."""

_ORDER = {"DELETE": 0, "POST": 1, "PUT": 2, "PATCH": 2, "GET": 3, "HEAD": 3}


def run_bundle(ehr: Ehr, perform: Perform, request: Request) -> Answer:
    """
    Carry out a batch or a transaction and answer with one entry for each of its entries, in their order.

    Raises:
        FhirError: a transaction failed, and nothing of it was stored; or the Bundle is neither.
    """
    bundle = decode(request.body)
    if not isinstance(bundle, dict) or bundle.get("resourceType") != "Bundle":
        raise FhirError(400, "structure", "POST on the base needs a Bundle")
    entries = bundle.get("entry", [])
    if not isinstance(entries, list):
        raise FhirError(400, "structure", "Bundle.entry is not an array")
    _check_all_codes(entries)
    if bundle.get("type") == "batch":
        done = [_attempt(perform, _request_of(entry, request)) for entry in entries]
    elif bundle.get("type") == "transaction":
        done = _transaction(ehr, perform, entries, request)
    else:
        raise FhirError(400, "invalid", "This server carries out batch and transaction Bundles")
    full = "return=representation" in request.headers.get("prefer", "")
    lines = [
        _response_entry(answer, full or _method(entry) == "GET", request.base)
        for entry, answer in zip(entries, done, strict=True)
    ]
    type_ = f"{bundle['type']}-response"
    return json_answer(200, {"resourceType": "Bundle", "type": type_, "entry": lines})


def _check_all_codes(entries: list[Json]) -> None:
    """Refuse the whole Bundle for one unknown code: a typed server such as HAPI cannot read it at all."""
    for entry in entries:
        resource = entry.get("resource") if isinstance(entry, dict) else None
        if isinstance(resource, dict) and "resourceType" in resource:
            check_codes(resource)


def _attempt(perform: Perform, request: Request) -> Answer:
    try:
        return perform(request, None)
    except FhirError as error:
        return error.answer()


def _transaction(ehr: Ehr, perform: Perform, entries: list[Json], request: Request) -> list[Answer]:
    """Carry out all entries or none; reads come last, when the writes can be found."""
    done: dict[int, Answer] = {}
    order = sorted(range(len(entries)), key=lambda place: _ORDER[_method(entries[place])])
    with ehr.store.transaction():
        _refuse_repeats(entries)
        new_ids = _assign_ids(ehr, entries, request)
        for place in order:
            if _method(entries[place]) != "GET":
                done[place] = perform(_request_of(entries[place], request), new_ids.get(place))
    for place in order:
        if place not in done:
            done[place] = perform(_request_of(entries[place], request), None)
    return [done[place] for place in range(len(entries))]


def _refuse_repeats(entries: list[Json]) -> None:
    targets = [entry["request"]["url"] for entry in entries if _method(entry) in {"PUT", "PATCH", "DELETE"}]
    repeated = {url for url, times in Counter(targets).items() if times > 1}
    if repeated:
        raise FhirError(400, "invalid", f"Named twice in a transaction: {', '.join(sorted(repeated))}")


def _assign_ids(ehr: Ehr, entries: list[Json], request: Request) -> dict[int, str]:
    """Give ids to what will be created, and point every ``urn:`` and conditional reference at its target."""
    new_ids: dict[int, str] = {}
    targets: dict[str, str] = {}
    for place, entry in enumerate(entries):
        sub = _request_of(entry, request)
        type_, _, id_ = sub.path.partition("/")
        if sub.method == "POST":
            existing = exists_already(ehr, type_, sub)
            new_ids[place] = id_ = existing.id if existing else ehr.store.new_id()
        if id_ and entry.get("fullUrl", "").startswith("urn:"):
            targets[entry["fullUrl"]] = f"{type_}/{id_}"
    for entry in entries:
        if isinstance(entry.get("resource"), dict):
            rewrite(entry["resource"], targets | _conditional_targets(ehr, entry["resource"]))
    return new_ids


def _conditional_targets(ehr: Ehr, resource: Json) -> dict[str, str]:
    """Resolve references that are searches, such as ``Patient?identifier=system|value``."""
    targets = {}
    for element in references(resource):
        type_, mark, criteria = element["reference"].partition("?")
        if mark and type_.isalpha():
            found = matches_of(ehr, type_, parse_qsl(criteria))
            if len(found) != 1:
                status, code = (412, "multiple-matches") if found else (404, "not-found")
                raise FhirError(status, code, f"A conditional reference to {type_} has {len(found)} matches")
            targets[element["reference"]] = found[0].reference
    return targets


def _method(entry: Any) -> str:
    try:
        method = entry["request"]["method"]
        if method not in _ORDER or not isinstance(entry["request"]["url"], str):
            raise KeyError(method)
    except (KeyError, TypeError) as error:
        raise FhirError(400, "invalid", "Every entry needs request.method and request.url") from error
    return str(method)


def _request_of(entry: Json, outer: Request) -> Request:
    method = _method(entry)
    asked = entry["request"]
    path, _, query = asked["url"].removeprefix(f"{outer.base}/").partition("?")
    headers = {"content-type": f"application/{'json-patch' if method == 'PATCH' else 'fhir'}+json"}
    for element, header in (("ifMatch", "if-match"), ("ifNoneExist", "if-none-exist")):
        if element in asked:
            headers[header] = asked[element]
    pairs = tuple(parse_qsl(query, keep_blank_values=True))
    return Request(method, unquote(path.lstrip("/")), pairs, headers, _content(entry, method), outer.base)


def _content(entry: Json, method: str) -> bytes:
    """Return the entry's body; a PATCH comes as a Binary whose data is the JSON Patch."""
    if method != "PATCH":
        return encode(entry["resource"]) if "resource" in entry else b""
    try:
        return msgspec.convert(entry["resource"]["data"], bytes, strict=False)
    except (KeyError, TypeError, msgspec.ValidationError) as error:
        raise FhirError(400, "invalid", "A PATCH entry needs a Binary with the patch in data") from error


def _response_entry(answer: Answer, full: bool, base: str) -> Json:
    response: Json = {"status": f"{answer.status} {HTTPStatus(answer.status).phrase}"}
    location = answer.headers.get("Location") or answer.headers.get("Content-Location")
    if location and answer.status < 300:
        response["location"] = location.removeprefix(f"{base}/")
    if "ETag" in answer.headers:
        response["etag"] = answer.headers["ETag"]
    if "Last-Modified" in answer.headers:
        response["lastModified"] = instant(parsedate_to_datetime(answer.headers["Last-Modified"]))
    if answer.status >= 400:
        return {"response": response | {"outcome": msgspec.Raw(answer.body)}}
    return ({"resource": msgspec.Raw(answer.body)} if full and answer.body else {}) | {"response": response}
