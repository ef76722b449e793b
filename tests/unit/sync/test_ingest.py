"""Ingest: everything received is accounted for, and a page is taken in whole or not at all."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from bridge.cases.changes import OddityNoted
from bridge.cases.terms import Status
from bridge.fhir.bundle import received
from bridge.store.memory import MemoryStore
from bridge.store.rows import Counts, Cursor, InboxState
from bridge.sync.ingest import OWN_WRITE, IngestReport, Intake, ingest
from tests.stateful.world import NOW, a_line, version_of
from tests.unit.sync.beside import LINE, Beside
from tests.unit.sync.world import a_task, order, visit

OURS: Any = {"identifier": [{"system": "urn:bridge:case", "value": "c1"}]}
REFUSED: Any = {"modifierExtension": [{"url": "http://unknown.example", "valueBoolean": True}]}


@pytest.mark.parametrize(
    ("resources", "state", "code"),
    [
        ([order()], InboxState.APPLIED, None),
        ([order(status="draft")], InboxState.IGNORED, "no-work"),
        ([order(intent="plan")], InboxState.IGNORED, "not-an-order"),
        ([order(doNotPerform=True)], InboxState.IGNORED, "do-not-perform"),
        ([a_task(**OURS)], InboxState.IGNORED, OWN_WRITE),
        ([order(status="whatever")], InboxState.PARKED, "unknown-status"),
        ([order(**REFUSED)], InboxState.PARKED, "unknown-modifier-extension"),
        ([{"resourceType": "Patient", "id": "p1"}], InboxState.IGNORED, "out-of-scope"),
    ],
)
def test_a_version_is_applied_ignored_or_parked_with_a_reason(
    resources: list[dict[str, Any]], state: InboxState, code: str | None
) -> None:
    beside = Beside(*resources)

    row = beside.inbox()[0]
    assert (row.state, row.path) == (state, "poll")
    assert (row.reason is None) is (state is InboxState.APPLIED)
    assert row.code == code
    counts = beside.totals()
    assert (counts.received, getattr(counts, state.value)) == (1, 1)


def test_what_is_parked_keeps_its_bytes() -> None:
    beside = Beside(order(status="whatever"))

    with beside.store.reading() as tx:
        row = tx.inbox_row(beside.inbox()[0].id or 0)

    assert row is not None
    assert row.raw == beside.ehr.versions[0].raw


def test_the_counters_of_a_mixed_page_add_up() -> None:
    beside = Beside(order())
    seen = beside.ehr.versions[0]
    fresh = [
        beside.ehr.write(one)
        for one in (
            order(status="on-hold"),
            a_task(),
            a_task("t2", **OURS),
            visit(status="huh"),
            order("o2", status="draft"),
        )
    ]

    report = beside.take(seen, *fresh, fresh[1], fresh[1])

    assert report.counts == Counts(received=8, applied=2, duplicate=3, ignored=2, parked=1)
    assert (report.opened, report.changed, report.fresh) == (0, 1, True)
    assert beside.totals() == Counts(received=9, applied=3, duplicate=3, ignored=2, parked=1)
    assert Counter(row.state for row in beside.inbox()) == {
        InboxState.APPLIED: 3,
        InboxState.IGNORED: 2,
        InboxState.PARKED: 1,
    }


def test_a_page_of_repeats_is_not_fresh_and_changes_nothing() -> None:
    beside = Beside(order(), a_task())
    before = beside.case()

    report = beside.take(*beside.ehr.versions)

    assert (report.fresh, report.changed, report.intents) == (False, 0, 0)
    assert beside.case() == before
    assert IngestReport().fresh is False


def test_an_older_version_that_comes_late_is_kept_and_says_so() -> None:
    beside = Beside()
    first, second = beside.ehr.write(order()), beside.ehr.write(order(status="on-hold"))

    beside.take(second)
    beside.take(first)

    assert [(row.version, row.state, row.code) for row in beside.inbox()] == [
        ("2", InboxState.APPLIED, None),
        ("1", InboxState.IGNORED, "older-version"),
    ]
    assert beside.case().status is Status.WAITING_ON_PROVIDER


def test_two_versions_with_one_time_are_both_processed() -> None:
    beside = Beside()
    first = beside.ehr.write(order())
    second = received(first.raw.replace(b'"versionId": "1"', b'"versionId": "2"').replace(b'"active"', b'"on-hold"'))

    beside.take(second, first)

    assert len(beside.inbox()) == 2
    assert beside.case().status is Status.WAITING_ON_PROVIDER


def test_streams_are_counted_apart() -> None:
    beside = Beside()

    beside.take(beside.ehr.write(order()), stream="ServiceRequest")
    beside.take(beside.ehr.write(a_task()), stream="Task")

    assert beside.totals("ServiceRequest").applied == 1
    assert beside.totals("Task").applied == 1


def test_the_cursor_moves_with_the_page() -> None:
    store = MemoryStore()
    cursor = Cursor(connection="main", stream="ServiceRequest", watermark=NOW)

    ingest(Intake("ServiceRequest", [version_of(order(), 1)], "poll", cursor), store, LINE, NOW)

    with store.reading() as tx:
        kept = tx.cursor("main", "ServiceRequest")
    assert kept is not None
    assert kept.watermark == NOW


def test_a_connection_that_is_not_written_to_queues_nothing() -> None:
    silent = Beside(order(), line=a_line(write=False))
    telling = Beside(order())

    with silent.store.reading() as tx:
        assert tx.outbox(limit=10) == []
    with telling.store.reading() as tx:
        assert len(tx.outbox(limit=10)) == 1


# Moves that FHIR does not draw ----------------------------------------------------------------------------


def odd(beside: Beside) -> list[str]:
    """Return the oddities noted in the history."""
    return [change.fact.text for change in beside.history() if isinstance(change.fact, OddityNoted)]


def test_a_task_move_that_fhir_does_not_draw_is_accepted_and_noted() -> None:
    beside = Beside(order(), a_task(), a_task(status="completed"))

    beside.tell(a_task(status="requested"))

    assert beside.case().is_open
    assert odd(beside) == ["Task moved from completed to requested, a move FHIR does not draw"]


@pytest.mark.parametrize("status", ["accepted", "in-progress", "on-hold", "cancelled"])
def test_a_move_that_fhir_draws_is_not_noted(status: str) -> None:
    beside = Beside(order(), a_task(status="accepted"))

    beside.tell(a_task(status=status))

    assert odd(beside) == []


def test_an_older_version_that_comes_late_is_no_move() -> None:
    beside = Beside(order())
    first, second = beside.ehr.write(a_task()), beside.ehr.write(a_task(status="completed"))
    beside.take(second)

    beside.take(first)

    assert odd(beside) == []
