"""How notifications leave the simulated EHR: through any callable, or over HTTP to this machine."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import httpx


@dataclass(frozen=True, slots=True)
class Ring:
    """
    One notification as it goes out.

    Attributes:
        subscription: Id of the Subscription.
        kind: ``handshake``, ``heartbeat``, ``event-notification``, or ``classic``.
        events: Numbers of the events in it, as the server counts them for itself.
    """

    subscription: str
    kind: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes = b""
    events: tuple[int, ...] = ()
    timeout_seconds: float = 10


@dataclass(frozen=True, slots=True)
class Reply:
    """What the subscriber answered."""

    status: int
    body: bytes = b""


Sender = Callable[[Ring], Reply | None]
"""Sends one notification and returns the answer, or None when there was none."""


class LoopbackSender:
    """Sends over HTTP, to loopback addresses alone; anything else counts as not reached."""

    def __init__(self) -> None:
        self._client = httpx.Client(trust_env=False, follow_redirects=False)

    def __call__(self, ring: Ring) -> Reply | None:
        """Return the answer, or None when there was none in time or the endpoint is not on this machine."""
        if not is_loopback(ring.url):
            return None
        try:
            answer = self._client.request(
                ring.method, ring.url, headers=dict(ring.headers), content=ring.body, timeout=ring.timeout_seconds
            )
        except (httpx.HTTPError, httpx.InvalidURL):
            return None
        return Reply(answer.status_code, answer.content)

    def close(self) -> None:
        """Close the connections."""
        self._client.close()


def is_loopback(url: str) -> bool:
    """Tell whether *url* leads to this machine and nowhere else."""
    host = urlsplit(url).hostname
    if host is None:
        return False
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
