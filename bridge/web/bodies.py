"""Reading what was sent: bounded in size, strictly typed, and every time with its offset."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, TypeVar
from urllib.parse import parse_qsl

import msgspec
from fastapi import Depends, Request

from bridge.web.problems import ApiError

MOST_BYTES = 64 * 1024
"""No command, filter or form comes near this."""

_SENT = re.compile(r"(value) '.*'|(unknown field) `(?![a-z_]{1,40}`).*?`(?= - at `|\Z)", re.DOTALL)
"""A field's name is told where it is written as ours are: then somebody mistook it, and wants to know which."""

MOST_FIELDS = 600
SELECTED = "id"
REPEATED = (SELECTED, "concerns", "refuses", "agrees")
"""Fields that a form may repeat, for each box that was ticked: their values come with commas between them."""

T = TypeVar("T")


async def _bounded(request: Request) -> bytes:
    """Return the body; reading stops as soon as it is larger than any real one."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MOST_BYTES:
            raise ApiError(413, f"The body is larger than {MOST_BYTES} bytes.")
        parts.append(part)
    return b"".join(parts)


async def _json(request: Request) -> bytes:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise ApiError(415, "Send the body as application/json.")
    return await _bounded(request)


async def _form(request: Request) -> dict[str, str]:
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        raise ApiError(415, "Send the form as application/x-www-form-urlencoded.")
    try:
        pairs = parse_qsl((await _bounded(request)).decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError as error:
        raise ApiError(400, "The form cannot be read.") from error
    form = dict(pairs)
    return form | {name: ",".join(text for other, text in pairs if other == name) for name in REPEATED if name in form}


JsonBody = Annotated[bytes, Depends(_json)]
FormBody = Annotated[dict[str, str], Depends(_form)]


def without_sent(message: str) -> str:
    """Return what msgspec says is wrong without the words that were sent: they may be about somebody."""
    return _SENT.sub(lambda found: found[1] or found[2], message)


def decoded(raw: bytes, type_: type[T]) -> T:
    """
    Return *raw* as *type_*.

    Raises:
        ApiError: 400 when it is no JSON, 422 when it is of another shape or a time has no offset.
    """
    try:
        value = msgspec.json.decode(raw, type=type_)
    except msgspec.ValidationError as error:
        raise ApiError(422, f"The body does not fit: {without_sent(str(error))}.") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ApiError(400, "The body is not valid JSON.") from error
    _check_times(value)
    return value


def _check_times(value: object) -> None:
    if not isinstance(value, msgspec.Struct):
        return
    for name in value.__struct_fields__:
        at = getattr(value, name)
        if isinstance(at, datetime) and at.tzinfo is None:
            raise ApiError(422, f"{name}: give the time with its offset, such as 2026-03-04T10:00:00+01:00.")
