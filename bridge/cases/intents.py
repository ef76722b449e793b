"""
What should be true in the EHR, said without saying how.

An intent is a row in the outbox, committed with the case change that caused it. ``bridge/tasks`` renders it
for the route the EHR accepts, ``bridge/sync/deliver`` sends it. A *level* intent (a coordination Task, a
source Task's status) is rendered from the case as it is when it is sent, so an older one is superseded by a
newer one of the same slot. A *message* intent (a Communication) says what was true when it was made; a status
message that was not sent before the status changed again is superseded too: stale news helps nobody.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec

from bridge.cases.enums import quick
from bridge.cases.terms import Status


@quick
class IntentKind(StrEnum):
    """Which thing in the EHR an intent is about."""

    COORDINATION_TASK = "coordination-task"
    """Our own Task that shows the state of the case."""
    SOURCE_TASK = "source-task"
    """The status of a Task that asked us to do the work."""
    STATUS_MESSAGE = "status-message"
    """A Communication to the requester: where the work stands."""
    OUTREACH_RECORD = "outreach-record"
    """A Communication that records one outreach attempt."""
    RETRACTION = "retraction"
    """
    What should not stand there, marked as entered in error: what was written while the case was another patient's,
    or, with a target, a second copy of what was written once.
    """


LEVEL_KINDS = frozenset(set(IntentKind) - {IntentKind.OUTREACH_RECORD})
"""Kinds of which a newer unsent intent of the same slot supersedes an older one."""


@quick
class IntentState(StrEnum):
    """
    Where an intent stands.

    ``queued`` waits for its time, ``sending`` is claimed under a lease; the others are final until a person
    replays a parked one.
    """

    QUEUED = "queued"
    SENDING = "sending"
    CONFIRMED = "confirmed"
    SUPERSEDED = "superseded"
    PARKED = "parked"
    NOT_WRITABLE = "not-writable"


class Message(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    What a Communication says; complete when it is made, because a message is about its moment.

    ``status`` is the case status told, ``text`` the words, ``attempt_id`` the outreach attempt it records.
    """

    at: datetime
    text: str
    status: str | None = None
    attempt_id: str | None = None


class Intent(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """
    One thing that should become true in the EHR.

    ``key`` is unique per connection for ever and becomes the business identifier's value on the EHR, so a
    repeated intent finds what the first one wrote. ``slot`` is what at most one unsent intent is about:
    the case's Task, one source Task, one message.
    """

    connection: str
    case_id: str
    kind: IntentKind
    slot: str
    key: str
    case_version: int
    target: str | None = None
    """``Type/id`` of the existing resource to update (a source Task, a second copy of one of ours)."""
    message: Message | None = None

    @property
    def is_copy(self) -> bool:
        """Whether this is about a resource that may be a second copy of one of ours."""
        return self.kind is IntentKind.RETRACTION and self.target is not None


def tells_the_end(intent: Intent) -> bool:
    """
    Whether an intent of a closed case, once it is confirmed, tells whoever asked for the work how it ended.

    A message about the end does, and the Task by which the work was asked for. Our own Task shows it too, but nobody
    who asked need know of it (rule ours).
    """
    if intent.kind is IntentKind.STATUS_MESSAGE:
        return intent.message is not None and intent.message.status == Status.CLOSED.value
    return intent.kind is IntentKind.SOURCE_TASK
