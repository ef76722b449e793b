"""What a poll had read past and another way brought is counted, once, with what found it."""

from __future__ import annotations

from datetime import timedelta

from bridge.store.rows import Cursor, Late
from tests.stateful.world import NOW
from tests.unit.sync.beside import Beside
from tests.unit.sync.world import a_task, order

ROOT = "ServiceRequest/o1"


def read_to(beside: Beside, watermark: timedelta) -> None:
    with beside.store.transaction() as tx:
        tx.save_cursor(Cursor(connection="main", stream="ServiceRequest", watermark=NOW + watermark))


def late(beside: Beside) -> list[Late]:
    with beside.store.reading() as tx:
        return tx.late("main")


def test_a_version_that_the_sweep_finds_behind_the_watermark_came_late() -> None:
    beside = Beside(order(), a_task())
    version = beside.ehr.write(order(status="on-hold"))
    assert version.updated_at is not None
    read_to(beside, version.updated_at - NOW)

    beside.sweep()
    beside.sweep()

    assert late(beside) == [Late(type="ServiceRequest", path="sweep", found=1)]
    (row,) = (row for row in beside.inbox() if row.code == "late")
    assert (row.ref, row.state, row.version) == (ROOT, "applied", version.version)
    assert row.reason is not None
    assert row.reason.startswith("found by the sweep: the poll had read up to ")


def test_what_the_poll_has_not_come_to_yet_is_not_late() -> None:
    beside = Beside(order())
    version = beside.ehr.write(order(status="on-hold"))
    assert version.updated_at is not None
    read_to(beside, version.updated_at - NOW - timedelta(milliseconds=1))

    assert beside.sweep().repaired == 1

    assert late(beside) == []


def test_what_the_poll_itself_brings_is_never_late() -> None:
    beside = Beside(order())
    read_to(beside, timedelta(days=1))

    beside.tell(order(status="on-hold"))

    assert late(beside) == []


def test_before_the_first_read_is_through_nothing_is_late() -> None:
    beside = Beside(order())
    beside.ehr.write(order(status="on-hold"))

    beside.sweep()

    assert late(beside) == []
