"""
What worklists and the weekly review look for: when and why cases were closed, what is next, what blocks them again.

The release before goes on without it. What it knows of the cases there are, it finds in their states and
histories, a few thousand cases at a time.

Without postponed annotations: Alembic loads this file under a name by which msgspec does not find it.
"""

from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import groupby
from typing import Any

import msgspec
import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None
kind = "expand"
locks: dict[str, str] = {"care_case": "ACCESS EXCLUSIVE"}
per_row_us: dict[str, float] = {"care_case": 110}

_NEVER = 2**63 - 1
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_AT_ONCE = 2000
_FILTERED = ("connection_id", "lane", "status", "owner", "by_role", "blocker", "escalated", "next_action", "closure")


class _Named(msgspec.Struct):
    code: str | None = None
    category: str | None = None
    reason: str | None = None
    at: datetime | None = None


class _Case(msgspec.Struct):
    status: str | None = None
    closed_at: datetime | None = None
    closure: _Named | None = None
    next_action: _Named | None = None
    blocker: _Named | None = None


class _Fact(msgspec.Struct):
    type: str
    case: _Case | None = None
    blocker: _Named | None = None


class _Change(msgspec.Struct):
    fact: _Fact


_case = msgspec.msgpack.Decoder(_Case)
_change = msgspec.msgpack.Decoder(_Change)


def upgrade() -> None:
    """Add columns, a table and indexes, and fill them."""
    never = sa.text(str(_NEVER))
    op.add_column("care_case", sa.Column("closed_order", sa.BigInteger(), server_default=never, nullable=False))
    op.add_column("care_case", sa.Column("next_action", _words(), nullable=True))
    op.add_column("care_case", sa.Column("closure", _words(), nullable=True))
    op.create_table(
        "case_hold",
        sa.Column("case_pk", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("category", _words(), nullable=False),
        sa.Column("times", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["case_pk"], ["care_case.pk"], name="fk_case_hold_case_pk"),
        sa.PrimaryKeyConstraint("case_pk", "category", name="pk_case_hold"),
        sa.CheckConstraint("times >= 1", name="times_from_one"),
    )
    _fill(op.get_bind())
    is_open = "merged_into IS NULL AND status != 'closed'"
    escalated = "escalated" if op.get_bind().dialect.name == "postgresql" else "escalated = 1"
    for name, where, first in (
        ("ix_care_case_open", is_open, "due_order"),
        ("ix_care_case_owned", is_open, "owner due_order"),
        ("ix_care_case_escalated", f"{is_open} AND {escalated}", "due_order"),
        ("ix_care_case_blocked", f"{is_open} AND blocker IS NOT NULL", "due_order"),
        ("ix_care_case_closed", "merged_into IS NULL AND status = 'closed'", "closed_order"),
    ):
        columns = [*first.split(), "opened_at", "pk", *(name for name in _FILTERED if name not in first.split())]
        op.create_index(name, "care_case", columns, sqlite_where=sa.text(where), postgresql_where=sa.text(where))


def _words() -> sa.types.TypeEngine[str]:
    return sa.Text().with_variant(sa.Text(collation="C"), "postgresql")


def _fill(conn: sa.Connection) -> None:
    postgresql = conn.dialect.name == "postgresql"
    holds = "position({0} in body) > 0" if postgresql else "instr(body, {0}) > 0"
    told = " OR ".join(holds.format(f":{name}") for name in ("raised", "cleared"))
    blocking = sa.text(
        "SELECT case_pk, body FROM case_change WHERE case_pk BETWEEN :first AND :last"  # noqa: S608 - no value in it
        f" AND (seq = 1 OR {told}) ORDER BY case_pk, seq"
    )
    for rows in _cases(conn):
        _run(conn, _SET, [_set(pk, body or opening, opened=body is None) for pk, body, opening in rows])
        given = {"first": rows[0][0], "last": rows[-1][0], "raised": b"blocker-raised", "cleared": b"blocker-cleared"}
        _run(conn, _HOLD, list(_holds(conn.execute(blocking, given).all())))


_SET = sa.text("UPDATE care_case SET closed_order = :closed, next_action = :next, closure = :closure WHERE pk = :pk")
_HOLD = sa.text("INSERT INTO case_hold (case_pk, category, times) VALUES (:pk, :category, :times)")
_CASES = sa.text(
    "SELECT c.pk, s.body, o.body FROM care_case c LEFT JOIN case_state s ON s.case_pk = c.pk"
    " LEFT JOIN case_change o ON o.case_pk = c.pk AND o.seq = 1 AND s.body IS NULL"
    " WHERE c.pk > :after ORDER BY c.pk LIMIT :many"
)


def _cases(conn: sa.Connection) -> Iterator[Sequence[Any]]:
    rows: Sequence[Any] = conn.execute(_CASES, {"after": 0, "many": _AT_ONCE}).all()
    while rows:
        yield rows
        rows = conn.execute(_CASES, {"after": rows[-1][0], "many": _AT_ONCE}).all()


def _run(conn: sa.Connection, statement: sa.TextClause, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        conn.execute(statement, rows)


def _set(pk: int, body: bytes | None, *, opened: bool) -> dict[str, Any]:
    case = (_change.decode(body).fact.case if opened else _case.decode(body)) if body else None
    closed_at = (case.closed_at or (case.closure.at if case.closure else None)) if case else None
    action = case.next_action.code if case and case.next_action else None
    reason = case.closure.reason if case and case.closure else None
    order = _NEVER if closed_at is None else -_micros(closed_at)
    return {"pk": pk, "closed": order, "next": action, "closure": reason}


def _micros(at: datetime) -> int:
    delta = at - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def _holds(entries: Iterable[Any]) -> Iterator[dict[str, Any]]:
    """How often each kind of blocker began to hold up each case; other words about it are no new one."""
    for pk, rows in groupby(entries, key=lambda row: row[0]):
        times: dict[str, int] = {}
        holding = None
        for _, body in rows:
            fact = _change.decode(body).fact
            if fact.type not in ("case-opened", "blocker-raised", "blocker-cleared"):
                continue
            raised = fact.case.blocker if fact.case else fact.blocker
            now = raised.category if raised else None
            if now is not None and now != holding:
                times[now] = times.get(now, 0) + 1
            holding = now
        yield from ({"pk": pk, "category": kind, "times": count} for kind, count in times.items())
