"""Who may ring: what the sender of a notification has to show."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field

_SIGNATURES = ("x-hub-signature-256", "x-hub-signature", "x-signature")
"""athenahealth sends the second (``sha256=...``), Medplum the last (bare hex)."""
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


@dataclass(frozen=True)
class Gate:
    """
    What a sender has to show. What is ``None`` is not asked for.

    Args:
        path: The secret in the address.
        header: Name and value of a secret header.
        signing_key: Key of the HMAC over the raw body.
    """

    path: str | None = field(default=None, repr=False)
    header: tuple[str, str] | None = field(default=None, repr=False)
    signing_key: bytes | None = field(default=None, repr=False)

    def knows_path(self, shown: str) -> bool:
        """Whether the address is right. Where the address holds no secret it ends in ``-``."""
        return hmac.compare_digest(shown.encode(), (self.path or "-").encode())

    def admits(self, headers: Mapping[str, str], body: bytes) -> bool:
        """Whether header and signature are right; compared in constant time."""
        if self.header is not None:
            name, value = self.header
            if not hmac.compare_digest(headers.get(name.lower(), "").encode(), value.encode()):
                return False
        return self.signing_key is None or self._is_signed(self.signing_key, headers, body)

    def _is_signed(self, key: bytes, headers: Mapping[str, str], body: bytes) -> bool:
        shown = next((headers[name] for name in _SIGNATURES if name in headers), "")
        method, equals, digest = shown.rpartition("=")
        method = method.lower() if equals else "sha256"
        if method not in _HASHES:
            return False
        expected = hmac.new(key, body, _HASHES[method]).hexdigest()
        return hmac.compare_digest(digest.lower().encode(), expected.encode())
