"""Pausing and resuming a connection or one of its types: for the API, the page and the command line alike."""

from __future__ import annotations

import msgspec

from bridge.store.rows import Pause
from bridge.web.connections import PauseView
from bridge.web.context import WebContext
from bridge.web.problems import ApiError


class PauseRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to leave alone, or not any longer: one resource *type*, or without one the whole connection."""

    type: str | None = None


class PauseState(msgspec.Struct, frozen=True, kw_only=True):
    """What of a connection is paused now; ``changed`` is false where it was so already."""

    connection: str
    changed: bool
    pauses: tuple[PauseView, ...]


def pause(context: WebContext, connection: str, wanted: PauseRequest, *, by: str) -> PauseState:
    """
    Leave a connection, or a type of it, alone from now on.

    Raises:
        ApiError: There is no such connection, or it does not read that type.
    """
    _known(context, connection, wanted.type)
    row = Pause(connection=connection, type=wanted.type, by=by, at=context.clock())
    with context.store.transaction() as tx:
        return _state(connection, tx.pause(row), tx.pauses(connection))


def resume(context: WebContext, connection: str, wanted: PauseRequest) -> PauseState:
    """
    Go on with a connection, or a type of it, where it stood.

    Raises:
        ApiError: There is no such connection, or it does not read that type.
    """
    _known(context, connection, wanted.type)
    with context.store.transaction() as tx:
        return _state(connection, tx.resume(connection, wanted.type), tx.pauses(connection))


def _known(context: WebContext, connection: str, type_: str | None) -> None:
    line = context.lines.get(connection)
    if line is None:
        raise ApiError(404, "There is no such connection.")
    if type_ is not None and type_ not in line.types:
        raise ApiError(422, f"type: expected one of {', '.join(line.types)}, or none for the whole connection.")


def _state(connection: str, changed: bool, rows: list[Pause]) -> PauseState:
    shown = tuple(PauseView(type=row.type, by=row.by, at=row.at) for row in rows)
    return PauseState(connection=connection, changed=changed, pauses=shown)
