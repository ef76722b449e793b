"""One version of one resource exactly as a server sent it."""

from __future__ import annotations

from datetime import datetime
from hashlib import sha256

import msgspec


class SourceVersion(msgspec.Struct, frozen=True, gc=False):
    """
    One version of one resource as received, with its raw bytes.

    ``version`` is ``meta.versionId`` and opaque (FHIR R4 resource.html#Meta); a resource without one gets
    ``sha256:`` and the hash of its bytes, so that an unchanged repeat is still recognised. ``updated_at`` is
    ``meta.lastUpdated``. ``issue`` says why not even type and id could be read; they may then be empty.
    """

    type: str
    id: str
    version: str
    updated_at: datetime | None
    raw: bytes
    issue: str | None = None

    @property
    def ref(self) -> str:
        """``Type/id``, unique on its server."""
        return f"{self.type}/{self.id}"


def content_version(raw: bytes) -> str:
    """Return the version of a resource that carries none: a hash of exactly what was received."""
    return f"sha256:{sha256(raw).hexdigest()}"
