"""Replay: what was parked is tried again when a person says that the cause is mended."""

from __future__ import annotations

from bridge.cases.terms import Status
from bridge.fhir.source import SourceVersion
from bridge.store.rows import Counts, InboxRow, InboxState
from bridge.sync.replay import foresee_inbox, replay_inbox
from tests.stateful.world import NOW, version_of
from tests.unit.sync.beside import LINE, ROOT, Beside
from tests.unit.sync.world import a_task, order


def park(beside: Beside, version: SourceVersion, *, stream: str, path: str = "poll", connection: str = "main") -> int:
    """Put a version into the inbox as a Bridge that could not read it did; return its id."""
    row = InboxRow(
        connection=connection,
        ref=version.ref,
        type=version.type,
        version=version.version,
        updated_at=version.updated_at,
        received_at=NOW,
        path=path,
        state=InboxState.PARKED,
        code="mapper-fault",
        reason="a fault that is mended now",
        raw=version.raw,
    )
    with beside.store.transaction() as tx:
        tx.add_versions([row])
        tx.count(connection, stream, Counts(received=1, parked=1))
    return next(one.id for one in beside.inbox() if one.ref == version.ref and one.version == version.version) or 0


def replay(beside: Beside, *ids: int) -> int:
    """Replay inbox rows."""
    return replay_inbox(beside.store, {"main": LINE}, ids, NOW)


def test_what_can_be_read_now_is_applied_and_counted_as_that() -> None:
    beside = Beside()
    row = park(beside, version_of(order(), 1), stream="ServiceRequest")

    assert replay(beside, row) == 1

    assert beside.case().status is Status.NEW
    assert [(one.state, one.code, one.reason) for one in beside.inbox()] == [(InboxState.APPLIED, None, None)]
    assert beside.totals("ServiceRequest") == Counts(received=1, applied=1)


def test_what_turns_out_to_be_no_work_is_ignored() -> None:
    beside = Beside()
    row = park(beside, version_of(order(status="draft"), 1), stream="ServiceRequest")

    assert replay(beside, row) == 1

    assert [(one.state, one.code) for one in beside.inbox()] == [(InboxState.IGNORED, "no-work")]
    assert beside.totals("ServiceRequest") == Counts(received=1, ignored=1)


def test_what_still_cannot_be_read_stays_parked_with_the_reason_of_today() -> None:
    beside = Beside()
    row = park(beside, version_of(order(status="whatever"), 1), stream="ServiceRequest")

    assert replay(beside, row) == 0

    assert [(one.state, one.code) for one in beside.inbox()] == [(InboxState.PARKED, "unknown-status")]
    assert beside.totals("ServiceRequest") == Counts(received=1, parked=1)


def test_a_version_older_than_what_came_since_changes_nothing() -> None:
    beside = Beside()
    row = park(beside, version_of(order(), 1), stream="ServiceRequest")
    beside.take(version_of(order(status="on-hold"), 2))

    assert replay(beside, row) == 1

    assert beside.case().status is Status.WAITING_ON_PROVIDER
    assert beside.inbox(InboxState.IGNORED)[0].code == "older-version"


def test_a_version_that_nobody_can_read_is_done_with_once_a_newer_one_could_be() -> None:
    beside = Beside()
    row = park(beside, version_of(order(status="whatever"), 1), stream="ServiceRequest")
    beside.take(version_of(order(status="on-hold"), 2))

    assert [one.code for one in foresee_inbox(beside.store, {"main": LINE}, [row], NOW)] == ["older-version"]
    assert replay(beside, row) == 1

    assert beside.inbox(InboxState.PARKED) == []
    assert beside.inbox(InboxState.IGNORED)[0].code == "older-version"
    assert beside.totals("ServiceRequest") == Counts(received=1, ignored=1)


def test_only_what_is_parked_is_replayed_and_only_once() -> None:
    beside = Beside(order())
    applied = beside.inbox()[0].id or 0
    row = park(beside, version_of(a_task(), 2), stream="Task")

    assert replay(beside, applied, row, row, 99999) == 1


def test_a_connection_that_is_gone_is_left_alone() -> None:
    beside = Beside()
    row = park(beside, version_of(order(), 1), stream="ServiceRequest", connection="former")

    assert replay(beside, row) == 0


def test_what_the_sweep_found_is_counted_with_the_sweep() -> None:
    beside = Beside()
    row = park(beside, version_of(order(), 1), stream="sweep", path="sweep")

    replay(beside, row)

    assert beside.totals("sweep") == Counts(received=1, applied=1)
    assert ROOT in {one.ref for one in beside.inbox(InboxState.APPLIED)}
