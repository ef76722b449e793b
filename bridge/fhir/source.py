"""One version of one resource exactly as a server sent it."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import msgspec
from msgspec.structs import force_setattr

_BY_CONTENT = "sha256:"


class SourceVersion(msgspec.Struct, frozen=True, gc=False):
    """
    One version of one resource as received, with its raw bytes.

    ``version`` is ``meta.versionId`` and opaque (FHIR R4 resource.html#Meta); a resource without one gets
    ``sha256:`` and a hash of its content, so that an unchanged repeat is still recognised. ``updated_at`` is
    ``meta.lastUpdated``. ``issue`` says why not even type and id could be read; they may then be empty.
    ``ref`` is ``Type/id``, unique on its server; it is made of the two here, whatever is given.
    """

    type: str
    id: str
    version: str
    updated_at: datetime | None
    raw: bytes
    issue: str | None = None
    ref: str = ""

    def __post_init__(self) -> None:
        """Make the reference once: a page asks for it many times."""
        force_setattr(self, "ref", f"{self.type}/{self.id}")


def content_version(raw: bytes) -> str:
    """
    Return the version of a resource that carries none: a hash of what it says.

    The order of its elements and ``meta.lastUpdated``, which some servers set anew with every answer, say nothing.
    """
    return f"{_BY_CONTENT}{sha256(_said(raw)).hexdigest()}"


def is_by_content(version: str) -> bool:
    """Whether a version was named after its content, because the server named none."""
    return version.startswith(_BY_CONTENT)


def _said(raw: bytes) -> bytes:
    try:
        resource = msgspec.json.decode(raw)
        if isinstance(resource, dict) and isinstance(resource.get("meta"), dict):
            resource["meta"].pop("lastUpdated", None)
        return msgspec.json.encode(resource, order="sorted")
    except (msgspec.MsgspecError, UnicodeError, RecursionError, ValueError, OverflowError):
        return raw
