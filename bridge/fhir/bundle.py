"""
Bundles taken apart, entry by entry, each resource's bytes kept exactly as received.

One bad entry never spoils the page: it becomes a ``SourceVersion`` with an ``issue``, to be parked. Only a
body that is no Bundle at all is an error (FHIR R4 bundle.html; ``link`` is optional on a last page, as HAPI
8.0.0 leaves it out, seen 2026-11).
"""

from __future__ import annotations

import re
from datetime import datetime
from typing import Generic, TypeVar

import msgspec

from bridge.errors import SourceError
from bridge.fhir.outcome import UNREADABLE, Outcome, parse_outcome
from bridge.fhir.salvage import cut
from bridge.fhir.source import SourceVersion, content_version
from bridge.fhir.times import instant_in

_ID = re.compile(r"(?!\.{1,2}\Z)[A-Za-z0-9\-._~]{1,128}", re.ASCII)
_VERSION = re.compile(r"[!#-~]{1,256}", re.ASCII)
"""What an ETag can hold (RFC 9110 8.8.3); any other versionId could not be named in ``If-Match``."""

_TYPE = re.compile(r"[A-Z][A-Za-z]{1,63}", re.ASCII)


class BundlePage(msgspec.Struct, frozen=True, kw_only=True):
    """
    One page of a search or history.

    ``entries`` are the matches, ``included`` what ``_include`` brought; ``outcomes`` are the OperationOutcomes
    among the entries, which are never counted as matches.
    """

    entries: tuple[SourceVersion, ...]
    included: tuple[SourceVersion, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    next_url: str | None = None
    self_url: str | None = None
    total: int | None = None
    updated_at: datetime | None = None
    server_at: datetime | None = None
    """The server's clock when it answered (its ``Date`` header); set by the client."""
    type: str | None = None


class _Search(msgspec.Struct, gc=False):
    mode: object = None


class _Entry(msgspec.Struct, gc=False):
    resource: msgspec.Raw = msgspec.Raw()
    search: _Search | None = None


class _Link(msgspec.Struct, gc=False):
    relation: object = None
    url: object = None


class _Meta(msgspec.Struct, gc=False):
    versionId: object = None
    lastUpdated: object = None


_E = TypeVar("_E")


class _Bundle(msgspec.Struct, Generic[_E]):
    resourceType: str
    type: object = None
    total: object = None
    meta: object = None
    link: list[_Link | None] | None = None
    entry: list[_E] | None = None


class _Name(msgspec.Struct, gc=False):
    resourceType: object = None
    id: object = None


class _Header(msgspec.Struct, gc=False):
    resourceType: object = None
    id: object = None
    meta: _Meta | None = None


_whole = msgspec.json.Decoder(_Bundle[_Entry])
_bundle = msgspec.json.Decoder(_Bundle[msgspec.Raw])
_entry = msgspec.json.Decoder(_Entry)
_header = msgspec.json.Decoder(_Header)
_name = msgspec.json.Decoder(_Name)
_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, ValueError)


def split(body: bytes) -> BundlePage:
    """
    Take a searchset or history page apart.

    Raises:
        SourceError: The body is not a Bundle (``unreadable-bundle``).
    """
    body = body.removeprefix(b"\xef\xbb\xbf")
    bundle = _as_usual(body) or _envelope(body)
    if bundle.resourceType != "Bundle":
        raise SourceError("unreadable-bundle", "the answer is not a Bundle")
    matches: list[SourceVersion] = []
    included: list[SourceVersion] = []
    outcomes: list[Outcome] = []
    for entry in bundle.entry or ():
        _sort_in(entry, matches, included, outcomes)
    links = {
        link.relation: link.url for link in bundle.link or () if link is not None and isinstance(link.relation, str)
    }
    return BundlePage(
        entries=tuple(matches),
        included=tuple(included),
        outcomes=tuple(outcomes),
        next_url=_text(links.get("next")),
        self_url=_text(links.get("self")),
        total=bundle.total if isinstance(bundle.total, int) and not isinstance(bundle.total, bool) else None,
        updated_at=instant_in(bundle.meta.get("lastUpdated")) if isinstance(bundle.meta, dict) else None,
        type=_text(bundle.type),
    )


def _as_usual(body: bytes) -> _Bundle[_Entry] | None:
    """Return the Bundle read at one go; ``None`` where anything of it is unusual, which then spoils only itself."""
    try:
        bundle = _whole.decode(body)
    except _BAD_JSON:
        return None
    return None if any(_is_nothing(entry.resource) for entry in bundle.entry or ()) else bundle


def _is_nothing(resource: msgspec.Raw) -> bool:
    return len(resource) <= len(b"null") and bytes(resource) in (b"", b"null")


def _envelope(body: bytes) -> _Bundle[msgspec.Raw]:
    try:
        return _bundle.decode(body)
    except _BAD_JSON as error:
        try:
            rest, entries = cut(body)
            bundle = _bundle.decode(rest)
        except _BAD_JSON:
            raise SourceError("unreadable-bundle", f"the answer is not a Bundle ({type(error).__name__})") from None
        bundle.entry = [msgspec.Raw(entry) for entry in entries]
        return bundle


def _sort_in(
    found: _Entry | msgspec.Raw,
    matches: list[SourceVersion],
    included: list[SourceVersion],
    outcomes: list[Outcome],
) -> None:
    entry = found if isinstance(found, _Entry) else _entry_of(found)
    if isinstance(entry, SourceVersion):
        matches.append(entry)
        return
    mode = entry.search.mode if entry.search is not None else None
    version = received(bytes(entry.resource))
    if mode == "outcome" or version.type == "OperationOutcome":
        outcomes.append(parse_outcome(version.raw) or Outcome((UNREADABLE,)))
    elif mode == "include":
        included.append(version)
    else:
        matches.append(version)


def _entry_of(raw: msgspec.Raw) -> _Entry | SourceVersion:
    """Return an entry that carries a resource, or the version to be parked for one that does not."""
    try:
        entry = _entry.decode(raw)
    except _BAD_JSON as error:
        return unreadable(bytes(raw), f"the Bundle entry cannot be read ({type(error).__name__})")
    return unreadable(bytes(raw), "the Bundle entry carries no resource") if _is_nothing(entry.resource) else entry


def received(raw: bytes) -> SourceVersion:
    """Return the version whose exact bytes are *raw*; what cannot be read of its header is said in ``issue``."""
    try:
        header = _read_header(raw)
    except _BAD_JSON as error:
        return unreadable(raw, f"the resource cannot be read ({type(error).__name__})")
    kind, own_id = header.resourceType, header.id
    if not isinstance(kind, str) or _TYPE.fullmatch(kind) is None:
        return unreadable(raw, "resourceType is missing or no resource type")
    if not isinstance(own_id, str) or _ID.fullmatch(own_id) is None:
        return unreadable(raw, "id is missing or no FHIR id", kind)
    stated = header.meta.versionId if header.meta is not None else None
    return SourceVersion(
        type=kind,
        id=own_id,
        version=stated if isinstance(stated, str) and _VERSION.fullmatch(stated) else content_version(raw),
        updated_at=instant_in(header.meta.lastUpdated) if header.meta is not None else None,
        raw=raw,
    )


def _read_header(raw: bytes) -> _Header:
    """Return type, id and meta; a ``meta`` of another shape counts as none."""
    try:
        return _header.decode(raw)
    except msgspec.ValidationError:
        name = _name.decode(raw)
        return _Header(name.resourceType, name.id)


def unreadable(raw: bytes, issue: str, kind: str = "") -> SourceVersion:
    """Return a version that can only be parked: its bytes and why they cannot be read."""
    return SourceVersion(type=kind, id="", version=content_version(raw), updated_at=None, raw=raw, issue=issue)


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
