"""
References, and which URLs belong to a connection.

A URL that comes from outside is compared with its connection's base as parsed origin plus path prefix, never as
text (a base compared with ``startsWith`` sent tokens to look-alike hosts, GHSA-vr79-8m62-wh98).
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal
from urllib.parse import SplitResult, unquote, urlsplit

import msgspec

Kind = Literal["relative", "absolute", "contained", "urn", "invalid"]

_RELATIVE = re.compile(
    r"([A-Z][A-Za-z]{1,63})/(?!\.{1,2}(?:/|\Z))([A-Za-z0-9\-._~]{1,128})(?:/_history/([A-Za-z0-9\-.]{1,64}))?",
    re.ASCII,
)
LONGEST = 2048
"""A longer reference or URL is none (rule ours): no server has such, and every character costs."""

_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)
_DEFAULT_PORT = {"http": 80, "https": 443}


class ParsedReference(msgspec.Struct, frozen=True, gc=False):
    """
    A literal reference taken apart (FHIR R4 references.html#literal).

    ``type``, ``id`` and ``version`` are set for a relative reference, and for an absolute one that ends like
    one. ``text`` is the reference as given; ``ref`` is ``Type/id`` where it stays on its server, else ``None``.
    """

    kind: Kind
    text: str
    type: str | None = None
    id: str | None = None
    version: str | None = None
    ref: str | None = None


@lru_cache(maxsize=16384)
def parse_reference(text: str, base_url: str | None = None) -> ParsedReference:
    """Take a reference apart; an absolute URL under *base_url* counts as relative."""
    if len(text) > LONGEST:
        return ParsedReference("invalid", text)
    if text.startswith("#"):
        return ParsedReference("contained", text, id=text[1:])
    if text.startswith("urn:"):
        return ParsedReference("urn", text)
    match = _RELATIVE.fullmatch(text)
    if match is not None:
        return _relative(text, match)
    if not text.startswith(("http://", "https://")):
        return ParsedReference("invalid", text)
    return _absolute(text, base_url)


def _relative(text: str, match: re.Match[str]) -> ParsedReference:
    kind, own_id, version = match.groups()
    return ParsedReference("relative", text, kind, own_id, version, f"{kind}/{own_id}")


def inside_base(url: str, base_url: str) -> bool:
    """Whether *url* has the origin of *base_url* and lies under its path."""
    return _below(url, base_url) is not None


def _below(url: str, base_url: str) -> str | None:
    """Return the path of *url* below *base_url*, or ``None`` when it is not there."""
    ours, theirs = _parsed(base_url), _parsed(url)
    if ours is None or theirs is None or _origin(ours) != _origin(theirs) or _climbs(theirs.path):
        return None
    path, prefix = theirs.path, ours.path.rstrip("/")
    return path[len(prefix) + 1 :] if path == prefix or path.startswith(prefix + "/") else None


def _absolute(text: str, base_url: str | None) -> ParsedReference:
    below = _below(text, base_url) if base_url is not None and "?" not in text and "#" not in text else None
    match = _RELATIVE.fullmatch(below) if below is not None else None
    if match is not None:
        return _relative(text, match)
    segments = text.split("://", 1)[1].split("/")[1:]
    for count in (4, 2):
        match = _RELATIVE.fullmatch("/".join(segments[-count:]))
        if match is not None:
            return ParsedReference("absolute", text, match[1], match[2], match[3])
    return ParsedReference("absolute", text)


def _climbs(path: str) -> bool:
    """Whether a server might read *path* as leading upwards, also when it decodes it twice."""
    plain = unquote(unquote(path))
    return "\\" in plain or any(segment.partition(";")[0] == ".." for segment in plain.split("/"))


def _parsed(url: str) -> SplitResult | None:
    """Return the URL taken apart; ``None`` for one that parsers do not agree about."""
    if not url.isascii() or not url.isprintable() or "\\" in url or " " in url:
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return None
    netloc = parts.netloc.removesuffix(f":{port}") if port is not None else parts.netloc.removesuffix(":")
    if parts.scheme not in _DEFAULT_PORT or _HOST.fullmatch(netloc) is None:
        return None
    return parts


def _origin(parts: SplitResult) -> tuple[str, str, int]:
    port = parts.port if parts.port is not None else _DEFAULT_PORT[parts.scheme]
    return parts.scheme, (parts.hostname or "").removesuffix("."), port
