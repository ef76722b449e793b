"""From a form's fields to a command: empty fields are absent, times are the site's."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from bridge.cases.commands import AnyCommand
from bridge.web.bodies import without_sent
from bridge.web.problems import ApiError

_TIMES = frozenset({"at", "due_at", "until", "promised_for"})
_LISTS = frozenset({"evidence", "concerns", "refuses", "agrees"})
NOT_THE_COMMAND = frozenset({"version", "case"})


def command_of(name: str, form: Mapping[str, str], zone: ZoneInfo) -> AnyCommand:
    """
    Return the command called *name* with the form's fields.

    Raises:
        ApiError: A field is missing, unknown or wrong; the message names it.
    """
    fields: dict[str, Any] = {
        field: _value(field, text.strip(), zone)
        for field, text in form.items()
        if text.strip() and field not in NOT_THE_COMMAND
    }
    try:
        return msgspec.convert({"command": name, **fields}, AnyCommand, strict=False)  # type: ignore[no-any-return]
    except msgspec.ValidationError as error:
        raise ApiError(422, _explained(str(error))) from error


def seen_version(form: Mapping[str, str]) -> int:
    """
    Return the version of the case that the form was made for.

    Raises:
        ApiError: There is none.
    """
    text = form.get("version", "")
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise ApiError(428, "The form does not say which version of the case it is for; open the case again.")
    return int(text)


def _value(field: str, text: str, zone: ZoneInfo) -> object:
    if field in _TIMES:
        return _instant(field, text, zone)
    if field in _LISTS:
        return text.replace(",", " ").split()
    return text


def _instant(field: str, text: str, zone: ZoneInfo) -> datetime:
    """A time without offset is the site's; of a time that exists twice the first is meant."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise ApiError(422, f"{_words(field)}: not a date and time.") from error
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(UTC)


def _explained(message: str) -> str:
    if message.startswith("Object missing required field"):
        return f"{_words(message.split('`')[1])} must be filled in."
    return f"The form does not fit: {without_sent(message)}."


def _words(field: str) -> str:
    return field.replace("_", " ").capitalize()
