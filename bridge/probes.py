"""
What ``bridge doctor`` tries out: how fast and how safely the database commits, TLS, and whether writing is allowed.

Nothing is changed by it. The database that Bridge works with is not written to: on SQLite a file of its own beside it
is, which is removed again, and on PostgreSQL a message into the log that nobody keeps. An EHR is sent writes without a
body: whoever may write is told that there is nothing in it, whoever may not is told that.
"""

from __future__ import annotations

import socket
import sqlite3
import ssl
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

import httpx
from sqlalchemy import Connection, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import NullPool

from bridge.cases.intents import IntentKind
from bridge.errors import RemoteError, Unreachable
from bridge.fhir.client import FhirClient
from bridge.finding import Finding
from bridge.store.engine import parse
from bridge.tasks.route import How, Route, RoutePlan

SLOW_COMMIT = timedelta(milliseconds=50)
"""From how long a commit on is told to be slow: an intake of pages makes a few a second (rule ours)."""

COMMITS = 5
"""How many commits are timed; the middle one counts."""

ENDS_SOON = timedelta(days=14)
"""How long before its end a certificate is something for a person (rule ours)."""

OTHER_CLOCK = timedelta(seconds=5)
"""From when on the database server's clock is told to be another than ours (rule ours)."""

LOOPBACK = ("localhost", "127.0.0.1", "::1")

_CONTENT = (400, 409, 411, 412, 415, 422)
"""What servers answer to a write with nothing in it that they would have carried out."""
_NOT_KNOWN, _NOT_ALLOWED = 401, 403
_NO_WAY = (404, 405, 501)
_MESSAGES = (IntentKind.STATUS_MESSAGE, IntentKind.OUTREACH_RECORD)


# The database ---------------------------------------------------------------------------------------------


def sqlite_commits(file: Path) -> Finding:
    """Return how long a durable commit takes in the folder of *file*."""
    try:
        with tempfile.TemporaryDirectory(dir=file.parent, prefix=".bridge-doctor-") as folder:
            return _commit_time(_timed_sqlite(Path(folder) / "commit.sqlite3"))
    except (OSError, sqlite3.Error) as error:
        return Finding("database commit", False, f"{file.parent} cannot be written to ({error})", "mend its owner")


def _timed_sqlite(file: Path) -> list[timedelta]:
    with closing(sqlite3.connect(file, isolation_level=None)) as conn:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            conn.execute(f"PRAGMA {pragma}")
        conn.execute("CREATE TABLE doctor (n INTEGER)")
        return [_timed(lambda: conn.execute("INSERT INTO doctor VALUES (1)")) for _ in range(COMMITS)]


def _timed(work: Callable[[], object]) -> timedelta:
    began = time.perf_counter()
    work()
    return timedelta(seconds=time.perf_counter() - began)


def _commit_time(took: list[timedelta]) -> Finding:
    middle = sorted(took)[len(took) // 2]
    fast = middle <= SLOW_COMMIT
    advice = "" if fast else "everything waits for it: use a local disk that syncs faster, not a network share"
    return Finding("database commit", fast, f"a durable commit takes {middle.total_seconds() * 1000:.1f} ms", advice)


def sqlite_durability(file: Path) -> Finding:
    """
    Return whether the file's journal is the one that Bridge makes durable.

    Its header says so (sqlite.org/fileformat2.html, 1.3.3): even who only reads leaves files beside a WAL database.
    """
    with file.open("rb") as opened:
        header = opened.read(20)
    mode = "wal" if header[18:19] == b"\x02" else "not wal"
    advice = "" if mode == "wal" else "Bridge sets it at its next start"
    return Finding("database durability", True, f"journal {mode}, synchronous FULL on every commit", advice)


_SETTINGS = ("fsync", "synchronous_commit", "full_page_writes")


def postgresql(url: str) -> Iterator[Finding]:
    """Return the server's version, whether what it acknowledged survives, how fast that is, and its clock."""
    engine = create_engine(parse(url), poolclass=NullPool, hide_parameters=True)
    try:
        with engine.connect() as conn:
            version = str(conn.exec_driver_sql("SHOW server_version").scalar_one())
            yield Finding("database engine", True, f"PostgreSQL {version}")
            yield _durability(conn)
            conn.commit()
            yield _commit_time([_timed(lambda: _commit(conn)) for _ in range(COMMITS)])
            yield _clock(conn)
    except DBAPIError as error:
        said = next(iter(str(error.orig).splitlines()), "no answer")
        yield Finding("database engine", False, f"it does not tell: {said}", reached=False)
    finally:
        engine.dispose()


def _durability(conn: Connection) -> Finding:
    found = {name: str(conn.exec_driver_sql(f"SHOW {name}").scalar_one()) for name in _SETTINGS}
    off = [name for name, value in found.items() if value == "off"]
    shown = ", ".join(f"{name} {value}" for name, value in found.items())
    advice = f"a power cut loses what was acknowledged: set {' and '.join(off)} to on" if off else ""
    return Finding("database durability", not off, shown, advice)


def _commit(conn: Connection) -> None:
    conn.exec_driver_sql("SELECT pg_logical_emit_message(true, 'bridge-doctor', '')")
    conn.commit()


def _clock(conn: Connection) -> Finding:
    theirs = conn.exec_driver_sql("SELECT clock_timestamp()").scalar_one()
    ahead = theirs.astimezone(UTC) - datetime.now(UTC)
    same = abs(ahead) <= OTHER_CLOCK
    found = (
        f"the database server's is {abs(ahead).total_seconds():.0f} s {'ahead of' if ahead > timedelta() else 'behind'}"
    )
    return Finding("clock", same, f"{found} ours", "" if same else "mend time synchronisation on one of the two")


# TLS --------------------------------------------------------------------------------------------------------


def tls(topic: str, base_url: str, timeout: float, now: datetime) -> Iterator[Finding]:
    """Return how an EHR is reached and until when its certificate is valid; nothing where it does not answer."""
    address = urlsplit(base_url)
    host = address.hostname or ""
    if address.scheme == "http":
        if host not in LOOPBACK:
            advice = "patients' data travels readable: use an https base_url"
            yield Finding(topic, True, "none: it is spoken to by http", advice)
        return
    context = httpx.create_ssl_context(trust_env=True)
    try:
        with (
            socket.create_connection((host, address.port or 443), timeout) as raw,
            context.wrap_socket(raw, server_hostname=host) as wrapped,
        ):
            yield _certificate(topic, wrapped, now)
    except ssl.SSLCertVerificationError as error:
        advice = "renew it, or name its authority in SSL_CERT_FILE"
        yield Finding(topic, False, f"its certificate is not trusted: {error.verify_message}", advice, reached=False)
    except OSError:
        return  # Whether it answers at all is told by the next finding.


def _certificate(topic: str, wrapped: ssl.SSLSocket, now: datetime) -> Finding:
    told = wrapped.getpeercert() or {}
    ends_at = datetime.fromtimestamp(ssl.cert_time_to_seconds(str(told["notAfter"])), UTC)
    left = ends_at - now
    fine = left > ENDS_SOON
    found = f"{wrapped.version()}, its certificate is valid until {ends_at:%Y-%m-%d}"
    return Finding(topic, fine, found, "" if fine else f"it ends in {left.days} days: have it renewed")


# Writing ------------------------------------------------------------------------------------------------------


def writes(name: str, client: FhirClient, plan: RoutePlan) -> Iterator[Finding]:
    """Return, for each way to write that the plan has, whether the EHR lets us go it; nothing is written."""
    tried: dict[tuple[str, str], tuple[bool, str, str]] = {}
    for kind, route in plan.items():
        way = _way(kind, route)
        if way is None:
            continue
        if way not in tried:
            tried[way] = _knock(client, *way, exists=route.how is How.UPDATE)
        ok, found, advice = tried[way]
        yield Finding(f"connection {name} write {kind.value} try", ok, f"{way[0]} {way[1]}: {found}", advice)


def _way(kind: IntentKind, route: Route) -> tuple[str, str] | None:
    type_ = "Communication" if kind in _MESSAGES else "Task"
    if route.how is How.CONDITIONAL_CREATE:
        return "POST", type_
    if route.how in (How.PUT_OWN_ID, How.UPDATE):
        return "PUT", f"{type_}/bridge-doctor"
    return None


def _knock(client: FhirClient, method: str, path: str, *, exists: bool) -> tuple[bool, str, str]:
    """
    Return whether writing there is allowed, what was found, and what to do.

    Args:
        exists: The way is for what is there already: a server may say that there is nothing at this address.
    """
    try:
        status = client.knock(method, path)
    except Unreachable as error:
        return False, str(error), "check base_url and the network"
    except RemoteError as error:
        return True, f"not proven: {error}", ""
    if status in _CONTENT:
        return True, f"a write with nothing in it is refused for that alone ({status})", ""
    if status == _NOT_KNOWN:
        return False, f"answered {status}", "the EHR does not take who we say we are: see authentication"
    if status == _NOT_ALLOWED:
        return False, f"answered {status}", "give Bridge's client the scope to write, or set write = false"
    if status in _NO_WAY and not exists:
        return False, f"answered {status}", "the server declares what it does not do; ask its administrator"
    return True, f"not proven: answered {status} to a write with nothing in it", ""
