"""
OperationOutcome: what a server says went wrong, read tolerantly, told without anybody's data.

``diagnostics`` and ``details.text`` often quote the resource, so they never enter a message; the issue code, the
coded detail and a message id such as ``HAPI-0550`` do (FHIR R4 operationoutcome.html). What stands in a code's place
and is none may be anybody's name, so codes are told only where they are known to be codes.
"""

from __future__ import annotations

import re

import msgspec

_MESSAGE_ID = re.compile(r"\b(HAPI-\d{4,5})\b")
_SEVERITIES = frozenset({"fatal", "error", "warning", "information", "success"})
_TYPES = frozenset(
    {
        "invalid",
        "structure",
        "required",
        "value",
        "invariant",
        "security",
        "login",
        "unknown",
        "expired",
        "forbidden",
        "suppressed",
        "processing",
        "not-supported",
        "duplicate",
        "multiple-matches",
        "not-found",
        "deleted",
        "too-long",
        "code-invalid",
        "extension",
        "too-costly",
        "business-rule",
        "conflict",
        "transient",
        "lock-error",
        "no-store",
        "exception",
        "timeout",
        "incomplete",
        "throttled",
        "informational",
        "success",
        "limited-filter",
    }
)
"""FHIR's issue types (R4 and R5 valueset-issue-type.html)."""
_DETAIL = re.compile(r"MSG_[A-Z_]{1,60}|[0-9]{1,6}")
"""FHIR's own coded details (R4 valueset-operation-outcome.html), and the numbers of Epic and others."""


class Issue(msgspec.Struct, frozen=True):
    """One issue: severity, issue-type code, coded details and a message id."""

    severity: str = ""
    code: str = ""
    details: tuple[str, ...] = ()
    message_id: str | None = None
    mentions: str = ""
    """The free text, for matching parameter names only; never put into a message."""

    def words(self) -> str:
        """Return severity, code, coded details and message id."""
        parts = [f"{self.severity}:{self.code}" if self.severity else self.code, *self.details]
        if self.message_id is not None:
            parts.append(self.message_id)
        return " ".join(part for part in parts if part)


UNREADABLE = Issue(severity="error", code="unreadable")
"""An issue that cannot be read counts as an error: nobody knows what it says."""


class Outcome(msgspec.Struct, frozen=True):
    """An OperationOutcome's issues."""

    issues: tuple[Issue, ...] = ()

    def summary(self) -> tuple[str, ...]:
        """Return each issue in words fit for a message."""
        return tuple(issue.words() for issue in self.issues)

    @property
    def is_error(self) -> bool:
        """Whether the server says that it failed (severity fatal or error)."""
        return any(issue.severity in ("fatal", "error") for issue in self.issues)


class _Coding(msgspec.Struct):
    code: object = None


class _Details(msgspec.Struct):
    coding: list[_Coding | None] | None = None
    text: object = None


class _Issue(msgspec.Struct):
    severity: object = None
    code: object = None
    details: _Details | None = None
    diagnostics: object = None


class _Outcome(msgspec.Struct):
    resourceType: str
    issue: list[msgspec.Raw] | None = None


_outcome = msgspec.json.Decoder(_Outcome)
_one = msgspec.json.Decoder(_Issue)
_BAD_JSON = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def parse_outcome(raw: bytes) -> Outcome | None:
    """Return the OperationOutcome in *raw*, or ``None`` when it is not one that can be read."""
    try:
        found = _outcome.decode(raw.removeprefix(b"\xef\xbb\xbf"))
    except _BAD_JSON:
        return None
    if found.resourceType != "OperationOutcome":
        return None
    return Outcome(tuple(_read(issue) for issue in found.issue or ()))


def _read(raw: msgspec.Raw) -> Issue:
    try:
        return _issue(_one.decode(raw))
    except _BAD_JSON:
        return UNREADABLE


def _issue(issue: _Issue) -> Issue:
    codings = (issue.details.coding or []) if issue.details is not None else []
    text = issue.details.text if issue.details is not None else None
    spoken = " ".join(part for part in (issue.diagnostics, text) if isinstance(part, str))
    message = _MESSAGE_ID.search(spoken)
    return Issue(
        severity=_known(issue.severity, _SEVERITIES),
        code=_known(issue.code, _TYPES),
        details=tuple(filter(None, (_detail(coding.code) for coding in codings if coding is not None))),
        message_id=message[1] if message is not None else None,
        mentions=spoken[:2000],
    )


def _known(value: object, codes: frozenset[str]) -> str:
    return value if isinstance(value, str) and value in codes else ""


def _detail(value: object) -> str:
    known = isinstance(value, str) and (value in _TYPES or _DETAIL.fullmatch(value))
    return str(value) if known else ""
