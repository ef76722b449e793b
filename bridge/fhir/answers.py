"""
What the headers of an answer say: where something was written, which version it is, when to come back.

Servers differ in all of it; where one is known for a form, the line says which and when. Nothing that a header
may hold makes these functions fail.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

from bridge.fhir.bundle import received
from bridge.fhir.source import is_by_content

LONGEST_RETRY_AFTER = timedelta(hours=1)
"""A server that asks for more is asked again after this (rule ours)."""

_SECONDS = re.compile(r"\s*(\d{1,9})\d*\s*", re.ASCII)
_LOCATION = re.compile(
    r"(?:^|/)([A-Z][A-Za-z]{1,63})/(?!\.{1,2}(?:/|\Z))([A-Za-z0-9\-._~]{1,128})(?:/_history/([A-Za-z0-9\-._~]{1,128}))?/?\Z",
    re.ASCII,
)
_ETAG = re.compile(r'\s*(?:[Ww]/)?"?([!#-~]{1,256})"?\s*', re.ASCII)


@dataclass(frozen=True)
class Written:
    """
    What a server answered to a write.

    ``version`` is from the ETag, else from ``Location``, else from the body; ``None`` where it is in none.
    """

    status: int
    ref: str
    version: str | None
    created: bool
    body: bytes | None


def read_written(
    status: int, headers: Mapping[str, str], body: bytes, kind: str, ref: str | None = None
) -> Written | None:
    """
    Read the answer to a write of a *kind* resource; ``None`` when it does not say where that is.

    201 with an empty body, and ``Location`` without ``_history``, are common (Oracle Health documents both).
    HAPI 8.0.0 answers a PUT that creates with ``Content-Location`` alone (seen 2026-11).
    """
    place = _place(headers.get("Location"), kind) or _place(headers.get("Content-Location"), kind)
    found = received(body) if body else None
    if found is not None and (found.issue is not None or found.type != kind or (ref or found.ref) != found.ref):
        found = None
    if ref is None and place is not None:
        ref = f"{kind}/{place[0]}"
    if ref is None and found is not None:
        ref = found.ref
    if ref is None:
        return None
    version = parse_etag(headers.get("ETag"))
    if version is None and place is not None and ref == f"{kind}/{place[0]}":
        version = place[1]
    if version is None and found is not None and not is_by_content(found.version):
        version = found.version
    return Written(status, ref, version, status == 201, found.raw if found is not None else None)


def _place(url: str | None, kind: str) -> tuple[str, str | None] | None:
    """Return id and version from a ``Location``; its host is not looked at, as nothing is fetched from it."""
    if not url:
        return None
    try:
        found = _LOCATION.search(urlsplit(url).path)
    except ValueError:
        return None
    return (found[2], found[3]) if found is not None and found[1] == kind else None


def parse_etag(text: str | None) -> str | None:
    """Return the versionId in an ETag: weak, strong or bare (HAPI's batch answers), ``None`` without one."""
    found = _ETAG.fullmatch(text) if text is not None else None
    return found[1] if found is not None else None


def parse_http_date(text: str | None) -> datetime | None:
    """Return an HTTP date (RFC 9110 5.6.7) as aware UTC, ``None`` when it is none."""
    if text is None:
        return None
    try:
        at = parsedate_to_datetime(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None


def read_retry_after(headers: Mapping[str, str], now: datetime) -> datetime | None:
    """
    Return when, by our clock *now*, ``Retry-After`` (seconds or a date, RFC 9110 10.2.3) allows the next try.

    A date is by the server's clock; its own ``Date`` tells how far ours is off.
    """
    text = headers.get("Retry-After")
    if text is None:
        return None
    seconds = _SECONDS.fullmatch(text)
    if seconds is not None:
        return now + min(timedelta(seconds=int(seconds[1])), LONGEST_RETRY_AFTER)
    at = parse_http_date(text)
    if at is None:
        return None
    wait = at - (parse_http_date(headers.get("Date")) or now)
    return now + min(max(wait, timedelta(0)), LONGEST_RETRY_AFTER)
