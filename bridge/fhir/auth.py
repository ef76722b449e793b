"""How a connection proves who it is. SMART Backend Services will be one more class here."""

from __future__ import annotations

import base64
from typing import Protocol


class Auth(Protocol):
    """Gives the ``Authorization`` header, and may renew what it stands on."""

    def header(self) -> str | None:
        """Return the header's value, or ``None`` for a server that asks for none."""

    def refresh(self) -> bool:
        """Renew the credentials after a 401; false when there is nothing to renew."""


class NoAuth:
    """An open server."""

    def header(self) -> str | None:
        """Return ``None``."""
        return None

    def refresh(self) -> bool:
        """Return false: there is nothing to renew."""
        return False


class BasicAuth:
    """HTTP Basic (RFC 7617). The password never shows in ``repr``."""

    def __init__(self, username: str, password: str) -> None:
        token = base64.b64encode(f"{username}:{password}".encode()).decode()
        self._header = f"Basic {token}"

    def header(self) -> str | None:
        """Return the Basic header."""
        return self._header

    def refresh(self) -> bool:
        """Return false: a password is not renewed."""
        return False

    def __repr__(self) -> str:
        return "BasicAuth(***)"


class BearerToken:
    """A static bearer token (RFC 6750). The token never shows in ``repr``."""

    def __init__(self, token: str) -> None:
        self._header = f"Bearer {token}"

    def header(self) -> str | None:
        """Return the Bearer header."""
        return self._header

    def refresh(self) -> bool:
        """Return false: a static token is not renewed."""
        return False

    def __repr__(self) -> str:
        return "BearerToken(***)"
