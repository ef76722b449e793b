"""Changes: the only way a case comes to differ from what it was."""

from __future__ import annotations

from typing import get_args

import msgspec
import pytest

from bridge.cases import changes
from bridge.cases.changes import CaseMerged, CaseOpened, Cause, CauseKind, Change, Fact, fold
from bridge.cases.reconcile import is_newer
from bridge.cases.snapshot import Snapshot
from tests.unit.cases.builders import NOW, Desk, a_snapshot, a_task, a_visit, call, taken
from tests.unit.tasks.builders import a_case

CAUSE = Cause(CauseKind.RULE, "test")


def a_change(fact: Fact, seq: int = 1) -> Change:
    """Return the change that a fact makes."""
    return Change("c0ffee", seq, seq, NOW, CAUSE, fact)


def test_a_history_begins_with_the_case_as_it_was_opened() -> None:
    case = a_case()

    assert fold(None, a_change(CaseOpened(case))) is case


def test_a_history_that_begins_otherwise_is_refused() -> None:
    with pytest.raises(ValueError, match="c0ffee does not begin with case-opened"):
        fold(None, a_change(CaseMerged("other")))


def test_a_case_is_not_opened_twice() -> None:
    with pytest.raises(ValueError, match="c0ffee is opened twice"):
        fold(a_case(), a_change(CaseOpened(a_case()), 2))


def test_every_kind_of_fact_has_an_effect_and_a_name_of_its_own() -> None:
    kinds = set(get_args(Fact))

    assert set(changes._EFFECTS) == kinds - {CaseOpened}
    assert len({kind.__struct_config__.tag for kind in kinds}) == len(kinds)


def test_every_change_dates_and_numbers_the_case() -> None:
    after = fold(a_case(), a_change(CaseMerged("other"), 7))

    assert (after.version, after.updated_at, after.merged_into) == (7, NOW, "other")


def a_busy_desk() -> Desk:
    """Return a desk with a case of a long history."""
    desk = taken(a_snapshot(), a_task(), a_visit())
    desk.do(call())
    desk.take(a_visit("noshow", version=2))
    desk.take(a_snapshot(status="completed", version=2))
    desk.take(a_snapshot(version=3))
    return desk


def test_a_history_survives_being_written_down() -> None:
    desk = a_busy_desk()
    history = desk.history[desk.case().id]

    assert msgspec.json.decode(msgspec.json.encode(history), type=list[Change]) == history


def test_changes_decided_together_share_a_version_and_are_numbered_without_gaps() -> None:
    desk = a_busy_desk()
    history = desk.history[desk.case().id]

    assert [change.seq for change in history] == list(range(1, len(history) + 1))
    versions = [change.version for change in history]
    assert versions == sorted(versions)
    assert set(versions) == set(range(1, desk.case().version + 1))


@pytest.mark.parametrize(
    ("one", "other", "newer"),
    [
        (a_snapshot(version=2), a_snapshot(version=1), True),
        (a_snapshot(version=1), a_snapshot(version=2), False),
        (a_snapshot(version=1), a_snapshot(version=1), False),
        (a_snapshot(version=10, updated_at=NOW), a_snapshot(version=9, updated_at=NOW), True),
        (a_snapshot(version=1, updated_at=NOW), a_snapshot(version=9), True),
        (a_snapshot(version=1), a_snapshot(version=9, updated_at=None), True),
        (a_snapshot(version=9, updated_at=None), a_snapshot(version=1, updated_at=None), True),
    ],
)
def test_a_version_is_newer_by_its_time_and_then_by_its_number(one: Snapshot, other: Snapshot, newer: bool) -> None:
    assert is_newer(one, other) is newer


@pytest.mark.parametrize(("one", "other"), [("b", "a"), ("1", "a"), ("abc", "12")])
def test_versions_that_are_no_numbers_have_an_order_too(one: str, other: str) -> None:
    first, second = (msgspec.structs.replace(a_snapshot(updated_at=NOW), version=name) for name in (one, other))

    assert is_newer(first, second) is not is_newer(second, first)
