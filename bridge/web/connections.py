"""How each connection stands: is its data current, do its counters add up, what is parked and why."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from bridge.cases.intents import IntentState
from bridge.store.port import Tx
from bridge.store.rows import Budget, Counts, Cursor, InboxState, Late, Pause
from bridge.sync.sweep import SWEEP_STREAM
from bridge.web.context import ConnectionInfo
from bridge.web.subscriptions import SubscriptionView, subscription_views


class Health(StrEnum):
    """Whether a connection's data can be relied on right now."""

    CURRENT = "current"
    STARTING = "starting"
    """Not every stream was read through yet."""
    BEHIND = "behind"
    FAILING = "failing"
    PAUSED = "paused"
    """A person told Bridge to leave it alone."""


class Freshness(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a connection's data can be relied on, and up to when it is complete."""

    name: str
    health: Health
    watermark: datetime | None
    """The oldest watermark among the streams; ``None`` until every stream was read through once."""
    problem: str | None


class StreamView(msgspec.Struct, frozen=True, kw_only=True):
    """
    One resource type of a connection. ``received = applied + duplicate + ignored + parked``.

    ``lag_seconds`` is now minus ``watermark``: everything older than that is stored here.
    """

    type: str
    watermark: datetime | None
    last_success_at: datetime | None
    lag_seconds: float | None
    crawling: bool
    crawled: int
    rung: str | None
    """By which rung of the ladder it is read; ``null`` until it was."""
    rung_reason: str | None
    """The rung, why it was chosen and how it was proven; ``null`` until it was tried since the start."""
    problem: str | None
    warnings: tuple[str, ...]
    """What the EHR warned of in the last complete read, as codes."""
    received: int
    applied: int
    duplicate: int
    ignored: int
    parked: int
    late_rows: int
    """How many versions came by another way after a poll had read past them."""


class OutboxStand(msgspec.Struct, frozen=True, kw_only=True):
    """How many intents are in each state, and since when the oldest unsent one waits."""

    queued: int
    sending: int
    confirmed: int
    superseded: int
    parked: int
    not_writable: int = msgspec.field(name="not-writable")
    oldest_at: datetime | None
    oldest_age_seconds: float | None


class ParkedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Received versions that could not be used for one and the same reason, with an example's words."""

    type: str
    code: str
    count: int
    example: str | None


class RouteView(msgspec.Struct, frozen=True):
    """How one kind of intent is written to this EHR, and why so."""

    kind: str
    how: str
    reason: str


class PauseView(msgspec.Struct, frozen=True, kw_only=True):
    """What a person told Bridge to leave alone: one resource type, or without one the whole connection."""

    type: str | None
    by: str
    at: datetime


class LateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Versions that a poll had read past without finding them, by what found them (``sweep``, ``notify``)."""

    type: str
    path: str
    count: int


class NotAsked(msgspec.Struct, frozen=True, kw_only=True):
    """Until when the EHR is not asked: it did not answer (``away_since``), or it asked to be left alone."""

    until: datetime
    away_since: datetime | None
    reason: str


class ConnectionView(msgspec.Struct, frozen=True, kw_only=True):
    """One connection: whether its data is current, what came in, what went out, what is stuck."""

    name: str
    base_url: str
    vendor: str
    fhir_version: str
    writes: bool
    health: Health
    sentence: str
    watermark: datetime | None
    """The oldest watermark among the streams; ``null`` until every stream was read through once."""
    last_success_at: datetime | None
    lag_seconds: float | None
    problem: str | None
    not_asked: NotAsked | None
    pauses: tuple[PauseView, ...]
    streams: tuple[StreamView, ...]
    outbox: OutboxStand
    parked: tuple[ParkedGroup, ...]
    late: tuple[LateGroup, ...]
    repairs: int
    """How many versions the sweep found that a poll had read past."""
    second_copies: int
    """How many resources of ours stood twice; the second of each is marked as entered in error."""
    routes: tuple[RouteView, ...]
    disagreements: tuple[str, ...]
    """Where the server declares otherwise than its vendor's profile says; the server is believed."""
    subscriptions: tuple[SubscriptionView, ...]
    without_notifications: dict[str, str]
    """The types that nothing tells of though that was asked for, and why."""


class ConnectionList(msgspec.Struct, frozen=True):
    """Every configured connection."""

    connections: tuple[ConnectionView, ...]


def data_as_of(cursors: Iterable[Cursor], types: Iterable[str]) -> datetime | None:
    """Return the oldest watermark among the streams *types*, or ``None`` while one of them has none."""
    known = {cursor.stream: cursor.known_until for cursor in cursors}
    return _oldest([known.get(stream) for stream in types])


def _oldest(instants: Sequence[datetime | None]) -> datetime | None:
    known = [at for at in instants if at is not None]
    return min(known) if known and len(known) == len(instants) else None


def freshness(
    name: str,
    types: Collection[str],
    cursors: Iterable[Cursor],
    *,
    now: datetime,
    stale_after: timedelta,
    pauses: Iterable[Pause] = (),
) -> Freshness:
    """Return how fresh the data of a connection with these *cursors* and *pauses* is."""
    read = {cursor.stream: cursor for cursor in cursors if cursor.stream in types}
    watermark = data_as_of(read.values(), types)
    problem = next((f"{cursor.stream}: {cursor.problem}" for cursor in read.values() if cursor.problem), None)
    health = _health(watermark, problem, now, stale_after)
    if any(row.type is None for row in pauses):
        health = Health.PAUSED
    return Freshness(name=name, health=health, watermark=watermark, problem=problem)


def connection_view(tx: Tx, info: ConnectionInfo, *, now: datetime, stale_after: timedelta) -> ConnectionView:
    """Read how *info*'s connection stands."""
    cursors = {cursor.stream: cursor for cursor in tx.cursors(info.name)}
    totals, late, pauses = tx.totals(info.name), tx.late(info.name), tx.pauses(info.name)
    streams = tuple(
        _stream(name, cursors.get(name), totals.get(name, Counts()), info.reads.get(name), now, _late_rows(late, name))
        for name in _streams(info, totals)
    )
    fresh = freshness(info.name, info.types, cursors.values(), now=now, stale_after=stale_after, pauses=pauses)
    successes = [stream.last_success_at for stream in streams if stream.type in info.types]
    return ConnectionView(
        name=info.name,
        base_url=info.base_url,
        vendor=info.vendor,
        fhir_version=info.fhir_version,
        writes=info.writes,
        health=fresh.health,
        sentence=_SENTENCES[fresh.health],
        watermark=fresh.watermark,
        last_success_at=_oldest(successes),
        lag_seconds=_age(fresh.watermark, now),
        problem=fresh.problem,
        not_asked=not_asked(tx.budget(info.name), now),
        pauses=tuple(PauseView(type=row.type, by=row.by, at=row.at) for row in pauses),
        streams=streams,
        outbox=_outbox(tx, info.name, now),
        parked=tuple(_groups(tx, info.name)),
        late=tuple(LateGroup(type=row.type, path=row.path, count=row.found) for row in late),
        repairs=repairs(late),
        second_copies=tx.copies(info.name).get(IntentState.CONFIRMED, 0),
        routes=tuple(RouteView(route.kind, route.how, route.reason) for route in info.routes),
        disagreements=tuple(info.disagreements),
        subscriptions=subscription_views(tx, info.name, now),
        without_notifications=dict(info.without),
    )


def not_asked(budget: Budget, now: datetime) -> NotAsked | None:
    """Return until when the EHR is left alone, and why; ``None`` when it may be asked now."""
    if budget.open_until is not None:
        reason = budget.reason or "it does not answer"
        return NotAsked(until=max(budget.open_until, now), away_since=budget.away_since, reason=reason)
    if budget.asked_until is not None and budget.asked_until > now:
        return NotAsked(until=budget.asked_until, away_since=None, reason="it asked to be left alone")
    return None


_SENTENCES = {
    Health.CURRENT: "The data is current.",
    Health.STARTING: "The first read is not complete yet: cases may be missing.",
    Health.BEHIND: "The data is out of date: nothing new was read for too long.",
    Health.PAUSED: "Paused: nothing is read and nothing is written until somebody resumes it.",
    Health.FAILING: "Reading fails: what changed in the EHR since then is not shown.",
}


def _health(watermark: datetime | None, problem: str | None, now: datetime, stale_after: timedelta) -> Health:
    if problem is not None:
        return Health.FAILING
    if watermark is None:
        return Health.STARTING
    return Health.BEHIND if now - watermark > stale_after else Health.CURRENT


def _streams(info: ConnectionInfo, totals: Iterable[str]) -> list[str]:
    """What is configured, in reading order, then what was read once and is not any more."""
    return [*info.types, *sorted(set(totals) - set(info.types))]


def _stream(
    name: str, cursor: Cursor | None, counts: Counts, reason: str | None, now: datetime, late_rows: int
) -> StreamView:
    cursor = cursor or Cursor(connection="", stream=name)
    return StreamView(
        type=name,
        watermark=cursor.known_until,
        last_success_at=cursor.checked_at,
        lag_seconds=_age(cursor.known_until, now),
        crawling=cursor.started_at is not None,
        crawled=cursor.read,
        rung=cursor.rung,
        rung_reason=reason,
        problem=cursor.problem,
        warnings=cursor.warnings,
        received=counts.received,
        applied=counts.applied,
        duplicate=counts.duplicate,
        ignored=counts.ignored,
        parked=counts.parked,
        late_rows=late_rows,
    )


def _late_rows(late: Iterable[Late], stream: str) -> int:
    return sum(row.found for row in late if row.type == stream)


def repairs(late: Iterable[Late]) -> int:
    """
    Return how many versions the sweep brought that a poll had read past.

    What the sweep brought before a poll was due is no repair: where much changes, there is some of it every time.
    """
    return sum(row.found for row in late if row.path == SWEEP_STREAM)


def _outbox(tx: Tx, connection: str, now: datetime) -> OutboxStand:
    counts = tx.outbox_counts(connection)
    oldest = oldest_unsent_at(tx, connection)
    return OutboxStand(
        queued=counts.get(IntentState.QUEUED, 0),
        sending=counts.get(IntentState.SENDING, 0),
        confirmed=counts.get(IntentState.CONFIRMED, 0),
        superseded=counts.get(IntentState.SUPERSEDED, 0),
        parked=counts.get(IntentState.PARKED, 0),
        not_writable=counts.get(IntentState.NOT_WRITABLE, 0),
        oldest_at=oldest,
        oldest_age_seconds=_age(oldest, now),
    )


def oldest_unsent_at(tx: Tx, connection: str) -> datetime | None:
    """Return since when the oldest intent that is not on the EHR yet waits."""
    waiting = [
        row.created_at
        for state in (IntentState.QUEUED, IntentState.SENDING)
        for row in tx.outbox(connection=connection, state=state, limit=1)
    ]
    return min(waiting, default=None)


def _groups(tx: Tx, connection: str) -> Iterable[ParkedGroup]:
    for _, type_, code, count in tx.parked_groups(connection):
        rows = tx.inbox(connection=connection, state=InboxState.PARKED, code=code, limit=20)
        example = next((row.reason for row in rows if row.type == type_), None)
        yield ParkedGroup(type=type_, code=code, count=count, example=example)


def _age(at: datetime | None, now: datetime) -> float | None:
    return None if at is None else max(0.0, (now - at).total_seconds())
