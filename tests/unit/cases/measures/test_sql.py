"""What can be said in SQL is said in SQL, over a flat table of the changes: an analyst's view of the same numbers."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import date, datetime
from typing import Any

import msgspec
import pytest

from bridge.cases.changes import Change
from bridge.cases.measures.period import Period, period_of
from bridge.cases.measures.tally import Count, Distribution, Proportion, Report
from tests.unit.cases.measures.histories import NEW_YORK, a_year
from tests.unit.cases.measures.test_oracle import LATER, reported

FIRST, LAST = date(2026, 2, 1), date(2026, 11, 30)
PERIOD = period_of(FIRST, LAST, NEW_YORK, LATER)

_COLUMNS = {
    "status": ("fact", "status"),
    "reason": ("fact", "closure", "reason"),
    "ended_at": ("fact", "closure", "at"),
    "channel": ("fact", "attempt", "channel"),
    "outcome": ("fact", "attempt", "outcome"),
    "by": ("fact", "attempt", "by"),
    "level": ("fact", "escalation", "level"),
    "since": ("fact", "escalation", "since"),
    "trigger": ("fact", "escalation", "trigger"),
    "begun_at": ("fact", "escalation", "begun_at"),
    "opened_at": ("fact", "opened_at"),
    "first_status": ("fact", "case", "status"),
    "first_opened_at": ("fact", "case", "opened_at"),
    "first_reason": ("fact", "case", "closure", "reason"),
    "into": ("fact", "into"),
    "rule": ("cause", "rule"),
    "what": ("fact", "type"),
}

_ROUNDS = """
WITH known AS (SELECT * FROM change WHERE at < :until),
merged AS (
    SELECT case_id FROM known AS k WHERE what = 'case-merged' AND "into" IS NOT NULL
    AND seq = (SELECT max(seq) FROM known WHERE case_id = k.case_id AND what = 'case-merged')
),
numbered AS (
    SELECT *, sum(what = 'case-reopened') OVER (PARTITION BY case_id ORDER BY seq) AS round FROM known
),
begun AS (
    SELECT case_id, round, min(version) AS version, min(at) AS at FROM numbered GROUP BY case_id, round
),
asked AS (
    SELECT case_id, coalesce((
        SELECT opened_at FROM known AS f WHERE f.case_id = k.case_id AND what = 'facts-changed'
        ORDER BY seq DESC LIMIT 1
    ), first_opened_at) AS at FROM known AS k WHERE seq = 1
),
closings AS (
    SELECT case_id, round, seq, version, at, coalesce(reason, first_reason) AS reason,
        coalesce(ended_at, at) AS ended_at,
        lag(coalesce(reason, first_reason)) OVER (PARTITION BY case_id, round ORDER BY seq) AS reason_before
    FROM numbered WHERE what = 'case-closed' OR first_reason IS NOT NULL
),
ends AS (
    SELECT c.case_id, c.round, c.reason, c.ended_at, c.at,
        (SELECT min(version) FROM closings AS f WHERE f.case_id = c.case_id AND f.round = c.round) AS first_version
    FROM closings AS c
    WHERE reason_before IS NOT reason AND NOT EXISTS (
        SELECT 1 FROM closings AS l WHERE l.case_id = c.case_id AND l.round = c.round
        AND l.seq > c.seq AND l.reason_before IS NOT l.reason
    )
)
"""

_WORK = """
    e.case_id NOT IN (SELECT case_id FROM merged) AND e.reason NOT IN ('entered-in-error', 'duplicate')
    AND e.first_version > b.version
"""


@pytest.fixture(scope="module")
def report_and_database() -> Iterator[tuple[Report, sqlite3.Connection]]:
    cases = a_year()
    database = sqlite3.connect(":memory:")
    names = ", ".join(f'"{name}"' for name in _COLUMNS)
    database.execute(f"CREATE TABLE change (case_id, seq, version, at, {names})")
    marks = ", ".join("?" * (4 + len(_COLUMNS)))
    database.executemany(f"INSERT INTO change VALUES ({marks})", (_flat(one) for each in cases for one in each))
    database.execute("CREATE INDEX by_case ON change (case_id, seq)")
    yield reported(cases, FIRST, LAST), database
    database.close()


def _flat(change: Change) -> tuple[Any, ...]:
    plain = msgspec.to_builtins(change)
    flat = (_at(plain, path) for path in _COLUMNS.values())
    return (change.case_id, change.seq, change.version, change.at.timestamp(), *flat)


def _at(plain: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(plain, dict):
            return None
        plain = plain.get(name)
    if path[-1].endswith("_at") or path[-1] in ("at", "since"):
        return None if plain is None else datetime.fromisoformat(plain).timestamp()
    return plain


def asked(database: sqlite3.Connection, query: str, period: Period = PERIOD) -> list[tuple[Any, ...]]:
    known = {"begins": period.begins_at.timestamp(), "until": period.until.timestamp()}
    return database.execute(query, known).fetchall()


def figure(report: Report, code: str) -> Any:
    return next(one.whole for one in report.measures if one.code == code)


def test_contact_rate(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        """SELECT channel, count(*), sum(outcome IN ('reached', 'declined')) FROM change
        WHERE what = 'outreach-logged' AND rule IS NOT 'merged' AND at >= :begins AND at < :until GROUP BY channel""",
    )

    by = next(one.by["category"] for one in report.measures if one.code == "contact-rate")
    found = {(name, one.denominator, one.numerator) for name, one in by.items() if isinstance(one, Proportion)}
    assert found == set(rows)


def test_attempts_by_person(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        """SELECT "by", count(*) FROM change WHERE what = 'outreach-logged' AND rule IS NOT 'merged'
        AND at >= :begins AND at < :until GROUP BY "by" """,
    )

    assert figure(report, "attempts-by-person").categories == dict(rows)


def test_escalations(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        """WITH steps AS (
            SELECT *, lag(since) OVER (PARTITION BY case_id, trigger, begun_at ORDER BY seq) AS since_before
            FROM change WHERE what = 'escalated'
        )
        SELECT 'level ' || level, count(*) FROM steps WHERE since IS NOT NULL AND since IS NOT since_before
        AND rule IS NOT 'merged' AND at >= :begins AND at < :until GROUP BY level""",
    )

    assert figure(report, "escalations").categories == dict(rows)


def test_closure_reasons(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        _ROUNDS
        + """SELECT reason, count(*) FROM ends WHERE at >= :begins
        AND case_id NOT IN (SELECT case_id FROM merged) GROUP BY reason""",
    )

    assert figure(report, "closure-reasons").categories == dict(rows)


def test_trigger_to_completion(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        _ROUNDS
        + f"""SELECT CAST(max(0, e.ended_at - CASE WHEN e.round = 0 THEN a.at ELSE b.at END) AS INTEGER) AS seconds
        FROM ends AS e JOIN begun AS b USING (case_id, round) JOIN asked AS a USING (case_id)
        WHERE e.at >= :begins AND e.reason = 'completed' AND {_WORK} ORDER BY seconds""",
    )

    seconds = [row[0] for row in rows]
    whole = figure(report, "completion")
    assert isinstance(whole, Distribution)
    assert (whole.measured, whole.total) == (len(seconds), sum(seconds))
    assert (whole.median, whole.p90) == (seconds[-(-len(seconds) // 2) - 1], seconds[-(-len(seconds) * 9 // 10) - 1])


def test_time_by_status(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        _ROUNDS
        + """, moves AS (
            SELECT case_id, round, seq, at, coalesce(status, first_status) AS status FROM numbered
            WHERE what = 'status-changed' OR seq = 1
        ),
        stretches AS (
            SELECT case_id, round, status, at AS began,
                coalesce(lead(at) OVER (PARTITION BY case_id ORDER BY seq), :until) AS ended FROM moves
        )
        SELECT s.status, CAST(sum(max(0, min(s.ended, :until) - max(s.began, :begins))) AS INTEGER) AS seconds
        FROM stretches AS s LEFT JOIN ends AS e USING (case_id, round)
        WHERE s.status <> 'closed' AND s.case_id NOT IN (SELECT case_id FROM merged)
        AND (e.reason IS NULL OR e.reason NOT IN ('entered-in-error', 'duplicate'))
        GROUP BY s.status HAVING seconds > 0""",
    )

    whole = figure(report, "time-by-status")
    assert isinstance(whole, Count)
    assert whole.categories == dict(rows)


def test_open_cases(report_and_database: tuple[Report, sqlite3.Connection]) -> None:
    report, database = report_and_database

    rows = asked(
        database,
        """WITH last AS (
            SELECT case_id, coalesce(status, first_status) AS status, row_number() OVER (
                PARTITION BY case_id ORDER BY seq DESC) AS place
            FROM change WHERE at < :until AND (what = 'status-changed' OR seq = 1)
        )
        SELECT count(*) FROM last WHERE place = 1 AND status <> 'closed'""",
    )

    assert figure(report, "open-age").measured == rows[0][0]
