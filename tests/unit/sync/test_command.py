"""A person's command: in one transaction, on the case the person saw."""

from __future__ import annotations

import pytest

from bridge.cases.commands import Assign, Close, Note
from bridge.cases.terms import ClosureReason
from bridge.errors import CommandRefused, StaleVersion
from bridge.sync.command import CaseUnknown, execute
from tests.stateful.world import NOW
from tests.unit.sync.beside import Beside
from tests.unit.sync.world import order


def test_the_case_is_stored_with_its_history_and_what_the_ehr_should_be_told() -> None:
    beside = Beside(order())
    before = beside.case()

    after = beside.act(Close(reason=ClosureReason.COMPLETED, outcome="seen"))

    assert beside.case() == after
    assert [change.version for change in beside.history()][-1] == after.version == before.version + 1
    with beside.store.reading() as tx:
        assert {row.intent.case_version for row in tx.outbox(limit=10)} >= {after.version}


def test_a_case_that_moved_on_is_not_acted_on() -> None:
    beside = Beside(order())
    seen = beside.case().version
    beside.tell(order(status="on-hold"))

    with pytest.raises(StaleVersion, match=f"at version {seen + 1}, not {seen}"):
        beside.act(Note(text="hello"), version=seen)

    assert beside.case().notes == ()


def test_a_refused_command_changes_nothing() -> None:
    beside = Beside(order())
    before, length = beside.case(), len(beside.history())

    with pytest.raises(CommandRefused, match="no owner called"):
        beside.act(Assign(owner="nobody"))

    assert (beside.case(), len(beside.history())) == (before, length)


def test_an_unknown_case_and_a_connection_that_is_gone_are_named() -> None:
    beside = Beside(order())
    told = {"by": "ann", "expected_version": None, "now": NOW, "new_id": "x"}

    with pytest.raises(CaseUnknown, match="no case c0"):
        execute(beside.store, {"main": beside.line}, "c0", Note(text="hello"), **told)  # type: ignore[arg-type]
    with pytest.raises(CommandRefused, match="main is not configured"):
        execute(beside.store, {}, beside.case().id, Note(text="hello"), **told)  # type: ignore[arg-type]
