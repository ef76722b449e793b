"""How often EHRs rang at this process, and what came of it; the counts begin anew with the process."""

from __future__ import annotations

from collections import Counter
from enum import StrEnum

from bridge.fhir.notification import NotificationKind


class Outcome(StrEnum):
    """What became of one request to a hook."""

    EVENT = "event"
    """Something changed; kept."""
    HANDSHAKE = "handshake"
    HEARTBEAT = "heartbeat"
    STATUS = "status"
    QUESTION = "question"
    """Answered, and nothing to keep: a sender asked whether it may send."""
    NO_SUCH_HOOK = "no-such-hook"
    """The connection is known, the secret in the address was not."""
    UNAUTHORIZED = "unauthorized"
    UNREADABLE = "unreadable"
    TOO_LARGE = "too-large"
    NOT_KEPT = "not-kept"
    """The database did not take it in time; the sender was told to send it again."""


_OF_KIND = {
    NotificationKind.EVENT: Outcome.EVENT,
    NotificationKind.EVENTS: Outcome.EVENT,
    NotificationKind.HANDSHAKE: Outcome.HANDSHAKE,
    NotificationKind.HEARTBEAT: Outcome.HEARTBEAT,
    NotificationKind.STATUS: Outcome.STATUS,
}
_OF_STATUS = {
    401: Outcome.UNAUTHORIZED,
    404: Outcome.NO_SUCH_HOOK,
    413: Outcome.TOO_LARGE,
    503: Outcome.NOT_KEPT,
}


class Rings:
    """Counts by connection and outcome. Only the event loop adds to them; anybody may read."""

    def __init__(self) -> None:
        self._counts: Counter[tuple[str, Outcome]] = Counter()

    def kept(self, connection: str, kind: NotificationKind) -> None:
        """Count a notification that is durable."""
        self._counts[connection, _OF_KIND[kind]] += 1

    def asked(self, connection: str) -> None:
        """Count a question that was answered."""
        self._counts[connection, Outcome.QUESTION] += 1

    def refused(self, connection: str, status: int) -> None:
        """Count a refusal by its HTTP status."""
        self._counts[connection, _OF_STATUS.get(status, Outcome.UNREADABLE)] += 1

    def of(self, connection: str, outcome: Outcome) -> int:
        """Return how often *outcome* came of a request for *connection*."""
        return self._counts[connection, outcome]
