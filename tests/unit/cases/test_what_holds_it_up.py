"""What holds a case up, and what does not."""

from __future__ import annotations

import pytest

from bridge.cases.snapshot import Snapshot
from bridge.cases.terms import BlockerCategory
from tests.unit.cases.builders import (
    ABORT,
    a_snapshot,
    a_task,
    a_visit,
    by,
    said,
    taken,
)

PAYER = "Prior authorization"


@pytest.mark.parametrize(
    ("snapshots", "category", "text"),
    [
        ([a_snapshot(status="on-hold", status_reason=said("Forms missing"))], "missing-documentation", "Forms missing"),
        ([a_snapshot(status="unknown")], "internal-queue", "The EHR does not know the status"),
        ([a_snapshot(), a_task("rejected")], "external-provider", "Declined"),
        (
            [a_snapshot(), a_task("failed", status_reason=said("no show"))],
            "external-provider",
            "Could not be done: no show",
        ),
        ([a_snapshot(), a_visit("waitlist")], "scheduling-capacity", "No free appointment"),
        ([a_snapshot(), a_task(title=PAYER)], "authorization", "Authorization pending"),
        ([a_snapshot(), a_task("on-hold", owner=by("Practitioner/ann"))], "external-provider", None),
    ],
)
def test_what_the_ehr_says_holds_the_work_up(snapshots: list[Snapshot], category: str, text: str | None) -> None:
    blocker = taken(*snapshots).case().blocker

    assert blocker is not None
    assert blocker.category == category
    assert blocker.source == snapshots[-1].ref
    assert text is None or blocker.text == text


@pytest.mark.parametrize(
    "snapshots",
    [
        [a_snapshot()],
        [a_snapshot(), a_task("rejected"), a_task(ref="Task/2")],
        [a_snapshot(), a_task("rejected"), a_visit("booked")],
        [a_snapshot(), a_task("completed", title=PAYER)],
        [a_snapshot(), a_task("on-hold", parent="Task/9")],
        [a_snapshot(), a_visit("waitlist"), a_visit("booked", "Appointment/2")],
        [a_snapshot(), a_task("on-hold", codes=(ABORT,))],
    ],
    ids=["nothing", "another does it", "booked anyway", "payer said yes", "another order's", "booked since", "abort"],
)
def test_what_does_not_hold_the_work_up(snapshots: list[Snapshot]) -> None:
    assert taken(*snapshots).case().blocker is None


def test_the_orders_word_comes_before_its_tasks() -> None:
    case = taken(a_snapshot(status="on-hold"), a_task(title=PAYER)).case()

    assert case.blocker is not None
    assert case.blocker.category is BlockerCategory.CLINICAL_REVIEW


def test_a_blocker_is_cleared_when_what_held_the_work_up_is_over() -> None:
    desk = taken(a_snapshot(), a_task(title=PAYER))

    desk.take(a_task("completed", version=2, title=PAYER))

    assert desk.case().blocker is None
    assert "BlockerCleared" in desk.facts()
