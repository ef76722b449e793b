"""
What rings at an address of ours: classic R4 rest-hooks, topic notifications, and the events of clouds.

Classic rest-hooks carry what they mean in the path (``read_path``), or send the resource or nothing (``read_body``).
Topic notifications are ``notification``'s, what clouds send in envelopes of their own is opened by ``events``.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence

from bridge.errors import SourceError
from bridge.fhir.events import Told, read_events, read_name
from bridge.fhir.notification import Notification, NotificationKind, decode, local, read_document, unreadable

_TWICE = re.compile(r"/?([A-Z][A-Za-z]+)/(\1/.+)", re.ASCII)
_PATH = re.compile(
    r"/?([A-Z][A-Za-z]{1,63})(?:/([A-Za-z0-9\-.]{1,64})(?:/_history/[A-Za-z0-9\-.]{1,64})?)?/?", re.ASCII
)
_MOST_EVENTS = 10_000
"""An array that holds more is read as one that tells of everything (rule ours)."""


def read_path(path: str) -> str | None:
    """
    Return what a classic rest-hook names in its path: ``Type/id``, ``Type``, or ``None`` where that is empty.

    HAPI puts to ``{endpoint}/{Type}/{id}`` for create and update, and deletes there (8.0.0, seen 2026-11); where the
    endpoint ends in the type already, it is there twice.

    Raises:
        SourceError: The path is none of these.
    """
    if path.strip("/") == "":
        return None
    twice = _TWICE.fullmatch(path)
    match = _PATH.fullmatch(twice[2] if twice else path)
    if match is None:
        raise unreadable("the path names no resource")
    return f"{match[1]}/{match[2]}" if match[2] else match[1]


def read_body(body: bytes, *, base_url: str) -> Notification:
    """
    Return what a post to the endpoint itself says: a notification Bundle, a Bundle of changed resources (HAPI
    with ``payload-search-criteria``), the changed resource (Medplum), a vendor's own events, or nothing at all
    (classic, no payload).

    Raises:
        SourceError: It is none of these.
    """
    if not body.strip():
        return Notification(kind=NotificationKind.EVENT, complete=False)
    name = read_name(body, base_url)
    if name is not None:
        return _of_events([Told(url=name)], base_url)
    document = decode(body)
    events = read_events(document, base_url)
    return _of_events(events, base_url) if events is not None else read_document(document, base_url=base_url)


def _of_events(events: Sequence[Told], base_url: str) -> Notification:
    """Return what a vendor's events say together; one that is not understood leaves them incomplete."""
    if len(events) == 1:
        return _of_event(events[0], base_url)
    said = list(filter(None, (_readable(event, base_url) for event in events[:_MOST_EVENTS])))
    if not said:
        raise unreadable("none of the events is about a resource")
    return Notification(
        kind=NotificationKind.EVENT,
        foci=tuple(dict.fromkeys(ref for one in said for ref in one.foci)),
        elsewhere=sum(one.elsewhere for one in said),
        complete=len(said) == len(events) and all(one.complete for one in said),
    )


def _readable(event: Told, base_url: str) -> Notification | None:
    try:
        return _of_event(event, base_url)
    except SourceError:
        return None


def _of_event(event: Told, base_url: str) -> Notification:
    if event.url is None:
        return read_document(event.document, base_url=base_url)
    ref = local(event.url, base_url)
    return Notification(
        kind=NotificationKind.EVENT,
        foci=() if ref is None else (ref,),
        elsewhere=int(ref is None),
        complete=ref is not None,
    )


# What comes around it --------------------------------------------------------------------------------------


class TooLarge(Exception):
    """What a body holds is larger than it may be."""


class UnknownEncoding(Exception):
    """A body is compressed in a way that is not read."""


def plain_body(body: bytes, encoding: str, most_bytes: int) -> bytes:
    """
    Return a body as it was before *encoding* (``Content-Encoding``).

    Raises:
        TooLarge: It holds more than *most_bytes*.
        UnknownEncoding: It is encoded in another way than gzip.
        SourceError: It is damaged (``unreadable-notification``).
    """
    way = encoding.strip().lower()
    if way in ("", "identity"):
        return body
    if way not in ("gzip", "x-gzip"):
        raise UnknownEncoding
    inflate = zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)
    try:
        plain = inflate.decompress(body, most_bytes + 1)
    except zlib.error:
        raise unreadable("the body is damaged: it is no gzip") from None
    if len(plain) > most_bytes:
        raise TooLarge
    if not inflate.eof:
        raise unreadable("the body is damaged: it breaks off")
    return plain


def named_by_headers(headers: Mapping[str, str]) -> str | None:
    """
    Return what was deleted, which Medplum says in a header alone (its documentation, 2026).

    Raises:
        SourceError: The header names no resource.
    """
    deleted = headers.get("x-medplum-deleted-resource")
    named = read_path(deleted) if deleted is not None else None
    if deleted is not None and (named is None or "/" not in named):
        raise unreadable("the header names no resource")
    return named
