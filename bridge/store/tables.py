"""
The database: every table, and every rule that the database itself can hold.

Hot tables have integer keys. What is large and rarely read together with the rest has a table of its own:
raw bodies (``raw_page``) and case states (``case_state``), so that lists and counts read narrow rows.
A resource is an integer everywhere but in ``resource``: the ids that servers give have no order, so an index
over them is written all over, and one such index is enough. It begins with what is rare (``ref``): PostgreSQL,
while it has no statistics yet, took an index that began with the connection and read all of it. Instants are
integer microseconds (``codec.micros``). Conditions that partial indexes share with queries are defined here once,
with literal values: a planner cannot match a partial index against a bound parameter.
"""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    DDL,
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    and_,
    event,
    literal_column,
    or_,
    text,
)

from bridge.cases.intents import IntentKind, IntentState
from bridge.cases.terms import Status
from bridge.store.codec import NEVER
from bridge.store.rows import InboxState

metadata = MetaData(
    naming_convention={
        "pk": "pk_%(table_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
    }
)

Key = BigInteger().with_variant(Integer, "sqlite")
"""SQLite makes only INTEGER PRIMARY KEY an alias of the row id."""
Instant = BigInteger()
Words = Text().with_variant(Text(collation="C"), "postgresql")
"""Text that both databases compare by code point."""


def _one_of(column: str, values: type[StrEnum]) -> CheckConstraint:
    """
    Return the rule that *column* is one of *values*, which are plain words.

    Compared one by one: for an IN list of three or more SQLite fills a temporary index for every row (measured
    2026-11: 12 us instead of 7 to insert one outbox row).
    """
    return CheckConstraint(" OR ".join(f"{column} = '{value}'" for value in values), name=f"{column}_known")


def _connection() -> Column[int]:
    return Column("connection_id", Integer, ForeignKey("connection.id"), nullable=False)


connection = Table(
    "connection",
    metadata,
    Column("id", Integer, Identity(), primary_key=True),
    Column("name", Words, nullable=False),
    UniqueConstraint("name"),
)

resource = Table(
    "resource",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    _connection(),
    Column("ref", Words, nullable=False),
    UniqueConstraint("ref", "connection_id"),
)
"""Every resource that was received, or named as the root of work: its key stands for ``Type/id`` elsewhere."""


def _resource(name: str, *, nullable: bool = False, primary_key: bool = False) -> Column[int]:
    link = ForeignKey("resource.id")
    return Column(name, Key, link, nullable=nullable, primary_key=primary_key, autoincrement=False)


raw_page = Table(
    "raw_page",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    Column("body", LargeBinary, nullable=False),
)
"""The bodies of versions that came together, one after the other, compressed as one: they resemble each other."""

source_version = Table(
    "source_version",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    _resource("resource_id"),
    Column("type", Words, nullable=False),
    Column("version", Words, nullable=False),
    Column("updated_at", Instant),
    Column("received_at", Instant, nullable=False),
    Column("path", Words, nullable=False),
    Column("state", Words, nullable=False),
    Column("code", Words),
    Column("reason", Words),
    Column("raw_id", BigInteger, ForeignKey("raw_page.id"), nullable=False),
    Column("raw_at", Integer, nullable=False),
    Column("raw_size", Integer, nullable=False),
    UniqueConstraint("resource_id", "version"),
    _one_of("state", InboxState),
    CheckConstraint("state = 'applied' OR code IS NOT NULL", name="not_applied_says_why"),
)

stream_total = Table(
    "stream_total",
    metadata,
    _connection(),
    Column("stream", Words, nullable=False),
    Column("received", BigInteger, nullable=False),
    Column("applied", BigInteger, nullable=False),
    Column("duplicate", BigInteger, nullable=False),
    Column("ignored", BigInteger, nullable=False),
    Column("parked", BigInteger, nullable=False),
    PrimaryKeyConstraint("connection_id", "stream"),
    CheckConstraint("received = applied + duplicate + ignored + parked", name="adds_up"),
)

cursor = Table(
    "cursor",
    metadata,
    _connection(),
    Column("stream", Words, nullable=False),
    Column("watermark", Instant),
    Column("position", Instant),
    Column("started_at", Instant),
    Column("place", Words),
    Column("read", BigInteger, nullable=False),
    Column("checked_at", Instant),
    Column("problem", Words),
    Column("warnings", Words),
    Column("rung", Words),
    Column("behind_since", Instant),
    PrimaryKeyConstraint("connection_id", "stream"),
)

source = Table(
    "source",
    metadata,
    _resource("resource_id", primary_key=True),
    _resource("root_id"),
    Column("opened", Boolean, nullable=False),
    Column("began_at", Instant, nullable=False),
    Column("gone_at", Instant),
    Column("missed_at", Instant),
    Column("watch_at", Instant),
    _resource("aside_id", nullable=True),
    Column("unread", LargeBinary),
    Column("snapshot", LargeBinary, nullable=False),
)

care_case = Table(
    "care_case",
    metadata,
    _resource("pk", primary_key=True),
    Column("id", Words, nullable=False),
    _connection(),
    Column("tenant", Words, nullable=False),
    Column("version", Integer, nullable=False),
    Column("merged_into", Words, ForeignKey("care_case.id")),
    Column("lane", Words, nullable=False),
    Column("status", Words, nullable=False),
    Column("owner", Words, nullable=False),
    Column("owner_ref", Words),
    Column("by_role", Boolean, nullable=False),
    Column("patient", Words),
    Column("blocker", Words),
    Column("escalated", Boolean, nullable=False),
    Column("due_order", BigInteger, nullable=False),
    Column("opened_at", Instant, nullable=False),
    Column("search_text", Words, nullable=False),
    Column("wake_at", Instant),
    Column("closed_order", BigInteger, nullable=False, server_default=text(str(NEVER))),
    Column("next_action", Words),
    Column("closure", Words),
    UniqueConstraint("id"),
    _one_of("status", Status),
    CheckConstraint("version >= 1", name="version_from_one"),
    CheckConstraint("merged_into <> id", name="not_merged_into_itself"),
)

"""A case's key is the key of its root: a resource is the root of one case at most."""

case_state = Table(
    "case_state",
    metadata,
    Column("case_pk", Key, ForeignKey("care_case.pk"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
"""There is none while the case stands as it was opened: then it is in the first entry of its history."""

case_change = Table(
    "case_change",
    metadata,
    Column("case_pk", Key, ForeignKey("care_case.pk"), nullable=False),
    Column("seq", Integer, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("case_pk", "seq"),
    CheckConstraint("seq >= 1", name="seq_from_one"),
)

case_hold = Table(
    "case_hold",
    metadata,
    Column("case_pk", Key, ForeignKey("care_case.pk"), nullable=False),
    Column("category", Words, nullable=False),
    Column("times", Integer, nullable=False),
    PrimaryKeyConstraint("case_pk", "category"),
    CheckConstraint("times >= 1", name="times_from_one"),
)
"""How often each kind of blocker began to hold a case up."""

outbox = Table(
    "outbox",
    metadata,
    Column("id", Key, Identity(), primary_key=True),
    _connection(),
    Column("case_pk", Key, ForeignKey("care_case.pk"), nullable=False),
    Column("kind", Words, nullable=False),
    Column("slot", Words, nullable=False),
    Column("level_slot", Words),
    Column("key", Words, nullable=False),
    Column("case_version", Integer, nullable=False),
    Column("target", Words),
    Column("message", LargeBinary),
    Column("created_at", Instant, nullable=False),
    Column("state", Words, nullable=False),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("next_at", Instant, nullable=False),
    Column("token", BigInteger, nullable=False, server_default="0"),
    Column("lease_until", Instant),
    Column("unsure", Boolean, nullable=False),
    Column("code", Words),
    Column("reason", Words),
    Column("written", Words),
    Column("written_version", Words),
    Column("settled_at", Instant),
    Column("unsure_at", Instant),
    UniqueConstraint("case_pk", "key"),
    _one_of("kind", IntentKind),
    _one_of("state", IntentState),
    CheckConstraint("(state IN ('queued', 'sending')) = (settled_at IS NULL)", name="settled_when_final"),
    CheckConstraint("(state = 'sending') = (lease_until IS NOT NULL)", name="leased_while_sending"),
    CheckConstraint("attempts >= 0", name="attempts_counted"),
    CheckConstraint("level_slot = slot", name="level_slot_is_slot"),
)

person = Table(
    "person",
    metadata,
    _connection(),
    Column("ref", Words, nullable=False),
    Column("body", LargeBinary),
    Column("read_at", Instant),
    Column("wanted_at", Instant),
    PrimaryKeyConstraint("ref", "connection_id"),
    CheckConstraint("body IS NOT NULL OR wanted_at IS NOT NULL", name="known_or_wanted"),
)

hint = Table(
    "hint",
    metadata,
    _connection(),
    Column("ref", Words, nullable=False),
    Column("noted_at", Instant, nullable=False),
    Column("mark", BigInteger, nullable=False),
    PrimaryKeyConstraint("ref", "connection_id"),
)

budget = Table(
    "budget",
    metadata,
    Column("connection_id", Integer, ForeignKey("connection.id"), primary_key=True, autoincrement=False),
    Column("next_at", Instant),
    Column("asked_until", Instant),
    Column("away_since", Instant),
    Column("open_until", Instant),
    Column("trips", Integer, nullable=False),
    Column("recovered_at", Instant),
    Column("reason", Words),
    Column("cause", Words),
    Column("ahead", BigInteger),
    CheckConstraint("(open_until IS NULL) = (away_since IS NULL)", name="away_while_open"),
    CheckConstraint("(open_until IS NULL) = (trips = 0)", name="trips_while_open"),
)

worker = Table(
    "worker",
    metadata,
    Column("name", Words, primary_key=True),
    Column("seen_at", Instant, nullable=False),
)

subscription = Table(
    "subscription",
    metadata,
    _connection(),
    Column("key", Words, nullable=False),
    Column("body", LargeBinary, nullable=False),
    PrimaryKeyConstraint("key", "connection_id"),
)

timer = Table(
    "timer",
    metadata,
    Column("name", Words, primary_key=True),
    Column("due_at", Instant, nullable=False),
)

turn = Table(
    "turn",
    metadata,
    Column("name", Words, primary_key=True),
    Column("number", BigInteger, nullable=False),
    Column("until", Instant, nullable=False),
)

pause = Table(
    "pause",
    metadata,
    _connection(),
    Column("type", Words, nullable=False),
    Column("paused_by", Words, nullable=False),
    Column("paused_at", Instant, nullable=False),
    PrimaryKeyConstraint("connection_id", "type"),
)
"""What people told Bridge to leave alone; no type means the whole connection."""

restored = Table(
    "restored",
    metadata,
    Column("connection_id", Integer, ForeignKey("connection.id"), primary_key=True, autoincrement=False),
    Column("body", LargeBinary, nullable=False),
)
"""How the last restore from a backup went, for each connection."""

late = Table(
    "late",
    metadata,
    _connection(),
    Column("type", Words, nullable=False),
    Column("path", Words, nullable=False),
    Column("found", BigInteger, nullable=False),
    PrimaryKeyConstraint("connection_id", "type", "path"),
)

delivery_total = Table(
    "delivery_total",
    metadata,
    _connection(),
    Column("kind", Words, nullable=False),
    Column("outcome", Words, nullable=False),
    Column("code", Words, nullable=False),
    Column("found", BigInteger, nullable=False),
    PrimaryKeyConstraint("connection_id", "kind", "outcome", "code"),
)
"""How many deliveries ended how: a running total, which no tidying of the outbox changes."""

JOINED = source.c.root_id != source.c.resource_id
"""Sources in the group of another one; the rest, most of them, need no second index entry."""
LIVE = care_case.c.merged_into.is_(None)
OWNED_IN_EHR = and_(LIVE, care_case.c.owner_ref.is_not(None))
"""Cases whose owner the EHR names. Our own owners have many cases each: an index on them, taken by SQLite for
the worklist of one owner, made it sort 100,000 cases (118 ms) instead of reading 51 in order."""
OPEN = and_(LIVE, care_case.c.status != literal_column("'closed'"))
CLOSED = and_(LIVE, care_case.c.status == literal_column("'closed'"))
ESCALATED = and_(OPEN, care_case.c.escalated)
BLOCKED = and_(OPEN, care_case.c.blocker.is_not(None))
WAKES = care_case.c.wake_at.is_not(None)
HAS_RAW = source_version.c.raw_size > literal_column("0")
"""Versions whose bytes are kept: none that was received is empty."""
LATE = source_version.c.code == literal_column("'late'")
PARKED = source_version.c.state == literal_column("'parked'")
QUEUED = outbox.c.state == literal_column("'queued'")
SENDING = outbox.c.state == literal_column("'sending'")
STUCK = outbox.c.state.in_([literal_column("'parked'"), literal_column("'not-writable'")])
TASK_WRITTEN = and_(outbox.c.kind == literal_column("'coordination-task'"), outbox.c.written.is_not(None))
ENDED = and_(
    outbox.c.level_slot.is_not(None),
    or_(outbox.c.state == literal_column("'confirmed'"), outbox.c.state == literal_column("'superseded'")),
)
"""Level intents that came to an end by themselves: what a later one says is what counts."""
COPY = and_(outbox.c.kind == literal_column("'retraction'"), outbox.c.target.is_not(None))
ATTEMPT = outbox.c.kind == literal_column("'outreach-record'")
UNSENT = and_(
    outbox.c.level_slot.is_not(None),
    or_(
        outbox.c.state == literal_column("'queued'"),
        outbox.c.state == literal_column("'parked'"),
        outbox.c.state == literal_column("'not-writable'"),
    ),
)
"""Level intents that a newer one of the same slot takes the place of; at most one per slot of a case."""


def _partial(name: str, where: ColumnElement[bool], *columns: Column[object], unique: bool = False) -> Index:
    return Index(name, *columns, unique=unique, sqlite_where=where, postgresql_where=where)


_LISTED = (
    care_case.c.opened_at,
    care_case.c.pk,
    care_case.c.connection_id,
    care_case.c.lane,
    care_case.c.status,
    care_case.c.owner,
    care_case.c.by_role,
    care_case.c.blocker,
    care_case.c.escalated,
    care_case.c.next_action,
    care_case.c.closure,
)
"""What worklists are ordered and filtered by: their indexes answer alone, read in order until that is enough."""
_LISTED_OF_ONE = tuple(column for column in _LISTED if column is not care_case.c.owner)

_partial("ix_source_joined", JOINED, source.c.root_id)
_partial("ix_source_aside", source.c.aside_id.is_not(None), source.c.aside_id)
_partial("ix_source_watch", source.c.watch_at.is_not(None), source.c.watch_at)
_partial("ix_source_version_parked", PARKED, source_version.c.id)
_partial("ix_source_version_raw", HAS_RAW, source_version.c.raw_id)
_partial("ix_source_version_late", LATE, source_version.c.id)
_partial("ix_care_case_patient", LIVE, care_case.c.patient)
_partial("ix_care_case_owner", OWNED_IN_EHR, care_case.c.owner_ref)
_partial("ix_care_case_due", LIVE, care_case.c.due_order, care_case.c.opened_at, care_case.c.pk)
_partial("ix_care_case_open", OPEN, care_case.c.due_order, *_LISTED)
_partial("ix_care_case_owned", OPEN, care_case.c.owner, care_case.c.due_order, *_LISTED_OF_ONE)
_partial("ix_care_case_escalated", ESCALATED, care_case.c.due_order, *_LISTED)
_partial("ix_care_case_blocked", BLOCKED, care_case.c.due_order, *_LISTED)
_partial("ix_care_case_closed", CLOSED, care_case.c.closed_order, *_LISTED)
_partial("ix_care_case_wake", WAKES, care_case.c.connection_id, care_case.c.wake_at)
_partial("uq_outbox_sending", SENDING, outbox.c.case_pk, unique=True)
_partial("uq_outbox_slot", UNSENT, outbox.c.case_pk, outbox.c.level_slot, unique=True)
_partial("ix_outbox_due", QUEUED, outbox.c.connection_id, outbox.c.next_at, outbox.c.id)
_partial("ix_outbox_stuck", STUCK, outbox.c.connection_id, outbox.c.id)
_partial("ix_outbox_our_tasks", TASK_WRITTEN, outbox.c.written)
_partial("ix_outbox_copy", COPY, outbox.c.connection_id)
_partial("ix_outbox_attempt", ATTEMPT, outbox.c.key)
_partial("ix_person_wanted", person.c.wanted_at.is_not(None), person.c.connection_id, person.c.wanted_at)

APPEND_ONLY: dict[str, tuple[str, ...]] = {
    "sqlite": tuple(
        f"CREATE TRIGGER case_change_no_{verb} BEFORE {verb} ON case_change"
        " BEGIN SELECT RAISE(ABORT, 'case history is append-only'); END"
        for verb in ("update", "delete")
    ),
    "postgresql": (
        "CREATE FUNCTION case_change_refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'case history is append-only' USING ERRCODE = '23000';"
        " END $$",
        "CREATE TRIGGER case_change_append_only BEFORE UPDATE OR DELETE ON case_change"
        " FOR EACH ROW EXECUTE FUNCTION case_change_refuse()",
    ),
}
"""What makes history append-only on each database; the first migration holds its own copy."""

for _dialect, _statements in APPEND_ONLY.items():
    for _statement in _statements:
        _ddl = DDL(_statement)  # type: ignore[no-untyped-call]
        event.listen(case_change, "after_create", _ddl.execute_if(dialect=_dialect))
