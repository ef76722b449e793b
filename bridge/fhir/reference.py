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
    r"([A-Z][A-Za-z]{1,63})/([A-Za-z0-9\-._~]{1,128})(?:/_history/([A-Za-z0-9\-.]{1,64}))?", re.ASCII
)
_HOST = re.compile(r"[A-Za-z0-9.\-]+|\[[0-9A-Fa-f:.]+\]", re.ASCII)
_DEFAULT_PORT = {"http": 80, "https": 443}


class ParsedReference(msgspec.Struct, frozen=True):
    """
    A literal reference taken apart (FHIR R4 references.html#literal).

    ``type``, ``id`` and ``version`` are set for a relative reference, and for an absolute one that ends like
    one. ``text`` is the reference as given.
    """

    kind: Kind
    text: str
    type: str | None = None
    id: str | None = None
    version: str | None = None

    @property
    def ref(self) -> str | None:
        """``Type/id`` where the reference stays on its server, else ``None``."""
        return f"{self.type}/{self.id}" if self.kind == "relative" else None


@lru_cache(maxsize=16384)
def parse_reference(text: str, *, base_url: str | None = None) -> ParsedReference:
    """Take a reference apart; an absolute URL under *base_url* counts as relative."""
    if text.startswith("#"):
        return ParsedReference("contained", text, id=text[1:])
    if text.startswith("urn:"):
        return ParsedReference("urn", text)
    match = _RELATIVE.fullmatch(text)
    if match is not None:
        return ParsedReference("relative", text, match[1], match[2], match[3])
    if not text.startswith(("http://", "https://")):
        return ParsedReference("invalid", text)
    return _absolute(text, base_url)


def inside_base(url: str, base_url: str) -> bool:
    """Whether *url* has the origin of *base_url* and lies under its path."""
    ours, theirs = _parsed(base_url), _parsed(url)
    if ours is None or theirs is None or _origin(ours) != _origin(theirs):
        return False
    path, prefix = theirs.path, ours.path.rstrip("/")
    if ".." in unquote(unquote(path)).split("/"):
        return False
    return path == prefix or path.startswith(prefix + "/")


def same_origin(url: str, other: str) -> bool:
    """Whether two URLs have the same scheme, host and port."""
    one, two = _parsed(url), _parsed(other)
    return one is not None and two is not None and _origin(one) == _origin(two)


def _absolute(text: str, base_url: str | None) -> ParsedReference:
    tail = re.search(_RELATIVE.pattern + "$", text, re.ASCII)
    if tail is None:
        return ParsedReference("absolute", text)
    under_base = base_url is not None and inside_base(text, base_url)
    whole = base_url is not None and text[: tail.start()].rstrip("/").endswith(urlsplit(base_url).path.rstrip("/"))
    kind: Kind = "relative" if under_base and whole else "absolute"
    return ParsedReference(kind, text, tail[1], tail[2], tail[3])


def _parsed(url: str) -> SplitResult | None:
    """Return the URL taken apart; ``None`` for one that parsers do not agree about."""
    if any(character in url for character in "\\\t\r\n ") or not url.isascii():
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
    return parts.scheme, (parts.hostname or "").rstrip("."), parts.port or _DEFAULT_PORT[parts.scheme]
