"""
``bridge support-bundle``: what somebody else needs to help, in one file, and nothing about a patient.

What goes in is chosen by name, not what stays out: of the settings only values that cannot be about a person or a
secret, of the database only figures, instants, codes, and reasons (which hold no patient data, ``bridge.errors``). The
EHR's ids of people are blotted out of reasons as well.
"""

from __future__ import annotations

import json
import os
import platform
import re
import sqlite3
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from importlib.metadata import distributions
from io import BytesIO
from pathlib import Path
from typing import Any

from prometheus_client import generate_latest
from pydantic import BaseModel

from bridge import __version__
from bridge.cases.intents import IntentState
from bridge.config import Settings
from bridge.errors import ConfigError, StoreUnavailable
from bridge.finding import Finding
from bridge.store.port import Tx
from bridge.store.rows import InboxState
from bridge.sync.hearing import condition
from bridge.web.context import WebContext
from bridge.web.metrics import registry

RECENT = 200
"""How many parked rows of each kind are told, the newest (rule ours)."""

MOST_LINES = 2000
"""How many lines of a log are told, the newest (rule ours)."""

_PLAIN = frozenset({"vendor", "fhir_version", "auth", "subscribe", "acknowledge_with", "time_zone", "level", "format"})
"""Settings whose texts come from a closed set."""

_LISTS = frozenset({"read"})
_LOGGED = ("at", "level", "logger", "message", "error", "request", "connection", "stream", "case", "source", "outbox")
_LEVELS = ("warning", "error", "critical")
_PERSON = re.compile(r"\b(Patient|RelatedPerson|Person|Practitioner)/[A-Za-z0-9.\-]+")


def bundle(
    settings: Settings, findings: Sequence[Finding], log: Iterable[str], context: WebContext | None, now: datetime
) -> dict[str, bytes]:
    """
    Return the files of a bundle by name.

    Args:
        context: What is known of the connections; ``None`` where the database cannot be used.
        findings: What ``bridge doctor`` found.
        log: Lines of Bridge's own log, as JSON; what is no such line is left out.
    """
    contents = {
        "about.json": _json(_about(settings, now)),
        "settings.json": _json(redacted(settings)),
        "doctor.json": _json([_without_people(finding.as_dict()) for finding in findings]),
        "log.jsonl": b"".join(json.dumps(line).encode() + b"\n" for line in _logged(log)),
    }
    if context is not None:
        contents["metrics.txt"] = generate_latest(registry(context))
        try:
            contents["connections.json"] = _json(_connections(context))
        except StoreUnavailable as error:
            contents["connections.json"] = _json({"problem": str(error)})
    return contents


def write(file: Path, contents: Mapping[str, bytes]) -> None:
    """
    Write a bundle as a zip file that its owner alone may read.

    Raises:
        ConfigError: The file is there already, or cannot be made.
    """
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as into:
        for name, content in contents.items():
            into.writestr(name, content)
    try:
        made = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except OSError as error:
        raise ConfigError(f"{file}: cannot be made: {error.strerror}") from None
    with os.fdopen(made, "wb") as out:
        out.write(packed.getvalue())


def redacted(settings: Settings) -> dict[str, Any]:
    """Return the settings with numbers, switches and choices; of every other one, whether it is set."""
    return {name: _redacted(name, getattr(settings, name)) for name in type(settings).model_fields}


def _redacted(name: str, value: object) -> Any:
    if isinstance(value, BaseModel):
        return {inner: _redacted(inner, getattr(value, inner)) for inner in type(value).model_fields}
    if isinstance(value, Mapping):
        return _redacted_entries(name, value)
    if isinstance(value, bool | int | float) or value is None:
        return value
    if name in _PLAIN or name == "poll":
        return str(value)
    if isinstance(value, tuple | list):
        return list(value) if name in _LISTS else f"{len(value)} set"
    return "set"


def _redacted_entries(name: str, entries: Mapping[str, object]) -> Any:
    """Names of connections are everywhere in the figures; those of owners are people's."""
    if name == "connections":
        return {key: _redacted(key, value) for key, value in entries.items()}
    if name == "poll":
        return {key: str(value) for key, value in entries.items()}
    if name == "owners":
        return [_redacted("owner", value) for value in entries.values()]
    return f"{len(entries)} set"


def _about(settings: Settings, now: datetime) -> dict[str, Any]:
    url = settings.database.url.get_secret_value()
    return {
        "bridge": __version__,
        "made_at": now.isoformat(),
        "python": platform.python_version(),
        "system": platform.platform(),
        "database": "sqlite" if url.startswith("sqlite") else "postgresql",
        "sqlite": sqlite3.sqlite_version,
        "packages": dict(sorted((one.name, one.version) for one in distributions())),
    }


def _connections(context: WebContext) -> dict[str, Any]:
    with context.store.reading() as tx:
        return {name: _connection(tx, name, context.clock()) for name in context.lines}


def _connection(tx: Tx, name: str, now: datetime) -> dict[str, Any]:
    budget = tx.budget(name)
    told = {
        "streams": [_cursor(tx, name, cursor.stream) for cursor in tx.cursors(name)],
        "received": {stream: _fields(counts) for stream, counts in tx.totals(name).items()},
        "late": [_fields(row) for row in tx.late(name)],
        "ehr": {key: str(value) for key, value in _fields(budget).items() if value is not None},
        "pauses": [{"type": row.type, "at": row.at.isoformat()} for row in tx.pauses(name)],
        "subscriptions": [
            {
                "flavor": row.flavor,
                "types": list(row.types),
                "ours": row.ours,
                "state": row.state,
                "condition": condition(row, now).value,
                "heard_at": _instant(row.heard_at),
                "missed": row.missed,
                "gaps": row.gaps,
            }
            for row in tx.subscribed(name)
        ],
        "outbox": [_fields(row) for row in tx.unfinished(name)],
        "deliveries": [_fields(row) for row in tx.deliveries(name)],
        "parked_versions": [
            {"type": type_, "code": code, "count": count} for _, type_, code, count in tx.parked_groups(name)
        ],
        "recent_errors": [*_parked_versions(tx, name), *_parked_writes(tx, name)],
    }
    cleaned: dict[str, Any] = _without_people(told)
    return cleaned


def _cursor(tx: Tx, connection: str, stream: str) -> dict[str, Any]:
    cursor = tx.cursor(connection, stream)
    if cursor is None:
        return {}
    told = _fields(cursor)
    told.pop("place")  # whose resources were read last
    return told


def _parked_versions(tx: Tx, connection: str) -> Iterator[dict[str, Any]]:
    rows = tx.inbox(connection=connection, state=InboxState.PARKED, limit=100_000)[-RECENT:]
    for row in rows:
        yield {
            "box": "inbox",
            "id": row.id,
            "at": row.received_at.isoformat(),
            "type": row.type if row.type.isalpha() else "?",
            "path": row.path,
            "code": row.code,
        }


def _parked_writes(tx: Tx, connection: str) -> Iterator[dict[str, Any]]:
    for state in (IntentState.PARKED, IntentState.NOT_WRITABLE):
        for row in tx.outbox(connection=connection, state=state, limit=100_000)[-RECENT:]:
            yield {
                "box": "outbox",
                "id": row.id,
                "at": _instant(row.settled_at),
                "kind": row.intent.kind.value,
                "state": row.state.value,
                "code": row.code,
                "reason": row.reason,
                "attempts": row.attempts,
            }


def _logged(lines: Iterable[str]) -> list[dict[str, Any]]:
    """Return the newest records from warning on, with the fields that Bridge itself writes."""
    found = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if (
            isinstance(record, dict)
            and record.get("level") in _LEVELS
            and str(record.get("logger")).startswith("bridge")
        ):
            found.append({name: _without_people(record[name]) for name in _LOGGED if name in record})
    return found[-MOST_LINES:]


def _without_people(value: Any) -> Any:
    if isinstance(value, str):
        return _PERSON.sub(r"\1/...", value)
    if isinstance(value, Mapping):
        return {key: _without_people(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_people(item) for item in value]
    return value


def _fields(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__struct_fields__ if name not in ("connection", "reason")} | (
        {"reason": row.reason} if getattr(row, "reason", None) else {}
    )


def _instant(at: datetime | None) -> str | None:
    return None if at is None else at.isoformat()


def _json(value: object) -> bytes:
    return json.dumps(value, indent=1, default=str).encode() + b"\n"
