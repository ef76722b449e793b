"""
``bridge pause`` and ``bridge resume``: in the database, or by way of the Bridge that has it open.

An SQLite file belongs to one process. While that is a ``bridge serve``, it is asked to do it (``docs/api.md``).
"""

from __future__ import annotations

import getpass
from typing import Any

import httpx

from bridge.bootstrap import open_bridge
from bridge.config import Settings
from bridge.errors import ConfigError
from bridge.store.rows import Pause

WAIT_SECONDS = 10.0


def pause_or_resume(settings: Settings, verb: str, connection: str, type_: str | None) -> bool:
    """
    Do *verb* (``pause`` or ``resume``); returns whether that changed anything.

    Raises:
        ConfigError: There is no such connection or type, or the database is another process's that serves no API.
    """
    section = settings.connections.get(connection)
    if section is None:
        known = ", ".join(settings.connections) or "none"
        raise ConfigError(f"connections: there is no connection called {connection!r}; configured: {known}")
    if type_ is not None and type_ not in section.read:
        raise ConfigError(f"connections.{connection}.read: {type_!r} is not among {', '.join(section.read)}")
    try:
        return _in_database(settings, verb, connection, type_)
    except ConfigError as owned:
        answer = _ask(settings, verb, connection, type_)
        if answer is None:
            raise owned from None
        return bool(answer["changed"])


def _in_database(settings: Settings, verb: str, connection: str, type_: str | None) -> bool:
    with open_bridge(settings, only=connection) as bridge, bridge.store.transaction() as tx:
        if verb == "resume":
            return tx.resume(connection, type_)
        return tx.pause(Pause(connection=connection, type=type_, by=_who(), at=bridge.clock()))


def _ask(settings: Settings, verb: str, connection: str, type_: str | None) -> dict[str, Any] | None:
    """Return what a Bridge at the configured address answers, ``None`` where none does."""
    host = f"[{settings.web.host}]" if ":" in settings.web.host else settings.web.host
    url = f"http://{host}:{settings.web.port}/api/v1/connections/{connection}/{verb}"
    try:
        answer = httpx.post(url, json={"type": type_}, timeout=WAIT_SECONDS, trust_env=False)
        answer.raise_for_status()
    except httpx.HTTPError:
        return None
    return dict(answer.json())


def _who() -> str:
    try:
        return f"{getpass.getuser()} at the command line"
    except (OSError, KeyError):
        return "somebody at the command line"
