"""``bridge doctor``: is this set-up fit to run, and what does each EHR let us do?"""

from __future__ import annotations

import shutil
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

from sqlalchemy.exc import DBAPIError

from bridge.config import ConnectionSection, Settings
from bridge.errors import (
    AuthExpired,
    BridgeError,
    ConfigError,
    NotFound,
    Refused,
    RemoteError,
    ServerFault,
    SourceError,
    Throttled,
    Unreachable,
)
from bridge.fhir.capability import Capability
from bridge.fhir.subscription import Flavor
from bridge.fhir.vendors import profile, recognized
from bridge.finding import Finding
from bridge.probes import LOOPBACK, postgresql, sqlite_commits, sqlite_durability, tls, writes
from bridge.store.engine import sqlite_file
from bridge.store.migrations import check
from bridge.store.opening import open_store
from bridge.sync.desire import plan
from bridge.tasks.route import How
from bridge.wiring import Exit, make_client, make_desire, make_line, make_owners, read_lanes, utc_now

SAFE_SQLITE = (3, 51, 3)
"""The first SQLite without the WAL-reset bug (sqlite.org/wal.html#walresetbug, fixed 2026-03-13)."""

WORST_CLOCK = timedelta(minutes=2)
"""From when on an EHR's clock is told to be another than ours, as the alert BridgeClockSkew does (rule ours)."""

ROOM_NEEDED = 512 * 1024 * 1024
"""Bytes that should be free beside an SQLite file (rule ours)."""

__all__ = ["Finding", "examine", "show"]


def examine(settings: Settings, *, only: str | None = None, offline: bool = False) -> list[Finding]:
    """
    Look at everything; one finding that is not fine does not end the examination.

    Args:
        offline: Leave the EHRs alone.

    Raises:
        ConfigError: There is no connection called *only*.
    """
    if only is not None and only not in settings.connections:
        known = ", ".join(settings.connections) or "none"
        raise ConfigError(f"connections: there is no connection called {only!r}; configured: {known}")
    findings = [Finding("configuration", True, "read and checked"), *_database(settings), _clock(settings)]
    try:
        lanes = read_lanes(settings)
        make_owners(settings, lanes, ())
    except ConfigError as error:
        advice = "mend the lanes file or the owners; connections were not looked at"
        return [*findings, Finding("lanes", False, str(error), advice)]
    findings.append(Finding("lanes", True, ", ".join(lane.name for lane in lanes.all)))
    chosen = {name: one for name, one in settings.connections.items() if only in (None, name)}
    if not chosen:
        advice = 'add [connections.NAME] with base_url = "http://..." to bridge.toml'
        findings.append(Finding("connections", False, "none is configured", advice))
    for name, section in chosen.items():
        findings += _secrets(name, section)
        if offline:
            continue
        findings += tls(f"connection {name} TLS", section.base_url, section.timeout_seconds, utc_now())
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
    wrong = sum(not finding.ok for finding in findings)
    lines.append(f"\n{wrong} of {len(findings)} need a person, marked !!" if wrong else "\nall is fine")
    return "\n".join(lines)


# The database ---------------------------------------------------------------------------------------------


def _database(settings: Settings) -> Iterator[Finding]:
    url = settings.database.url.get_secret_value()
    file = sqlite_file(url)
    if file is not None:
        yield _engine()
        yield from _room(file)
        if not file.exists():
            yield Finding("database", True, f"{file} will be made by the first run")
            return
    try:
        check(url)
    except ConfigError as error:
        away = isinstance(error.__cause__, DBAPIError)
        advice = "is the server running, and are host, user and password right?" if away and file is None else ""
        yield Finding("database", False, str(error).removeprefix("database: "), advice, reached=not away)
        return
    yield Finding("database", True, "reachable, its schema is up to date")
    if file is None:
        yield from postgresql(url)
    else:
        yield sqlite_durability(file)
        yield sqlite_commits(file)
    yield from _restored(url, settings)


def _restored(url: str, settings: Settings) -> Iterator[Finding]:
    """Say what a restore from a backup found on each EHR, and which cases wait for a person since."""
    with closing(open_store(url, pool_size=1)) as store, store.reading() as tx:
        found = [row for name in settings.connections if (row := tx.restored(name)) is not None]
    for row in found:
        topic = f"connection {row.connection} restore"
        held = [one for one in row.differing if one.held]
        advice = ""
        if row.ready_at is None:
            advice = "start Bridge; it reads everything again before it writes anything"
        elif held:
            advice = "look at each of these, and close it or replay what waits (bridge replay outbox --code restored)"
        yield Finding(topic, row.ready_at is not None and not held, row.summary, advice)
        for one in row.differing:
            yield Finding(f"{topic}, case {one.case_id}", not one.held, f"{one.ref}: {one.words}", "see its note")
        for problem in row.problems:
            yield Finding(topic, False, f"not looked at: {problem}", "look there yourself")


def _clock(settings: Settings) -> Finding:
    now = utc_now()
    here = now.astimezone(ZoneInfo(settings.site.time_zone))
    found = f"{now:%Y-%m-%d %H:%M:%S} UTC, {here:%H:%M} at the site ({settings.site.time_zone})"
    return Finding("time", True, found)


def _engine() -> Finding:
    shown = f"SQLite {sqlite3.sqlite_version}"
    if sqlite3.sqlite_version_info >= SAFE_SQLITE:
        return Finding("database engine", True, shown)
    safe = ".".join(map(str, SAFE_SQLITE))
    advice = f"before {safe} it has the WAL-reset bug; Bridge keeps to one process per file, which avoids it"
    return Finding("database engine", True, shown, advice)


def _room(file: Path) -> Iterator[Finding]:
    folder = next(parent for parent in file.parents if parent.exists())
    if not folder.is_dir():
        yield Finding("database folder", False, f"{folder} is not a folder", "set database.url to another place")
        return
    free = shutil.disk_usage(folder).free
    advice = "" if free >= ROOM_NEEDED else "make room, or put the database elsewhere (database.url)"
    yield Finding("disk", free >= ROOM_NEEDED, f"{free // 1024**2} MiB free in {folder}", advice)


# Connections ----------------------------------------------------------------------------------------------


def _secrets(name: str, section: ConnectionSection) -> Iterator[Finding]:
    topic, address = f"connection {name} credentials", urlsplit(section.base_url)
    if section.auth != "none" and address.scheme == "http" and address.hostname not in LOOPBACK:
        yield Finding(topic, True, "they travel over http, readable on the way", "use an https base_url")
    for file in (section.password_file, section.token_file):
        if file is not None and file.exists() and file.stat().st_mode & (stat.S_IROTH | stat.S_IWOTH):
            yield Finding(topic, True, f"every user of this computer can read {file}", f"chmod 600 {file}")


def _connection(name: str, way_out: Exit) -> Iterator[Finding]:
    topic, line = f"connection {name}", way_out.line
    try:
        capability = way_out.capability()
    except (RemoteError, SourceError) as error:
        reached = not isinstance(error, Unreachable | Throttled | ServerFault)
        yield Finding(topic, False, str(error), _advice(error, way_out.section), reached=reached)
        return
    fits = capability.family == line.fhir_version
    advice = "" if fits else f'set connections.{name}.fhir_version = "{capability.family}"'
    found = f"{capability.software or 'a server'} speaks {capability.family}"
    yield Finding(topic, fits, found if fits else f"{found}, {line.fhir_version} is configured", advice)
    yield _authentication(name, way_out)
    yield from _streams(name, way_out)
    yield from _vendor(name, way_out, capability.software)
    yield from _notifications(name, way_out, capability)
    try:
        plan = way_out.plan()
    except RemoteError as error:
        yield Finding(f"{topic} write", False, str(error), "", reached=False)
        return
    for kind, route in plan.items():
        writable = route.how is not How.NOT_WRITABLE
        yield Finding(f"{topic} write {kind.value}", writable or not line.writes, route.how.value, route.why)
    if line.writes:
        yield from writes(name, way_out.client, plan)


def _notifications(name: str, way_out: Exit, capability: Capability) -> Iterator[Finding]:
    """What the EHR is to tell us of its own accord, and whether it can."""
    section, line = way_out.section, way_out.line
    desire = make_desire(name, section) if section.subscribe != "off" else None
    if desire is None:
        return
    planned = plan(desire, capability, line.types, line.fhir_version)
    for wanted in planned.wanted:
        found = f"a {wanted.flavor} Subscription is kept" if wanted.flavor is Flavor.CLASSIC else f"by {wanted.about}"
        yield Finding(f"connection {name} notify {', '.join(wanted.types)}", True, found)
    for kind, why in planned.without.items():
        yield Finding(f"connection {name} notify {kind}", True, "none: it is polled alone", why)
    here, there = urlsplit(desire.base).hostname, urlsplit(section.base_url).hostname
    if here in LOOPBACK and there not in LOOPBACK:
        advice = f"set connections.{name}.subscribe_url to an address at which the EHR reaches Bridge"
        yield Finding(f"connection {name} notify", False, f"the EHR cannot ring at {here}, which is itself", advice)


_SAID = {
    "refused": "nothing listens at that host and port: is the EHR running, and is the port right?",
    "not known": "no computer has that name: is the host in base_url spelt right, and does DNS answer?",
    "name resolution": "no name server answered: is this computer on the network?",
    "no address": "no computer has that name: is the host in base_url spelt right?",
    "certificate": "this computer does not trust its certificate: is it expired, self-signed or another host's?",
    "wrong version number": "it speaks http there, not https: begin base_url with http://, or give the https port",
    "record layer": "it speaks http there, not https: begin base_url with http://, or give the https port",
    "in time": "the host does not answer: is base_url right, and does a firewall stand between?",
    "unreachable": "there is no way to that host: is this computer on the network?",
}
"""What the network says, and what usually lies behind it."""


def _advice(error: BridgeError, section: ConnectionSection) -> str:
    if isinstance(error, AuthExpired):
        given = "no credentials are configured: set auth" if section.auth == "none" else "it does not take them"
        return f"the EHR asks who we are; {given} (auth = {section.auth!r})"
    if isinstance(error, Unreachable):
        said = str(error).lower()
        return next((advice for part, advice in _SAID.items() if part in said), "check base_url and the network")
    if isinstance(error, NotFound):
        return "no FHIR server at that path; base_url ends where /metadata begins, often in /fhir or /r4"
    if isinstance(error, Refused):
        return "the EHR refuses it: ask its administrator what this account may do"
    if isinstance(error, Throttled):
        return "the EHR asks to wait: try again later"
    if isinstance(error, ServerFault) and "in time" in str(error):
        return "it took longer than connections.NAME.timeout_seconds: is the EHR overloaded, or is the way to it slow?"
    if isinstance(error, ServerFault) and error.status is not None and error.status >= 500:
        return "the EHR itself, or what stands before it, is down or fails: its own log or status page says more"
    if section.base_url.startswith("http:"):
        return "is that a FHIR server, and does it speak http rather than https there?"
    return "is that a FHIR server? its own log may say what is wrong"


def _streams(name: str, way_out: Exit) -> Iterator[Finding]:
    """Have the ladder choose how each type is read, and prove it."""
    ladder = way_out.ladder
    for stream in way_out.line.types:
        topic = f"connection {name} read {stream}"
        try:
            choice = ladder.choice(stream)
        except BridgeError as error:
            reached = not isinstance(error, Unreachable)
            yield Finding(topic, False, str(error), _advice(error, way_out.section), reached=reached)
            continue
        if choice.step is None:
            yield Finding(topic, False, choice.words, f"allow it, or leave {stream} out of connections.{name}.read")
        else:
            yield Finding(topic, True, choice.words, "; ".join(f"not {passed}" for passed in choice.passed_over))
    yield from _ehr_clock(name, ladder.ahead)


def _ehr_clock(name: str, ahead: timedelta | None) -> Iterator[Finding]:
    if ahead is None:
        return
    far = abs(ahead) > WORST_CLOCK
    found = (
        f"the EHR's clock is {abs(ahead).total_seconds():.0f} s {'ahead of' if ahead > timedelta() else 'behind'} ours"
    )
    advice = "nothing is lost by it, but times look wrong: mend time synchronisation on one of the two" if far else ""
    yield Finding(f"connection {name} clock", not far, found, advice)


def _authentication(name: str, way_out: Exit) -> Finding:
    """Whether the EHR takes us for who we say we are: a CapabilityStatement is mostly given to anybody."""
    topic, how = f"connection {name} authentication", way_out.section.auth
    try:
        way_out.client.search(way_out.line.types[0], [("_count", "1")])
    except AuthExpired as error:
        return Finding(topic, False, str(error), _advice(error, way_out.section))
    except RemoteError as error:
        return Finding(topic, True, f"{how}; not proven: {error}")
    return Finding(topic, True, "none is asked for" if how == "none" else f"{how}: accepted")


def _vendor(name: str, way_out: Exit, software: str | None) -> Iterator[Finding]:
    """Compare the profile that is configured with the server's own word."""
    vendor, seems = profile(way_out.section.vendor), recognized(software)
    topic = f"connection {name} vendor"
    if seems is not None and vendor.name == "generic":
        advice = f'set connections.{name}.vendor = "{seems.name}", for what is known of it'
        yield Finding(topic, True, f"it seems to be {seems.title}", advice)
    for words in way_out.ladder.disagreements:
        yield Finding(topic, True, words, f"the EHR is believed rather than the profile {vendor.name}")
