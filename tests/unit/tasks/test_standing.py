"""Which Task status says where a case stands, and how a Task that asks us is moved."""

from __future__ import annotations

import pytest

from bridge.cases.model import Blocker, Closure
from bridge.cases.terms import BlockerCategory, ClosureReason, Status
from bridge.errors import IllegalTransition
from bridge.tasks.standing import ENDS, asked_status, coordination_status, steps
from bridge.tasks.transitions import FINAL, MOVES
from tests.unit.tasks.builders import AT, a_case, a_task_snapshot

BLOCKER = Blocker(BlockerCategory.TRANSPORT, "No ride", AT, "person:ann")


def closed(reason: ClosureReason) -> Closure:
    return Closure(reason=reason, outcome="Over", by="ann", at=AT)


def test_every_closure_reason_ends_the_task() -> None:
    assert set(ENDS) == set(ClosureReason)
    assert all(goal in FINAL for goals in ENDS.values() for goal in goals)


@pytest.mark.parametrize("reason", ClosureReason)
@pytest.mark.parametrize("start", sorted(set(MOVES) - FINAL))
def test_a_case_can_be_closed_for_any_reason_wherever_its_task_is(start: str, reason: ClosureReason) -> None:
    way = steps(start, coordination_status(a_case(status=Status.CLOSED, closure=closed(reason))))

    assert way[-1] in ENDS[reason]


@pytest.mark.parametrize("start", sorted(set(MOVES) - FINAL - {"draft", "requested", "received"}))
@pytest.mark.parametrize("blocker", [None, BLOCKER])
@pytest.mark.parametrize("status", [Status.NEW, Status.NEEDS_OUTREACH, Status.SCHEDULED])
def test_an_open_case_can_be_shown_wherever_its_task_is(start: str, blocker: Blocker | None, status: Status) -> None:
    way = steps(start, coordination_status(a_case(status=status, blocker=blocker)))

    assert (way or (start,))[-1] in ("ready", "in-progress", "on-hold", "accepted")


def test_partners_without_ready_get_accepted() -> None:
    assert coordination_status(a_case(), knows_ready=False)[0] == "accepted"


def test_an_ended_task_stays_as_it_ended_when_the_closure_is_corrected() -> None:
    assert steps("completed", ENDS[ClosureReason.CANCELLED_BY_REQUESTER]) == ()


def test_a_task_that_somebody_ended_is_not_brought_back() -> None:
    with pytest.raises(IllegalTransition):
        steps("cancelled", ("in-progress",))


@pytest.mark.parametrize(
    ("task", "case", "expected"),
    [
        ("requested", {}, ("received",)),
        ("received", {}, ()),
        ("accepted", {}, ()),
        ("requested", {"status": Status.NEEDS_OUTREACH}, ("accepted", "in-progress")),
        ("in-progress", {"status": Status.SCHEDULED}, ()),
        ("on-hold", {"status": Status.SCHEDULED}, ()),
        ("draft", {}, ()),
        ("in-progress", {"closure": ClosureReason.COMPLETED}, ("completed",)),
        ("requested", {"closure": ClosureReason.COMPLETED}, ("accepted", "in-progress", "completed")),
        ("requested", {"closure": ClosureReason.DECLINED}, ("rejected",)),
        ("in-progress", {"closure": ClosureReason.DECLINED}, ("failed",)),
        ("received", {"closure": ClosureReason.CANCELLED_BY_REQUESTER}, ("cancelled",)),
        ("in-progress", {"closure": ClosureReason.CANCELLED_BY_REQUESTER}, ("failed",)),
        ("in-progress", {"closure": ClosureReason.ENTERED_IN_ERROR}, ()),
        ("in-progress", {"closure": ClosureReason.DUPLICATE}, ("failed",)),
        ("requested", {"closure": ClosureReason.DUPLICATE}, ("rejected",)),
        ("on-hold", {"closure": ClosureReason.COMPLETED}, ("in-progress", "completed")),
        ("on-hold", {"closure": ClosureReason.CANCELLED_BY_REQUESTER}, ("in-progress", "failed")),
        ("on-hold", {"closure": ClosureReason.ENTERED_IN_ERROR}, ()),
        ("on-hold", {}, ()),
        ("draft", {"closure": ClosureReason.COMPLETED}, ()),
        ("completed", {"closure": ClosureReason.DECLINED}, ()),
        ("requested", {"merged_into": "other"}, ()),
    ],
)
def test_a_task_that_asks_us_is_moved_step_by_step(
    task: str, case: dict[str, object], expected: tuple[str, ...]
) -> None:
    reason = case.pop("closure", None)
    if isinstance(reason, ClosureReason):
        case = {**case, "status": Status.CLOSED, "closure": closed(reason)}

    assert asked_status(a_case(**case), a_task_snapshot(task), acknowledge_with="received") == expected
