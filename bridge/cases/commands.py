"""
What a person can do to a case: one discriminated union, and what each command means.

A command enters the line where a received page does, at ``reconcile``: it becomes facts, the case is derived
again, and what the EHR should be told follows (``bridge/sync/command.py`` holds the transaction).
"""

from __future__ import annotations

from datetime import datetime

import msgspec

from bridge.cases.terms import Action, AttemptOutcome, Barrier, BlockerCategory, Channel, ClosureReason, Concern


class Command(msgspec.Struct, frozen=True, kw_only=True, tag_field="command", forbid_unknown_fields=True):
    """Anything a person asks of a case; the tag is the command's name in the API."""


class Assign(Command, frozen=True, kw_only=True, tag="assign"):
    """Make *owner* (a name in the owners section of the configuration) responsible."""

    owner: str


class Claim(Command, frozen=True, kw_only=True, tag="claim"):
    """Take a case that waits in a role queue; of two who do so at once, one has it and the other is told who."""


class LogOutreach(Command, frozen=True, kw_only=True, tag="log-outreach"):
    """
    Record one attempt to reach the patient; ``at`` defaults to now.

    ``refuses`` and ``agrees`` are ways by which the patient said that they do not, or do again, want to be approached.
    """

    channel: Channel
    outcome: AttemptOutcome
    at: datetime | None = None
    understood: str | None = None
    barrier: Barrier | None = None
    next_action: str | None = None
    promised_by: str | None = None
    promised_for: datetime | None = None
    concerns: tuple[Concern, ...] = ()
    refuses: tuple[Channel, ...] = ()
    agrees: tuple[Channel, ...] = ()


class RaiseBlocker(Command, frozen=True, kw_only=True, tag="raise-blocker"):
    """Say what holds the case up."""

    category: BlockerCategory
    text: str
    barrier: Barrier | None = None


class ClearBlocker(Command, frozen=True, kw_only=True, tag="clear-blocker"):
    """Say that nothing holds the case up any more."""


class AcceptSuggestion(Command, frozen=True, kw_only=True, tag="accept-suggestion"):
    """Raise the blocker that a remark suggests, in the remark's words; ``key`` says which suggestion."""

    key: str


class DismissSuggestion(Command, frozen=True, kw_only=True, tag="dismiss-suggestion"):
    """Say that a remark does not mean what it suggests; it is not suggested again."""

    key: str


class SetNextAction(Command, frozen=True, kw_only=True, tag="set-next-action"):
    """Decide what happens next and, optionally, by when."""

    code: Action
    text: str | None = None
    due_at: datetime | None = None


class Snooze(Command, frozen=True, kw_only=True, tag="snooze"):
    """Put the case off until an instant, with a reason; it comes back by itself."""

    until: datetime
    reason: str


class Escalate(Command, frozen=True, kw_only=True, tag="escalate"):
    """Ask somebody (a name in the owners section; default: the lane's next rung) to step in."""

    why: str
    to: str | None = None


class AcknowledgeEscalation(Command, frozen=True, kw_only=True, tag="acknowledge-escalation"):
    """Say that the escalation was seen; ``resolved`` ends it."""

    resolved: bool = False


class Note(Command, frozen=True, kw_only=True, tag="note"):
    """Write a remark."""

    text: str


class Close(Command, frozen=True, kw_only=True, tag="close"):
    """End the case with a reason, what came of it, and what proves it (``Type/id``)."""

    reason: ClosureReason
    outcome: str = ""
    evidence: tuple[str, ...] = ()


class Reopen(Command, frozen=True, kw_only=True, tag="reopen"):
    """Go on with a closed case; the earlier closure stays in the history."""

    why: str


AnyCommand = (
    Assign
    | Claim
    | LogOutreach
    | RaiseBlocker
    | ClearBlocker
    | AcceptSuggestion
    | DismissSuggestion
    | SetNextAction
    | Snooze
    | Escalate
    | AcknowledgeEscalation
    | Note
    | Close
    | Reopen
)
