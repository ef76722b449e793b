"""``bridge doctor``: is this set-up fit to run, and what does each EHR let us do?"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bridge.bootstrap import Exit, make_client, make_line, read_lanes, utc_now
from bridge.config import Settings
from bridge.errors import BridgeError, ConfigError, RemoteError
from bridge.store.engine import sqlite_file
from bridge.store.migrations import check
from bridge.tasks.route import How

SAFE_SQLITE = (3, 51, 3)
"""The first SQLite without the WAL-reset bug (sqlite.org/wal.html#walresetbug, fixed 2026-03-13)."""

WORST_CLOCK = timedelta(minutes=5)


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is fine, what was found, and what to do if it is not."""

    topic: str
    ok: bool
    found: str
    advice: str = ""

    def as_dict(self) -> dict[str, object]:
        """Return the finding as plain values."""
        return {"topic": self.topic, "ok": self.ok, "found": self.found, "advice": self.advice}


def examine(settings: Settings, *, only: str | None = None) -> list[Finding]:
    """Look at everything; one finding that is not fine does not end the examination."""
    findings = [Finding("configuration", True, "read and checked")]
    try:
        lanes = read_lanes(settings)
    except ConfigError as error:
        return [*findings, Finding("lanes", False, str(error), "mend the lanes file")]
    findings.append(Finding("lanes", True, ", ".join(lane.name for lane in lanes.all)))
    findings += _database(settings)
    chosen = {name: one for name, one in settings.connections.items() if only in (None, name)}
    if not chosen:
        findings.append(
            Finding("connections", False, "none is configured", 'add [connections.NAME] with base_url = "..."')
        )
    for name, section in chosen.items():
        try:
            with make_client(name, section, utc_now) as client:
                way_out = Exit(make_line(name, section, settings, lanes), client, section)
                findings += _connection(name, way_out)
        except ConfigError as error:
            findings.append(Finding(f"connection {name}", False, str(error), "mend the setting that is named"))
    return findings


def show(findings: Sequence[Finding]) -> str:
    """Return the findings as text, those that need a person marked."""
    lines = []
    for finding in findings:
        lines.append(f"{'ok ' if finding.ok else '!! '} {finding.topic}: {finding.found}")
        if finding.advice:
            lines.append(f"      {finding.advice}")
    return "\n".join(lines)


def _database(settings: Settings) -> Iterator[Finding]:
    url = settings.database.url.get_secret_value()
    file = sqlite_file(url)
    if file is not None:
        version = sqlite3.sqlite_version_info
        shown = sqlite3.sqlite_version
        if version < SAFE_SQLITE:
            yield Finding(
                "database engine",
                True,
                f"SQLite {shown}",
                f"SQLite before {'.'.join(map(str, SAFE_SQLITE))} has the WAL-reset bug; Bridge keeps to one"
                " process per file, which avoids it",
            )
        else:
            yield Finding("database engine", True, f"SQLite {shown}")
    if file is not None and not file.exists():
        yield Finding("database", True, f"{file} will be made by the first run")
        return
    try:
        check(url)
    except ConfigError as error:
        yield Finding("database", False, str(error), "run `bridge migrate`")
        return
    yield Finding("database", True, "reachable and up to date")


def _connection(name: str, way_out: Exit) -> Iterator[Finding]:
    topic, client, line = f"connection {name}", way_out.client, way_out.line
    try:
        capability = client.capability()
    except RemoteError as error:
        yield Finding(topic, False, str(error), "check base_url, the network and the credentials")
        return
    fits = capability.family == line.fhir_version
    yield Finding(
        topic,
        fits,
        f"{capability.software or 'a server'} speaks {capability.family}",
        "" if fits else f"set connections.{name}.fhir_version = {capability.family!r}",
    )
    yield from _streams(name, way_out)
    for kind, route in way_out.plan().items():
        writable = route.how is not How.NOT_WRITABLE
        yield Finding(f"{topic} write {kind.value}", writable or not line.writes, route.how.value, route.why)


def _streams(name: str, way_out: Exit) -> Iterator[Finding]:
    for stream in way_out.line.types:
        topic = f"connection {name} read {stream}"
        try:
            page = way_out.client.search(stream, [("_count", "1"), ("_sort", "_lastUpdated")])
        except BridgeError as error:
            yield Finding(topic, False, str(error), f"take {stream} out of connections.{name}.read, or allow it")
            continue
        yield Finding(topic, True, "search by _lastUpdated answered")
        if page.server_at is not None and abs(page.server_at - utc_now()) > WORST_CLOCK:
            difference = int((page.server_at - utc_now()).total_seconds())
            found = f"the EHR's clock differs by {difference} s"
            yield Finding(f"connection {name} clock", True, found, "Bridge goes by the EHR's")
