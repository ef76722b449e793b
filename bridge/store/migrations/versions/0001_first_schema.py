"""
The first schema.

What a revision makes is written out here and never taken from ``tables``, which will move on.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {}
per_row_us: dict[str, float] = {}

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
WORDS = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
APPEND_ONLY = {
    "sqlite": (
        "CREATE TRIGGER case_change_no_update BEFORE update ON case_change"
        " BEGIN SELECT RAISE(ABORT, 'case history is append-only'); END",
        "CREATE TRIGGER case_change_no_delete BEFORE delete ON case_change"
        " BEGIN SELECT RAISE(ABORT, 'case history is append-only'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION case_change_refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'case history is append-only' USING ERRCODE = '23000'; END $$",
        "CREATE TRIGGER case_change_append_only BEFORE UPDATE OR DELETE ON case_change"
        " FOR EACH ROW EXECUTE FUNCTION case_change_refuse()",
    ),
}


def upgrade() -> None:
    """Make every table, index and trigger."""
    _connections_and_timers()
    _resources()
    _cases()
    _inbox()
    _sources_and_people()
    _outbox()
    for statement in APPEND_ONLY[op.get_bind().dialect.name]:
        op.execute(statement)


def _partial(name: str, table: str, columns: list[str], where: str, *, unique: bool = False) -> None:
    condition = sa.text(where)
    op.create_index(name, table, columns, unique=unique, sqlite_where=condition, postgresql_where=condition)


def _connections_and_timers() -> None:
    op.create_table(
        "connection",
        sa.Column("id", sa.Integer(), sa.Identity(), nullable=False),
        sa.Column("name", WORDS, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_connection")),
        sa.UniqueConstraint("name", name=op.f("uq_connection_name")),
    )
    op.create_table(
        "timer",
        sa.Column("name", WORDS, nullable=False),
        sa.Column("due_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_timer")),
    )


def _resources() -> None:
    op.create_table(
        "resource",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("ref", WORDS, nullable=False),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_resource_connection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_resource")),
        sa.UniqueConstraint("ref", "connection_id", name=op.f("uq_resource_ref")),
    )


def _cases() -> None:
    op.create_table(
        "care_case",
        sa.Column("pk", KEY, autoincrement=False, nullable=False),
        sa.Column("id", WORDS, nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("tenant", WORDS, nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("merged_into", WORDS, nullable=True),
        sa.Column("lane", WORDS, nullable=False),
        sa.Column("status", WORDS, nullable=False),
        sa.Column("owner", WORDS, nullable=False),
        sa.Column("owner_ref", WORDS, nullable=True),
        sa.Column("by_role", sa.Boolean(), nullable=False),
        sa.Column("patient", WORDS, nullable=True),
        sa.Column("blocker", WORDS, nullable=True),
        sa.Column("escalated", sa.Boolean(), nullable=False),
        sa.Column("due_order", sa.BigInteger(), nullable=False),
        sa.Column("opened_at", sa.BigInteger(), nullable=False),
        sa.Column("search_text", WORDS, nullable=False),
        sa.CheckConstraint(
            "status = 'new' OR status = 'needs-outreach' OR status = 'waiting-on-patient'"
            " OR status = 'waiting-on-provider' OR status = 'waiting-on-documents' OR status = 'scheduled'"
            " OR status = 'escalated' OR status = 'closed'",
            name=op.f("ck_care_case_status_known"),
        ),
        sa.CheckConstraint("merged_into <> id", name=op.f("ck_care_case_not_merged_into_itself")),
        sa.CheckConstraint("version >= 1", name=op.f("ck_care_case_version_from_one")),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_care_case_connection_id")),
        sa.ForeignKeyConstraint(["merged_into"], ["care_case.id"], name=op.f("fk_care_case_merged_into")),
        sa.ForeignKeyConstraint(["pk"], ["resource.id"], name=op.f("fk_care_case_pk")),
        sa.PrimaryKeyConstraint("pk", name=op.f("pk_care_case")),
        sa.UniqueConstraint("id", name=op.f("uq_care_case_id")),
    )
    _partial("ix_care_case_due", "care_case", ["due_order", "opened_at", "pk"], "merged_into IS NULL")
    _partial("ix_care_case_owner", "care_case", ["owner_ref"], "merged_into IS NULL AND owner_ref IS NOT NULL")
    _partial("ix_care_case_patient", "care_case", ["patient"], "merged_into IS NULL")
    op.create_table(
        "case_state",
        sa.Column("case_pk", KEY, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["case_pk"], ["care_case.pk"], name=op.f("fk_case_state_case_pk")),
        sa.PrimaryKeyConstraint("case_pk", name=op.f("pk_case_state")),
    )
    op.create_table(
        "case_change",
        sa.Column("case_pk", KEY, nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.CheckConstraint("seq >= 1", name=op.f("ck_case_change_seq_from_one")),
        sa.ForeignKeyConstraint(["case_pk"], ["care_case.pk"], name=op.f("fk_case_change_case_pk")),
        sa.PrimaryKeyConstraint("case_pk", "seq", name=op.f("pk_case_change")),
    )


def _inbox() -> None:
    op.create_table(
        "raw_page",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_raw_page")),
    )
    op.create_table(
        "source_version",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("resource_id", KEY, nullable=False),
        sa.Column("type", WORDS, nullable=False),
        sa.Column("version", WORDS, nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=True),
        sa.Column("received_at", sa.BigInteger(), nullable=False),
        sa.Column("path", WORDS, nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("code", WORDS, nullable=True),
        sa.Column("reason", WORDS, nullable=True),
        sa.Column("raw_id", sa.BigInteger(), nullable=False),
        sa.Column("raw_at", sa.Integer(), nullable=False),
        sa.Column("raw_size", sa.Integer(), nullable=False),
        sa.CheckConstraint(
            "state = 'applied' OR code IS NOT NULL", name=op.f("ck_source_version_not_applied_says_why")
        ),
        sa.CheckConstraint(
            "state = 'applied' OR state = 'ignored' OR state = 'parked'", name=op.f("ck_source_version_state_known")
        ),
        sa.ForeignKeyConstraint(["raw_id"], ["raw_page.id"], name=op.f("fk_source_version_raw_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resource.id"], name=op.f("fk_source_version_resource_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_source_version")),
        sa.UniqueConstraint("resource_id", "version", name=op.f("uq_source_version_resource_id")),
    )
    _partial("ix_source_version_parked", "source_version", ["id"], "state = 'parked'")
    op.create_table(
        "stream_total",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("stream", WORDS, nullable=False),
        sa.Column("received", sa.BigInteger(), nullable=False),
        sa.Column("applied", sa.BigInteger(), nullable=False),
        sa.Column("duplicate", sa.BigInteger(), nullable=False),
        sa.Column("ignored", sa.BigInteger(), nullable=False),
        sa.Column("parked", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("received = applied + duplicate + ignored + parked", name=op.f("ck_stream_total_adds_up")),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_stream_total_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", "stream", name=op.f("pk_stream_total")),
    )
    op.create_table(
        "cursor",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("stream", WORDS, nullable=False),
        sa.Column("watermark", sa.BigInteger(), nullable=True),
        sa.Column("position", sa.BigInteger(), nullable=True),
        sa.Column("started_at", sa.BigInteger(), nullable=True),
        sa.Column("place", WORDS, nullable=True),
        sa.Column("read", sa.BigInteger(), nullable=False),
        sa.Column("checked_at", sa.BigInteger(), nullable=True),
        sa.Column("problem", WORDS, nullable=True),
        sa.Column("warnings", WORDS, nullable=True),
        sa.Column("rung", WORDS, nullable=True),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_cursor_connection_id")),
        sa.PrimaryKeyConstraint("connection_id", "stream", name=op.f("pk_cursor")),
    )


def _sources_and_people() -> None:
    op.create_table(
        "source",
        sa.Column("resource_id", KEY, autoincrement=False, nullable=False),
        sa.Column("root_id", KEY, nullable=False),
        sa.Column("opened", sa.Boolean(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("gone_at", sa.BigInteger(), nullable=True),
        sa.Column("missed_at", sa.BigInteger(), nullable=True),
        sa.Column("watch_at", sa.BigInteger(), nullable=True),
        sa.Column("aside_id", KEY, nullable=True),
        sa.Column("unread", sa.LargeBinary(), nullable=True),
        sa.Column("snapshot", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["aside_id"], ["resource.id"], name=op.f("fk_source_aside_id")),
        sa.ForeignKeyConstraint(["resource_id"], ["resource.id"], name=op.f("fk_source_resource_id")),
        sa.ForeignKeyConstraint(["root_id"], ["resource.id"], name=op.f("fk_source_root_id")),
        sa.PrimaryKeyConstraint("resource_id", name=op.f("pk_source")),
    )
    _partial("ix_source_aside", "source", ["aside_id"], "aside_id IS NOT NULL")
    _partial("ix_source_joined", "source", ["root_id"], "root_id != resource_id")
    _partial("ix_source_watch", "source", ["watch_at"], "watch_at IS NOT NULL")
    op.create_table(
        "person",
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("ref", WORDS, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("read_at", sa.BigInteger(), nullable=True),
        sa.Column("wanted_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint("body IS NOT NULL OR wanted_at IS NOT NULL", name=op.f("ck_person_known_or_wanted")),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_person_connection_id")),
        sa.PrimaryKeyConstraint("ref", "connection_id", name=op.f("pk_person")),
    )
    _partial("ix_person_wanted", "person", ["connection_id", "wanted_at"], "wanted_at IS NOT NULL")


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", KEY, sa.Identity(), nullable=False),
        sa.Column("connection_id", sa.Integer(), nullable=False),
        sa.Column("case_pk", KEY, nullable=False),
        sa.Column("kind", WORDS, nullable=False),
        sa.Column("slot", WORDS, nullable=False),
        sa.Column("level_slot", WORDS, nullable=True),
        sa.Column("key", WORDS, nullable=False),
        sa.Column("case_version", sa.Integer(), nullable=False),
        sa.Column("target", WORDS, nullable=True),
        sa.Column("message", sa.LargeBinary(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("state", WORDS, nullable=False),
        sa.Column("attempts", sa.Integer(), server_default="0", nullable=False),
        sa.Column("next_at", sa.BigInteger(), nullable=False),
        sa.Column("token", sa.BigInteger(), server_default="0", nullable=False),
        sa.Column("lease_until", sa.BigInteger(), nullable=True),
        sa.Column("unsure", sa.Boolean(), nullable=False),
        sa.Column("code", WORDS, nullable=True),
        sa.Column("reason", WORDS, nullable=True),
        sa.Column("written", WORDS, nullable=True),
        sa.Column("written_version", WORDS, nullable=True),
        sa.Column("settled_at", sa.BigInteger(), nullable=True),
        sa.CheckConstraint(
            "(state = 'sending') = (lease_until IS NOT NULL)", name=op.f("ck_outbox_leased_while_sending")
        ),
        sa.CheckConstraint(
            "(state IN ('queued', 'sending')) = (settled_at IS NULL)",
            name=op.f("ck_outbox_settled_when_final"),
        ),
        sa.CheckConstraint(
            "kind = 'coordination-task' OR kind = 'source-task' OR kind = 'status-message'"
            " OR kind = 'outreach-record' OR kind = 'retraction'",
            name=op.f("ck_outbox_kind_known"),
        ),
        sa.CheckConstraint(
            "state = 'queued' OR state = 'sending' OR state = 'confirmed' OR state = 'superseded'"
            " OR state = 'parked' OR state = 'not-writable'",
            name=op.f("ck_outbox_state_known"),
        ),
        sa.CheckConstraint("attempts >= 0", name=op.f("ck_outbox_attempts_counted")),
        sa.CheckConstraint("level_slot = slot", name=op.f("ck_outbox_level_slot_is_slot")),
        sa.ForeignKeyConstraint(["case_pk"], ["care_case.pk"], name=op.f("fk_outbox_case_pk")),
        sa.ForeignKeyConstraint(["connection_id"], ["connection.id"], name=op.f("fk_outbox_connection_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("case_pk", "key", name=op.f("uq_outbox_case_pk")),
    )
    _partial("ix_outbox_due", "outbox", ["connection_id", "next_at", "id"], "state = 'queued'")
    _partial("ix_outbox_stuck", "outbox", ["connection_id", "id"], "state IN ('parked', 'not-writable')")
    _partial("ix_outbox_our_tasks", "outbox", ["written"], "kind = 'coordination-task' AND written IS NOT NULL")
    _partial("uq_outbox_sending", "outbox", ["case_pk"], "state = 'sending'", unique=True)
    _partial(
        "uq_outbox_slot",
        "outbox",
        ["case_pk", "level_slot"],
        "level_slot IS NOT NULL AND (state = 'queued' OR state = 'parked' OR state = 'not-writable')",
        unique=True,
    )
