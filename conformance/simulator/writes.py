"""Interactions that store something: create, update, patch, delete, and their conditional forms."""

from __future__ import annotations

import re
from urllib.parse import parse_qsl

from conformance.simulator.codes import check_codes
from conformance.simulator.ehr import Ehr
from conformance.simulator.patch import apply_patch
from conformance.simulator.reads import current, matches_of, would_match
from conformance.simulator.references import local_targets
from conformance.simulator.store import Version
from conformance.simulator.wire import Answer, FhirError, Json, Request, decode, json_answer, outcome

_ID = re.compile(r"[A-Za-z0-9\-.]{1,64}")


def create(ehr: Ehr, type_: str, request: Request, new_id: str | None = None) -> Answer:
    """
    Store a new resource and answer 201, or 200 with the one that ``If-None-Exist`` matched.

    Args:
        new_id: The id to give it, for a transaction that has already rewritten references to it.
    """
    resource = _body(type_, request)
    existing = exists_already(ehr, type_, request)
    if existing is not None:
        return _written(ehr, request, existing, 200)
    _check_fits(ehr, type_, resource, request)
    _check_references(ehr, resource)
    return _written(ehr, request, _save(ehr, request, type_, new_id or ehr.store.new_id(), resource, "POST"), 201)


def exists_already(ehr: Ehr, type_: str, request: Request) -> Version | None:
    """
    Return the one resource that ``If-None-Exist`` matches, or None (FHIR R4 http.html#ccreate).

    Raises:
        FhirError: 412 when several match.
    """
    criteria = request.headers.get("if-none-exist")
    if not criteria or not ehr.options.conditional_create:
        return None
    visible_until = ehr.clock() - ehr.options.conditional_blindness
    found = matches_of(ehr, type_, _criteria(criteria))
    return _only_one(type_, [version for version in found if version.at <= visible_until])


def update(ehr: Ehr, type_: str, id_: str, request: Request) -> Answer:
    """Store a new version under *id_*; the same content again makes no new version, as on HAPI."""
    resource = _body(type_, request)
    if resource.get("id") != id_:
        raise FhirError(400, "invalid", f"The body must carry the id of the URL, {id_!r}")
    head = ehr.store.head(type_, id_)
    if head is None:
        _check_new_id(ehr, type_, id_)
    _check_if_match(ehr, head, request)
    if head is not None and not head.deleted and _same_content(head, resource):
        return _written(ehr, request, head, 200)
    _check_references(ehr, resource)
    version = _save(ehr, request, type_, id_, resource, "PUT")
    return _written(ehr, request, version, 201 if head is None or head.deleted else 200)


def conditional_update(ehr: Ehr, type_: str, request: Request) -> Answer:
    """Update the only match, or create when there is none (FHIR R4 http.html#cond-update)."""
    if not request.query:
        raise FhirError(400, "invalid", "PUT on a type needs search criteria")
    resource = _body(type_, request)
    match = _only_match(ehr, type_, list(request.query))
    if match is None:
        id_ = resource.get("id") or ehr.store.new_id()
        return _written(ehr, request, _save(ehr, request, type_, id_, resource, "PUT"), 201)
    if resource.get("id", match.id) != match.id:
        raise FhirError(400, "invalid", f"The criteria match {match.reference}, not the body's id")
    _check_if_match(ehr, match, request)
    resource["id"] = match.id
    if _same_content(match, resource):
        return _written(ehr, request, match, 200)
    return _written(ehr, request, _save(ehr, request, type_, match.id, resource, "PUT"), 200)


def patch(ehr: Ehr, type_: str, id_: str, request: Request) -> Answer:
    """Apply a JSON Patch to the current version."""
    if "json-patch" not in request.headers.get("content-type", ""):
        raise FhirError(415, "not-supported", "PATCH needs Content-Type application/json-patch+json")
    head = current(ehr, type_, id_, request.base)
    _check_if_match(ehr, head, request)
    resource = apply_patch(head.resource(), decode(request.body))
    _check_shape(type_, resource)
    if resource.get("id") != id_:
        raise FhirError(400, "invalid", "A patch must not change the id")
    if _same_content(head, resource):
        return _written(ehr, request, head, 200)
    _check_references(ehr, resource)
    return _written(ehr, request, _save(ehr, request, type_, id_, resource, "PATCH"), 200)


def delete(ehr: Ehr, type_: str, id_: str, request: Request) -> Answer:
    """Delete; what is deleted already, or was never there, is no error (FHIR R4 http.html#delete)."""
    head = ehr.store.head(type_, id_)
    _check_if_match(ehr, head, request)
    if head is None or head.deleted:
        text = f"{type_}/{id_} is not there: nothing was deleted"
        return json_answer(200, outcome("information", "informational", text))
    if ehr.options.referential_integrity:
        _refuse_if_referred_to(ehr, head)
    version = _save(ehr, request, type_, id_, None, "DELETE")
    done = outcome("information", "informational", f"{version.reference} was deleted")
    return json_answer(200, done, {"Content-Location": f"{request.base}/{version.versioned}"})


def _only_match(ehr: Ehr, type_: str, pairs: list[tuple[str, str]]) -> Version | None:
    return _only_one(type_, matches_of(ehr, type_, pairs))


def _criteria(text: str) -> list[tuple[str, str]]:
    pairs = parse_qsl(text.partition("?")[2] or text)
    if not pairs:
        raise FhirError(400, "invalid", "A conditional interaction needs search criteria")
    return pairs


def _check_fits(ehr: Ehr, type_: str, resource: Json, request: Request) -> None:
    """Refuse to create what its own ``If-None-Exist`` would not find: it would be created again and again."""
    criteria = request.headers.get("if-none-exist")
    options = ehr.options
    if not criteria or not options.conditional_create or not options.conditional_create_must_fit:
        return
    if not would_match(ehr, type_, _criteria(criteria), resource):
        raise FhirError(400, "processing", "HAPI-0929: The resource does not fit the condition of If-None-Exist")


def _only_one(type_: str, found: list[Version]) -> Version | None:
    if len(found) > 1:
        raise FhirError(412, "multiple-matches", f"The criteria match {len(found)} {type_} resources")
    return found[0] if found else None


def _body(type_: str, request: Request) -> Json:
    if "json" not in request.headers.get("content-type", "application/fhir+json"):
        raise FhirError(415, "not-supported", "This server reads application/fhir+json")
    resource = decode(request.body)
    _check_shape(type_, resource)
    result: Json = resource
    return result


def _check_shape(type_: str, resource: object) -> None:
    if not isinstance(resource, dict) or resource.get("resourceType") != type_:
        raise FhirError(400, "structure", f"The body is not a {type_} resource")
    if not isinstance(resource.get("meta", {}), dict):
        raise FhirError(400, "structure", "meta is not an object")
    check_codes(resource)


def _check_new_id(ehr: Ehr, type_: str, id_: str) -> None:
    if ehr.from_outside and not ehr.options.update_as_create:
        raise FhirError(405, "not-supported", f"{type_}/{id_} does not exist and clients may not choose ids")
    if not _ID.fullmatch(id_) or id_.isdecimal():
        raise FhirError(400, "invalid", "A client's id is 1 to 64 letters, digits, - and ., not only digits")


def _check_if_match(ehr: Ehr, head: Version | None, request: Request) -> None:
    """Refuse a stale write; for an id that was never used ``If-Match`` means nothing, as on HAPI 8.0.0."""
    wanted = request.headers.get("if-match")
    if wanted is None or head is None:
        return
    number = wanted.strip().removeprefix("W/").strip('"')
    if head.deleted or number != str(head.number):
        text = f"If-Match asks for version {number}, but the server has version {head.number}"
        raise FhirError(ehr.options.stale_write_status, "conflict", text)


def _same_content(head: Version, resource: Json) -> bool:
    return _content(head.resource()) == _content(resource)


def _content(resource: Json) -> Json:
    server_owned = {"versionId", "lastUpdated", "source"}
    meta = {key: value for key, value in resource.get("meta", {}).items() if key not in server_owned}
    return {**resource, "meta": meta}


def _check_references(ehr: Ehr, resource: Json) -> None:
    if not ehr.options.referential_integrity:
        return
    for type_, id_ in local_targets(resource):
        head = ehr.store.head(type_, id_)
        if head is None or head.deleted:
            raise FhirError(400, "processing", f"Resource {type_}/{id_} not found, specified in a reference")


def _refuse_if_referred_to(ehr: Ehr, head: Version) -> None:
    needle = f'"{head.reference}"'.encode()
    for other in ehr.store.heads():
        if needle in other.raw and other.reference != head.reference:
            text = f"Unable to delete {head.reference}: {other.reference} refers to it"
            raise FhirError(409, "conflict", text)


def _save(ehr: Ehr, request: Request, type_: str, id_: str, resource: Json | None, method: str) -> Version:
    """
    Store a version, unless what the EHR allows or a fault is against it.

    Raises:
        FhirError: it is.
    """
    ehr.check_write(request, type_, id_, resource, method)
    return ehr.store.save(type_, id_, resource, method)


def _written(ehr: Ehr, request: Request, version: Version, status: int) -> Answer:
    """Answer a write; ``Prefer: return=`` decides what comes back (FHIR R4 http.html#ops)."""
    where = f"{request.base}/{version.versioned}"
    headers = {"ETag": version.etag, "Last-Modified": version.last_modified, "Content-Location": where}
    if status == 201:
        headers["Location"] = where
    prefer = request.headers.get("prefer", "")
    if "return=minimal" in prefer:
        return Answer(status, headers)
    if "return=OperationOutcome" in prefer:
        done = outcome("information", "informational", f"{version.reference} is at version {version.number}")
        return json_answer(status, done, headers)
    return json_answer(status, version.raw, headers)
