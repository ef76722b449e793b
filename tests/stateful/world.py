"""A small world for order tests: versions of a few linked resources, and what Bridge makes of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from bridge.cases.model import Case
from bridge.config import Settings
from bridge.fhir.bundle import received
from bridge.fhir.source import SourceVersion
from bridge.store.memory import MemoryStore
from bridge.store.port import Store
from bridge.store.queries import CaseFilter
from bridge.sync.ingest import Intake, ingest
from bridge.sync.line import Line
from bridge.wiring import make_line, read_lanes

BASE = "http://ehr.example/fhir"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
BEGAN = datetime(2026, 5, 1, 9, tzinfo=UTC)


def a_line(**settings: Any) -> Line:
    """Return the line of an open connection called ``main``."""
    connection = {"base_url": BASE, **settings}
    found = Settings.model_validate({"connections": {"main": connection}})
    return make_line("main", found.connections["main"], found, read_lanes(found))


def version_of(resource: dict[str, Any], number: int) -> SourceVersion:
    """Return *resource* as version *number*, an hour after the one before."""
    at = BEGAN + timedelta(hours=number)
    meta = {"versionId": str(number), "lastUpdated": at.isoformat().replace("+00:00", "Z")}
    return received(json.dumps({**resource, "meta": meta}).encode())


def take_in(versions: Sequence[SourceVersion], sizes: Sequence[int], line: Line, store: Store | None = None) -> Store:
    """Ingest *versions* in pages of the given sizes, then the rest in one page."""
    store = store or MemoryStore()
    start = 0
    for size in [*sizes, len(versions)]:
        page = versions[start : start + size]
        if page:
            ingest(Intake("Any", page, "poll"), store, line, NOW)
        start += size
    return store


def cases_in(store: Store) -> dict[str, dict[str, Any]]:
    """Return every case that is not merged away, by root, as plain values that do not tell how it came about."""
    with store.reading() as tx:
        page = tx.list_cases(CaseFilter(), limit=1000)
    return {case.root: _settled(case) for case in page.cases}


def _settled(case: Case) -> dict[str, Any]:
    fields: dict[str, Any] = msgspec.to_builtins(case)
    for name in ("version", "round", "updated_at", "known_at", "owned_at", "entered_at", "waits"):
        fields.pop(name, None)
    fields["escalations"] = [one for one in fields.get("escalations", ()) if one.get("resolved_at") is None]
    return fields
