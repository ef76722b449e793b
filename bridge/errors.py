"""
What can go wrong, in one tree; every class says who has to act.

    BridgeError
      ConfigError          the operator must act: the start stops and the setting is named
      SourceError          what was read cannot be used: that version is parked, the rest goes on
      DomainError          a rule of ours was about to be broken: nothing is saved
        IllegalTransition  a FHIR Task may not move that way
        CommandRefused     a person's command does not fit the case as it is
        StaleVersion       the case changed since the person looked at it
      StoreUnavailable     the database did not do what we asked: nothing is saved, and it is tried again
      RemoteError          the FHIR server did not do what we asked
        Unreachable, Throttled, ServerFault, AuthExpired   retried, with backoff and jitter
          PutOff             not sent: the server is not to be asked before a time
            HeldBack         not sent: a person paused it, or another process is at it
        OutcomeUnknown     sent, no answer: look for our identifier before anything is sent again
        VersionConflict    409, or 412 on If-Match: read again, merge, write the new result
        Refused            400 403 404 410 422, or 412 on If-None-Exist: parked for a person
          NotFound         404: the server does not have it
          Gone             410: the server says that it was deleted
          CursorExpired    a page link the server gave out no longer works
        UnsafeAnswer       an answer that must not be acted on (foreign next link, ignored filter, loop)
          IncompleteScan   the server gave less than there is: what came is kept, the cursor stands

Messages name a resource by type and id, the rule and the next step. Names, birth dates, free text and
secrets appear in none of them.
"""

from __future__ import annotations

from datetime import datetime


class BridgeError(Exception):
    """Any failure that Bridge itself understands."""


class ConfigError(BridgeError):
    """A setting is missing, unknown or wrong; the message names it and what was expected."""


class SourceError(BridgeError):
    """
    A received resource cannot be used and is to be parked.

    Args:
        code: Stable reason code, a closed set (``unreadable``, ``unknown-status`` ...), used for grouping.
        message: What is wrong, naming type, id and element, never a person's data.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class DomainError(BridgeError):
    """A rule of the coordination core was about to be broken; nothing was saved."""


class IllegalTransition(DomainError):
    """A FHIR Task may not move from its status to the wanted one (FHIR R4 task.html, state machine)."""


class CommandRefused(DomainError):
    """A person's command does not fit the case as it is now; the message says what would."""


class StaleVersion(DomainError):
    """The case has moved on since the person looked at it (``If-Match`` did not match)."""


class StoreUnavailable(BridgeError):
    """The database could not be reached, broke off or took too long; nothing of the transaction was saved."""


class RemoteError(BridgeError):
    """
    The FHIR server did not do what was asked.

    Args:
        message: What was asked and what came back, without any patient data.
        status: HTTP status, where there was an answer.
        issues: Issue codes and short diagnostics from an OperationOutcome, where there was one.
    """

    def __init__(self, message: str, *, status: int | None = None, issues: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.status = status
        self.issues = issues


class Unreachable(RemoteError):
    """No connection could be made, so nothing was sent."""


class Throttled(RemoteError):
    """
    429, or 503 with ``Retry-After``: the server asks us to wait.

    Args:
        retry_at: When the server allows the next request (aware UTC); ``None`` when it did not say.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_at: datetime | None = None,
        status: int | None = None,
        issues: tuple[str, ...] = (),
    ) -> None:
        super().__init__(message, status=status, issues=issues)
        self.retry_at = retry_at


class PutOff(Throttled):
    """Nothing was sent: the server is away, asked to be left alone, or has been asked enough; see ``retry_at``."""


class HeldBack(PutOff):
    """Nothing was sent, and nothing is wrong with the server: a person paused it, or another process is at it."""


class ServerFault(RemoteError):
    """5xx, or an answer that is not FHIR (a proxy's HTML page, a truncated body)."""


class AuthExpired(RemoteError):
    """401: the credentials are not, or no longer, accepted."""


class OutcomeUnknown(RemoteError):
    """A write was sent and no answer came: it may have happened. Look before sending again."""


class VersionConflict(RemoteError):
    """409, or 412 on ``If-Match``: somebody else wrote first (HAPI answers 409, R4 says 412)."""


class Refused(RemoteError):
    """The server understood and said no; repeating the same request cannot help."""


class NotFound(Refused):
    """404: the server does not have this resource. On its own no proof of deletion."""


class Gone(Refused):
    """410: the server says that the resource was deleted (FHIR R4 http.html#delete)."""


class Moved(Refused):
    """
    301 or 308 to another resource of the same type and server: this one was merged into that (Epic 4107).

    Args:
        ref: Where to (``Type/id``).
    """

    def __init__(self, message: str, *, ref: str = "", status: int | None = None, issues: tuple[str, ...] = ()) -> None:
        super().__init__(message, status=status, issues=issues)
        self.ref = ref


class CursorExpired(Refused):
    """A paging link is no longer served (404, 410 or 400 on a ``next`` link): restart the scan."""


class UnsafeAnswer(RemoteError):
    """An answer that must not be acted on: a foreign ``next``, a paging loop, an ignored filter."""


class IncompleteScan(UnsafeAnswer):
    """The server says, or shows, that it gave less than there is; what is missing from it means nothing."""
